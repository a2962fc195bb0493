package agent

import (
	"sync/atomic"
	"time"
)

// messageTimes is what one signed message took, as far as it is ours.
type messageTimes struct {
	lookup time.Duration // finding its keys
	hash   time.Duration // looking at its body and hashing it
	sign   time.Duration // the header's hash and the operations with private keys
}

// timeTotals adds up the times of signed messages.
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

// steps are the totals in the order of a message.
func (t *timeTotals) steps() []stepTime {
	return []stepTime{{"lookup", time.Duration(t.lookup.Load())}, {"hash", time.Duration(t.hash.Load())}, {"sign", time.Duration(t.sign.Load())}}
}
