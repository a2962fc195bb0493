package lifecycle

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
)

func unavailable(string, string, bool) error {
	return fault.New(fault.Unavailable, "the primary does not answer")
}

// lostAnswer makes changes whose name has this suffix happen without our hearing of it, and then not at all.
func lostAnswer(suffix string) func(string, string, bool) error {
	failed := false
	return func(name, want string, done bool) error {
		if !strings.HasSuffix(name, suffix) || !done && !failed {
			return nil
		}
		failed = true
		return fault.New(fault.Unavailable, "the answer was lost")
	}
}

func TestFirstKeyToUse(t *testing.T) {
	w := newTown(t)
	for range 2 { // made, and published a second later
		if _, err := w.domain(); err != nil {
			t.Fatal(err)
		}
		w.m.now = w.m.now.Add(time.Second)
		w.obey()
	}
	if len(w.in(Published)) != 1 || w.m.keys[0].Record.AgreedSince.IsZero() {
		t.Errorf("it should be published and looked at: %s", w.outcome())
	}
	w.pass(6*time.Hour, func() bool { return len(w.in(Active)) == 1 && !w.m.keys[0].Signing.IsZero() })
	k := w.m.keys[0]
	if !slices.Equal(w.dns[k.Name()], []string{k.Value}) || k.Record.Written != k.Value || k.Record.Pending {
		t.Errorf("the record: %q %+v", w.dns[k.Name()], k.Record)
	}
	var kinds []string
	for _, e := range w.m.journal {
		kinds = append(kinds, string(e.Kind)+" "+e.Step)
	}
	want := "event generate, intent publish, outcome publish, event waited, event ask, event prove, event activate, event signing"
	if got := strings.Join(kinds, ", "); got != want {
		t.Errorf("journal: %s", got)
	}
	if len(w.sets) != 1 {
		t.Errorf("changes: %q", w.sets)
	}
}

func TestRanksGrow(t *testing.T) {
	w := newTown(t)
	w.m.assignments = append(w.m.assignments, inventory.Assignment{ID: "again", Domain: "example.com", SignerID: "mx1", Stream: "bulk",
		Class: inventory.ClassManaged, Algorithms: []string{"ed25519"}})
	seen := map[int]string{}
	for range 3 {
		w.pass(6*time.Hour, func() bool { return len(w.in(Active)) == 2 && len(w.in(Published))+len(w.in(Generated)) == 0 })
		w.m.now = w.m.now.Add(time.Minute)
		for i := range w.m.assignments {
			w.m.assignments[i].RotateRequested = w.m.now
		}
		for _, k := range w.in(Active) {
			if other := seen[k.rank()]; other != "" && other != k.ID || k.rank() == 0 {
				t.Errorf("%s and %s have rank %d", other, k.ID, k.rank())
			}
			seen[k.rank()] = k.ID
		}
		w.pass(6*time.Hour, func() bool { return len(w.in(Retired)) > 0 })
	}
}

// Two streams of one server are two assignments: each gets a key under a selector of its own, both sign at once, and they
// rotate one after the other.
func TestStreamsOfOneServer(t *testing.T) {
	w := newTown(t)
	w.m.assignments = append(w.m.assignments, inventory.Assignment{ID: "news", Domain: "example.com", SignerID: "mx1", Stream: "news",
		Class: inventory.ClassManaged, Algorithms: []string{"rsa2048"}})
	inForce := func() map[string]string {
		by := map[string]string{}
		for _, k := range w.in(Active) {
			if !k.Signing.IsZero() && k.Holders[0].Signing {
				by[k.AssignmentID] = k.Selector
			}
		}
		return by
	}
	w.pass(6*time.Hour, func() bool { return len(inForce()) == 2 })
	before := inForce()
	if before["mx1"] == before["news"] {
		t.Fatalf("both streams sign with %s", before["mx1"])
	}
	for i := range w.m.assignments {
		w.m.assignments[i].RotateRequested = w.m.now
	}
	w.pass(12*time.Hour, func() bool {
		switching := 0
		for _, k := range w.in(Active) {
			if k.Signing.IsZero() {
				switching++
			}
		}
		now := inForce()
		if switching > 1 || len(now) != 2 {
			t.Fatalf("%d streams exchange their keys at once, and %d sign", switching, len(now))
		}
		return now["mx1"] != before["mx1"] && now["news"] != before["news"]
	})
}

