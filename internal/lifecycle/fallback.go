package lifecycle

import "fmt"

// wrongRecord: a key in use whose record is not what it should be. If another proven key of the line still stands, its
// holders go back to that one (invariant 4); else signing goes on and people are told.
func (l *line) wrongRecord(k *Key) {
	if !l.wrong(&k.Record) {
		l.reason(k, "signing; some name servers do not answer: "+k.Record.Last.Sentence(), true)
		return
	}
	if l.repairable(&k.Record) {
		l.step(StepRepair, k, "the record of a key in use was changed by others: "+k.Record.Last.Sentence())
	}
	if standby := l.standby(k); standby != nil {
		l.urgent(StepDemote, k, fmt.Sprintf("its record is wrong (%s): falling back to %s", k.Record.Last.Sentence(), standby.Selector))
		return
	}
	l.reason(k, fmt.Sprintf("SIGNING WITH A WRONG RECORD, and no other proven key stands: %s", k.Record.Last.Sentence()), true)
}

// standby returns the newest other key of the line that was proven, whose record stands, and that its holders still have.
func (l *line) standby(than *Key) *Key {
	for i := len(l.keys) - 1; i >= 0; i-- {
		k := l.keys[i]
		if k == than || k.Proven.IsZero() || k.Compromised() || !k.Demoted.IsZero() || !l.stands(&k.Record) {
			continue
		}
		if k.State != Active && k.State != Retired {
			continue // a proven key that was never used becomes active by its own step
		}
		if l.names(k, func(h Holding) bool { return h.Gone.IsZero() && !h.Has }) == "" {
			return k
		}
	}
	return nil
}

// demoted plans a key that stepped back because its record was wrong.
func (l *line) demoted(k *Key) {
	newer := false
	for _, other := range l.keys {
		newer = newer || other != k && other.Created.After(k.Created) && other == l.current()
	}
	switch {
	case l.ending() || newer:
		l.step(StepRetire, k, "another key signs instead")
	case l.repairable(&k.Record):
		l.step(StepRepair, k, "its record was changed by others: "+k.Record.Last.Sentence())
	case l.stands(&k.Record):
		if l.agreedLongEnough(k) {
			l.step(StepRestore, k, "its record stands again")
		}
	default:
		l.reason(k, "stepped back: its record is wrong: "+k.Record.Last.Sentence(), true)
	}
}
