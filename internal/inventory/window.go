package inventory

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // change windows name time zones, and a minimal container has no database of them
)

const (
	// minutesPerDay is also the end of a day, written 24:00.
	minutesPerDay = 24 * 60
	// maxOffsetChanges bounds the search for the next opening. A window opens within a week of any time; a zone changes
	// its offset a few times a year, so that this many changes are years.
	maxOffsetChanges = 16
	// daysAhead covers a week and the rest of today.
	daysAhead = 8
)

// Blocked says whether an operator's word holds back a planned step: a hold of the domain, a freeze, a change window
// that is not open, or an approval that nobody gave. why names everything that is in the way, for people. until is when
// time alone lifts it; zero when a person has to act. keyID is "" for a step without a key.
//
// Which steps are asked about is the planner's business: falling back to a working key and acts of compromise are not.
func (c Controls) Blocked(domain, step, keyID string, now time.Time) (why string, until time.Time, blocked bool) {
	var reasons []string
	act := false // a person has to act
	free := now  // when every hold and freeze is over
	lasts := func(what, by, reason string, end time.Time) {
		text := what
		if by != "" {
			text += " by " + by
		}
		if end.IsZero() {
			act = true
		} else {
			text += " until " + when(end)
			free = later(free, end)
		}
		if reason != "" {
			text += ": " + reason
		}
		reasons = append(reasons, text)
	}
	for _, h := range c.Holds {
		if h.Domain == domain && stillOn(h.Until, now) {
			lasts("the domain is on hold", h.By, h.Reason, h.Until)
		}
	}
	for _, f := range c.Freezes {
		if stillOn(f.Until, now) {
			lasts("all changes are frozen", f.By, f.Reason, f.Until)
		}
	}
	if len(c.Windows) > 0 {
		opening, ok := nextOpening(c.Windows, free)
		switch {
		case !ok:
			act = true
			reasons = append(reasons, "no change window ever opens: "+c.Windows[0].String())
		case opening.After(free) || !anyOpen(c.Windows, now):
			reasons = append(reasons, "the next change window opens "+when(opening))
		}
		free = later(free, opening)
	}
	if slices.Contains(c.NeedApproval, step) && !slices.ContainsFunc(c.Approvals, func(a Approval) bool {
		return a.Step == step && a.KeyID == keyID && keyID != ""
	}) {
		act = true
		reasons = append(reasons, "waits for a named person's approval")
	}
	if len(reasons) == 0 {
		return "", time.Time{}, false
	}
	if act {
		free = time.Time{}
	}
	return strings.Join(reasons, "; "), free, true
}

func stillOn(until, now time.Time) bool { return until.IsZero() || now.Before(until) }

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func when(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }

// String is the window for people: "sat, sun 22:00 to 04:00 Europe/Berlin".
func (w Window) String() string {
	var days []string
	for _, d := range w.Days {
		days = append(days, dayWord(d))
	}
	if days == nil {
		days = []string{"every day"}
	}
	zone := w.Zone
	if zone == "" {
		zone = "UTC"
	}
	return fmt.Sprintf("%s %s to %s %s", strings.Join(days, ", "), w.From, w.To, zone)
}

func dayWord(d time.Weekday) string {
	if d < time.Sunday || d > time.Saturday {
		return "?"
	}
	return strings.ToLower(d.String()[:3])
}

// clock is a Window that was read.
type clock struct {
	days     []time.Weekday
	from, to int // minutes after midnight
	zone     *time.Location
}

// read returns the window in numbers, or what is wrong with it.
func (w Window) read() (clock, error) {
	from, err := minuteOfDay(w.From)
	if err != nil || from == minutesPerDay {
		return clock{}, fmt.Errorf("from: %q is not a time of day such as 22:00", w.From)
	}
	to, err := minuteOfDay(w.To)
	if err != nil {
		return clock{}, fmt.Errorf("to: %q is not a time of day such as 04:00", w.To)
	}
	if from == to {
		return clock{}, errors.New("from and to are the same: write 00:00 to 24:00 for a whole day")
	}
	for _, d := range w.Days {
		if d < time.Sunday || d > time.Saturday {
			return clock{}, fmt.Errorf("days: %d is not a day of the week", d)
		}
	}
	if w.Zone == "Local" {
		return clock{}, errors.New(`zone: "Local" means something else on each machine`)
	}
	zone, err := time.LoadLocation(w.Zone)
	if err != nil {
		return clock{}, fmt.Errorf("zone: %q is not a time zone such as Europe/Berlin", w.Zone)
	}
	return clock{w.Days, from, to, zone}, nil
}

func minuteOfDay(s string) (int, error) {
	if s == "24:00" {
		return minutesPerDay, nil
	}
	t, err := time.Parse("15:04", s)
	if err != nil || len(s) != len("15:04") {
		return 0, errors.New("not a time of day")
	}
	return t.Hour()*60 + t.Minute(), nil
}

// open reports whether the clock on the wall of the zone shows a time inside the window. That is also the meaning on
// the days on which clocks are changed: a time that is shown twice is inside twice, one that is skipped is not there.
func (c clock) open(t time.Time) bool {
	local := t.In(c.zone)
	minute := local.Hour()*60 + local.Minute()
	if c.from < c.to {
		return c.on(local.Weekday()) && c.from <= minute && minute < c.to
	}
	yesterday := (local.Weekday() + 6) % 7
	return c.on(local.Weekday()) && minute >= c.from || c.on(yesterday) && minute < c.to
}

func (c clock) on(d time.Weekday) bool { return len(c.days) == 0 || slices.Contains(c.days, d) }

// next returns the first time not before t at which the window is open. Between two changes of the zone's offset the
// clock on the wall runs evenly, so that each such stretch is searched by plain arithmetic.
func (c clock) next(t time.Time) (time.Time, bool) {
	for range maxOffsetChanges {
		if c.open(t) {
			return t, true
		}
		local := t.In(c.zone)
		_, end := local.ZoneBounds()
		_, offset := local.Zone()
		wall := local.Add(time.Duration(offset) * time.Second).UTC()
		midnight := wall.Truncate(24 * time.Hour)
		for day := range daysAhead {
			opening := midnight.AddDate(0, 0, day).Add(time.Duration(c.from) * time.Minute)
			at := opening.Add(-time.Duration(offset) * time.Second)
			if !c.on(opening.Weekday()) || at.Before(t) {
				continue
			}
			if end.IsZero() || at.Before(end) {
				return at, true
			}
			break
		}
		if end.IsZero() {
			return time.Time{}, false
		}
		t = end
	}
	return time.Time{}, false
}

// nextOpening returns the first time not before t at which any of the windows is open. A window that cannot be read
// never opens.
func nextOpening(ws []Window, t time.Time) (first time.Time, ok bool) {
	for _, w := range ws {
		c, err := w.read()
		if err != nil {
			continue
		}
		if at, found := c.next(t); found && (!ok || at.Before(first)) {
			first, ok = at, true
		}
	}
	return first, ok
}

func anyOpen(ws []Window, t time.Time) bool {
	return slices.ContainsFunc(ws, func(w Window) bool {
		c, err := w.read()
		return err == nil && c.open(t)
	})
}
