package lifecycle

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// What receivers report of an old key keeps its record longer, once, and never shorter.
func TestRetirementByEvidence(t *testing.T) {
	const day = 24 * time.Hour
	stopped := func(ago time.Duration) func(*Key) {
		return func(k *Key) {
			k.Retired, k.Stopped = noon.Add(-ago-time.Hour), noon.Add(-ago)
			for i := range k.Holders {
				k.Holders[i].LastSigned = noon.Add(-ago - time.Hour)
			}
		}
	}
	setup := func(ago time.Duration, seen ...time.Duration) func(*scene) {
		return func(s *scene) {
			s.server("mx1").key("k1", "mx1", Retired, stopped(ago)).key("k2", "mx1", Active)
			s.Domain.Policy.Retention = 30 * day
			for _, x := range seen {
				s.Passed = map[string]time.Time{s.Keys[0].Selector: noon.Add(-x), s.Keys[1].Selector: noon}
			}
		}
	}
	for _, c := range []planCase{
		{name: "silence delays nothing", setup: setup(30 * day), steps: []string{"revoke k1"}},
		{name: "nor does what was under way", setup: setup(30*day, 16*day), steps: []string{"revoke k1"}},
		{name: "seen lately", setup: setup(30*day, 2*day), says: []string{"kept longer: receivers report that it passed as late as "}, next: noon.Add(28 * day)},
		{name: "seen lately, and the retention still runs", setup: setup(20*day, 2*day), says: []string{"kept longer"}, next: noon.Add(28 * day)},
		{name: "seen again and again: one extra retention", setup: setup(59*day, time.Hour), says: []string{"kept longer"}, next: noon.Add(day)},
		{name: "and then it goes", setup: setup(60*day, time.Hour), steps: []string{"revoke k1"}},
		{name: "seen in the future", setup: setup(60*day, -1000*day), steps: []string{"revoke k1"}},
	} {
		c.run(t)
	}
	rapid.Check(t, func(t *rapid.T) {
		s := newScene()
		setup(day*time.Duration(rapid.IntRange(0, 90).Draw(t, "stopped")), time.Duration(rapid.Int64Range(-int64(200*day), int64(200*day)).Draw(t, "seen")))(s)
		l := &line{builder: &builder{s: &s.Situation, p: s.Domain.Policy}}
		k := &s.Keys[0]
		until, why := l.keptUntil(k)
		usual := k.Stopped.Add(30 * day)
		if until.Before(usual) || until.After(usual.Add(30*day)) || (why == "") != until.Equal(usual) {
			t.Errorf("until %s, usual %s, %q", until, usual, why)
		}
	})
}

type sightings func(domain string, selectors []string) (map[string]time.Time, error)

func (f sightings) LastPassed(_ context.Context, domain string, selectors []string) (map[string]time.Time, error) {
	return f(domain, selectors)
}

// Only keys that are about to lose their record are asked for, and an answer that does not come changes nothing.
func TestHear(t *testing.T) {
	s := newScene()
	s.server("mx1").key("k1", "mx1", Retired, recently).key("k2", "mx1", Active).key("k3", "mx1", Retired, recently, asked(true))
	asked := 0
	from := sightings(func(domain string, selectors []string) (map[string]time.Time, error) {
		asked++
		if domain != s.Domain.Name || !slices.Equal(selectors, []string{s.Keys[0].Selector}) {
			t.Errorf("%s: %v", domain, selectors)
		}
		return map[string]time.Time{selectors[0]: noon}, nil
	})
	if err := s.Hear(t.Context(), from); err != nil || !maps.Equal(s.Passed, map[string]time.Time{s.Keys[0].Selector: noon}) {
		t.Errorf("%v, %v", s.Passed, err)
	}
	s.Passed = nil
	if err := s.Hear(t.Context(), sightings(func(string, []string) (map[string]time.Time, error) { return nil, errors.New("down") })); err == nil || s.Passed != nil {
		t.Errorf("%v, %v", s.Passed, err)
	}
	s.Keys = s.Keys[1:2]
	if err := s.Hear(t.Context(), from); err != nil || asked != 1 {
		t.Errorf("asked %d times, %v", asked, err)
	}
}
