package agent

import (
	"maps"
	"strings"
	"sync"
)

// verdictCounters are totals of what was verified. Keys are words of ours, joined by slashes: method, result, and reason or policy. It
// is safe for concurrent use.
type verdictCounters struct {
	times timeTotals // sign is the check of the signatures

	mu sync.Mutex
	n  map[string]uint64
}

// maxVerdicts bounds the distinct totals; all words that there are make some hundred.
const maxVerdicts = 1000

func (c *verdictCounters) add(words ...string) {
	key := strings.TrimSuffix(strings.Join(words, "/"), "/")
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]uint64{}
	}
	if _, known := c.n[key]; known || len(c.n) < maxVerdicts {
		c.n[key]++
	}
}

// totals are the counts by "method/result/reason".
func (c *verdictCounters) totals() map[string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.n)
}

// restore goes on from saved totals.
func (c *verdictCounters) restore(n map[string]uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n = maps.Clone(n)
}
