package store

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/audit"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/fleet"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/journal"
	"github.com/postseal/postseal/internal/lifecycle"
	"github.com/postseal/postseal/internal/probe"
)

var probeCases = map[string]func(*testing.T, *database){
	"a probe through a server":                testProbeLife,
	"a probe that is refused, and one lost":   testProbeFails,
	"probes on schedule and after a rotation": testProbeSchedule,
	"a probe of a service":                    testProbeService,
	"whom an agent speaks of":                 testProbeOfOthers,
	"an agent takes so many at a time":        testProbesAtOnce,
	"what a gate knows of probes":             testProbeGate,
	"why a gate is open":                      testProbeGateTrouble,
	"a probe of the old key under way":        testProbeVanished,
	"a reply that quotes the address":         testProbeReplyToken,
	"a server is not asked too often":         testProbesPerHour,
}

// probing is the small fleet with a key that mx1 signs with, and an address for probes.
type probing struct {
	*Store
	t  *testing.T
	db *database
	p  *probe.Prober
}

func (db *database) probing(t *testing.T) probing {
	s := db.filled(t)
	alterInventory(t, s, func(state *inventory.State) {
		state.Probes = inventory.Probes{Address: "probe@reports.example.com", Every: 24 * time.Hour}
	})
	x := probing{Store: s, t: t, db: db, p: probe.New(s)}
	x.signs("key_1", "mx1-a", 1)
	return x
}

// signs makes mx1 sign with a key.
func (x *probing) signs(id, selector string, rank int) {
	x.t.Helper()
	k := newKey(id, "as_1", selector, "srv_1")
	k.State, k.Signing = lifecycle.Active, get[time.Time](x.t)(x.Now(x.t.Context()))
	k.Holders[0].Want, k.Holders[0].Rank = lifecycle.WantSign, rank
	must(x.t, x.CheckNow(x.t.Context(), testDomain))
	must(x.t, x.Commit(x.t.Context(), claim(x.t, x.Store, testDomain), lifecycle.Commit{Keys: []lifecycle.Key{k}}))
	x.say(nil, id)
}

// say has the agent on mx1 report what became of orders, that it is ready for probes, and which keys it signs with.
func (x *probing) say(answers []agentapi.ProbeReport, signing ...string) {
	x.t.Helper()
	r := fleet.CheckedReport{Received: agentapi.Report{Version: 1, ProbesReady: true, Probes: answers}}
	for _, id := range signing {
		r.Received.Keys = append(r.Received.Keys, said(id, func(k *keyReport) { k.Has, k.Signing, k.Record = true, true, "v=DKIM1; p=AAAA" }))
	}
	get[int64](x.t)(x.SaveReport(x.t.Context(), "srv_1", r))
}

func (x *probing) ask(r probe.Request) probe.Asking {
	x.t.Helper()
	r.By = "ann"
	asked := get[[]probe.Asking](x.t)(x.p.Ask(x.t.Context(), r))
	if len(asked) != 1 {
		x.t.Fatalf("%d probes were asked for: %+v", len(asked), asked)
	}
	return asked[0]
}

func (x *probing) orders() []agentapi.ProbeOrder {
	x.t.Helper()
	return get[agentapi.Instructions](x.t)(x.Instructions(x.t.Context(), "srv_1")).Probes
}

func (x *probing) now(id string) probe.Probe {
	x.t.Helper()
	return get[probe.Probe](x.t)(x.Probe(x.t.Context(), id))
}

// findings of the test domain as "ID severity subject".
func (x *probing) findings() string {
	x.t.Helper()
	var all []string
	for _, f := range get[[]audit.OpenFinding](x.t)(x.Findings(x.t.Context(), audit.FindingFilter{Domain: testDomain, Limit: 10})) {
		all = append(all, fmt.Sprintf("%s %s %s", f.ID, f.Severity, f.Subject))
	}
	return strings.Join(all, ", ")
}

