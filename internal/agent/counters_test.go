package agent

import (
	"testing"
	"time"
)

// wallClock is a clock that can be set; like a restored or a skewed machine's it has no monotonic part.
type wallClock struct{ at time.Time }

func (c *wallClock) now() time.Time { return c.at }

func TestAgesSurviveARestart(t *testing.T) {
	boot, uptime := bootClock()
	if boot == "" {
		t.Skip("no /proc here: ages come from the wall clock alone")
	}
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name  string
		saved savedCounters
		want  time.Duration
	}{
		{"same boot, clock right", savedCounters{Boot: boot, Uptime: uptime - 60_000, Unix: now.UnixMilli() - 60_000}, 70 * time.Second},
		{"same boot, clock stepped a year ahead", savedCounters{Boot: boot, Uptime: uptime - 60_000, Unix: now.AddDate(-1, 0, 0).UnixMilli()}, 70 * time.Second},
		{"same boot, clock stepped back", savedCounters{Boot: boot, Uptime: uptime - 60_000, Unix: now.AddDate(1, 0, 0).UnixMilli()}, 70 * time.Second},
		{"other boot", savedCounters{Boot: "other", Uptime: 5, Unix: now.UnixMilli() - 60_000}, 70 * time.Second},
		{"other boot, clock stepped back", savedCounters{Boot: "other", Uptime: 5, Unix: now.AddDate(1, 0, 0).UnixMilli()}, 10 * time.Second},
		{"clock of the future in the file", savedCounters{Boot: boot, Uptime: uptime + 60_000, Unix: now.UnixMilli()}, 10 * time.Second},
	} {
		c.saved.Keys = map[string]savedKey{"k": {Signed: 7, Age: 10_000}, "never": {Signed: 0, Age: -1}}
		c.saved.Unsigned = map[string]uint64{"nul": 3, "a word of another version": 9}
		clock := &wallClock{now}
		counters := newCounters(clock.now)
		counters.restore(c.saved)
		age, ok := counters.age(counters.key("k"))
		if !ok || age < c.want-time.Second || age > c.want+5*time.Second {
			t.Errorf("%s: age %s (%v), want about %s", c.name, age, ok, c.want)
		}
		if n := counters.key("k").signed.Load(); n != 7 {
			t.Errorf("%s: %d signatures", c.name, n)
		}
		if _, ok := counters.age(counters.key("never")); ok {
			t.Errorf("%s: a key that never signed has an age", c.name)
		}
		if got := counters.reasonTotals(); len(got) != 1 || got["nul"] != 3 {
			t.Errorf("%s: reasons %v", c.name, got)
		}
	}
}

func TestAgesAreNeverNegative(t *testing.T) {
	clock := &wallClock{time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)}
	c := newCounters(clock.now)
	k := c.key("k")
	c.signed(&activeKey{state: &keyState{id: "k"}})
	clock.at = clock.at.Add(-time.Hour)
	if age, ok := c.age(k); !ok || age != 0 {
		t.Errorf("age %s, %v", age, ok)
	}
	clock.at = clock.at.Add(3 * time.Hour)
	if age, _ := c.age(k); age != 2*time.Hour {
		t.Errorf("age %s", age)
	}
	s := c.snapshot()
	if s.Keys["k"].Age != (2*time.Hour).Milliseconds() || s.Keys["k"].Signed != 1 {
		t.Errorf("%+v", s)
	}
	if !c.dirty.Load() {
		t.Error("nothing to save after a signature")
	}
}
