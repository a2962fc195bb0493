package lifecycle

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/inventory"
)

// planCase is a situation and what must be planned for it.
type planCase struct {
	name  string
	setup func(*scene)
	steps []string // exactly these, in any order
	says  []string // each is part of some reason
	never []string // no reason contains one
	block bool     // some reason says that somebody must act
	next  time.Time
}

func (c planCase) run(t *testing.T) {
	t.Run(c.name, func(t *testing.T) {
		s := newScene()
		c.setup(s)
		plan := Next(s.Situation)
		got := plan.stepList()
		slices.Sort(got)
		slices.Sort(c.steps)
		if !slices.Equal(got, c.steps) {
			t.Errorf("steps %q, want %q", got, c.steps)
		}
		var texts []string
		blocked, next := false, false
		for _, r := range plan.Reasons {
			texts = append(texts, r.Text)
			blocked = blocked || r.Blocked
			next = next || r.Next.Equal(c.next)
			if strings.Contains(r.Text, "%!") || r.Text == "" {
				t.Errorf("a reason reads %q", r.Text)
			}
		}
		all := strings.Join(texts, "\n")
		for _, want := range c.says {
			if !strings.Contains(all, want) {
				t.Errorf("no reason says %q:\n%s", want, all)
			}
		}
		for _, not := range c.never {
			if strings.Contains(all, not) {
				t.Errorf("a reason says %q:\n%s", not, all)
			}
		}
		if blocked != c.block {
			t.Errorf("blocked = %v, want %v:\n%s", blocked, c.block, all)
		}
		if !next && !c.next.IsZero() {
			t.Errorf("no reason waits until %s:\n%+v", c.next, plan.Reasons)
		}
		if !plan.Due.After(s.Now) || plan.Due.After(s.Now.Add(s.Domain.Policy.CheckEvery)) {
			t.Errorf("due at %s, which is not within %s after %s", plan.Due, s.Domain.Policy.CheckEvery, s.Now)
		}
		if len(plan.Steps) == 0 && !c.next.IsZero() && c.next.Before(noon.Add(time.Hour)) && plan.Due.After(c.next) {
			t.Errorf("due at %s, after what is waited for", plan.Due)
		}
		again := Next(s.Situation)
		if fmt.Sprint(again) != fmt.Sprint(plan) {
			t.Error("the same situation gives another plan")
		}
	})
}

func TestDueIsNeverPast(t *testing.T) {
	b := newBuilder(&newScene().Situation)
	for _, at := range []time.Time{{}, noon.Add(-time.Hour), noon} {
		if b.dueBy(at); !b.due.IsZero() {
			t.Errorf("due at %s, and it is %s", b.due, noon)
		}
	}
	b.dueBy(noon.Add(2 * time.Hour))
	b.dueBy(noon.Add(time.Hour))
	b.dueBy(noon.Add(3 * time.Hour))
	if !b.due.Equal(noon.Add(time.Hour)) {
		t.Errorf("due at %s", b.due)
	}
}