// mail is a good one, signed by a selector.
func (x *probing) mail(selector string) probe.Mail {
	return probe.Mail{At: get[time.Time](x.t)(x.Store.Now(x.t.Context())), From: testDomain,
		Signatures: []probe.Signature{{Domain: testDomain, Selector: selector, Result: dkim.Pass, Aligned: true}}}
}

func tokenOf(address string) string {
	_, rest, _ := strings.Cut(address, "+")
	token, _, _ := strings.Cut(rest, "@")
	return token
}

func testProbeLife(t *testing.T, db *database) {
	x := db.probing(t)
	ctx := t.Context()
	before := get[instructions](t)(x.Instructions(ctx, "srv_1")).Version
	asked := x.ask(probe.Request{Signer: "mx1"})
	if !asked.Ready || asked.Domain != testDomain || strings.Join(asked.Wanted, " ") != "mx1-a" || !strings.HasSuffix(asked.Address, "@reports.example.com") {
		t.Fatalf("%+v", asked)
	}
	told := get[instructions](t)(x.Instructions(ctx, "srv_1"))
	if told.Version <= before || len(told.Probes) != 1 || told.Probes[0] != (agentapi.ProbeOrder{ID: asked.ID, Domain: testDomain, To: asked.Address}) {
		t.Fatalf("the agent is told %+v (before %d)", told, before)
	}
	x.say([]agentapi.ProbeReport{{ID: asked.ID, State: agentapi.ProbeSubmitted, Reply: "250 2.0.0 queued as A1"}}, "key_1")
	if p := x.now(asked.ID); p.State != probe.Submitted || p.Submitted.IsZero() || p.Reply != "250 2.0.0 queued as A1" || p.To != "" {
		t.Fatalf("%+v", p)
	}
	if orders := x.orders(); len(orders) != 0 {
		t.Errorf("what is done is asked for again: %v", orders)
	}
	// The token is in no column any more.
	all := get[[]probe.Probe](t)(x.Probes(ctx, ProbeFilter{Limit: 10}))
	if text := fmt.Sprintf("%+v", all); strings.Contains(text, tokenOf(asked.Address)) {
		t.Error("the token is still kept")
	}
	if err := x.p.Arrived(ctx, "abcdefghijklmnopqrstuvwx23", x.mail("mx1-a")); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("a token of nobody: %v", err)
	}

	bad := x.mail("mx1-a")
	bad.Signatures[0].Result, bad.Signatures[0].Reason = dkim.Fail, dkim.ReasonBodyHashMismatch
	must(t, x.p.Arrived(ctx, tokenOf(asked.Address), bad))
	p := x.now(asked.ID)
	if p.State != probe.Arrived || p.Ended.IsZero() || p.Verdict == nil || p.Verdict.Outcome != probe.BodyChanged || p.Mail.Signatures[0].Reason != dkim.ReasonBodyHashMismatch {
		t.Fatalf("%+v, %+v", p, p.Verdict)
	}
	if got := x.findings(); got != "PRB-01 error mx1" {
		t.Errorf("findings: %s", got)
	}
	must(t, x.p.Arrived(ctx, tokenOf(asked.Address), x.mail("mx1-a"))) // somebody sends another mail to the same address
	if p := x.now(asked.ID); p.Verdict.Good || x.findings() == "" {
		t.Errorf("a second mail made it good: %+v", p.Verdict)
	}

	// The mail may be there before the agent's report.
	next := x.ask(probe.Request{Signer: "mx1", Domain: testDomain})
	must(t, x.p.Arrived(ctx, tokenOf(next.Address), x.mail("mx1-a")))
	if got, orders := x.findings(), x.orders(); got != "" || len(orders) != 0 {
		t.Errorf("after a good one: %q, %v", got, orders)
	}
	x.say([]agentapi.ProbeReport{{ID: next.ID, State: agentapi.ProbeSubmitted, Reply: "250 ok"}}, "key_1")
	if p := x.now(next.ID); p.State != probe.Arrived || p.Submitted.IsZero() || p.Reply != "250 ok" || !p.Verdict.Good || strings.Join(p.Verdict.Proven, " ") != "mx1-a" {
		t.Errorf("%+v", p)
	}
	entries := get[[]journal.Entry](t)(x.Entries(ctx, JournalFilter{Limit: 20}))
	steps := map[string]int{}
	for _, e := range entries {
		steps[e.Step]++
	}
	if steps[probe.StepAsk] != 2 || steps[probe.StepArrived] != 2 {
		t.Errorf("the journal has %v", steps)
	}
}

