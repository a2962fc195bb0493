package lifecycle

import (
	"fmt"
	"slices"
	"strings"
)

// activate: proven → active. Holders are told to sign with the new key; the old one stands by until they say that they do.
func (l *line) activate(k *Key) {
	if !l.agreedLongEnough(k, StepActivate) {
		return
	}
	if l.resting(k) {
		l.rest(k)
		return
	}
	if l.provedBy(k) == "" { // every server that proved it has left the pool since
		l.reason(k, "waiting for a canary of "+l.names(k, Holding.in)+l.silence(k), l.silent(k) != "")
		return
	}
	why := "its canary verified and its record stands everywhere"
	if l.a.Standby {
		call, fallback := l.called()
		if why += "; " + call; fallback {
			l.urgent(StepActivate, k, why)
			return
		}
	}
	if l.signs() && !l.myTurn() {
		l.reason(k, fmt.Sprintf("proven; waiting until the rotation of %s is finished", l.whoseTurn()), false)
		return
	}
	if text, until := l.behindGate(); text != "" && l.signs() {
		l.wait(k, "proven; "+text, until, StepActivate)
		return
	}
	if !l.signs() && !l.a.Standby {
		why += "; no other key signs"
	}
	l.step(StepActivate, k, why)
}

// active plans a key that holders were told to sign with.
func (l *line) active(k *Key) {
	if why := l.replaced(k); why != "" {
		if text := l.gate(k); text != "" {
			l.heldByGate(k, why, text)
			return
		}
		l.step(StepRetire, k, why)
		return
	}
	switch {
	case l.lost(k):
		l.withoutKey(k)
	case !k.Demoted.IsZero():
		l.demoted(k)
	case l.wrong(&k.Record):
		l.wrongRecord(k)
	case k.Signing.IsZero():
		l.acknowledged(k)
	default:
		l.inUse(k)
	}
}

// replaced says why an active key is not needed any more, "" when it is: its assignment ended, or another key signs whose
// record stands, on every server that signs with this one. A newer key replaces an older one; a key that is asked to leave
// or lost is replaced by any.
func (l *line) replaced(k *Key) string {
	if l.ended() || l.algorithm == "" && l.othersSign() {
		return l.endReason()
	}
	now := l.current()
	if now == nil || now == k || !l.stands(now) || l.needing(k, now) != "" {
		return ""
	}
	switch {
	case k.End != nil:
		return fmt.Sprintf("%s asked to revoke it: %s; %s signs instead", k.End.By, k.End.Reason, now.Selector)
	case l.lost(k):
		return fmt.Sprintf("%s; %s signs instead", l.lostText(k), now.Selector)
	case now.Created.After(k.Created):
		return fmt.Sprintf("%s signs instead", now.Selector)
	}
	return ""
}

// needing names the members that sign with a key and not yet with the one that takes its place: late ones, which must
// prove it first.
func (l *line) needing(k, now *Key) string {
	return l.names(k, func(h Holding) bool {
		if !h.Gone.IsZero() || h.Want != WantSign || !h.holds(k) || !l.member(h.ServerID) {
			return false
		}
		return !slices.ContainsFunc(now.Holders, func(other Holding) bool {
			return other.ServerID == h.ServerID && other.Want == WantSign && l.follows(now, other)
		})
	})
}

// follows reports whether a holder that is told to sign with a key says that it does, or that it would but for a key that it
// prefers.
func (l *line) follows(k *Key, h Holding) bool {
	return h.Acked == WantSign && (h.Signing || l.prefersOther(k, h))
}

// prefersOther reports whether a holder signs the same mail with a key of another assignment instead: a server may be
// assigned a stream itself and through its pool, and uses the key of the highest rank.
func (l *line) prefersOther(k *Key, h Holding) bool {
	for i := range l.s.Keys {
		other := &l.s.Keys[i]
		if other.AssignmentID == k.AssignmentID || familyOf(other.Algorithm) != l.family || l.streamOf(other) != l.a.Stream {
			continue
		}
		if slices.ContainsFunc(other.Holders, func(o Holding) bool {
			return o.ServerID == h.ServerID && o.Gone.IsZero() && o.Want == WantSign && o.Acked == WantSign && o.Signing && o.Rank > h.Rank
		}) {
			return true
		}
	}
	return false
}