func TestFirstKey(t *testing.T) {
	mx1 := func(state State, f ...func(*Key)) func(*scene) {
		return func(s *scene) { s.server("mx1").key("k1", "mx1", state, f...) }
	}
	for _, c := range []planCase{
		{name: "nothing yet", setup: func(s *scene) { s.server("mx1") },
			steps: []string{"generate mx1/rsa2048"}, says: []string{"mx1 has no key of its own yet for example.com"}},
		{name: "not made yet", setup: mx1(Generated, func(k *Key) { k.Value = "" }, holder(func(h *Holding) { h.Has, h.Value = false, "" })),
			says: []string{"waiting for mx1 to make the key"}},
		{name: "the holder is silent", setup: mx1(Generated, func(k *Key) { k.Value = "" },
			holder(func(h *Holding) { h.Has, h.Value, h.Reported = false, "", noon.Add(-time.Hour) })),
			says: []string{"waiting for mx1 to make the key; mx1 has not reported for more than 10 minutes"}, block: true},
		{name: "the holder cannot", setup: mx1(Generated, func(k *Key) { k.Value = "" },
			holder(func(h *Holding) { h.Has, h.Value, h.Error = false, "", "the disk is full" })),
			says: []string{"making the key: mx1: the disk is full"}, block: true},
		{name: "made", setup: mx1(Generated), steps: []string{"publish k1"}, says: []string{"the key was made by mx1"}},
		{name: "made, and its name could not be looked at", setup: mx1(Generated, func(k *Key) { k.Record.Last.Problem = "example.com is not delegated" }),
			says: []string{"its name cannot be looked at: example.com is not delegated"}, block: true},
		{name: "published and waited", setup: mx1(Published), steps: []string{"waited k1"}, says: []string{"has shown the record since 2026-02-21 13:00 UTC"}},
		{name: "one server lags", setup: mx1(Published, showsOwn("own", "")),
			says: []string{"not every authoritative server shows the record: ns2: NXDOMAIN"}, block: true},
		{name: "one server shows another value", setup: mx1(Published, showsOwn("own", "v=DKIM1; p=OTHER")),
			says: []string{`ns2: answers "v=DKIM1; p=OTHER"`}, block: true},
		{name: "one server is silent", setup: mx1(Published, showsOwn("own", silentServer)),
			says: []string{"ns2: timeout"}, block: true},
		{name: "a silent server is waived", setup: func(s *scene) {
			mx1(Published, showsOwn("own", silentServer))(s)
			s.Controls.Waivers = []inventory.Waiver{{Domain: "example.com", Server: "ns2", Until: noon.Add(time.Hour), By: "ann"}}
		}, steps: []string{"waited k1"}},
		{name: "the waiver is over", setup: func(s *scene) {
			mx1(Published, showsOwn("own", silentServer))(s)
			s.Controls.Waivers = []inventory.Waiver{{Domain: "example.com", Server: "ns2", Until: noon, By: "ann"}}
		}, block: true},
		{name: "a waiver is of one domain", setup: func(s *scene) {
			mx1(Published, showsOwn("own", silentServer))(s)
			s.Controls.Waivers = []inventory.Waiver{{Domain: "example.net", Server: "ns2", Until: noon.Add(time.Hour), By: "ann"}}
		}, block: true},
		{name: "a waived server that contradicts", setup: func(s *scene) {
			mx1(Published, showsOwn("own", ""))(s)
			s.Controls.Waivers = []inventory.Waiver{{Domain: "example.com", Server: "ns2", Until: noon.Add(time.Hour), By: "ann"}}
		}, block: true},
		{name: "caches may not have forgotten", setup: mx1(Published, func(k *Key) { k.Record.AgreedSince = noon.Add(-59 * time.Minute) }),
			says: []string{"waiting 1h0m0s until caches have forgotten"}, next: noon.Add(time.Minute)},
		{name: "a long negative TTL", setup: mx1(Published, func(k *Key) { k.Record.AgreedSince, k.Record.NegativeTTL = noon.Add(-25*time.Hour), 13*time.Hour }),
			says: []string{"waiting 26h0m0s", "negative TTL is 13h0m0s", "lower the SOA minimum"}, block: true, next: noon.Add(time.Hour)},
		{name: "no canary asked for", setup: mx1(Propagated), steps: []string{"ask k1"}},
		{name: "the record went away before the proof", setup: mx1(Propagated, shows("", "")), block: true},
		{name: "waiting for the canary", setup: mx1(Propagated, func(k *Key) { k.Canary, k.CanaryAsked = "new", noon.Add(-time.Second) }),
			says: []string{"waiting for a canary of mx1"}},
		{name: "the canary of an older question", setup: mx1(Propagated, func(k *Key) { k.Canary, k.CanaryAsked = "new", noon.Add(-time.Second) },
			holder(func(h *Holding) { h.CanaryNonce, h.CanaryVerified = "older", noon.Add(-time.Hour) })),
			says: []string{"waiting for a canary of mx1"}},
		{name: "the canary did not verify", setup: mx1(Propagated, func(k *Key) { k.Canary, k.CanaryAsked = "new", noon.Add(-time.Second) },
			holder(func(h *Holding) { h.CanaryNonce, h.CanaryProblem = "new", "its signature is fail (signature_mismatch)" })),
			says: []string{"that of mx1 did not verify: its signature is fail"}, block: true, next: noon.Add(-time.Second + 5*time.Minute)},
		{name: "another canary", setup: mx1(Propagated, func(k *Key) { k.Canary, k.CanaryAsked = "new", noon.Add(-time.Hour) },
			holder(func(h *Holding) { h.CanaryNonce, h.CanaryProblem = "new", "no key" })),
			steps: []string{"ask k1"}, says: []string{"asking for another canary"}},
		{name: "the canary verified", setup: mx1(Propagated, func(k *Key) { k.Canary = "new" },
			holder(func(h *Holding) { h.CanaryNonce, h.CanaryVerified = "new", noon.Add(-time.Second) })), steps: []string{"prove k1"}},
		{name: "proven", setup: mx1(Proven), steps: []string{"activate k1"}, says: []string{"no other key signs"}},
		{name: "proven, and the record went away", setup: mx1(Proven, showsOwn("own", "")), block: true},
		{name: "proven, and a server is silent now", setup: mx1(Proven, showsOwn("own", silentServer)), block: true},
		{name: "told to sign", setup: mx1(Active, unacknowledged), says: []string{"waiting for mx1 to acknowledge that it signs"}},
		{name: "told to sign and refused", setup: mx1(Active, unacknowledged, holder(func(h *Holding) { h.Error = "this server's resolver finds no record" })),
			says: []string{"not yet acknowledged: mx1: this server's resolver finds no record"}, block: true},
		{name: "acknowledged", setup: mx1(Active, func(k *Key) { k.Signing = time.Time{} }), steps: []string{"signing k1"}},
		{name: "in use", setup: mx1(Active), says: []string{"signing"}, next: noon.Add(-100*day + 4*time.Hour + inventory.DefaultRotateEvery)},
		{name: "in use, and its server is silent", setup: mx1(Active, holder(func(h *Holding) { h.Reported = noon.Add(-time.Hour) })),
			says: []string{"signing; mx1 has not reported"}},
		{name: "in use, and its server does not sign", setup: mx1(Active, holder(func(h *Holding) { h.Signing, h.Error = false, "the socket is closed" })),
			says: []string{"mx1 does not sign with it, although it should: mx1: the socket is closed"}, block: true},
		{name: "in use, and a name server is silent", setup: mx1(Active, showsOwn("own", silentServer)), says: []string{"not every name server answers: ns2: timeout"}, block: true},
		{name: "test mode says so", setup: func(s *scene) { mx1(Active)(s); s.Domain.Policy.TestMode = true }, says: []string{"signing (test mode: short waits)"}},
	} {
		c.run(t)
	}
}