func testProbeFails(t *testing.T, db *database) {
	x := db.probing(t)
	ctx := t.Context()
	one := x.ask(probe.Request{Signer: "mx1"})
	x.say([]agentapi.ProbeReport{{ID: one.ID, State: agentapi.ProbeRefused, Reply: "554 5.7.1 not allowed"}}, "key_1")
	if p := x.now(one.ID); p.State != probe.Refused || p.Ended.IsZero() || x.findings() != "PRB-02 warning mx1" {
		t.Errorf("%+v; %s", p, x.findings())
	}
	two := x.ask(probe.Request{Signer: "mx1"})
	x.say([]agentapi.ProbeReport{{ID: two.ID, State: agentapi.ProbeNotSetUp, Reply: "write it into agent.yaml"}}, "key_1")
	if p := x.now(two.ID); p.State != probe.Refused || !p.NotSetUp || x.findings() != "" {
		t.Errorf("an agent that was never set up: %+v; %s", p, x.findings())
	}

	late := x.ask(probe.Request{Signer: "mx1"})
	must(t, x.p.Tend(ctx))
	if p := x.now(late.ID); p.State != probe.Asked {
		t.Fatalf("%+v", p)
	}
	db.later(t, x.Store, probe.TakeWithin+time.Second)
	must(t, x.p.Tend(ctx))
	if p := x.now(late.ID); p.State != probe.Lost || x.findings() != "PRB-02 warning mx1" || len(x.orders()) != 0 {
		t.Fatalf("%+v; %s; %v", p, x.findings(), x.orders())
	}
	x.say([]agentapi.ProbeReport{{ID: late.ID, State: agentapi.ProbeSubmitted, Reply: "250 after all"}}, "key_1")
	if p := x.now(late.ID); p.State != probe.Submitted || !p.Ended.IsZero() {
		t.Errorf("an agent that came back: %+v", p)
	}
	db.later(t, x.Store, probe.ArriveWithin+time.Second)
	must(t, x.p.Tend(ctx))
	if p := x.now(late.ID); p.State != probe.Lost {
		t.Errorf("%+v", p)
	}
	must(t, x.p.Arrived(ctx, tokenOf(late.Address), x.mail("mx1-a")))
	if p := x.now(late.ID); p.State != probe.Arrived || !p.Verdict.Good || len(p.Verdict.Notes) != 1 || !strings.Contains(p.Verdict.Notes[0], "late") || x.findings() != "" {
		t.Errorf("one that came late: %+v %+v; %s", p, p.Verdict, x.findings())
	}
	db.later(t, x.Store, probe.Keep+time.Hour)
	must(t, x.p.Tend(ctx))
	if _, err := x.Probe(ctx, one.ID); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("an old one: %v", err)
	}
}

