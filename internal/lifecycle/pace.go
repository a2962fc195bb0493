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
	// silentAfter is when a holder that has not reported is called silent: two reports of five minutes are missing.
	silentAfter = 10 * time.Minute
	// maxLostAfter is how long after its last signature a holder without its key may find it again: a disk that is back,
	// an agent that restarts.
	maxLostAfter = 10 * time.Minute
	// askAgainEvery is how often a person, or a slow provider, is asked again for a change that DNS does not show: the
	// domain may have another publisher by now.
	askAgainEvery = 6 * time.Hour
	// maxRetryLooks is how many looks' time the longest pause between two tries of a failed effect is: a primary that is
	// down all day costs six tries an hour, not sixty.
	maxRetryLooks = 10
	// repairWaits is how many waiting times lie between two repairs of one record.
	repairWaits = 4
	// lateAfter is when a record that some name server has not shown yet is written again where repairs are allowed: no
	// secondary that works is behind for longer.
	lateAfter = 24 * time.Hour
)

// lookEvery is how often a record under way is looked at at most, and how soon a failed effect is tried again.
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

// retryAfter is the pause after an effect that failed for the nth time in a row: doubling, up to a limit. Nothing makes the
// acts of compromise wait longer than the first pause.
func retryAfter(p inventory.Policy, n int, compromise bool) time.Duration {
	first := lookEvery(p)
	if compromise || n < 1 {
		return first
	}
	return min(first<<min(n-1, maxRetryLooks), maxRetryLooks*first)
}

func lostAfter(p inventory.Policy) time.Duration { return min(maxLostAfter, p.MinWait) }

// repairEvery is how often a record that others changed is written again: an hour by default. Secondaries may lag behind
// our own writing, which looks the same at first.
func repairEvery(p inventory.Policy) time.Duration { return repairWaits * p.MinWait }
