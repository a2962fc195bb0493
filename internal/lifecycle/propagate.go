package lifecycle

import (
	"fmt"

	"github.com/postseal/postseal/internal/inventory"
)

// propagate: published → propagated. Every authoritative server must show exactly the record, and the waiting time must
// pass from then on (invariant 1).
func (l *line) propagate(k *Key) {
	if !l.agreedLongEnough(k) {
		return
	}
	l.urgent(StepWaited, k, fmt.Sprintf("every authoritative server has shown the record since %s", k.Record.AgreedSince.UTC().Format("15:04:05")))
}

// agreedLongEnough reports whether the record may be relied upon now; if not it says why.
func (l *line) agreedLongEnough(k *Key) bool {
	r := &k.Record
	if !l.stands(r) {
		l.missing(k)
		return false
	}
	wait := waitAfterAgreement(l.p, *r)
	if until := r.AgreedSince.Add(wait); l.s.Now.Before(until) {
		text := fmt.Sprintf("all servers show the record; waiting %s for caches", wait)
		if wait > inventory.LongWait {
			text += fmt.Sprintf(" (the zone's negative TTL is %s: lower the SOA minimum to rotate faster)", r.NegativeTTL)
		}
		l.wait(k, text, until, StepWaited)
		l.lookAgain()
		return false
	}
	return true
}

// missing says who does not show the record, and has it written again where the zone's policy allows that.
func (l *line) missing(k *Key) {
	r := &k.Record
	sentence := r.Last.Sentence()
	if sentence == "" {
		sentence = "not looked yet"
	}
	if l.repairable(r) {
		l.step(StepRepair, k, "the record was changed by others: "+sentence)
		return
	}
	l.reason(k, fmt.Sprintf("the record does not stand on every authoritative server: %s", sentence), true)
}