func testProbeSchedule(t *testing.T, db *database) {
	x := db.probing(t)
	ctx := t.Context()
	tend := func() []agentapi.ProbeOrder {
		t.Helper()
		must(t, x.p.Tend(ctx))
		return x.orders()
	}
	// mx2 never said that it is ready, and as_3 is a service: they are asked for nothing.
	orders := tend()
	if len(orders) != 1 || len(tend()) != 1 {
		t.Fatalf("%v", orders)
	}
	first := x.now(orders[0].ID)
	if first.Why != probe.BySchedule || first.SignerID != "srv_1" {
		t.Errorf("%+v", first)
	}
	must(t, x.p.Arrived(ctx, tokenOf(orders[0].To), x.mail("mx1-a")))
	if orders := tend(); len(orders) != 0 {
		t.Errorf("at once again: %v", orders)
	}
	db.later(t, x.Store, time.Hour)
	x.signs("key_2", "mx1-b", 2)
	orders = tend()
	if len(orders) != 1 {
		t.Fatalf("nothing is asked for after a rotation: %v", orders)
	}
	if p := x.now(orders[0].ID); p.Why != probe.ByRotation || strings.Join(p.Wanted, " ") != "mx1-a mx1-b" {
		t.Errorf("%+v", p)
	}
	// From now on mx1 signs with the new key alone; the probe was asked for before.
	x.say(nil, "key_2")
	must(t, x.p.Arrived(ctx, tokenOf(orders[0].To), x.mail("mx1-b")))
	if orders := tend(); len(orders) != 0 {
		t.Errorf("after the rotation was proven: %v", orders)
	}
	db.later(t, x.Store, 24*time.Hour+time.Second)
	if orders := tend(); len(orders) != 1 {
		t.Errorf("a day later: %v", orders)
	}
	alterInventory(t, x.Store, func(state *inventory.State) { state.Probes.Every = 0 })
	db.later(t, x.Store, 48*time.Hour)
	if orders := tend(); len(orders) != 0 {
		t.Errorf("without a schedule: %v", orders)
	}
}

func testProbeService(t *testing.T, db *database) {
	x := db.probing(t)
	ctx := t.Context()
	if _, err := x.p.Ask(ctx, probe.Request{Signer: "sendgrid", Service: true, By: "ann"}); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("without a domain: %v", err)
	}
	for _, r := range []probe.Request{{Signer: "mx1", Service: true, Domain: testDomain}, {Signer: "sendgrid", Domain: testDomain}, {Signer: "mx1", Domain: "example.net"}, {Signer: "nobody"}} {
		asked, err := x.p.Ask(ctx, r)
		if r.Domain == "example.net" { // through its pool, on a stream that a probe does not name
			if fault.CodeOf(err) != fault.NotFound {
				t.Errorf("%+v: %v, %v", r, asked, err)
			}
		} else if fault.CodeOf(err) != fault.NotFound {
			t.Errorf("%+v: %v", r, err)
		}
	}
	asked := x.ask(probe.Request{Signer: "sendgrid", Service: true, Domain: testDomain})
	if strings.Join(asked.Wanted, " ") != "s1" || asked.To != "" || x.now(asked.ID).To != "" {
		t.Errorf("%+v", asked)
	}
	must(t, x.p.Arrived(ctx, tokenOf(asked.Address), x.mail("other")))
	if p := x.now(asked.ID); p.Verdict.Outcome != probe.OtherSelector || x.findings() != "PRB-01 error service sendgrid" {
		t.Errorf("%+v; %s", p.Verdict, x.findings())
	}
	asked = x.ask(probe.Request{Signer: "sendgrid", Service: true, Domain: testDomain})
	must(t, x.p.Arrived(ctx, tokenOf(asked.Address), x.mail("s1")))
	if p := x.now(asked.ID); !p.Verdict.Good || x.findings() != "" {
		t.Errorf("%+v; %s", p.Verdict, x.findings())
	}
	asked = x.ask(probe.Request{Signer: "sendgrid", Service: true, Domain: testDomain})
	db.later(t, x.Store, probe.SendWithin+time.Second)
	must(t, x.p.Tend(ctx))
	if p := x.now(asked.ID); p.State != probe.Lost || x.findings() != "" {
		t.Errorf("one that nobody sent: %+v; %s", p, x.findings())
	}
	alterInventory(t, x.Store, func(state *inventory.State) { state.Probes = inventory.Probes{} })
	if _, err := x.p.Ask(ctx, probe.Request{Signer: "mx1", By: "ann"}); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("without an address: %v", err)
	}
}

