package lifecycle

import (
	"fmt"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/inventory"
)

const (
	// selectorLetters is how many random letters end a selector: 456,976 per label and month, and nobody can guess the next.
	selectorLetters = 4
	// maxSelector is the limit of one DNS label (RFC 1035 §2.3.4).
	maxSelector = 63
	// opaqueLetters stand for the signer's label where names shall not be public.
	opaqueLetters = 6
)

// NewSelector returns {label}-{yymm}{4 random letters}. random gives numbers in [0, n). The result is looked up, never parsed.
func NewSelector(label string, opaque bool, now time.Time, random func(n int) int) string {
	if opaque || label == "" {
		label = "k" + letters(opaqueLetters, random)
	}
	tail := now.UTC().Format("0601") + letters(selectorLetters, random)
	if room := maxSelector - len(tail) - 1; len(label) > room {
		label = strings.TrimRight(label[:room], "-")
	}
	return label + "-" + tail
}

func letters(n int, random func(n int) int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte('a' + random(26))
	}
	return string(b)
}

// rotateAfter spreads rotations: the policy's period plus or minus its jitter.
func rotateAfter(p inventory.Policy, from time.Time, random func(n int) int) time.Time {
	const steps = 1000
	spread := time.Duration(float64(p.RotateEvery) * float64(p.JitterPercent) / 100)
	offset := time.Duration(float64(spread) * (2*float64(random(steps+1))/steps - 1))
	return from.Add(p.RotateEvery + offset)
}

// nextSlot says what the slots of an assignment wait for.
type nextSlot struct {
	at   time.Time // when time alone frees one; zero = when its key leaves
	text string
}

// freeSlots returns the declared slots that carry no key, in their order, and what those that do wait for. A slot is free
// again after its last key's removal and every TTL that was seen (invariant 3).
func freeSlots(s *Situation, a *inventory.Assignment) (free []string, next nextSlot) {
	var taken []string
	for _, slot := range a.Slots {
		var until time.Time
		holder := ""
		for i := range s.Keys {
			k := &s.Keys[i]
			if k.Selector != slot {
				continue
			}
			forgotten := k.Removed.Add(max(k.Record.PositiveTTL, k.Record.NegativeTTL, k.Record.TTL))
			switch {
			case k.State != Removed:
				holder = fmt.Sprintf("%s carries a key that is %s", slot, k.State)
			case s.Now.Before(forgotten):
				holder, until = fmt.Sprintf("%s is free at %s, when caches have forgotten its last key", slot, clock(forgotten)), forgotten
			}
		}
		if holder == "" {
			free = append(free, slot)
			continue
		}
		taken = append(taken, holder)
		next.at = earliest(next.at, until)
	}
	next.text = strings.Join(taken, ", ")
	return free, next
}
