package lifecycle

import (
	"time"

	"github.com/postseal/postseal/internal/inventory"
)

// How often the loop looks while something is under way, derived from the policy's waiting time so that a test policy
// is quick by itself: often enough to add little to the wait, seldom enough not to burden name servers.
const (
	looksPerWait  = 10
	minLookEvery  = 5 * time.Second
	maxLookEvery  = time.Minute
	asksPerWait   = 3
	minAskEvery   = 15 * time.Second
	maxAskEvery   = 10 * time.Minute
	testLookEvery = 200 * time.Millisecond
	testAskEvery  = time.Second
	// silentAfter is when a holder that has not reported is called silent in reasons; agents report every minute.
	silentAfter = 10 * time.Minute
)

// lookEvery is how often a record under way is looked at, and how soon a failed effect is tried again.
func lookEvery(p inventory.Policy) time.Duration {
	if p.TestMode {
		return max(testLookEvery, min(p.MinWait/looksPerWait, maxLookEvery))
	}
	return min(max(p.MinWait/looksPerWait, minLookEvery), maxLookEvery)
}

// askEvery is how long a canary may take before another one is asked for.
func askEvery(p inventory.Policy) time.Duration {
	if p.TestMode {
		return max(testAskEvery, min(p.MinWait/asksPerWait, maxAskEvery))
	}
	return min(max(p.MinWait/asksPerWait, minAskEvery), maxAskEvery)
}

// waitAfterAgreement is how long a record must have stood on every authoritative server before it is used: longer than
// any cache may remember that it was not there, or what stood there before (DESIGN.md §5).
func waitAfterAgreement(p inventory.Policy, r Record) time.Duration {
	return max(2*r.NegativeTTL, r.PositiveTTL, p.MinWait)
}