func testProbeOfOthers(t *testing.T, db *database) {
	x := db.probing(t)
	asked := x.ask(probe.Request{Signer: "mx1"})
	get[int64](t)(x.SaveReport(t.Context(), "srv_2", fleet.CheckedReport{Received: agentapi.Report{Version: 1, Probes: []agentapi.ProbeReport{
		{ID: asked.ID, State: agentapi.ProbeRefused, Reply: "not yours"}, {ID: "prb_none", State: agentapi.ProbeSubmitted}}}}))
	if p := x.now(asked.ID); p.State != probe.Asked || p.Reply != "" {
		t.Errorf("another server's agent settled it: %+v", p)
	}
	x.say([]agentapi.ProbeReport{{ID: asked.ID, State: "strange", Reply: "?"}}, "key_1")
	if p := x.now(asked.ID); p.State != probe.Asked {
		t.Errorf("%+v", p)
	}
}

func testProbesAtOnce(t *testing.T, db *database) {
	x := db.probing(t)
	for range agentapi.MaxProbes {
		x.ask(probe.Request{Signer: "mx1"})
	}
	if _, err := x.p.Ask(t.Context(), probe.Request{Signer: "mx1", By: "ann"}); fault.CodeOf(err) != fault.Conflict {
		t.Errorf("one more: %v", err)
	}
	if n := len(x.orders()); n != agentapi.MaxProbes {
		t.Errorf("%d orders", n)
	}
	if n := len(get[[]probe.Probe](t)(x.Probes(t.Context(), ProbeFilter{Limit: 100}))); n != agentapi.MaxProbes {
		t.Errorf("%d probes are kept", n)
	}
}

func testProbeGate(t *testing.T, db *database) {
	x := db.probing(t)
	ctx := t.Context()
	arrive := func(selector string) {
		t.Helper()
		must(t, x.p.Arrived(ctx, tokenOf(x.ask(probe.Request{Signer: "mx1"}).Address), x.mail(selector)))
	}
	arrive("mx1-a")
	if s := get[lifecycle.Situation](t)(x.Situation(ctx, testDomain)); s.Probed != nil {
		t.Errorf("without a gate: %v", s.Probed)
	}
	alterInventory(t, x.Store, func(state *inventory.State) {
		for i := range state.Domains {
			state.Domains[i].Policy.Gate = inventory.GateProbe
		}
	})
	db.later(t, x.Store, testLease+time.Second)
	w := claim(t, x.Store, testDomain)
	must(t, x.Finish(ctx, w, get[time.Time](t)(x.Store.Now(ctx)).Add(time.Hour)))
	arrive("other") // not one that should sign there
	arrive("mx1-a")
	claim(t, x.Store, testDomain) // it is due now
	if s := get[lifecycle.Situation](t)(x.Situation(ctx, testDomain)); len(s.Probed) != 1 || strings.Join(s.Probed["srv_1"], " ") != "mx1-a" {
		t.Errorf("%v", s.Probed)
	}
}

func testProbesPerHour(t *testing.T, db *database) {
	x := db.probing(t)
	ctx := t.Context()
	for range agentapi.ProbesPerHour / 2 {
		must(t, x.p.Arrived(ctx, tokenOf(x.ask(probe.Request{Signer: "mx1"}).Address), x.mail("mx1-a")))
	}
	db.later(t, x.Store, 55*time.Minute)
	x.signs("key_2", "mx1-b", 2)
	must(t, x.p.Tend(ctx))
	if orders := x.orders(); len(orders) != 0 {
		t.Errorf("one more within the hour: %v", orders)
	}
	db.later(t, x.Store, 6*time.Minute)
	must(t, x.p.Tend(ctx))
	if orders := x.orders(); len(orders) != 1 {
		t.Errorf("and then: %v", orders)
	}
	if all := get[[]probe.Probe](t)(x.Probes(ctx, ProbeFilter{Newest: true, Limit: 100})); len(all) != 1 || all[0].Why != probe.ByRotation {
		t.Errorf("the newest of each path: %+v", all)
	}
}

