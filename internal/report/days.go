package report

import (
	"fmt"
	"math/bits"
	"time"
)

// What times of a report are believed.
const (
	// firstReports is when the first reports of DMARC were sent; nothing that is told of a time before happened.
	firstReports = 2012
	// aheadMost is how far a report may reach into the future: clocks are wrong, and some reporters write their local time as if it were UTC.
	aheadMost = 36 * time.Hour
	// oneDay is the longest time that is counted for one day as a whole: that day which has most of it. Reports are of a day (RFC 9990 §3.1.1.4), give or take an hour where clocks are changed.
	oneDay = 25 * time.Hour
	// longestReport is the longest time of a report that is counted: a month, and what reporters are late with.
	longestReport = 35 * 24 * time.Hour
)

// share is a day, and how much of a report's time lies in it.
type share struct {
	day     time.Time // midnight UTC
	seconds uint64
}

// straighten swaps begin and end where the reporter has done so, and says whether it had to: which time it is, is plain. Where one of them is missing nothing is swapped.
func (f *Facts) straighten() bool {
	if !f.End.Before(f.Begin) || f.End.Unix() <= 0 {
		return false
	}
	f.Begin, f.End = f.End, f.Begin
	return true
}

// daysOf says for which days a report is counted; where it is for none, problem says why. The end may stand before the begin, and one of them may be missing.
func daysOf(begin, end, now time.Time) (days []share, problem string) {
	believed := func(t time.Time) bool { return t.Year() >= firstReports && !t.After(now.Add(aheadMost)) }
	if end.Before(begin) {
		begin, end = end, begin
	}
	switch missing := func(t time.Time) bool { return t.Unix() <= 0 }; {
	case missing(begin) && missing(end):
		return nil, "it does not say of which time it is, and is not counted"
	case missing(begin):
		begin = end
	}
	if !believed(begin) || !believed(end) {
		return nil, fmt.Sprintf("it is of the time from %s to %s, which cannot be, and is not counted", minute(begin), minute(end))
	}
	if end.Sub(begin) > longestReport {
		return nil, fmt.Sprintf("it is of %d days, more than the %d that a report may be of, and is not counted", int(end.Sub(begin).Hours())/24, int(longestReport.Hours())/24)
	}
	begin, end = begin.UTC().Truncate(time.Second), end.UTC().Truncate(time.Second).Add(time.Second) // the last second belongs to it
	for day := midnight(begin); day.Before(end); day = day.AddDate(0, 0, 1) {
		from, to := begin, end
		if day.After(from) {
			from = day
		}
		if next := day.AddDate(0, 0, 1); next.Before(to) {
			to = next
		}
		days = append(days, share{day, uint64(to.Sub(from) / time.Second)})
	}
	if end.Sub(begin) <= oneDay {
		most := days[0]
		for _, x := range days[1:] {
			if x.seconds > most.seconds {
				most = x
			}
		}
		return []share{most}, ""
	}
	return days, ""
}

// divide splits n by the seconds of the days: each gets the whole part of its share, and what remains goes to those that lost most by that, the earlier first.
func divide(n int64, days []share, parts []int64) {
	var all, given uint64
	for _, d := range days {
		all += d.seconds
	}
	rest := make([]uint64, len(days))
	for i, d := range days {
		high, low := bits.Mul64(uint64(n), d.seconds)
		whole, remainder := bits.Div64(high, low, all)
		parts[i], rest[i] = int64(whole), remainder+1
		given += whole
	}
	for ; given < uint64(n); given++ {
		most := 0
		for i := range rest {
			if rest[i] > rest[most] {
				most = i
			}
		}
		parts[most]++
		rest[most] = 0
	}
}

func midnight(t time.Time) time.Time {
	y, m, d := t.UTC().Date()
	return time.Date(y, m, d, 0, 0, 0, 0, time.UTC)
}

func minute(t time.Time) string { return t.UTC().Format("2006-01-02 15:04") }
