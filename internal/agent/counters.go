package agent

import (
	"maps"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// keyCount is what a key has signed. It is safe for concurrent use.
type keyCount struct {
	signed atomic.Uint64
	last   atomic.Int64 // stopwatch reading of the last signature; neverSigned when there is none
}

const neverSigned = -1 << 62

// counters are totals that survive restarts, and the ages of the last signatures.
type counters struct {
	watch  stopwatch
	dirty  atomic.Bool
	reason map[Reason]*atomic.Uint64 // never changed after newCounters
	warned atomic.Uint64             // signed messages with 8-bit content
	notes  map[Note]*atomic.Uint64   // never changed after newCounters
	times  timeTotals

	verdicts verdictCounters

	mu   sync.Mutex
	keys map[string]*keyCount // those that have signed
}

func newCounters(now func() time.Time) *counters {
	c := &counters{watch: stopwatch{now: now, start: now()}, reason: map[Reason]*atomic.Uint64{}, notes: map[Note]*atomic.Uint64{}, keys: map[string]*keyCount{}}
	for _, r := range reasons {
		c.reason[r] = new(atomic.Uint64)
	}
	for _, n := range notes {
		c.notes[n] = new(atomic.Uint64)
	}
	return c
}

// key returns the counter of a key that signs; it stays the same until the key is forgotten.
func (c *counters) key(id string) *keyCount {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.keys[id]
	if k == nil {
		k = newKeyCount()
		c.keys[id] = k
	}
	return k
}

// forget drops the counters of keys that are gone for good.
func (c *counters) forget(ids []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, id := range ids {
		delete(c.keys, id)
	}
}

// signed counts one message signed with the key just now.
func (c *counters) signed(key *activeKey) {
	k := key.count.Load()
	if k == nil {
		k = c.key(key.id())
		key.count.Store(k)
	}
	k.signed.Add(1)
	k.last.Store(int64(c.watch.read()))
	c.touch()
}

// touch notes that there is something to save.
func (c *counters) touch() {
	if !c.dirty.Load() {
		c.dirty.Store(true)
	}
}

// seen returns the counter of a key, or one that never counted.
func (c *counters) seen(id string) *keyCount {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.keys[id]; k != nil {
		return k
	}
	return newKeyCount()
}

func newKeyCount() *keyCount {
	k := &keyCount{}
	k.last.Store(neverSigned)
	return k
}

// unsigned counts one message of ours that was not signed.
func (c *counters) unsigned(r Reason) {
	if n := c.reason[r]; n != nil {
		n.Add(1)
		c.touch()
	}
}

// note counts one message that was signed, and something about it.
func (c *counters) note(n Note) {
	if at := c.notes[n]; at != nil {
		at.Add(1)
		c.dirty.Store(true)
	}
}

func (c *counters) noteTotals() map[string]uint64 {
	out := map[string]uint64{}
	for n, at := range c.notes {
		if v := at.Load(); v > 0 {
			out[string(n)] = v
		}
	}
	return out
}

// age is how long ago the key last signed; ok is false when it never did.
func (c *counters) age(k *keyCount) (age time.Duration, ok bool) {
	last := k.last.Load()
	if last == neverSigned {
		return 0, false
	}
	return max(0, c.watch.read()-time.Duration(last)), true
}

func (c *counters) reasonTotals() map[string]uint64 {
	out := map[string]uint64{}
	for r, n := range c.reason {
		if v := n.Load(); v > 0 {
			out[string(r)] = v
		}
	}
	return out
}

// savedCounters is counters.json.
type savedCounters struct {
	Boot     string              `json:"boot_id"`
	Uptime   int64               `json:"uptime_ms"`
	Unix     int64               `json:"unix_ms"`
	Keys     map[string]savedKey `json:"keys"`
	Unsigned map[string]uint64   `json:"unsigned"`
	EightBit uint64              `json:"eight_bit"`
	Notes    map[string]uint64   `json:"notes,omitempty"`
	Verified map[string]uint64   `json:"verified,omitempty"`
}

type savedKey struct {
	Signed uint64 `json:"signed"`
	Age    int64  `json:"age_ms"` // of the last signature when this was written; -1 = never
}

func (c *counters) snapshot() savedCounters {
	s := savedCounters{Unix: c.watch.now().UnixMilli(), Keys: map[string]savedKey{}, Unsigned: c.reasonTotals(), Notes: c.noteTotals(), Verified: c.verdicts.totals(), EightBit: c.warned.Load()}
	s.Boot, s.Uptime = bootClock()
	c.mu.Lock()
	keys := maps.Clone(c.keys)
	c.mu.Unlock()
	for id, k := range keys {
		saved := savedKey{Signed: k.signed.Load(), Age: -1}
		if age, ok := c.age(k); ok {
			saved.Age = age.Milliseconds()
		}
		if saved.Signed > 0 || saved.Age >= 0 {
			s.Keys[id] = saved
		}
	}
	return s
}

// restore goes on from what an earlier process saved. The time in between is taken from the kernel's clock since boot when this is
// still the same boot, because nobody can set that one; else from the wall clock, and never less than nothing.
func (c *counters) restore(s savedCounters) {
	between := c.watch.now().UnixMilli() - s.Unix
	if boot, uptime := bootClock(); boot != "" && boot == s.Boot {
		between = uptime - s.Uptime
	}
	between = max(0, between)
	for id, saved := range s.Keys {
		k := c.key(id)
		k.signed.Store(saved.Signed)
		if saved.Age >= 0 {
			age := time.Duration(saved.Age+between) * time.Millisecond
			k.last.Store(int64(c.watch.read() - age))
		}
	}
	for r, n := range s.Unsigned {
		if at := c.reason[Reason(r)]; at != nil {
			at.Store(n)
		}
	}
	for n, v := range s.Notes {
		if at := c.notes[Note(n)]; at != nil {
			at.Store(v)
		}
	}
	c.warned.Store(s.EightBit)
	c.verdicts.restore(s.Verified)
}

// stopwatch reads the time since it was started; steps of the wall clock do not move it.
type stopwatch struct {
	now   func() time.Time
	start time.Time
}

func (w stopwatch) read() time.Duration { return w.now().Sub(w.start) }

// bootClock returns the id of this boot and the milliseconds since it, suspended time included; "" where Linux's /proc is missing.
func bootClock() (id string, ms int64) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", 0
	}
	uptime, err := os.ReadFile("/proc/uptime")
	if err != nil {
		return "", 0
	}
	seconds, _, _ := strings.Cut(string(uptime), " ")
	f, err := strconv.ParseFloat(seconds, 64)
	if err != nil {
		return "", 0
	}
	return strings.TrimSpace(string(boot)), int64(f * 1000)
}