// One that vanishes does not keep the key that signs since from being probed.
func testProbeVanished(t *testing.T, db *database) {
	x := db.probing(t)
	ctx := t.Context()
	must(t, x.p.Tend(ctx))
	old := x.orders()
	if len(old) != 1 {
		t.Fatalf("%v", old)
	}
	x.say([]agentapi.ProbeReport{{ID: old[0].ID, State: agentapi.ProbeSubmitted, Reply: "250 queued"}}, "key_1")
	db.later(t, x.Store, 5*time.Minute)
	must(t, x.p.Tend(ctx))
	if orders := x.orders(); len(orders) != 0 {
		t.Fatalf("asked for again while it is under way: %v", orders)
	}
	x.signs("key_2", "mx1-b", 2)
	must(t, x.p.Tend(ctx))
	orders := x.orders()
	if len(orders) != 1 || x.now(orders[0].ID).Why != probe.ByRotation || x.now(old[0].ID).State != probe.Submitted {
		t.Fatalf("for the new key: %v", orders)
	}
	must(t, x.p.Tend(ctx))
	if again := x.orders(); len(again) != 1 {
		t.Errorf("the new key is probed more than once: %v", again)
	}
}

func testProbeGateTrouble(t *testing.T, db *database) {
	x := db.probing(t)
	ctx := t.Context()
	alterInventory(t, x.Store, func(state *inventory.State) {
		for i := range state.Domains {
			state.Domains[i].Policy.Gate = inventory.GateProbe
		}
	})
	says := func(want string) {
		t.Helper()
		got := get[lifecycle.Situation](t)(x.Situation(ctx, testDomain)).Unprobed["srv_1"]
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	says("")
	refused := x.ask(probe.Request{Signer: "mx1"})
	says("")
	x.say([]agentapi.ProbeReport{{ID: refused.ID, State: agentapi.ProbeRefused, Reply: "554 5.7.1 not allowed"}}, "key_1")
	says("was refused: 554 5.7.1 not allowed")
	db.later(t, x.Store, time.Minute)
	lost := x.ask(probe.Request{Signer: "mx1"})
	x.say([]agentapi.ProbeReport{{ID: lost.ID, State: agentapi.ProbeSubmitted, Reply: "250 ok"}}, "key_1")
	db.later(t, x.Store, probe.ArriveWithin+time.Second)
	must(t, x.p.Tend(ctx))
	says("is lost: the MTA of mx1 took a probe")
	good := x.ask(probe.Request{Signer: "mx1"})
	must(t, x.p.Arrived(ctx, tokenOf(good.Address), x.mail("mx1-a")))
	says("")
	get[int64](t)(x.SaveReport(ctx, "srv_1", fleet.CheckedReport{Received: agentapi.Report{Version: 1}}))
	says("its agent is not set up for probes")
}

func testProbeReplyToken(t *testing.T, db *database) {
	x := db.probing(t)
	for _, shown := range []func(string) string{strings.ToLower, strings.ToUpper} {
		asked := x.ask(probe.Request{Signer: "mx1"})
		x.say([]agentapi.ProbeReport{{ID: asked.ID, State: agentapi.ProbeRefused, Reply: "554 <" + shown(asked.Address) + ">: not allowed"}}, "key_1")
		if got, want := x.now(asked.ID).Reply, "554 <"+shown("probe+")+"…"+shown("@reports.example.com")+">: not allowed"; got != want {
			t.Errorf("kept: %q, want %q", got, want)
		}
	}
}
