package lifecycle

import (
	"testing"
	"time"

	"github.com/postseal/postseal/internal/inventory"
)

// A replaced key waits for a probe where the policy says so, and for nothing else.
func TestGate(t *testing.T) {
	setup := func(f func(*scene)) func(*scene) {
		return func(s *scene) {
			s.Domain.Policy.Gate = inventory.GateProbe
			s.server("mx1").key("k1", "mx1", Active, standingBy).key("k2", "mx1", Active, lately)
			f(s)
		}
	}
	for _, c := range []planCase{
		{name: "not proven yet", setup: setup(func(*scene) {}), says: []string{"k2 signs instead; kept until a probe through mx1 has arrived signed by k2"}},
		{name: "proven", setup: setup(func(s *scene) { s.Probed = map[string][]string{"mx1": {"k1", "k2"}} }), steps: []string{"retire k1"}},
		{name: "proven with the old key only", setup: setup(func(s *scene) { s.Probed = map[string][]string{"mx1": {"k1"}} }), says: []string{"kept until a probe through mx1"}},
		{name: "proven through another server", setup: setup(func(s *scene) { s.Probed = map[string][]string{"mx2": {"k2"}} }), says: []string{"kept until a probe through mx1"}},
		{name: "not proven, and why is known", setup: setup(func(s *scene) {
			s.Unprobed = map[string]string{"mx1": "the last probe was refused", "mx2": "of another"}
		}),
			says: []string{"has arrived signed by k2; mx1: the last probe was refused"}, never: []string{"of another"}},
		{name: "for so long that somebody should look", setup: setup(func(s *scene) { s.Keys[1].Signing = noon.Add(-gatePatience) }), says: []string{"kept until a probe through mx1"}, block: true},
		{name: "without a gate", setup: setup(func(s *scene) { s.Domain.Policy.Gate = "" }), steps: []string{"retire k1"}},
		{name: "on another stream", setup: setup(func(s *scene) { s.assignment("mx1").Stream = "bulk" }), steps: []string{"retire k1"}},
		{name: "a key that is to leave", setup: setup(func(s *scene) { asked(false)(&s.Keys[0]) }), steps: []string{"retire k1"}},
		{name: "a stolen key", setup: setup(func(s *scene) { asked(true)(&s.Keys[0]) }), steps: []string{"retire k1"}},
		{name: "a key that is lost", setup: setup(func(s *scene) { lostKey(&s.Keys[0]) }), steps: []string{"retire k1"}},
		{name: "an assignment that ended", setup: setup(func(s *scene) { s.assignment("mx1").Ended = noon.Add(-time.Hour) }), steps: []string{"retire k1", "retire k2"}},
		{name: "each member of a pool", setup: func(s *scene) {
			s.Domain.Policy.Gate = inventory.GateProbe
			s.pool("out", "p1", "p2", "p3").key("k1", "out", Active, standingBy).key("k2", "out", Active, lately)
			s.Probed = map[string][]string{"p2": {"k2"}}
		}, says: []string{"a probe through p1, p3 has arrived"}},
		{name: "a member that is gone is not waited for", setup: func(s *scene) {
			s.Domain.Policy.Gate = inventory.GateProbe
			gone := holderOf("p1", func(h *Holding) { h.Gone = noon.Add(-time.Minute) })
			s.pool("out", "p1", "p2").key("k1", "out", Active, standingBy, gone).key("k2", "out", Active, lately, gone)
			s.signer("p1", func(v *inventory.Signer) { v.Decommissioned = noon.Add(-time.Minute) })
			s.Probed = map[string][]string{"p2": {"k2"}}
		}, steps: []string{"retire k1"}},
	} {
		c.run(t)
	}
	s := newScene()
	setup(func(*scene) {})(s)
	if due := Next(s.Situation).Due; due.After(noon.Add(gatePatience)) {
		t.Errorf("it is looked at again at %s", due)
	}
}

// lately has a key sign for some minutes.
func lately(k *Key) { k.Signing = noon.Add(-10 * time.Minute) }

// While a gate is open no other rotation of the domain begins or comes into use, unless something is wrong with the key in use or the gate has been open for too long.
func TestGateHoldsRotations(t *testing.T) {
	const behind = "waiting until a probe has shown that mx1 signs with k2, or until 2026-06-01 13:50 UTC"
	setup := func(f func(*scene)) func(*scene) {
		return func(s *scene) {
			s.Domain.Policy.Gate = inventory.GateProbe
			s.server("mx1").server("mx2").key("k1", "mx1", Active, standingBy).key("k2", "mx1", Active, lately)
			f(s)
		}
	}
	until := noon.Add(gatePatience - 10*time.Minute)
	patient := func(s *scene) { s.Keys[1].Signing = noon.Add(-gatePatience) }
	for _, c := range []planCase{
		{name: "another one's is not begun", setup: setup(func(s *scene) { s.key("m1", "mx2", Active, oldKey) }), says: []string{behind}, next: until},
		{name: "another one's is not taken into use", setup: setup(func(s *scene) { s.key("m1", "mx2", Active).key("m2", "mx2", Proven) }), says: []string{"proven; " + behind}, next: until},
		{name: "another one's goes on up to there", setup: setup(func(s *scene) { s.key("m1", "mx2", Active).key("m2", "mx2", Propagated) }), steps: []string{"ask m2"}},
		{name: "its own next one is not begun", setup: setup(func(s *scene) {
			s.assignment("mx2").Class = inventory.ClassForeign
			s.assignment("mx1").RotateRequested, s.assignment("mx1").RotateBy = noon.Add(-time.Minute), "ann"
		}), says: []string{"ann asked for a rotation; " + behind}},
		{name: "its other algorithm is of the same rotation", setup: setup(func(s *scene) {
			s.assignment("mx1").Algorithms = []string{"rsa2048", "ed25519"}
			edward := func(k *Key) { k.Algorithm = "ed25519" }
			s.assignment("mx2").Class = inventory.ClassForeign
			s.key("e1", "mx1", Active, edward).key("e2", "mx1", Proven, edward)
		}), steps: []string{"activate e2"}},
		{name: "proven", setup: setup(func(s *scene) {
			s.key("m1", "mx2", Active, oldKey)
			s.Probed = map[string][]string{"mx1": {"k2"}}
		}), steps: []string{"retire k1", "generate mx2/rsa2048"}},
		{name: "for too long: the next begins", setup: setup(func(s *scene) { s.key("m1", "mx2", Active, oldKey); patient(s) }), steps: []string{"generate mx2/rsa2048"}, says: []string{"kept until a probe"}, block: true},
		{name: "for too long: the next is used", setup: setup(func(s *scene) { s.key("m1", "mx2", Active).key("m2", "mx2", Proven); patient(s) }), steps: []string{"activate m2"}, block: true},
		{name: "a first key waits for nobody", setup: setup(func(s *scene) { s.key("m1", "mx2", Proven) }), steps: []string{"activate m1"}},
		{name: "a lost key is replaced", setup: setup(func(s *scene) { s.key("m1", "mx2", Active, lostKey) }), steps: []string{"generate mx2/rsa2048"}, block: true},
		{name: "a key that is to leave is replaced", setup: setup(func(s *scene) { s.key("m1", "mx2", Active, asked(false)) }), steps: []string{"generate mx2/rsa2048"}},
		{name: "a key that is to leave gives way", setup: setup(func(s *scene) { s.key("m1", "mx2", Active, asked(false)).key("m2", "mx2", Proven) }), steps: []string{"activate m2"}},
	} {
		c.run(t)
	}
}
