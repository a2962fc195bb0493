package lifecycle

import (
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