func TestRotation(t *testing.T) {
	for _, c := range []planCase{
		{name: "old", setup: func(s *scene) { s.server("mx1").key("k1", "mx1", Active, oldKey) },
			steps: []string{"generate mx1/rsa2048"}, says: []string{"the key is 99 days old"}},
		{name: "the policy became stricter", setup: func(s *scene) { s.server("mx1").key("k1", "mx1", Active); s.Domain.Policy.RotateEvery = 30 * day },
			steps: []string{"generate mx1/rsa2048"}},
		{name: "the policy became laxer", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Active, oldKey)
			s.Domain.Policy.RotateEvery = 400 * day
		},
			steps: []string{"generate mx1/rsa2048"}},
		{name: "asked for", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Active)
			s.assignment("mx1").RotateRequested, s.assignment("mx1").RotateBy = noon.Add(-time.Hour), "ann"
		}, steps: []string{"generate mx1/rsa2048"}, says: []string{"ann asked for a rotation"}},
		{name: "asked for twice: the successor answers both", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, recently).key("k2", "mx1", Active)
			k2 := &s.Keys[1]
			k2.Created, k2.Activated = noon.Add(-3*time.Hour), noon.Add(-time.Hour)
			s.assignment("mx1").RotateRequested = noon.Add(-2 * time.Hour) // the second time; the first was before k2
		}},
		{name: "asked for and under way", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Active, oldKey).key("k2", "mx1", Published, showsOwn("own", ""))
			s.assignment("mx1").RotateRequested = noon.Add(-time.Hour)
		}, says: []string{"signing; its successor is under way"}, block: true},
		{name: "the old key stands by until the new one is acknowledged", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Active).key("k2", "mx1", Active, unacknowledged)
		}, says: []string{"waiting for mx1 to acknowledge"}},
		{name: "then it leaves", setup: func(s *scene) { s.server("mx1").key("k1", "mx1", Active, standingBy).key("k2", "mx1", Active) },
			steps: []string{"retire k1"}, says: []string{"k2 signs instead"}},
		{name: "but not while the new record is wrong", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Active, standingBy).key("k2", "mx1", Active, shows("", ""))
		}, steps: []string{"demote k2"}, says: []string{"standing by until the record of k2 stands", "falling back to k1"}, block: false},
		{name: "nor while a name server does not answer for it", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Active, standingBy).key("k2", "mx1", Active, showsOwn("own", silentServer))
		}, says: []string{"standing by until the record of k2 stands"}, block: true},
	} {
		c.run(t)
	}
}

// recently is a retired key whose retention has just begun.
func recently(k *Key) {
	k.Retired, k.Stopped = noon.Add(-2*time.Hour), noon.Add(-time.Hour)
}

