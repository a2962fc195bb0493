package fleet_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/audit"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/fleet"
)

func TestReportTellsOfRefusals(t *testing.T) {
	b := newBench(t)
	hour := b.clock().Truncate(time.Hour)
	good := agentapi.Refusal{Hour: hour.Unix(), Domain: "example.org", Receiver: "Gmail", Code: "5.7.26", Cause: "spf", Messages: 2, First: hour.Unix(), Last: hour.Unix(), Text: "no"}
	with := func(f func(*agentapi.Refusal)) agentapi.Refusal { r := good; f(&r); return r }
	shown := func() []fleet.Refused {
		agents, err := b.store.Agents(t.Context())
		must(t, err)
		for _, a := range agents {
			if a.Server.ID == "srv_1" {
				return a.Refused
			}
		}
		return nil
	}

	// What is beyond the contract is refused as a whole, and nothing of it stays.
	for name, bad := range map[string][]agentapi.Refusal{
		"many":           make([]agentapi.Refusal, agentapi.MaxRefusals+1),
		"a long domain":  {with(func(r *agentapi.Refusal) { r.Domain = strings.Repeat("d", 254) })},
		"a long code":    {good, with(func(r *agentapi.Refusal) { r.Code = strings.Repeat("5", 65) })},
		"a long cause":   {with(func(r *agentapi.Refusal) { r.Cause = strings.Repeat("c", 65) })},
		"a long text":    {with(func(r *agentapi.Refusal) { r.Text = strings.Repeat("t", 401) })},
		"a long name":    {with(func(r *agentapi.Refusal) { r.Receiver = strings.Repeat("r", 254) })},
		"a longer still": {good, good, with(func(r *agentapi.Refusal) { r.Text = strings.Repeat("ü", 300) })},
	} {
		r := b.report()
		r.Refusals = bad
		_, err := b.Report(t.Context(), "srv_1", r)
		if fault.CodeOf(err) != fault.Invalid || len(shown()) > 0 {
			t.Errorf("%s: %v, %+v", name, err, shown())
		}
	}

	// Hours of a clock that is wrong are passed over, the rest of the report is not.
	r := b.report(agentapi.KeyReport{ID: "key_1", Has: true, Record: record, SignedAgeSeconds: -1})
	r.Refusals = []agentapi.Refusal{
		with(func(r *agentapi.Refusal) { r.Hour += 1 }), with(func(r *agentapi.Refusal) { r.Hour += 2 * 3600 }), with(func(r *agentapi.Refusal) { r.Hour -= 9 * 24 * 3600 }),
		with(func(r *agentapi.Refusal) { r.Messages = 0 }), with(func(r *agentapi.Refusal) { r.Code = "" }), with(func(r *agentapi.Refusal) { r.Receiver = "" }),
		with(func(r *agentapi.Refusal) { r.Hour = -1 << 60 }),
		with(func(r *agentapi.Refusal) { r.First, r.Last = -1<<62, 1<<62 }),
	}
	_, err := b.Report(t.Context(), "srv_1", r)
	must(t, err)
	if got := shown(); len(got) != 1 || got[0].Messages != 2 || !got[0].First.Equal(hour) || !got[0].Last.Equal(hour.Add(time.Hour-time.Second)) {
		t.Errorf("%+v", got)
	}
	if k := b.key(t, "key_1"); k.Value != record {
		t.Errorf("the report's key: %+v", k)
	}
	open, err := b.store.Findings(t.Context(), audit.FindingFilter{ID: fleet.RefusalFinding, Limit: 10})
	must(t, err)
	if len(open) != 1 || open[0].Severity != audit.Warning || !strings.HasPrefix(open[0].Message, "Gmail defers mail of example.org from mx1: 2 messages since ") {
		t.Errorf("%+v", open)
	}
}

// Every cause has a sentence of its own that names what to do.
func TestRefusalsHaveAFix(t *testing.T) {
	seen := map[string]string{}
	for _, cause := range []string{"authentication", "dkim", "spf", "dmarc", "alignment", "reverse_dns", "tls", "arc", "null_mx"} {
		r := fleet.Refused{Domain: "example.org", Receiver: "Gmail", Code: "5.7.26", Cause: cause}
		fix := r.Fix("mx1")
		if fix == "" || seen[fix] != "" {
			t.Errorf("%s: %q, as %s", cause, fix, seen[fix])
		}
		seen[fix] = cause
	}
	if (fleet.Refused{Cause: "of a later release"}).Fix("mx1") == "" {
		t.Error("a cause that is not known has no fix")
	}
	if got := fmt.Sprint(fleet.Refused{Receiver: "Gmail", Code: "5.7.26"}.Subject("mx1")); got != "mx1 to Gmail: 5.7.26" {
		t.Error(got)
	}
}