// A server that is assigned a stream itself and through its pool signs with one key of both. The other one stands by; it is
// neither waited for nor complained about, and both are replaced when their time comes.
func TestOwnKeyBesideThePools(t *testing.T) {
	w := newTown(t)
	pool := newScene().pool("web", "mx1")
	w.m.signers["web"] = pool.Signers["web"]
	w.m.assignments = append(w.m.assignments, pool.Assignments...)
	settled := func() bool {
		n := 0
		for _, k := range w.in(Active) {
			if k.Signing.IsZero() {
				return false
			}
			n++
		}
		return n == 2 && len(w.in(Generated))+len(w.in(Published))+len(w.in(Propagated))+len(w.in(Proven)) == 0
	}
	w.pass(6*time.Hour, settled)
	for range 2 {
		before := map[string]bool{}
		signing := 0
		for _, k := range w.in(Active) {
			before[k.ID] = true
			if k.Holders[0].Signing {
				signing++
			}
		}
		if signing != 1 {
			t.Fatalf("mail is signed with %d of the keys", signing)
		}
		for _, r := range Next(w.m.situation()).Reasons {
			if r.Blocked {
				t.Errorf("%s: %s", r.KeyID, r.Text)
			}
		}
		for i := range w.m.assignments {
			w.m.assignments[i].RotateRequested = w.m.now
		}
		w.pass(12*time.Hour, func() bool {
			return settled() && !slices.ContainsFunc(w.in(Active), func(k *Key) bool { return before[k.ID] })
		})
	}
}

func TestTakenName(t *testing.T) {
	w := newTown(t)
	w.obey()
	if _, err := w.domain(); err != nil {
		t.Fatal(err)
	}
	first := w.m.keys[0]
	w.put(first.Name(), "v=DKIM1; p=THEIRS") // after our look, before our change
	w.pass(6*time.Hour, func() bool { return len(w.in(Active)) == 1 })
	finding := w.m.findings["LIFE-01 "+first.Name()]
	if got := w.m.byID(first.ID); got.State != Removed || got.EndReason != takenReason || got.Holders[0].Want != WantDestroy {
		t.Errorf("the key whose name was taken: %+v", got)
	}
	if !strings.Contains(finding.Message, "THEIRS") || !slices.Equal(w.dns[first.Name()], []string{"v=DKIM1; p=THEIRS"}) {
		t.Errorf("finding %+v, and there stands %q", finding, w.dns[first.Name()])
	}
	w.put(first.Name(), "")
	w.pass(3*time.Hour, func() bool { return len(w.m.findings) == 0 })
}

func TestTakenSelectorBeforeTheKeyIsMade(t *testing.T) {
	w := newTown(t)
	at := 0
	w.r.c.Random = func(int) int { at++; return (at - 1) / selectorLetters } // aaaa, bbbb, …
	taken := "mx1-2606aaaa._domainkey.example.com"
	w.put(taken, "v=DKIM1; p=THEIRS")
	w.obey()
	if _, err := w.domain(); err != nil {
		t.Fatal(err)
	}
	if made := w.in(Generated); len(made) != 1 || made[0].Selector != "mx1-2606bbbb" {
		t.Fatalf("keys: %+v", w.m.keys)
	}
	if _, open := w.m.findings["LIFE-01 "+taken]; !open {
		t.Errorf("findings: %v", w.m.findings)
	}
	at = 0
	if used, _ := w.m.SelectorUsed(t.Context(), "example.com", "mx1-2606aaaa"); !used {
		t.Error("the taken selector may be tried again")
	}
	w.put(taken, "")
	w.pass(3*time.Hour, func() bool { return len(w.m.findings) == 0 })
}

func TestWildcardIsNotATakenName(t *testing.T) {
	w := newTown(t)
	w.put("*", "v=spf1 -all")
	w.pass(6*time.Hour, func() bool { return len(w.in(Active)) == 1 })
	if len(w.m.findings) != 0 || len(w.m.keys) != 1 {
		t.Errorf("findings %v, keys %d", w.m.findings, len(w.m.keys))
	}
	w.m.assignments[0].Ended = w.m.now
	w.pass(day, func() bool { return len(w.in(Removed)) == 1 })
}

