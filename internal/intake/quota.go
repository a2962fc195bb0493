package intake

import (
	"container/list"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Quota bounds how much one sender has us store.
type Quota interface {
	// Take counts an input of a sender, and says how long to wait when it is too much; 0 = it is taken. Who the sender is says a word before a blank: "domain" for one that is verified,
	// "peer" for the network of an unverified client, "unverified" for the domain that an unverified mail of a mailbox names.
	Take(sender string, octets int, now time.Time) (wait time.Duration)
}

// Rates are the default Quota: two buckets for each sender, one of inputs and one of octets, that fill with time. It is safe for concurrent use.
type Rates struct {
	mu      sync.Mutex
	buckets map[string]*list.Element
	recent  list.List // of *bucket, the one used last in front
}

type bucket struct {
	sender         string
	inputs, octets *rate.Limiter
}

// The rates. The largest reporters send a few hundred reports a day to one organisation with a thousand domains: one for each domain and hour at most.
const (
	verifiedPerHour, verifiedBurst     = 5_000, 20_000
	unverifiedPerHour, unverifiedBurst = 600, 2_000
	// octetsPerInput is the mean size that a sender may have, in octets; reports have a few thousand.
	octetsPerInput = 128 << 10
	// maxSenders is how many are remembered; those that were quiet longest are forgotten.
	maxSenders = 20_000
)

// NewRates returns a Quota with the default rates.
func NewRates() *Rates { return &Rates{buckets: map[string]*list.Element{}} }

// Take implements Quota.
func (r *Rates) Take(sender string, octets int, now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.bucket(sender)
	inputs := b.inputs.ReserveN(now, 1)
	// A single input may be larger than what there is room for on average; it empties the bucket.
	amount := b.octets.ReserveN(now, min(octets, b.octets.Burst()))
	if wait := max(inputs.DelayFrom(now), amount.DelayFrom(now)); wait > 0 {
		inputs.CancelAt(now)
		amount.CancelAt(now)
		return wait
	}
	return 0
}

// bucket returns the one of a sender and makes it the last to be forgotten.
func (r *Rates) bucket(sender string) *bucket {
	if e := r.buckets[sender]; e != nil {
		r.recent.MoveToFront(e)
		return e.Value.(*bucket)
	}
	if r.recent.Len() >= maxSenders {
		oldest := r.recent.Back()
		delete(r.buckets, r.recent.Remove(oldest).(*bucket).sender)
	}
	perHour, burst := unverifiedPerHour, unverifiedBurst
	if len(sender) > len(senderDomain) && sender[:len(senderDomain)] == senderDomain {
		perHour, burst = verifiedPerHour, verifiedBurst
	}
	perSecond := rate.Limit(float64(perHour) / time.Hour.Seconds())
	b := &bucket{sender, rate.NewLimiter(perSecond, burst), rate.NewLimiter(perSecond*octetsPerInput, burst*octetsPerInput)}
	r.buckets[sender] = r.recent.PushFront(b)
	return b
}
