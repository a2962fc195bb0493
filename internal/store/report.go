package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/fleet"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/lifecycle"
)

const (
	// maxSentence bounds what an agent says in words, in octets.
	maxSentence = 500
	// ageGrain is the precision of an age in a report: an age alone moves a last signature only by more than this.
	ageGrain = 2 * time.Second
	// maxAge of a last signature, in seconds: older ones (a century) are mistakes, and count as never.
	maxAge = 100 * 365 * 24 * 3600
)

// held is a holding with what a report is judged by.
type held struct {
	lifecycle.Holding
	domain      string
	wantVersion int64
	keyValue    string
	canary      string
	spoken      bool
	destroyed   time.Time
}

// SaveReport stores the facts of a report, the agent's software, applied version and unsigned counters, and returns the
// server's present instruction version. A report that changes a fact makes the work of the key's domain due now; one that
// only moves counters and ages does not. fault.NotFound when there is no such server, fault.Denied when it was
// decommissioned.
func (s *Store) SaveReport(ctx context.Context, serverID string, r fleet.CheckedReport) (latest int64, err error) {
	err = s.write(ctx, "save a report", func(t *tx) error {
		server, err := t.server(ctx, serverID)
		if err != nil {
			return err
		}
		if !server.Decommissioned.IsZero() {
			return fault.New(fault.Denied, "%s was decommissioned", server.Name)
		}
		before, err := t.saveAgent(ctx, serverID, r)
		if err != nil {
			return err
		}
		if err := t.saveFacts(ctx, serverID, r, before); err != nil {
			return err
		}
		if err := t.saveUnsigned(ctx, serverID, r.Received.Unsigned); err != nil {
			return err
		}
		if err := t.saveRefusals(ctx, serverID, r.Received.Refusals, before.reported); err != nil {
			return err
		}
		if err := t.saveProbeAnswers(ctx, serverID, r.Received.Probes); err != nil {
			return err
		}
		_, err = t.row(ctx, `SELECT version FROM instructions WHERE server_id = $1`, []any{serverID}, &latest)
		return err
	})
	return latest, err
}

// agentFacts are what an agent said of itself.
type agentFacts struct {
	reported time.Time
	skew     time.Duration
}

// saveAgent keeps what the agent says of itself and returns what it said before. Its row makes reports of one server wait
// for each other.
func (t *tx) saveAgent(ctx context.Context, serverID string, r fleet.CheckedReport) (before agentFacts, err error) {
	if _, err := t.row(ctx, `SELECT reported, skew FROM agents WHERE server_id = $1`+t.s.d.forUpdate, []any{serverID}, at(&before.reported), lasts(&before.skew)); err != nil {
		return before, err
	}
	_, err = t.exec(ctx, `UPDATE agents SET reported = $1, applied = $2, skew = $3, software = $4, probes = $5 WHERE server_id = $6`,
		t.now, r.Received.Applied, r.Skew, sentence(r.Received.Software), r.Received.ProbesReady, serverID)
	return before, err
}

// saveFacts compares what the report says of each key with what is known, and writes the difference: work, keys,
// instructions, holdings, in this order.
func (t *tx) saveFacts(ctx context.Context, serverID string, r fleet.CheckedReport, before agentFacts) error {
	known, err := t.heldBy(ctx, serverID)
	if err != nil {
		return err
	}
	var changed []held
	domains := map[string]bool{}
	values := map[string]string{}
	named := map[string]bool{}
	skewed := beyond(before.skew) != beyond(r.Skew)
	for _, k := range r.Received.Keys {
		was, ok := known[k.ID]
		if !ok || named[k.ID] {
			continue // not its own, or said twice
		}
		named[k.ID] = true
		is := was.fold(k, r, t.now)
		if was.keyValue == "" && k.Record != "" {
			values[k.ID] = k.Record
		}
		if is.fact() != was.fact() || values[k.ID] != "" || skewed {
			domains[was.domain] = true
		}
		if is != was {
			changed = append(changed, is)
		}
	}
	if err := t.touch(ctx, slices.Collect(maps.Keys(domains))...); err != nil {
		return err
	}
	if err := t.saveValues(ctx, values); err != nil {
		return err
	}
	for _, h := range changed {
		if err := t.saveFact(ctx, serverID, h); err != nil {
			return err
		}
	}
	return t.fallSilent(ctx, serverID, known, named, before)
}