func TestSlotsAreTriedInTurn(t *testing.T) {
	w := newTown(t)
	w.m.assignments[0].Slots = []string{"s1", "s2"}
	w.put("s1._domainkey.example.com", "v=DKIM1; p=THEIRS")
	w.pass(6*time.Hour, func() bool { return len(w.in(Active)) == 1 })
	if used := w.in(Active)[0].Selector; used != "s2" {
		t.Errorf("%s is used", used)
	}
	if _, open := w.m.findings["LIFE-01 s1._domainkey.example.com"]; !open || len(w.m.findings) != 1 {
		t.Errorf("findings: %v", w.m.findings)
	}
	w.put("s1._domainkey.example.com", "")
	w.m.now = w.m.now.Add(time.Minute)
	w.m.assignments[0].RotateRequested = w.m.now
	w.pass(6*time.Hour, func() bool { return len(w.in(Active)) == 1 && w.in(Active)[0].Selector == "s1" })
	if len(w.m.findings) != 0 {
		t.Errorf("findings: %v", w.m.findings)
	}
	w.m.now = w.m.now.Add(time.Minute)
	w.m.assignments[0].RotateRequested = w.m.now
	w.pass(day, func() bool { return len(w.in(Active)) == 1 && w.in(Active)[0].Selector == "s2" })
}

// Whatever became of an answer that was lost, no record of a key that is given up stays behind.
func TestNoRecordIsLeftBehind(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(w *town)
	}{
		{"the assignment ends", func(w *town) { w.m.assignments[0].Ended = w.m.now }},
		{"the key is compromised", func(w *town) {
			w.m.keys[0].End = &End{By: "ann", Reason: "stolen", At: w.m.now, Compromised: true}
			w.m.assignments[0].Ended = w.m.now
		}},
		{"the key is revoked", func(w *town) {
			w.m.keys[0].End = &End{By: "ann", Reason: "typo", At: w.m.now}
			w.m.assignments[0].Ended = w.m.now
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newTown(t)
			w.refuse = lostAnswer(".example.com")
			w.pass(time.Hour, nil)
			if len(w.m.keys) != 1 || w.m.keys[0].Record.Written != "" || len(w.dns) != 1 {
				t.Fatalf("the answer should be lost: %s", w.outcome())
			}
			c.end(w)
			w.refuse = nil
			w.pass(day, func() bool { return len(w.in(Removed)) == 1 })
			if len(w.dns) != 0 {
				t.Errorf("left behind: %v", w.dns)
			}
		})
	}
	t.Run("name servers lag behind a hidden primary", func(t *testing.T) {
		w := newTown(t)
		w.shown = map[string][]string{}
		w.pass(time.Hour, nil)
		if len(w.in(Published)) != 1 || len(w.dns) != 1 {
			t.Fatalf("it should be published: %s", w.outcome())
		}
		w.m.assignments[0].Ended = w.m.now
		w.pass(day, func() bool { return len(w.in(Removed)) == 1 })
		if len(w.dns) != 0 {
			t.Errorf("left behind: %v", w.dns)
		}
	})
}

func TestSomebodyElsesRecordIsNotTakenAway(t *testing.T) {
	w := newTown(t)
	w.pass(6*time.Hour, func() bool { return len(w.in(Active)) == 1 })
	k := w.m.keys[0]
	w.m.assignments[0].Ended = w.m.now
	w.pass(day, func() bool { return len(w.in(Revoked)) == 1 })
	w.put(k.Name(), "v=DKIM1; p=THEIRS")
	w.pass(day, func() bool { return len(w.in(Removed)) == 1 })
	if !slices.Equal(w.dns[k.Name()], []string{"v=DKIM1; p=THEIRS"}) || len(w.m.findings) != 0 {
		t.Errorf("there stands %q; findings %v", w.dns[k.Name()], w.m.findings)
	}
}