func TestTurns(t *testing.T) {
	two := func(s *scene) *scene { return s.server("mx1").server("mx2") }
	for _, c := range []planCase{
		{name: "two are overdue", setup: func(s *scene) { two(s).key("a1", "mx1", Active, oldKey).key("b1", "mx2", Active, oldKey) },
			steps: []string{"generate mx1/rsa2048"}, says: []string{"the key is 98 days old; waiting until the rotation of mx1 is finished"}},
		{name: "one is rotating", setup: func(s *scene) {
			two(s).key("a1", "mx1", Active).key("b1", "mx2", Active, oldKey).key("a2", "mx1", Published, showsOwn("own", ""))
		}, says: []string{"waiting until the rotation of mx1 is finished"}, block: true},
		{name: "one that rotates is silent", setup: func(s *scene) {
			two(s).key("a1", "mx1", Active).key("b1", "mx2", Active, oldKey).key("a2", "mx1", Generated, func(k *Key) { k.Value = "" },
				holder(func(h *Holding) { h.Has, h.Value, h.Reported = false, "", noon.Add(-time.Hour) }))
		}, steps: []string{"generate mx2/rsa2048"}, block: true},
		{name: "one that rotates cannot make its key", setup: func(s *scene) {
			two(s).key("a1", "mx1", Active).key("b1", "mx2", Active, oldKey).key("a2", "mx1", Generated, func(k *Key) { k.Value = "" },
				holder(func(h *Holding) { h.Has, h.Value, h.Error = false, "", "the disk is full" }))
		}, steps: []string{"generate mx2/rsa2048"}, block: true},
		{name: "one that was told to sign and fell silent keeps its turn", setup: func(s *scene) {
			two(s).key("a1", "mx1", Active).key("b1", "mx2", Active, oldKey).
				key("a2", "mx1", Active, unacknowledged, holder(func(h *Holding) { h.Reported = noon.Add(-time.Hour) }))
		}, says: []string{"waiting until the rotation of mx1 is finished"}, block: true},
		{name: "both are prepared: the older goes first", setup: func(s *scene) {
			two(s).key("a1", "mx1", Active).key("b1", "mx2", Active).key("b2", "mx2", Proven).key("a2", "mx1", Proven)
		}, steps: []string{"activate b2"}, says: []string{"proven; waiting until the rotation of mx2 is finished"}},
		{name: "both are prepared: the one that is being taken into use goes first", setup: func(s *scene) {
			two(s).key("a1", "mx1", Active).key("b1", "mx2", Active).key("b2", "mx2", Proven).key("a2", "mx1", Active, unacknowledged)
		}, says: []string{"proven; waiting until the rotation of mx1 is finished"}},
		{name: "also when the other signer comes first", setup: func(s *scene) {
			two(s).key("a1", "mx1", Active).key("b1", "mx2", Active).key("a2", "mx1", Proven).key("b2", "mx2", Active, unacknowledged)
		}, says: []string{"proven; waiting until the rotation of mx2 is finished"}},
		{name: "a first key waits for nobody", setup: func(s *scene) {
			two(s).key("a1", "mx1", Active).key("a2", "mx1", Active, unacknowledged).key("b1", "mx2", Proven)
		}, steps: []string{"activate b1"}},
		{name: "nor does the replacement of a stolen key", setup: func(s *scene) {
			two(s).key("a1", "mx1", Active).key("a2", "mx1", Active, unacknowledged).key("b1", "mx2", Active, asked(true))
		}, steps: []string{"retire b1", "generate mx2/rsa2048"}},
		{name: "others wait for the replacement of a stolen key", setup: func(s *scene) {
			two(s).key("a1", "mx1", Active, oldKey).key("b1", "mx2", Revoked, asked(true), func(k *Key) { k.Revoked = noon.Add(-time.Hour) }).key("b2", "mx2", Proven)
		}, steps: []string{"activate b2"}, says: []string{"waiting until the rotation of mx2 is finished"}},
		{name: "RSA and Ed25519 of one server rotate together", setup: func(s *scene) {
			s.server("mx1", "rsa2048", "ed25519").server("mx2")
			s.key("r1", "mx1", Active, oldKey).key("e1", "mx1", Active, oldKey, func(k *Key) { k.Algorithm = "ed25519" }).key("b1", "mx2", Active, oldKey)
		}, steps: []string{"generate mx1/rsa2048", "generate mx1/ed25519"}, says: []string{"waiting until the rotation of mx1 is finished"}},
		{name: "a second algorithm's first key is no rotation", setup: func(s *scene) {
			s.server("mx1", "rsa2048", "ed25519").server("mx2")
			s.key("r1", "mx1", Active).key("b1", "mx2", Active).key("b2", "mx2", Active, unacknowledged)
		}, steps: []string{"generate mx1/ed25519"}},
	} {
		c.run(t)
	}
}

