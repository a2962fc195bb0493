package lifecycle

import (
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/inventory"
)

func TestNewSelector(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2)).IntN
	for _, c := range []struct {
		label  string
		opaque bool
		want   string
	}{
		{"mx1", false, `^mx1-2606[a-z]{4}$`},
		{"mx1", true, `^k[a-z]{6}-2606[a-z]{4}$`},
		{"", false, `^k[a-z]{6}-2606[a-z]{4}$`},
		{strings.Repeat("a", 80), false, `^a{54}-2606[a-z]{4}$`},
		{strings.Repeat("a", 53) + "-b", false, `^a{53}-2606[a-z]{4}$`}, // no label ends in a hyphen, nor has two by chance
	} {
		got := NewSelector(c.label, c.opaque, noon, random)
		if !regexp.MustCompile(c.want).MatchString(got) || len(got) > 63 {
			t.Errorf("label %q opaque %v: %q, want %s", c.label, c.opaque, got, c.want)
		}
	}
	seen := map[string]bool{}
	for range 100 {
		seen[NewSelector("mx1", false, noon, random)] = true
	}
	if len(seen) < 99 {
		t.Errorf("%d different selectors of 100", len(seen))
	}
	local := time.Date(2026, 6, 1, 1, 0, 0, 0, time.FixedZone("east", 7*3600))
	if got := NewSelector("mx1", false, local, random); !strings.HasPrefix(got, "mx1-2605") {
		t.Errorf("%q: the month is that of UTC", got)
	}
}

func TestRotateAfter(t *testing.T) {
	p := inventory.DefaultPolicy()
	low, high := 162*day, 198*day
	if got := rotateAfter(p, noon, func(int) int { return 0 }).Sub(noon); got != low {
		t.Errorf("at the least %s, want %s", got, low)
	}
	if got := rotateAfter(p, noon, func(n int) int { return n - 1 }).Sub(noon); got != high {
		t.Errorf("at the most %s, want %s", got, high)
	}
	p.JitterPercent = 0
	if got := rotateAfter(p, noon, rand.IntN).Sub(noon); got != 180*day {
		t.Errorf("without jitter %s", got)
	}
}