func TestCompromiseEndToEnd(t *testing.T) {
	w := newTown(t)
	w.pass(6*time.Hour, func() bool { return len(w.in(Active)) == 1 && !w.m.keys[0].Signing.IsZero() })
	k := &w.m.keys[0]
	w.idle = true // nobody acknowledges
	k.End = &End{By: "ann", Reason: "stolen", At: w.m.now, Compromised: true}
	k.Revision++
	declared := w.m.now
	due, err := w.domain()
	if err != nil || due.After(declared.Add(inventory.CompromiseDeadline)) {
		t.Fatalf("due at %s (%v), declared at %s", due, err, declared)
	}
	k = &w.m.keys[0]
	if k.State != Retired || k.Holders[0].Want != WantStop || !slices.Equal(w.dns[k.Name()], []string{k.Value}) {
		t.Fatalf("before the minute is over: %s", w.outcome())
	}
	w.refuse = unavailable
	w.m.now = declared.Add(inventory.CompromiseDeadline)
	for range 20 { // a primary in trouble is asked as often as it can be looked at, whatever else waits longer
		if due, err = w.domain(); err != nil {
			t.Fatal(err)
		}
		if gap := due.Sub(w.m.now); gap > 2*maxLookEvery {
			t.Fatalf("tried again after %s", gap)
		}
		w.m.now = due
	}
	w.refuse = nil
	if _, err := w.domain(); err != nil || k.State != Revoked || !slices.Equal(w.dns[k.Name()], []string{TombstoneValue}) {
		t.Fatalf("%v: %s", err, w.outcome())
	}
}

func TestServiceRecordIsOursAfterACrash(t *testing.T) {
	w := newTown(t)
	w.m.assignments = []inventory.Assignment{{ID: "svc", Domain: "example.com", SignerID: "svc", Class: inventory.ClassForeign,
		Records: []inventory.ServiceRecord{{Selector: "google", Type: "TXT", Value: "v=DKIM1; p=A"}}}}
	d := &dies{at: 3} // look, intent, before the effect, after the effect
	w.m.crash = func(string) bool { return d.here() }
	w.refuse = func(string, string, bool) error { return d.err() }
	if _, err := w.domain(); !d.dead || len(w.dns) != 1 || len(w.m.open) != 1 {
		t.Fatalf("it should die after the effect (%v): %s", err, w.outcome())
	}
	w.m.crash, w.refuse = nil, nil
	w.restart()
	w.m.controls.Holds = []inventory.Hold{{Domain: "example.com"}} // nothing is planned that would write it again
	w.pass(time.Hour, nil)
	if r := w.m.records[0]; r.Written != "v=DKIM1; p=A" || len(w.m.open) != 0 {
		t.Fatalf("forgotten that it is ours: %+v", r)
	}
	w.m.controls.Holds = nil
	w.m.assignments[0].Ended = w.m.now
	w.pass(3*time.Hour, func() bool { return !w.m.records[0].Gone.IsZero() })
	if len(w.dns) != 0 {
		t.Errorf("left behind: %v", w.dns)
	}
}

// A record that somebody else made is never ours, even if it is exactly what we want.
func TestEqualRecordOfSomebodyElseStays(t *testing.T) {
	w := newTown(t)
	w.m.assignments = nil
	w.m.domain.DMARC = "v=DMARC1; p=none"
	w.put("_dmarc.example.com", "v=DMARC1; p=none")
	w.pass(3*time.Hour, nil)
	if r := w.m.records[0]; r.Written != "" || len(w.sets) != 0 || len(w.m.findings) != 0 {
		t.Fatalf("taken over: %+v %q", r, w.sets)
	}
	w.m.domain.DMARC = "v=DMARC1; p=reject"
	w.pass(3*time.Hour, nil)
	if len(w.sets) != 0 || len(w.m.findings) != 1 {
		t.Fatalf("changes %q, findings %v", w.sets, w.m.findings)
	}
	w.m.domain.DMARC = ""
	w.pass(3*time.Hour, nil)
	if w.dns["_dmarc.example.com"] == nil || len(w.m.findings) != 0 {
		t.Errorf("there stands %q; findings %v", w.dns["_dmarc.example.com"], w.m.findings)
	}
	w.put("_dmarc.example.com", "")
	w.pass(3*time.Hour, func() bool { return !w.m.records[0].Gone.IsZero() })
}

