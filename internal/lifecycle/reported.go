package lifecycle

import (
	"context"
	"time"
)

// Sightings tell what receivers reported about the selectors of a domain.
type Sightings interface {
	// LastPassed returns, by selector, the latest time at which a signature passed in mail from an address of ours; a selector that nobody reported is missing.
	LastPassed(ctx context.Context, domain string, selectors []string) (map[string]time.Time, error)
}

// Hear asks what receivers reported of the keys that are about to lose their records. An error leaves the situation as it is: silence delays nothing.
func (s *Situation) Hear(ctx context.Context, from Sightings) error {
	var selectors []string
	for _, k := range s.Keys {
		if k.State == Retired && !k.Stopped.IsZero() && !k.Compromised() {
			selectors = append(selectors, k.Selector)
		}
	}
	if len(selectors) == 0 {
		return nil
	}
	passed, err := from.LastPassed(ctx, s.Domain.Name, selectors)
	if err != nil {
		return err
	}
	s.Passed = passed
	return nil
}

// keptUntil is when the record of a retired key may be emptied, and why later than its retention says; "" when it is not.
//
// Queues and slow receivers are why there is a retention at all. A key that is still seen in the second half of it is used by something that nobody knows of: its
// record stands for a full retention after it was seen, and for one extra retention at most. Reports are words of strangers, and can do no more than that.
func (l *line) keptUntil(k *Key) (until time.Time, why string) {
	last := lastUse(k)
	until = last.Add(l.p.Retention)
	seen := l.s.Passed[k.Selector]
	if !seen.After(last.Add(l.p.Retention / 2)) {
		return until, ""
	}
	longer := until.Add(l.p.Retention)
	if t := seen.Add(l.p.Retention); t.Before(longer) {
		longer = t
	}
	return longer, "receivers report that it passed as late as " + seen.UTC().Format(time.DateOnly) + ", in mail from an address of ours: something still signs with it, or mail is held back very long"
}
