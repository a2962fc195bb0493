package inventory

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// durationUnits are the units of durations in fleet.yaml, the longest first. A day is 24 hours: nothing here depends on
// a calendar.
var durationUnits = [...]struct {
	name string
	unit time.Duration
}{{"w", 7 * 24 * time.Hour}, {"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}}

// maxDuration keeps sums of durations far from overflow; nothing in the life of a key takes longer.
const maxDuration = 100 * 365 * 24 * time.Hour

// ParseDuration reads "180d", "1w", "1d12h" or "90s": whole numbers with units, each unit at most once, the longest first.
func ParseDuration(s string) (time.Duration, error) {
	bad := errors.New("is not a duration such as 30d, 12h or 15m")
	if s == "0" {
		return 0, nil
	}
	var total time.Duration
	rest, next := s, 0
	for rest != "" {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		if digits == 0 || digits > 12 {
			return 0, bad
		}
		var n time.Duration
		for _, c := range rest[:digits] {
			n = n*10 + time.Duration(c-'0')
		}
		rest = rest[digits:]
		letters := len(rest) - len(strings.TrimLeft(rest, "abcdefghijklmnopqrstuvwxyz"))
		at := -1
		for i, u := range durationUnits {
			if u.name == rest[:letters] {
				at = i
			}
		}
		if letters == 0 {
			return 0, fmt.Errorf("has no unit; write %ss, %sm, %sh or %sd", s, s, s, s)
		}
		if at < next {
			return 0, bad
		}
		if n > maxDuration/durationUnits[at].unit {
			return 0, errors.New("is longer than 100 years")
		}
		next, rest = at+1, rest[letters:]
		total += n * durationUnits[at].unit
	}
	if s == "" {
		return 0, bad
	}
	if total > maxDuration {
		return 0, errors.New("is longer than 100 years")
	}
	return total, nil
}

// FormatDuration is the inverse of ParseDuration; weeks are written as days. Parts below a millisecond are dropped.
func FormatDuration(d time.Duration) string {
	var b strings.Builder
	for _, u := range durationUnits[1:] {
		if n := d / u.unit; n > 0 {
			fmt.Fprintf(&b, "%d%s", n, u.name)
			d -= n * u.unit
		}
	}
	if b.Len() == 0 {
		return "0"
	}
	return b.String()
}