func TestRecordsThatOthersChange(t *testing.T) {
	const name = "_dmarc.example.com"
	setup := func(repair bool) *town {
		w := newTown(t)
		w.m.assignments, w.m.repair = nil, repair
		w.m.domain.DMARC = "v=DMARC1; p=none"
		w.pass(3*time.Hour, func() bool { return len(w.m.records) == 1 && !w.m.records[0].AgreedSince.IsZero() })
		w.m.now = w.m.now.Add(day)
		w.put(name, "v=DMARC1; p=THEIRS")
		return w
	}
	w := setup(false)
	w.pass(3*time.Hour, nil)
	if _, open := w.m.findings["LIFE-02 "+name]; !open || w.dns[name][0] != "v=DMARC1; p=THEIRS" {
		t.Errorf("only to be reported: %v %q", w.m.findings, w.dns[name])
	}
	w.put(name, "v=DMARC1; p=none")
	w.pass(3*time.Hour, func() bool { return len(w.m.findings) == 0 })

	w = setup(true)
	w.pass(3*time.Hour, func() bool { return w.dns[name][0] == "v=DMARC1; p=none" && len(w.m.findings) == 0 })

	// Secondaries that lag look the same as an edit. The primary is not hammered for it.
	w = setup(true)
	w.shown = map[string][]string{name: {"v=DMARC1; p=THEIRS"}}
	before := len(w.sets)
	w.pass(day, nil)
	if n := len(w.sets) - before; n < 2 || n > 25 {
		t.Errorf("%d changes in a day of lag", n)
	}
}

func TestDeadPrimaryIsNotHammered(t *testing.T) {
	w := newTown(t)
	w.m.domain.Policy.TestMode = false
	w.refuse = unavailable
	w.obey()
	var tries []time.Time
	for end := w.m.now.Add(day); w.m.now.Before(end); {
		w.obey()
		before := len(w.sets)
		due, err := w.domain()
		if err != nil {
			t.Fatal(err)
		}
		if len(w.sets) > before+1 {
			t.Fatalf("%d tries in one go", len(w.sets)-before)
		}
		if len(w.sets) > before {
			tries = append(tries, w.m.now)
		}
		w.m.now = earliest(due, w.m.now.Add(30*time.Second)) // something touches the domain all the time
	}
	if len(tries) < 50 || len(tries) > 200 || len(w.m.journal) > 500 {
		t.Errorf("%d tries, %d entries in the journal", len(tries), len(w.m.journal))
	}
	if first, second, last := tries[1].Sub(tries[0]), tries[2].Sub(tries[1]), tries[len(tries)-1].Sub(tries[len(tries)-2]); first > 2*time.Minute || second <= first || last < 9*time.Minute || last > 11*time.Minute {
		t.Errorf("pauses of %s, %s … %s", first, second, last)
	}
	if k := w.m.keys[0]; !strings.Contains(k.Record.Condition, "the primary does not answer") {
		t.Errorf("condition %q", k.Record.Condition)
	}
	said := false
	for _, r := range Next(w.m.situation()).Reasons {
		said = said || r.Blocked && strings.Contains(r.Text, "last try: the primary does not answer")
	}
	if !said {
		t.Errorf("nobody hears of it: %+v", Next(w.m.situation()).Reasons)
	}
	w.refuse = nil
	w.pass(6*time.Hour, func() bool { return len(w.in(Active)) == 1 })
	if len(w.r.retry) != 0 || w.m.keys[0].Record.Condition != "" {
		t.Errorf("still remembered: %v %q", w.r.retry, w.m.keys[0].Record.Condition)
	}
}

func TestEveryNameTaken(t *testing.T) {
	w := newTown(t)
	w.m.domain.Policy.TestMode = false
	n := 0
	w.refuse = func(name, _ string, _ bool) error {
		n++
		return fault.New(fault.Conflict, "the zone does not let us write %s", name)
	}
	w.pass(day, nil)
	if keys := len(w.m.keys); keys < 3 || keys > 6 {
		t.Errorf("%d keys were made in a day for nothing", keys)
	}
}

func TestUnknownZone(t *testing.T) {
	w := newTown(t)
	w.problem = "example.com is not delegated to any name server"
	w.pass(3*time.Hour, nil)
	if len(w.m.keys) != 1 || w.m.keys[0].State != Generated || len(w.sets) != 0 {
		t.Fatalf("%s, changes %q", w.outcome(), w.sets)
	}
	said := false
	for _, r := range Next(w.m.situation()).Reasons {
		said = said || r.Blocked && strings.Contains(r.Text, w.problem)
	}
	if !said {
		t.Error("nobody hears why")
	}
	w.problem = ""
	w.pass(6*time.Hour, func() bool { return len(w.in(Active)) == 1 })
}

