package report

import (
	"testing"
	"time"
)

// A report whose end lies before its begin is of the time between, and says so; a missing time is none to swap.
func TestSwappedTimes(t *testing.T) {
	begin := time.Date(2026, 5, 12, 0, 0, 0, 0, time.UTC)
	end, none := begin.Add(24*time.Hour-time.Second), time.Unix(0, 0).UTC()
	for what, c := range map[string]struct {
		begin, end         time.Time
		wantBegin, wantEnd time.Time
		told               int
	}{
		"in order": {begin, end, begin, end, 0},
		"swapped":  {end, begin, begin, end, 1},
		"a moment": {begin, begin, begin, begin, 0},
		"no end":   {begin, none, begin, none, 0},
		"never":    {begin, time.Time{}, begin, time.Time{}, 0},
		"no begin": {none, end, none, end, 0},
	} {
		f := Facts{Type: Aggregate, Domain: "example.com", Begin: c.begin, End: c.end, Shapes: []Shape{{}}, Rows: []Row{{Count: 3}}}
		f.count(NewDirectory(Roll{}), end.Add(time.Hour))
		if !f.Begin.Equal(c.wantBegin) || !f.End.Equal(c.wantEnd) || len(f.Errors) != c.told || f.Problem != "" {
			t.Errorf("%s: from %s to %s, %q %q", what, f.Begin, f.End, f.Errors, f.Problem)
		}
	}
}
