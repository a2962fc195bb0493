package lifecycle

import (
	"testing"
	"time"
)

// A whole life in three slots: a standby is made behind the first key; when that is stolen the standby signs after one look of the loop, with
// the primary out of reach; what lay beside the stolen key is replaced by one that was made afterwards; in the end one stands by again.
func TestStandbyEndToEnd(t *testing.T) {
	w := newTown(t)
	w.m.assignments[0].Standby, w.m.assignments[0].Slots = true, []string{"ps1", "ps2", "ps3"}
	ready := func() bool {
		return len(w.in(Active)) == 1 && !w.in(Active)[0].Signing.IsZero() && len(w.in(Proven)) == 1
	}
	w.pass(12*time.Hour, ready)
	first, second := w.in(Active)[0], w.in(Proven)[0]
	if first.Selector != "ps1" || second.Selector != "ps2" || !second.Activated.IsZero() || second.Holders[0].Want != WantHold {
		t.Fatalf("%s", w.outcome())
	}
	w.pass(3*day, nil) // it rests
	if !ready() || len(w.m.keys) != 2 || w.in(Proven)[0].Selector != "ps2" {
		t.Fatalf("it did not rest: %s", w.outcome())
	}

	first = w.in(Active)[0]
	first.End = &End{By: "ann", Reason: "stolen", At: w.m.now, Compromised: true}
	first.Revision++
	stolen := w.m.now
	w.refuse, w.sets = unavailable, nil
	if _, err := w.domain(); err != nil {
		t.Fatal(err)
	}
	first, second = &w.m.keys[0], &w.m.keys[1]
	if first.State != Retired || first.Holders[0].Want != WantStop || second.State != Active || second.Holders[0].Want != WantSign || !second.Activated.Equal(stolen) {
		t.Fatalf("at the moment of the declaration: %s", w.outcome())
	}
	w.refuse = nil

	w.pass(12*time.Hour, func() bool { // the third slot is free: a key of its own, made after the theft
		keys := w.in(Active)
		return len(keys) == 1 && keys[0].Selector == "ps3" && !keys[0].Signing.IsZero()
	})
	if k := w.in(Active)[0]; k.Created.Before(stolen) {
		t.Errorf("the key in use was made at %s, before the theft", k.Created)
	}
	w.pass(12*time.Hour, ready) // a slot is free again
	if k := w.in(Proven)[0]; k.Selector != "ps1" || w.in(Active)[0].Selector != "ps3" {
		t.Errorf("in the end: %s", w.outcome())
	}
}
