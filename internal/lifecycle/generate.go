package lifecycle

import (
	"fmt"
	"slices"
	"time"
)

const (
	// demotedPatience is how long a key whose record is wrong may come back before a new one takes its place: people mend
	// what they broke within a day, or not at all.
	demotedPatience = 24 * time.Hour
	// maxGivenUp is how many new keys of a line may come to nothing within givenUpWithin before somebody has to look: each
	// costs a selector for ever, and a fourth attempt rarely goes better than three.
	maxGivenUp    = 3
	givenUpWithin = 24 * time.Hour
)

// generate decides whether the line needs a new key: it has none, the one in use is old enough, or a person asked.
func (l *line) generate() {
	if l.ending() || l.successor() != nil {
		return
	}
	if len(l.members) == 0 {
		l.reason(nil, fmt.Sprintf("%s has no server left that could hold a key", l.signer.Name), true)
		return
	}
	why, rotation := l.needsKey()
	if why == "" && l.a.Standby {
		why = fmt.Sprintf("%s has no standby key for %s", l.signer.Name, l.a.Domain)
	}
	if why == "" {
		return
	}
	if rotation && !l.myTurn() {
		l.reason(nil, fmt.Sprintf("%s; waiting until the rotation of %s is finished", why, l.whoseTurn()), false)
		return
	}
	if text, until := l.behindGate(); rotation && text != "" {
		l.wait(nil, why+"; "+text, until, StepGenerate)
		return
	}
	if until, last := l.givenUp(); l.s.Now.Before(until) {
		l.wait(nil, fmt.Sprintf("%s; %d new keys in a row came to nothing (%s): the next try is at %s", why, maxGivenUp, last, clock(until)), until, StepGenerate)
		l.plan.Reasons[len(l.plan.Reasons)-1].Blocked = true
		return
	}
	if free, next := freeSlots(l.s, l.a); len(l.a.Slots) > 0 && len(free) == 0 {
		l.wait(nil, fmt.Sprintf("%s; no slot is free: %s", why, next.text), next.at, StepGenerate)
		return
	}
	if l.step(StepGenerate, nil, why) && rotation {
		l.rotating = l.a
	}
}

// needsKey says why the line needs a new key, "" when it does not, and whether that is a rotation, for which signers
// take turns. A line that signs nothing waits for nobody.
func (l *line) needsKey() (why string, rotation bool) {
	now := l.current()
	if now == nil {
		if slices.ContainsFunc(l.keys, func(k *Key) bool { return !k.Activated.IsZero() }) {
			return fmt.Sprintf("%s has no key in use any more for %s", l.signer.Name, l.a.Domain), false
		}
		return fmt.Sprintf("%s has no key of its own yet for %s", l.signer.Name, l.a.Domain), false
	}
	if l.lost(now) {
		return l.lostText(now), false
	}
	// The newest key in use may have stepped back because of its record; its age and what was asked since still count.
	newest := now
	for _, k := range l.keys {
		if k.State == Active && k.End == nil && !k.Compromised() && k.Activated.After(newest.Activated) {
			newest = k
		}
	}
	patience := newest.Demoted.Add(demotedPatience)
	switch {
	case now.End != nil:
		return fmt.Sprintf("%s asked to revoke %s: %s", now.End.By, now.Selector, now.End.Reason), true
	case newest.Algorithm != l.algorithm:
		return fmt.Sprintf("%s is wanted instead of %s", l.algorithm, newest.Algorithm), true
	case l.a.RotateRequested.After(newest.Activated):
		return fmt.Sprintf("%s asked for a rotation", l.a.RotateBy), true
	case l.a.Standby && l.exposed(newest) != nil:
		return fmt.Sprintf("%s lay on the same servers as %s when that was declared compromised", newest.Selector, l.exposed(newest).Selector), true
	case !newest.Demoted.IsZero() && !l.s.Now.Before(patience):
		return fmt.Sprintf("the record of %s has been wrong since %s", newest.Selector, clock(newest.Demoted)), true
	case !l.rotateDue(newest).After(l.s.Now):
		return fmt.Sprintf("the key is %s old", days(l.s.Now.Sub(newest.Activated))), true
	case !newest.Demoted.IsZero():
		l.dueBy(patience)
	}
	l.dueBy(l.rotateDue(newest))
	return "", false
}

// givenUp returns until when no other key is made, because too many came to nothing, and why the last one did.
func (l *line) givenUp() (until time.Time, last string) {
	var failed []*Key
	for _, k := range l.removed {
		if k.Activated.IsZero() && len(k.Holders) > 0 && l.s.Now.Sub(k.Removed) < givenUpWithin {
			failed = append(failed, k)
		}
	}
	if len(failed) < maxGivenUp {
		return time.Time{}, ""
	}
	slices.SortFunc(failed, func(x, y *Key) int { return y.Removed.Compare(x.Removed) })
	return failed[maxGivenUp-1].Removed.Add(givenUpWithin), failed[0].EndReason
}

// days prints a duration the way people speak of keys' ages.
func days(d time.Duration) string {
	if d < 48*time.Hour {
		return d.Round(time.Second).String()
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
