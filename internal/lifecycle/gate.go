package lifecycle

import (
	"fmt"
	"slices"
	"time"

	"github.com/postseal/postseal/internal/inventory"
)

// gatePatience is how long a gate is waited for before somebody should look: a probe is asked for within the minute, and counts as lost within an hour and a half.
const gatePatience = 2 * time.Hour

// gate says why a key that was replaced is not retired yet although it could be; "" when nothing holds it back. Only the ordinary exchange of one key for the next is held
// back: a key that somebody asked to leave, that is lost, or whose assignment ended goes at once.
//
// A probe through a server is an ordinary message and takes the default stream, so it says nothing about the keys of others.
func (l *line) gate(k *Key) string {
	now := l.current()
	if l.p.Gate != inventory.GateProbe || l.a.Stream != inventory.DefaultStream || l.ended() || k.End != nil || l.lost(k) || now == nil || now == k {
		return ""
	}
	open := l.names(now, func(h Holding) bool {
		return h.Gone.IsZero() && h.Want == WantSign && l.member(h.ServerID) && !l.prefersOther(now, h) && !slices.Contains(l.s.Probed[h.ServerID], now.Selector)
	})
	if open == "" {
		return ""
	}
	return fmt.Sprintf("kept until a probe through %s has arrived signed by %s", open, now.Selector)
}

// heldByGate says that a replaced key waits.
func (l *line) heldByGate(k *Key, why, text string) {
	since := l.current().Signing
	l.reason(k, why+"; "+text, !l.s.Now.Before(since.Add(gatePatience)))
	l.plan.Reasons[len(l.plan.Reasons)-1].StepAfter = StepRetire
	l.dueBy(since.Add(gatePatience))
}