// heldBy reads what a server holds. Only its own reports write these facts, and they wait for each other.
func (t *tx) heldBy(ctx context.Context, serverID string) (map[string]held, error) {
	known := map[string]held{}
	err := t.rows(ctx, `SELECT h.key_id, k.domain, k.value, k.canary, h.want, h.want_version, h.acked, h.has, h.value, h.signing, h.signed, h.last_signed,
		h.canary_verified, h.canary_nonce, h.canary_problem, h.error, h.spoken, h.destroyed
		FROM holdings h JOIN keys k ON k.id = h.key_id WHERE h.server_id = $1 AND h.gone = 0 ORDER BY h.key_id`, []any{serverID},
		func(s scanner) error {
			var h held
			// ServerID has the key's id here: the server is the same for all.
			err := s(&h.ServerID, &h.domain, &h.keyValue, &h.canary, &h.Want, &h.wantVersion, &h.Acked, truth(&h.Has), &h.Value, truth(&h.Signing), &h.Signed,
				at(&h.LastSigned), at(&h.CanaryVerified), &h.CanaryNonce, &h.CanaryProblem, &h.Error, truth(&h.spoken), at(&h.destroyed))
			known[h.ServerID] = h
			return err
		})
	return known, err
}

// fold is what is known after a report.
func (h held) fold(k agentapi.KeyReport, r fleet.CheckedReport, now time.Time) held {
	h.spoken = true
	h.Has, h.Signing = k.Has, k.Signing
	h.Value, h.Error = text(k.Record), sentence(k.Error)
	if k.Has && k.Record == "" {
		h.Value = h.keyValue // not said again, because the instructions have it
	}
	if h.keyValue != "" && h.Value != "" && h.Value != h.keyValue {
		h.Error = "it has another public key than the one that was first delivered; that one stays"
	}
	if r.Received.Applied >= h.wantVersion {
		h.Acked = h.Want
	}
	h.LastSigned = h.lastSigned(k, now)
	h.Signed = min(k.Signed, 1<<63-1)
	if k.Destroyed && h.destroyed.IsZero() {
		h.destroyed = now
	}
	if v, looked := r.Canaries[k.ID]; looked && v.Nonce == h.canary && h.canary != "" {
		proved := h.CanaryNonce == v.Nonce && !h.CanaryVerified.IsZero()
		switch {
		case v.Verified && !proved:
			h.CanaryVerified, h.CanaryNonce, h.CanaryProblem = now, v.Nonce, ""
		case !v.Verified && !proved:
			h.CanaryVerified, h.CanaryNonce, h.CanaryProblem = time.Time{}, v.Nonce, sentence(v.Problem)
		}
	}
	return h
}

// lastSigned is when the holder last signed, by the age it reports. It never goes back: the retention starts from it.
func (h held) lastSigned(k agentapi.KeyReport, now time.Time) time.Time {
	if k.SignedAgeSeconds < 0 || k.SignedAgeSeconds > maxAge {
		return h.LastSigned
	}
	last := fromMicros(micros(now.Add(-time.Duration(k.SignedAgeSeconds) * time.Second)))
	if last.After(h.LastSigned) && (k.Signed != h.Signed || last.Sub(h.LastSigned) > ageGrain) {
		return last
	}
	return h.LastSigned
}

// fact is the part of a holding at which the planner must look when it changes.
func (h held) fact() held {
	h.Signed, h.LastSigned, h.spoken = 0, time.Time{}, false
	return h
}

