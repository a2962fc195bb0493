package agent

import (
	"sync/atomic"
	"time"
)

// messageTimes is what one message took, as far as it is ours.
type messageTimes struct {
	lookup time.Duration // finding its keys: in memory or on disk to sign, in DNS to verify, with all that SPF and DMARC ask
	hash   time.Duration // looking at its body and hashing it
	sign   time.Duration // the header's hash and the operations with keys
}

// timeTotals adds up the times of messages.
type timeTotals struct {
	messages           atomic.Uint64
	lookup, hash, sign atomic.Int64 // nanoseconds
}

func (t *timeTotals) add(m messageTimes) {
	t.messages.Add(1)
	t.lookup.Add(int64(m.lookup))
	t.hash.Add(int64(m.hash))
	t.sign.Add(int64(m.sign))
}

// stepTime is what one step took in all.
type stepTime struct {
	name  string
	spent time.Duration
}

// steps are the totals; keys names the last one.
func (t *timeTotals) steps(keys string) []stepTime {
	return []stepTime{{"lookup", time.Duration(t.lookup.Load())}, {"hash", time.Duration(t.hash.Load())}, {keys, time.Duration(t.sign.Load())}}
}

// status are the averages.
func (t *timeTotals) status(what, keys string) (out []StatusTime) {
	n := t.messages.Load()
	if n == 0 {
		return nil
	}
	for _, step := range t.steps(keys) {
		out = append(out, StatusTime{what + ": " + step.name, n, (step.spent / time.Duration(n)).Microseconds()})
	}
	return out
}