func TestLostLease(t *testing.T) {
	w := newTown(t)
	w.obey()
	if _, err := w.domain(); err != nil {
		t.Fatal(err)
	}
	w.obey() // publishing is due
	w.m.lost = true
	journal := len(w.m.journal)
	if due, err := w.domain(); fault.CodeOf(err) != fault.Conflict || !due.After(w.m.now) {
		t.Errorf("due %s, %v", due, err)
	}
	if len(w.sets) != 0 || len(w.m.journal) != journal {
		t.Errorf("an effect without a lease: %q", w.sets)
	}
}

func TestChangedMeanwhile(t *testing.T) {
	w := newTown(t)
	w.obey()
	if _, err := w.domain(); err != nil {
		t.Fatal(err)
	}
	w.obey()
	w.refuse = func(_, _ string, done bool) error {
		w.m.keys[0].Revision++ // a person asks for something while DNS is being changed
		return nil
	}
	due, err := w.domain()
	if fault.CodeOf(err) != fault.Conflict || !due.After(w.m.now) || len(w.m.open) != 1 {
		t.Fatalf("due %s, %v, %d open intents", due, err, len(w.m.open))
	}
	w.refuse = nil
	w.pass(6*time.Hour, func() bool { return len(w.in(Active)) == 1 })
	if len(w.m.open) != 0 || len(w.m.keys) != 1 {
		t.Errorf("%s", w.outcome())
	}
}

func TestDecommissionedMemberGetsNoKey(t *testing.T) {
	w := newTown(t)
	s := newScene().pool("pool", "a", "b")
	s.signer("b", func(x *inventory.Signer) { x.Decommissioned = noon.Add(-time.Hour) })
	w.m.signers, w.m.assignments = s.Signers, s.Assignments
	w.pass(6*time.Hour, func() bool { return len(w.in(Active)) == 1 })
	if holders := w.m.keys[0].Holders; len(holders) != 1 || holders[0].ServerID != "a" {
		t.Errorf("holders %+v", holders)
	}
	w.m.signers["c"] = inventory.Signer{ID: "c", Kind: inventory.KindServer, Name: "c"}
	pool := w.m.signers["pool"]
	pool.Members = []string{"b", "c"}
	w.m.signers["pool"] = pool
	w.pass(6*time.Hour, func() bool {
		h := w.m.keys[0].Holders
		return len(h) == 2 && h[0].Want == WantStop && h[1].ServerID == "c" && h[1].Want == WantSign && h[1].Signing
	})
}

func TestDomainLeavesAndComesBack(t *testing.T) {
	w := newTown(t)
	w.pass(6*time.Hour, func() bool { return len(w.in(Active)) == 1 && !w.m.keys[0].Signing.IsZero() })
	w.m.domain.Mode = inventory.Observed
	w.m.assignments[0].RotateRequested = w.m.now
	before := len(w.m.journal)
	w.pass(3*day, nil)
	if len(w.m.journal) != before || len(w.sets) != 1 {
		t.Errorf("something was changed: %+v", w.m.journal[before:])
	}
	w.m.domain.Mode = inventory.Managed
	w.pass(day, func() bool { return len(w.in(Removed)) == 1 && len(w.in(Active)) == 1 })
}

func TestPublisherChangesWhileAPersonIsAsked(t *testing.T) {
	w := newTown(t)
	w.manual = true
	w.obey()
	if _, err := w.domain(); err != nil {
		t.Fatal(err)
	}
	w.obey()
	if _, err := w.domain(); err != nil || !w.m.keys[0].Record.Pending {
		t.Fatalf("a person should be asked (%v): %s", err, w.outcome())
	}
	w.manual = false // the domain gets a publisher that can write
	clear(w.tasks)
	w.pass(12*time.Hour, func() bool { return len(w.in(Active)) == 1 })
}

func TestManualServiceRecordIsAskedForOnce(t *testing.T) {
	w := newTown(t)
	w.m.assignments, w.m.domain.DMARC = nil, "v=DMARC1; p=none"
	w.pass(3*time.Hour, func() bool { return len(w.m.records) == 1 && !w.m.records[0].AgreedSince.IsZero() })
	w.m.domain.DMARC, w.manual = "", true
	before := len(w.m.journal)
	for range 10 {
		due, err := w.domain()
		if err != nil {
			t.Fatal(err)
		}
		w.check(due)
		w.m.now = due
	}
	if n := len(w.m.journal) - before; n != 2 {
		t.Errorf("%d journal entries for one question", n)
	}
	w.pass(3*time.Hour, func() bool { return !w.m.records[0].Gone.IsZero() })
}