func TestAlgorithms(t *testing.T) {
	ed := func(k *Key) { k.Algorithm = "ed25519" }
	for _, c := range []planCase{
		{name: "another size is a rotation", setup: func(s *scene) { s.server("mx1", "rsa3072").key("k1", "mx1", Active) },
			steps: []string{"generate mx1/rsa3072"}, says: []string{"rsa3072 is wanted instead of rsa2048"}},
		{name: "the old size leaves when the new one signs", setup: func(s *scene) {
			s.server("mx1", "rsa3072").key("k1", "mx1", Active, standingBy).key("k2", "mx1", Active, func(k *Key) { k.Algorithm = "rsa3072" })
		}, steps: []string{"retire k1"}},
		{name: "a successor of the old size is given up", setup: func(s *scene) {
			s.server("mx1", "rsa3072").key("k1", "mx1", Active).key("k2", "mx1", Published)
		}, steps: []string{"remove k2", "generate mx1/rsa3072"}, says: []string{"rsa3072 is wanted instead of rsa2048; it never signed mail"}},
		{name: "one key of a kind, whatever the list says", setup: func(s *scene) { s.server("mx1", "rsa2048", "rsa4096").key("k1", "mx1", Active) }},
		{name: "a dropped kind leaves when the other signs", setup: func(s *scene) { s.server("mx1").key("r1", "mx1", Active).key("e1", "mx1", Active, ed) },
			steps: []string{"retire e1"}, says: []string{"keys of ed25519 are not wanted any more"}},
		{name: "a dropped kind stays while nothing else signs", setup: func(s *scene) {
			s.server("mx1", "ed25519").key("r1", "mx1", Active).key("e1", "mx1", Proven, ed)
		}, steps: []string{"activate e1"}, says: []string{"signing until the other keys of the assignment do"}},
		{name: "also while the other's private key is lost", setup: func(s *scene) {
			s.server("mx1").key("r1", "mx1", Active, lostKey).key("e1", "mx1", Active, ed)
		}, steps: []string{"generate mx1/rsa2048"}, says: []string{"signing until the other keys"}, block: true},
		{name: "also while the record of the other is wrong", setup: func(s *scene) {
			s.server("mx1", "ed25519").key("r1", "mx1", Active).key("e1", "mx1", Active, ed, shows("", ""))
		}, says: []string{"SIGNING WITH A WRONG RECORD", "signing until the other keys"}, block: true},
	} {
		c.run(t)
	}
}

func TestRevokeOrdinarily(t *testing.T) {
	for _, c := range []planCase{
		{name: "the key in use is replaced first", setup: func(s *scene) { s.server("mx1").key("k1", "mx1", Active, asked(false)) },
			steps: []string{"generate mx1/rsa2048"}, says: []string{"ann asked to revoke k1: the disk was sold"}},
		{name: "and leaves then", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Active, asked(false), standingBy).key("k2", "mx1", Active)
		}, steps: []string{"retire k1"}, says: []string{"ann asked to revoke it: the disk was sold; k2 signs instead"}},
		{name: "a successor is never used", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Active, oldKey).key("k2", "mx1", Proven, asked(false))
		},
			steps: []string{"remove k2", "generate mx1/rsa2048"}, says: []string{"it never signed mail"}},
		{name: "a first key is never used, and another one made", setup: func(s *scene) { s.server("mx1").key("k1", "mx1", Published, asked(false)) },
			steps: []string{"remove k1", "generate mx1/rsa2048"}},
		{name: "a successor that is being taken into use", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Active).key("k2", "mx1", Active, unacknowledged, asked(false))
		}, steps: []string{"retire k2"}, says: []string{"ann asked to revoke it"}},
		{name: "a key that stepped back", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Active).key("k2", "mx1", Active, shows("", ""), func(k *Key) { k.Demoted = noon.Add(-time.Hour) }, asked(false))
		}, steps: []string{"retire k2"}},
		{name: "a retired key only waits", setup: func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, recently, asked(false)).key("k2", "mx1", Active)
		}, says: []string{"kept for mail that is still under way"}},
	} {
		c.run(t)
	}
}