// streamOf is the stream whose mail a key signs.
func (b *builder) streamOf(k *Key) string {
	for i := range b.s.Assignments {
		if b.s.Assignments[i].ID == k.AssignmentID {
			return b.s.Assignments[i].Stream
		}
	}
	return ""
}

// othersSign reports whether each algorithm that the assignment still wants has a key in use.
func (l *line) othersSign() bool {
	for _, other := range l.lines {
		if other.a.ID == l.a.ID && other.algorithm != "" && (!other.signs() || !l.stands(other.current())) {
			return false
		}
	}
	return true
}

// acknowledged waits until every holder says that it signs with the key.
func (l *line) acknowledged(k *Key) {
	open := l.names(k, func(h Holding) bool {
		return h.Gone.IsZero() && h.Want == WantSign && !l.follows(k, h)
	})
	if open == "" {
		l.urgent(StepSigning, k, "every holder signs with it")
		return
	}
	if above := l.outranked(k); above != nil {
		if l.agreedLongEnough(k, StepRestore) {
			l.step(StepRestore, k, fmt.Sprintf("%s came back above it meanwhile", above.Selector))
		}
		return
	}
	if problem := l.holderProblem(k); problem != "" {
		l.reason(k, "told to sign, not yet acknowledged: "+problem, true)
		return
	}
	l.reason(k, fmt.Sprintf("waiting for %s to acknowledge that it signs with the key", open)+l.silence(k), l.silent(k) != "")
}

// outranked returns an older key in use that holders prefer to this one, nil when there is none: they would never
// acknowledge this one.
func (l *line) outranked(k *Key) *Key {
	for _, other := range l.keys {
		if other != k && other.State == Active && other.Demoted.IsZero() && other.Created.Before(k.Created) && other.rank() > k.rank() {
			return other
		}
	}
	return nil
}

// inUse plans a key that signs and whose record nobody contradicts: it goes on until a newer one signs.
func (l *line) inUse(k *Key) {
	if idle := l.names(k, func(h Holding) bool {
		return h.Gone.IsZero() && h.Want == WantSign && !h.Signing && !l.prefersOther(k, h)
	}); idle != "" && l.current() == k {
		text := fmt.Sprintf("%s does not sign with it, although it should", idle)
		if problem := l.holderProblem(k); problem != "" {
			text += ": " + problem
		}
		l.reason(k, text, true)
	}
	text, blocked := "signing", false
	switch now := l.current(); {
	case now != k && l.needing(k, now) != "":
		text = fmt.Sprintf("standing by until %s can sign with %s", l.needing(k, now), now.Selector)
	case now != k:
		text = fmt.Sprintf("standing by until the record of %s stands on every server", now.Selector)
	case !l.stands(k):
		text, blocked = "signing; not every name server answers: "+k.Record.sentence(), true
		l.lookAgain(k.Record.AgreedSince)
	case l.algorithm == "" && !l.ended():
		text = "signing until the other keys of the assignment do: " + l.endReason()
	}
	if l.p.TestMode {
		text += " (test mode: short waits)"
	}
	text += l.silence(k)
	if next := l.successor(); next != nil && l.resting(next) {
		if text += "; its standby is under way"; next.State == Proven {
			text = strings.TrimSuffix(text, "is under way") + next.Selector + " is ready"
		}
	} else if next != nil {
		l.reason(k, text+"; its successor is under way", blocked)
		return
	}
	if due := l.rotateDue(k); due.After(l.s.Now) {
		l.wait(k, text, due, StepGenerate)
		l.plan.Reasons[len(l.plan.Reasons)-1].Blocked = blocked
		return
	}
	l.reason(k, text, blocked)
}
