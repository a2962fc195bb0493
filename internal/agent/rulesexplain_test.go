package agent

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/fault"
)

// sameAsExplained sends the message and compares what becomes of it.
func (r *rig) sameAsExplained(name string, q Question, msg mail) {
	r.t.Helper()
	e, err := Explain(r.cfg, q, strings.NewReader(msg.raw()))
	if err != nil {
		r.t.Fatal(err)
	}
	o := mtaOptions{daemon: q.Listener, auth: q.Login, client: "203.0.113.9", macros: q.Macros}
	if q.Client.IsValid() {
		o.client = q.Client.String()
	}
	listener := 1
	if q.Outbound {
		listener = 0
	}
	m := dialMTA(r.t, r.agent, listener, o)
	m.sender = q.Sender
	got := m.send(msg, 0)
	outcome := OutcomePassed
	switch {
	case strings.HasPrefix(got.status, "550"):
		outcome = OutcomeRefused
	case strings.HasPrefix(got.status, "451"):
		outcome = OutcomeDeferred
	case strings.Contains(got.raw, "DKIM-Signature:"):
		outcome = OutcomeSigned
	}
	if outcome != e.Outcome || got.seen != e.Ours || outcome == OutcomeSigned && len(r.verified(got.raw)) != len(e.Signatures) {
		r.t.Errorf("%s: %s; explained as %+v\n%s", name, outcome, e, got.raw)
	}
}

// What explain says of a message is what becomes of it, whether or not an agent runs.
func TestExplainSaysWhatHappens(t *testing.T) {
	r := rulesRig(t, `
stream: {header: X-Stream, macro: "{stream}"}
mismatch: {envelope: reject}
outbound: {listeners: [OUT], networks: [192.0.2.0/24], macros: {"{app}": shop}}
rules:
  - {match: {header: {List-Id: "*<*.lists.example.org>*"}}, domain: lists.example.org, also: [example.org, nowhere.example]}
`)
	r.put(agentapi.Assignment{Domain: "example.org", Keys: []agentapi.Key{edKey("old", "s0")}})
	r.plane.want(func(in *agentapi.Instructions) {
		in.Assignments[0].Keys = append(in.Assignments[0].Keys, edKey("k", "s1"), edKey("held", "s2"))
	})
	r.bring("example.org", "k", "s1", 2)
	r.put(agentapi.Assignment{Domain: "example.org", Stream: "marketing", Keys: []agentapi.Key{edKey("m", "news")}})
	r.put(agentapi.Assignment{Domain: "lists.example.org", Keys: []agentapi.Key{edKey("l", "list")}})
	r.put(agentapi.Assignment{Domain: "empty.example", NoKey: agentapi.NoKeyTempfail})
	cases := []struct {
		name, from string
		q          Question
		header     []string
		want       string
	}{
		{name: "mail of others", q: Question{Client: netip.MustParseAddr("203.0.113.9")}, want: "passed "},
		{name: "login", q: Question{Login: "ann"}, want: "signed example.org/s1"},
		{name: "listener", q: Question{Listener: "OUT"}, want: "signed example.org/s1"},
		{name: "network", q: Question{Client: netip.MustParseAddr("192.0.2.9")}, want: "signed example.org/s1"},
		{name: "macro", q: Question{Macros: map[string]string{"{app}": "shop", "{stream}": "marketing"}}, want: "signed example.org/news"},
		{name: "field", q: Question{Outbound: true}, header: []string{"X-Stream: sales"}, want: "signed example.org/s1 stream_unknown"},
		{name: "list", from: "eve@elsewhere.example", q: Question{Outbound: true, Sender: "x@elsewhere.example"}, header: []string{"List-Id: Talk\r\n <talk.lists.example.org>"}, want: "signed lists.example.org/list example.org/s1 also_missing"},
		{name: "refused", q: Question{Outbound: true, Sender: "x@elsewhere.example"}, want: "refused envelope_mismatch"},
		{name: "no key", from: "a@empty.example", q: Question{Outbound: true}, want: "deferred no_key"},
		{name: "foreign", from: "a@elsewhere.example", q: Question{Outbound: true}, want: "passed not_assigned"},
		{name: "two From fields", q: Question{Outbound: true}, header: []string{"From: b@example.org"}, want: "passed from_multiple_fields"},
	}
	ask := func(name string) {
		t.Helper()
		for _, c := range cases {
			from := c.from
			if from == "" {
				from = "ann@example.org"
			}
			msg := simpleMail(from, "From: not a field\r\n")
			msg.header = append(msg.header, c.header...)
			if name == "running" {
				r.sameAsExplained(c.name, c.q, msg)
			}
			for _, raw := range []string{msg.raw(), strings.ReplaceAll(msg.raw(), "\r\n", "\n")} {
				e, err := Explain(r.cfg, c.q, strings.NewReader(raw))
				if err != nil {
					t.Fatal(err)
				}
				got := e.Outcome + " " + e.Reason
				for _, s := range e.Signatures {
					got = strings.TrimSuffix(got, " ")
					got += " " + s.Domain + "/" + s.Selector
				}
				if e.StreamUnknown {
					got += " stream_unknown"
				}
				if e.AlsoMissing > 0 {
					got += " also_missing"
				}
				if got != c.want {
					t.Errorf("%s, %s: %s; want %s", name, c.name, got, c.want)
				}
			}
		}
	}
	ask("running")
	e, err := Explain(r.cfg, Question{Outbound: true}, strings.NewReader("From: ann@example.org"))
	if err != nil {
		t.Fatal(err)
	}
	why := map[string]string{}
	for _, k := range e.Keys {
		why[k.Selector] = k.Why
	}
	if len(why) != 2 || why["s0"] != "one of higher rank signs" || why["s2"] != "the control plane wants: hold" {
		t.Errorf("the other keys: %v", why)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	ask("stopped")
	if _, err := Explain(r.cfg, Question{}, strings.NewReader("hello\n")); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("no header: %v", err)
	}
	cfg := r.cfg
	cfg.StateDirectory = t.TempDir()
	if _, err := Explain(cfg, Question{Outbound: true}, strings.NewReader("From: ann@example.org\n")); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("without instructions: %v", err)
	}
}
