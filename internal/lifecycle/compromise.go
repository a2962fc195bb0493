package lifecycle

import (
	"fmt"

	"github.com/postseal/postseal/internal/inventory"
)

// compromised is the only way past invariant 2, opened by a named person with a reason: holders are told to stop, and p= is
// emptied on their acknowledgement or after 60 s, whichever is first. Nothing holds it back, not even that the domain is
// only observed. Its holders do not fall back to an older key: who took one key from a server may have taken all.
func (l *line) compromised(k *Key) {
	r := &k.Record
	why := fmt.Sprintf("declared compromised by %s: %s", k.End.By, k.End.Reason)
	stopped := l.names(k, func(h Holding) bool { _, stopped := h.StoppedSigning(); return !stopped })
	deadline := k.End.At.Add(inventory.CompromiseDeadline)
	switch {
	case r.Written == "" && !r.Pending:
		l.always(StepRemove, k, why+"; it was never published")
	case k.State != Retired:
		l.always(StepRetire, k, why)
	case stopped != "" && l.s.Now.Before(deadline):
		l.wait(k, fmt.Sprintf("%s; waiting for %s to stop", why, stopped), deadline, StepRevoke)
	case r.Pending && r.Want == TombstoneValue && !l.askAgain(r):
		if l.s.shown(r, k.Value) {
			l.always(StepRevoke, k, "the empty p= that was asked for stands")
			return
		}
		l.reason(k, "COMPROMISED: waiting for a person to empty p= now", true)
		l.lookAgain(r.WrittenAt)
	case r.Last.Expected == r.Want && l.s.gone(r, k.Value):
		l.always(StepRemove, k, why+"; somebody took its record away already")
	default:
		l.always(StepRevoke, k, why)
	}
}
