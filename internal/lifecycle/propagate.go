package lifecycle

import (
	"fmt"

	"github.com/postseal/postseal/internal/inventory"
)

// propagate: published → propagated. Every authoritative server must show exactly the record, and the waiting time must
// pass from then on (invariant 1).
func (l *line) propagate(k *Key) {
	if l.agreedLongEnough(k, StepWaited) {
		l.urgent(StepWaited, k, "every authoritative server has shown the record since "+clock(k.Record.AgreedSince))
	}
}

// agreedLongEnough reports whether the record may be relied upon now, for the step that comes then; if not it says why.
func (l *line) agreedLongEnough(k *Key, then StepKind) bool {
	r := &k.Record
	if !l.stands(k) {
		l.missing(k)
		return false
	}
	wait := waitAfterAgreement(l.p, *r)
	until := r.AgreedSince.Add(wait)
	if !l.s.Now.Before(until) {
		return true
	}
	text := fmt.Sprintf("every authoritative server shows the record; waiting %s until caches have forgotten what was there before", wait)
	if wait > inventory.LongWait {
		text += fmt.Sprintf(" (the zone's negative TTL is %s, other records at the name had %s: lower the SOA minimum to rotate faster)", r.NegativeTTL, r.PositiveTTL)
	}
	l.wait(k, text, until, then)
	l.plan.Reasons[len(l.plan.Reasons)-1].Blocked = wait > inventory.LongWait
	l.lookAgain(r.AgreedSince)
	return false
}

// missing says who does not show the record, and has it written again where the zone's policy allows that.
func (l *line) missing(k *Key) {
	r := &k.Record
	if l.repairable(r) {
		l.step(StepRepair, k, "the record was changed by others: "+r.sentence())
		return
	}
	l.reason(k, "not every authoritative server shows the record: "+r.sentence(), true)
	l.lookAgain(r.WrittenAt)
}

// stands reports whether every authoritative server shows the record of a key, not revoked, at the newest look.
func (b *builder) stands(k *Key) bool {
	r := &k.Record
	return !r.AgreedSince.IsZero() && r.Want == k.Value && k.Value != "" && r.Last.Expected == r.Want && r.Last.Agreed(b.s.waived)
}

// wrong reports whether some server shows something else than the record; silence is not that.
func (b *builder) wrong(r *Record) bool {
	return r.Last.Expected == r.Want && r.Last.Contradicted()
}

// repairable reports whether a record that others changed may be written again now. One that has never stood everywhere
// is more likely late than changed. What a person let us take over may be at once.
func (b *builder) repairable(r *Record) bool {
	if r.takenOver() {
		return !r.Pending && b.wrong(r)
	}
	every := repairEvery(b.p)
	if r.FirstAgreed.IsZero() {
		every = max(every, lateAfter)
	}
	return b.s.repairs(r) && r.Written != "" && r.Written == r.Want && !r.Pending && b.wrong(r) && !r.misled() && !b.s.Now.Before(r.WrittenAt.Add(every))
}