// beyond reports whether a clock is so wrong that nothing is taken away.
func beyond(skew time.Duration) bool { return skew.Abs() > inventory.MaxClockSkew }

// saveValues makes the first public half that is delivered the key's. Later ones never replace it, whoever is first.
func (t *tx) saveValues(ctx context.Context, values map[string]string) error {
	for _, id := range slices.Sorted(maps.Keys(values)) {
		n, err := t.exec(ctx, `UPDATE keys SET value = $1 WHERE id = $2 AND value = ''`, values[id], id)
		if err != nil {
			return err
		}
		if n == 0 {
			continue
		}
		// The value is part of what its holders are told.
		holders, err := list(ctx, t, `SELECT server_id FROM holdings WHERE key_id = $1 AND gone = 0 ORDER BY server_id`, []any{id},
			func(s scanner, server *string) error { return s(server) })
		if err != nil {
			return err
		}
		if _, err := t.bump(ctx, holders); err != nil {
			return err
		}
	}
	return nil
}

// saveFact writes the columns that belong to reports. reported and skew are written only when a report no longer speaks
// of the key: until then the agent's own count.
func (t *tx) saveFact(ctx context.Context, serverID string, h held) error {
	// A wish that changed since the report was compared with it is not acknowledged by it.
	_, err := t.exec(ctx, `UPDATE holdings SET acked = CASE WHEN want_version = $14 THEN $1 ELSE acked END, has = $2, value = $3, signing = $4, signed = $5, last_signed = $6, canary_verified = $7,
		canary_nonce = $8, canary_problem = $9, error = $10, spoken = 1, destroyed = $11 WHERE key_id = $12 AND server_id = $13`,
		h.Acked, h.Has, h.Value, h.Signing, h.Signed, h.LastSigned, h.CanaryVerified, h.CanaryNonce, h.CanaryProblem, h.Error, h.destroyed, h.ServerID, serverID, h.wantVersion)
	return err
}

// fallSilent keeps when the agent last spoke of keys that its newest report leaves out.
func (t *tx) fallSilent(ctx context.Context, serverID string, known map[string]held, named map[string]bool, before agentFacts) error {
	for _, id := range slices.Sorted(maps.Keys(known)) {
		if !known[id].spoken || named[id] {
			continue
		}
		if _, err := t.exec(ctx, `UPDATE holdings SET spoken = 0, reported = $1, skew = $2 WHERE key_id = $3 AND server_id = $4`,
			before.reported, before.skew, id, serverID); err != nil {
			return err
		}
	}
	return nil
}

// saveUnsigned replaces the counters of messages that were not signed.
func (t *tx) saveUnsigned(ctx context.Context, serverID string, counts map[string]uint64) error {
	known, err := t.unsigned(ctx, serverID)
	if err != nil {
		return err
	}
	kept := map[string]uint64{}
	for reason, n := range counts {
		kept[sentence(reason)] += n
	}
	for reason := range known[serverID] {
		if _, still := kept[reason]; !still {
			if _, err := t.exec(ctx, `DELETE FROM unsigned WHERE server_id = $1 AND reason = $2`, serverID, reason); err != nil {
				return err
			}
		}
	}
	for reason, n := range kept {
		if was, ok := known[serverID][reason]; ok && was == n {
			continue
		}
		if _, err := t.exec(ctx, `INSERT INTO unsigned (server_id, reason, messages) VALUES ($1, $2, $3)
			ON CONFLICT (server_id, reason) DO UPDATE SET messages = excluded.messages`, serverID, reason, n); err != nil {
			return err
		}
	}
	return nil
}

// sentence is what a stranger said, cut to a length that people read.
func sentence(s string) string {
	if s = text(s); len(s) <= maxSentence {
		return s
	}
	return fmt.Sprintf("%s…", text(s[:maxSentence]))
}
