package lifecycle

import (
	"fmt"
	"slices"
	"strings"
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
	var known []string
	open := l.names(now, func(h Holding) bool {
		waits := h.Gone.IsZero() && h.Want == WantSign && l.member(h.ServerID) && !l.prefersOther(now, h) && !slices.Contains(l.s.Probed[h.ServerID], now.Selector)
		if text := l.s.Unprobed[h.ServerID]; waits && text != "" {
			known = append(known, fmt.Sprintf("; %s: %s", l.holderName(h.ServerID), text))
		}
		return waits
	})
	if open == "" {
		return ""
	}
	return fmt.Sprintf("kept until a probe through %s has arrived signed by %s%s", open, now.Selector, strings.Join(known, ""))
}

// openGate is a line whose replaced key waits for a probe, for not so long yet that the others go on without it.
type openGate struct {
	*line
	until time.Time
}

// openGates are those that hold the domain's rotations back.
func (b *builder) openGates() (open []openGate) {
	for _, l := range b.lines {
		now := l.current()
		if now == nil || !b.s.Now.Before(now.Signing.Add(gatePatience)) {
			continue
		}
		if slices.ContainsFunc(l.keys, func(k *Key) bool { return k.State == Active && k.Created.Before(now.Created) && l.gate(k) != "" }) {
			open = append(open, openGate{line: l, until: now.Signing.Add(gatePatience)})
		}
	}
	return open
}

// behindGate says for which probe a rotation of this line waits, and until when at most; "" when for none. What somebody asked to leave or may have been stolen is replaced
// without waiting. The other algorithm of the same assignment takes part in the same rotation.
func (l *line) behindGate() (text string, until time.Time) {
	if now := l.current(); now != nil && (now.End != nil || l.a.Standby && l.exposed(now) != nil) {
		return "", time.Time{}
	}
	for _, g := range l.gates {
		if g.a.ID != l.a.ID || g.family == l.family {
			return fmt.Sprintf("waiting until a probe has shown that %s signs with %s, or until %s", g.signer.Name, g.current().Selector, clock(g.until)), g.until
		}
	}
	return "", time.Time{}
}

// heldByGate says that a replaced key waits.
func (l *line) heldByGate(k *Key, why, text string) {
	since := l.current().Signing
	l.reason(k, why+"; "+text, !l.s.Now.Before(since.Add(gatePatience)))
	l.plan.Reasons[len(l.plan.Reasons)-1].StepAfter = StepRetire
	l.dueBy(since.Add(gatePatience))
}
