package fleet

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/fault"
)

// Limits of a report beside those of the contract.
const (
	maxReportKeys  = 50_000                // 10,000 assignments with two keys each, one generation leaving and one coming
	maxRecordBytes = 4 << 10               // the record of an RSA-16384 key has 2.8 kB
	maxErrorBytes  = 1 << 10               // a sentence
	maxSoftware    = 128                   // a name and a version
	maxIDBytes     = 64                    // ids are ours: prefix and 16 letters
	maxAge         = 100 * 365 * 24 * 3600 // seconds: more is no age, and would overflow a duration

	// maxCanaries are verified of one report; the agent repeats the others with its next one.
	maxCanaries = 256
	// canariesAtOnce bounds how many questions one agent makes us ask of DNS at a time.
	canariesAtOnce = 8
	// canaryTime is for all canaries of one report together; the request must be answered while the agent still waits.
	canaryTime = 20 * time.Second
)

// Report takes what an agent says. It is within the contract's limits or refused as a whole; it speaks of keys of this
// server or is refused as a whole and journalled. Keys that do not exist any more are passed over: an agent may have
// some that were forgotten here.
func (f *Fleet) Report(ctx context.Context, serverID string, r agentapi.Report) (agentapi.ReportResponse, error) {
	if err := checkReport(r); err != nil {
		return agentapi.ReportResponse{}, err
	}
	ids := make([]string, len(r.Keys))
	for i, k := range r.Keys {
		ids[i] = k.ID
	}
	known, err := f.storage.ReportedKeys(ctx, serverID, ids)
	if err != nil {
		return agentapi.ReportResponse{}, err
	}
	now, err := f.storage.Now(ctx)
	if err != nil {
		return agentapi.ReportResponse{}, err
	}
	ours, err := f.ours(ctx, r.Source)
	if err != nil {
		return agentapi.ReportResponse{}, err
	}
	if !ours {
		r.Applied = 0 // a number from before a restore acknowledges nothing
	}
	checked := CheckedReport{Received: r, Skew: time.Unix(r.UnixTime, 0).Sub(now)}
	checked.Received.Keys, checked.Received.Refusals = nil, timely(r.Refusals, now)
	var canaries []canary
	for _, k := range r.Keys {
		have, exists := known[k.ID]
		if !exists {
			continue
		}
		if !have.Held {
			return agentapi.ReportResponse{}, f.refuse(ctx, serverID,
				fmt.Sprintf("a report spoke of key %s (%s._domainkey.%s), which another server holds", k.ID, have.Selector, have.Domain))
		}
		if len(k.Canary) > 0 && have.Canary != "" && k.CanaryNonce == have.Canary && !have.CanaryVerified && len(canaries) < maxCanaries {
			canaries = append(canaries, canary{k.ID, have, k.Canary})
		}
		k.Canary = nil
		checked.Received.Keys = append(checked.Received.Keys, k)
	}
	checked.Canaries = f.verify(ctx, canaries)
	latest, err := f.storage.SaveReport(ctx, serverID, checked)
	if err != nil {
		return agentapi.ReportResponse{}, err
	}
	return agentapi.ReportResponse{Latest: latest}, nil
}

type canary struct {
	keyID   string
	key     ReportedKey
	message []byte
}

// verify asks DNS about every canary, before and outside of the transaction that stores the verdicts. One that DNS could not be
// asked about has a verdict with a problem, too: the agent repeats it.
func (f *Fleet) verify(ctx context.Context, canaries []canary) map[string]CanaryVerdict {
	if len(canaries) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, canaryTime)
	defer cancel()
	var mu sync.Mutex
	verdicts := make(map[string]CanaryVerdict, len(canaries))
	var group errgroup.Group
	group.SetLimit(canariesAtOnce)
	for _, c := range canaries {
		group.Go(func() error {
			v := CanaryVerdict{Nonce: c.key.Canary, Verified: true}
			if err := f.canaries.Verify(ctx, c.key.Domain, c.key.Selector, c.key.Record, c.key.Canary, c.message); err != nil {
				v.Verified = false
				v.Problem, _ = fault.Show(err)
			}
			mu.Lock()
			verdicts[c.keyID] = v
			mu.Unlock()
			return nil
		})
	}
	group.Wait()
	return verdicts
}

// checkReport refuses what is beyond the limits, naming the field.
func checkReport(r agentapi.Report) error {
	if err := checkVersion(r.Version); err != nil {
		return err
	}
	invalid := func(format string, args ...any) error {
		return fault.New(fault.Invalid, "the report is refused: "+format, args...)
	}
	switch {
	case len(r.Keys) > maxReportKeys:
		return invalid("%d keys are more than %d", len(r.Keys), maxReportKeys)
	case len(r.Unsigned) > agentapi.MaxReasons:
		return invalid("%d reasons for not signing are more than %d", len(r.Unsigned), agentapi.MaxReasons)
	case len(r.Software) > maxSoftware:
		return invalid("the name of the software has more than %d octets", maxSoftware)
	case r.Applied < 0:
		return invalid("the applied version is negative")
	case r.UnixTime <= 0 || r.UnixTime > maxAge*100:
		return invalid("the agent's clock shows no date")
	}
	if err := checkRefusals(r.Refusals, invalid); err != nil {
		return err
	}
	if len(r.Probes) > agentapi.MaxProbes {
		return invalid("%d answers about probes are more than %d", len(r.Probes), agentapi.MaxProbes)
	}
	for _, p := range r.Probes {
		if p.ID == "" || len(p.ID) > maxIDBytes || len(p.Reply) > agentapi.MaxProbeReply {
			return invalid("an answer about a probe has no id, or is too long")
		}
	}
	for reason := range r.Unsigned {
		if len(reason) > agentapi.MaxReasonBytes || reason == "" {
			return invalid("a reason for not signing is empty or has more than %d octets", agentapi.MaxReasonBytes)
		}
	}
	seen := make(map[string]bool, len(r.Keys))
	for _, k := range r.Keys {
		switch {
		case k.ID == "" || len(k.ID) > maxIDBytes:
			return invalid("a key has no id or one of more than %d octets", maxIDBytes)
		case seen[k.ID]:
			return invalid("key %s is in it twice", k.ID)
		case len(k.Record) > maxRecordBytes:
			return invalid("the record of key %s has more than %d octets", k.ID, maxRecordBytes)
		case k.Record != "" && !isKeyRecord(k.Record):
			return invalid("the record of key %s is not a DKIM key record; it would be published as it is", k.ID)
		case len(k.Canary) > agentapi.MaxCanary:
			return invalid("the canary of key %s has more than %d octets", k.ID, agentapi.MaxCanary)
		case len(k.CanaryNonce) > maxIDBytes*2:
			return invalid("the canary's nonce of key %s has more than %d octets", k.ID, maxIDBytes*2)
		case len(k.Error) > maxErrorBytes:
			return invalid("the error of key %s has more than %d octets", k.ID, maxErrorBytes)
		case k.SignedAgeSeconds < -1 || k.SignedAgeSeconds > maxAge:
			return invalid("the age of key %s's last signature is no age", k.ID)
		}
		seen[k.ID] = true
	}
	return nil
}

// isKeyRecord keeps an agent from having anything else than a key record published (RFC 6376 §3.6.1): printable ASCII that
// begins with the version.
func isKeyRecord(record string) bool {
	return strings.HasPrefix(record, "v=DKIM1;") && strings.IndexFunc(record, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}
