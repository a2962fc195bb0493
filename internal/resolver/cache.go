package resolver

import (
	"container/list"
	"context"
	"sync"
	"time"
)

// Source is what a Cache asks; *Resolver and *Recursive are ones. First returns soon after ctx has ended. It is called from many
// goroutines.
type Source interface {
	First(ctx context.Context, name, rrtype string) Answer
}

// CacheConfig bounds a Cache; its zero value takes the defaults of limits.go.
type CacheConfig struct {
	Entries   int              // answers kept, the least recently used goes first
	Octets    int              // what they may take together
	Questions int              // questions under way at once; who comes later waits
	Timeout   time.Duration    // for one question
	Now       func() time.Time // time.Now when nil
}

// Cache keeps the answers of recursive servers for a server that verifies mail, and asks each question once however many messages
// wait for it. It is safe for concurrent use. Its look-ups have the errors of package net, as those of Recursive.
//
// An answer is kept for its TTL, within the bounds of limits.go; a denial for the smaller of the SOA's TTL and MINIMUM (RFC 2308
// §5), at most a quarter of an hour; trouble for seconds. A question that was begun goes on for the others, and for the next
// message, when the caller that asked first has left; it ends with its own timeout or with Close.
type Cache struct {
	source  Source
	cfg     CacheConfig
	base    context.Context // of every question
	cancel  context.CancelFunc
	slots   chan struct{} // one element for each question under way
	running sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	entries map[cacheKey]*list.Element // of *keptAnswer
	recent  *list.List                 // most recently used first
	flights map[cacheKey]*flight
	stats   CacheStats
}

// CacheStats counts what a Cache did since it was made, and what it holds now.
type CacheStats struct {
	Hits         uint64 // records found
	NegativeHits uint64 // denials found
	ErrorHits    uint64 // failures found
	Misses       uint64 // questions that had to be asked
	Shared       uint64 // callers that joined a question under way
	Errors       uint64 // questions that ended without a usable answer
	Evicted      uint64 // answers given up for others before their time
	Busy         uint64 // callers that found all questions under way taken and left without one
	Entries      int
	Octets       int
	InFlight     int
}

type cacheKey struct{ name, rrtype string }

// keptAnswer is one answer with its time. What it points to is shared with callers and never changes.
type keptAnswer struct {
	key   cacheKey
	until time.Time
	*outcome
}

// flight is a question under way; outcome is set when done is closed.
type flight struct {
	done    chan struct{}
	outcome *outcome
}

// NewCache puts a cache in front of a source. Close it to end its questions.
func NewCache(source Source, cfg CacheConfig) *Cache {
	if cfg.Entries <= 0 {
		cfg.Entries = DefaultCacheEntries
	}
	if cfg.Octets <= 0 {
		cfg.Octets = DefaultCacheOctets
	}
	if cfg.Questions <= 0 {
		cfg.Questions = DefaultCacheQuestions
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = DefaultCacheTimeout
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	base, cancel := context.WithCancel(context.Background())
	return &Cache{
		source: source, cfg: cfg, base: base, cancel: cancel,
		slots:   make(chan struct{}, cfg.Questions),
		entries: make(map[cacheKey]*list.Element),
		recent:  list.New(),
		flights: make(map[cacheKey]*flight),
	}
}

// Close ends the questions under way, whose callers get a temporary error, and waits for them. Later look-ups fail at once.
func (c *Cache) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.running.Wait()
}

// Stats is a snapshot of the counters.
func (c *Cache) Stats() CacheStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stats
	s.Entries, s.InFlight = len(c.entries), len(c.flights)
	return s
}

// fresh finds an answer that still holds and forgets one that does not. The caller holds the lock.
func (c *Cache) fresh(k cacheKey) *keptAnswer {
	at, ok := c.entries[k]
	if !ok {
		return nil
	}
	e := at.Value.(*keptAnswer)
	if !c.cfg.Now().Before(e.until) {
		c.remove(at)
		return nil
	}
	return e
}

// keep stores an answer and gives up the least recently used ones for it. The caller holds the lock.
func (c *Cache) keep(k cacheKey, o *outcome) {
	if at, ok := c.entries[k]; ok {
		c.remove(at)
	}
	c.entries[k] = c.recent.PushFront(&keptAnswer{key: k, until: c.cfg.Now().Add(o.life), outcome: o})
	c.stats.Octets += k.octets(o)
	for len(c.entries) > c.cfg.Entries || c.stats.Octets > c.cfg.Octets {
		oldest := c.recent.Back()
		if oldest.Value.(*keptAnswer).until.After(c.cfg.Now()) {
			c.stats.Evicted++
		}
		c.remove(oldest)
	}
}

func (c *Cache) remove(at *list.Element) {
	e := c.recent.Remove(at).(*keptAnswer)
	delete(c.entries, e.key)
	c.stats.Octets -= e.key.octets(e.outcome)
}

// octets is what an answer counts for.
func (k cacheKey) octets(o *outcome) int { return entryOctets + len(k.name) + o.octets }
