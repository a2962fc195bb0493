package lifecycle

import (
	"fmt"
	"slices"
	"time"
)

// wrongRecord: a key in use whose record is not what it should be. If another proven key of the line still stands, its
// holders go back to that one (invariant 4); else signing goes on and people are told.
func (l *line) wrongRecord(k *Key) {
	sentence := k.Record.sentence()
	if l.repairable(&k.Record) {
		l.step(StepRepair, k, "the record of a key in use was changed by others: "+sentence)
	}
	l.lookAgain(time.Time{})
	if older := l.fallback(k); older != nil {
		l.urgent(StepDemote, k, fmt.Sprintf("its record is wrong (%s): falling back to %s", sentence, older.Selector))
		return
	}
	if ready := l.ready(); ready != nil && l.current() == k {
		l.reason(k, fmt.Sprintf("its record is wrong (%s): the standby %s takes over", sentence, ready.Selector), true)
		return
	}
	l.reason(k, fmt.Sprintf("SIGNING WITH A WRONG RECORD, and no other proven key stands: %s", sentence), true)
}

// withoutKey: a key in use whose private half is gone. Its holders go back to another proven key if there is one, and a
// new one is made either way.
func (l *line) withoutKey(k *Key) {
	if older := l.fallback(k); older != nil && k.Demoted.IsZero() {
		l.urgent(StepDemote, k, fmt.Sprintf("%s: falling back to %s", l.lostText(k), older.Selector))
		return
	}
	l.reason(k, l.lostText(k)+"; another one takes its place", true)
}

// fallback returns the newest other key of the line that was proven, whose record stands, that its holders still have
// and that was not retired because somebody asked for it.
func (l *line) fallback(than *Key) *Key {
	for _, k := range slices.Backward(l.keys) {
		// A proven key that was never used becomes active by its own step.
		used := k.State == Active || k.State == Retired && k.End == nil
		if k == than || !used || k.Proven.IsZero() || k.Compromised() || !k.Demoted.IsZero() || !l.stands(k) {
			continue
		}
		if slices.ContainsFunc(k.Holders, func(h Holding) bool { return l.resumes(k, h) }) && l.names(k, func(h Holding) bool {
			return h.Gone.IsZero() && l.member(h.ServerID) && !h.holds(k)
		}) == "" {
			return k
		}
	}
	return nil
}

// resumes reports whether a holder may sign with a key again that it had stopped using: it has it, and proved it once.
func (l *line) resumes(k *Key, h Holding) bool {
	return h.Gone.IsZero() && l.member(h.ServerID) && h.holds(k) && !h.CanaryVerified.IsZero()
}

// newer returns a key that was taken into use after this one and has not stepped back, nil when there is none. An older
// key does not come back above it.
func (l *line) newer(than *Key) *Key {
	for _, k := range slices.Backward(l.keys) {
		taken := k.State == Active && k.Demoted.IsZero() && !k.Compromised() && (!k.Signing.IsZero() || l.unwanted(k) == "")
		if taken && k.Created.After(than.Created) {
			return k
		}
	}
	return nil
}

// demoted plans a key that stepped back because its record was wrong.
func (l *line) demoted(k *Key) {
	switch {
	case l.repairable(&k.Record):
		l.step(StepRepair, k, "its record was changed by others: "+k.Record.sentence())
	case !l.stands(k):
		l.reason(k, "stepped back, because its record is wrong: "+k.Record.sentence(), true)
		l.lookAgain(k.Demoted)
	case l.newer(k) != nil:
		l.reason(k, fmt.Sprintf("its record stands again; %s was taken into use meanwhile", l.newer(k).Selector), false)
	case l.agreedLongEnough(k, StepRestore):
		l.step(StepRestore, k, "its record stands again")
	}
}
