package webapi

import (
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Rate is a number of requests that a vendor takes in a time.
type Rate struct {
	Requests int
	Per      time.Duration
}

// maxBuckets is how many zones have a bucket of their own at a time; above it the fullest knowledge is not worth its memory, and all begin anew.
const maxBuckets = 10_000

// bucket keeps several rates at once. It is safe for concurrent use.
type bucket struct {
	mu       sync.Mutex
	limiters []*rate.Limiter
}

// newBucket makes a bucket that never lets more than Requests through in any window of Per: half of them may come at once, and the other half
// is what flows in during the window.
func newBucket(rates []Rate) *bucket {
	b := &bucket{}
	for _, r := range rates {
		burst := max(1, r.Requests/2)
		flow := max(1, r.Requests-burst)
		b.limiters = append(b.limiters, rate.NewLimiter(rate.Limit(float64(flow)/r.Per.Seconds()), burst))
	}
	return b
}

// take returns how long to wait before the next request, which is counted; one that would have to wait longer than most is not.
func (b *bucket) take(now time.Time, most time.Duration) (wait time.Duration, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var taken []*rate.Reservation
	for _, l := range b.limiters {
		r := l.ReserveN(now, 1)
		taken = append(taken, r)
		wait = max(wait, r.DelayFrom(now))
	}
	if wait <= most {
		return wait, true
	}
	for _, r := range taken {
		r.CancelAt(now)
	}
	return wait, false
}

// buckets are the limits of an API: those of all requests, and those of the writes to each zone.
type buckets struct {
	all    *bucket
	writes []Rate

	mu    sync.Mutex
	zones map[string]*bucket
}

func newBuckets(all, writes []Rate) *buckets {
	return &buckets{all: newBucket(all), writes: writes, zones: make(map[string]*bucket)}
}

// take counts a request; zone is "" for one that only reads.
func (b *buckets) take(zone string, now time.Time, most time.Duration) (time.Duration, bool) {
	wait, ok := b.all.take(now, most)
	if !ok || zone == "" || len(b.writes) == 0 {
		return wait, ok
	}
	b.mu.Lock()
	own := b.zones[zone]
	if own == nil {
		if len(b.zones) >= maxBuckets {
			clear(b.zones)
		}
		own = newBucket(b.writes)
		b.zones[zone] = own
	}
	b.mu.Unlock()
	also, ok := own.take(now, most)
	return max(wait, also), ok
}
