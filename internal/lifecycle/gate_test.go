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
