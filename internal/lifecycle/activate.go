package lifecycle

import (
	"fmt"
)

// activate: proven → active. Holders are told to sign with the new key; the old one stands by until they say that they do.
func (l *line) activate(k *Key) {
	if !l.agreedLongEnough(k) {
		return
	}
	if l.current() != nil && !l.myTurn() {
		l.reason(k, "proven; waiting for another signer's rotation to finish", false)
		return
	}
	why := "its canary verified and its record stands everywhere"
	if l.current() == nil {
		why += "; it is the first key"
	}
	l.step(StepActivate, k, why)
}

// active plans a key that holders were told to sign with.
func (l *line) active(k *Key) {
	switch {
	case !k.Demoted.IsZero():
		l.demoted(k)
	case l.ending():
		l.step(StepRetire, k, l.endReason())
	case k.Signing.IsZero():
		l.acknowledged(k)
	case !l.stands(&k.Record):
		l.wrongRecord(k)
	default:
		l.inUse(k)
	}
}

func (l *line) endReason() string {
	if !l.signer.Decommissioned.IsZero() {
		return fmt.Sprintf("%s was decommissioned by %s", l.signer.Name, l.signer.DecommissionedBy)
	}
	if !l.a.Ended.IsZero() {
		return fmt.Sprintf("%s ended the assignment", l.a.EndedBy)
	}
	return fmt.Sprintf("keys of %s are not wanted any more", l.algorithm)
}

// acknowledged waits until every holder says that it signs with the key.
func (l *line) acknowledged(k *Key) {
	open := l.names(k, func(h Holding) bool { return h.Gone.IsZero() && !(h.Acked == WantSign && h.Signing) })
	if open == "" {
		l.urgent(StepSigning, k, "every holder signs with it")
		return
	}
	if l.wrong(&k.Record) {
		l.wrongRecord(k)
		return
	}
	if problem := l.holderProblem(k); problem != "" {
		l.reason(k, "told to sign, not yet acknowledged: "+problem, true)
		return
	}
	l.reason(k, fmt.Sprintf("waiting for %s to acknowledge that it signs with the key", open), l.silent(k) != "")
}

// inUse plans a key that signs and whose record stands: a newer one makes it leave.
func (l *line) inUse(k *Key) {
	if now := l.current(); now != nil && now != k {
		l.step(StepRetire, k, fmt.Sprintf("%s signs instead", now.Selector))
		return
	}
	text := "signing"
	if l.p.TestMode {
		text += " (test mode: short waits)"
	}
	switch {
	case l.successor() != nil:
		text += "; its successor is under way"
	case !k.RotateAfter.IsZero():
		l.wait(k, text+"; next rotation", k.RotateAfter, StepGenerate)
		return
	}
	l.reason(k, text, false)
}

// repairable reports whether a record that others changed may be written again.
func (b *builder) repairable(r *Record) bool {
	return b.s.Repair && r.Written != "" && b.wrong(r) && !r.Pending && r.Written == r.Want
}

// wrong reports whether some server shows something else than the record; silence is not that.
func (b *builder) wrong(r *Record) bool {
	return r.Last.Expected == r.Want && r.Last.Contradicted()
}
