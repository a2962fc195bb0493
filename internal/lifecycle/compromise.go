package lifecycle

import (
	"fmt"

	"github.com/postseal/postseal/internal/inventory"
)

// compromised is the only way past invariant 2, opened by a named person with a reason: holders are told to stop, and p= is
// emptied on their acknowledgement or after 60 s, whichever is first. Nothing holds it back.
func (l *line) compromised(k *Key) {
	why := fmt.Sprintf("declared compromised by %s: %s", k.End.By, k.End.Reason)
	if k.Record.Written == "" && !k.Record.Pending {
		l.urgent(StepRemove, k, why+"; it was never published")
		return
	}
	if k.State != Retired {
		l.urgent(StepRetire, k, why)
		return
	}
	deadline := k.End.At.Add(inventory.CompromiseDeadline)
	open := l.names(k, func(h Holding) bool { _, stopped := h.StoppedSigning(); return !stopped })
	if k.Record.Pending && k.Record.Want == TombstoneValue {
		if k.Record.Last.Expected == k.Record.Want && k.Record.Last.Agreed(l.s.waived) {
			l.urgent(StepRevoke, k, "the empty p= that was asked for stands")
			return
		}
		l.reason(k, "COMPROMISED: waiting for a person to empty p= now", true)
		return
	}
	if open == "" || !l.s.Now.Before(deadline) {
		l.urgent(StepRevoke, k, why)
		return
	}
	l.wait(k, fmt.Sprintf("%s; waiting for %s to stop", why, open), deadline, StepRevoke)
	l.lookAgain()
}
