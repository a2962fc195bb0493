package mtalog

import (
	"bytes"
	"time"
)

// stamp reads the time at the beginning of a line of syslog and returns what follows it: "2026-11-27T23:33:43.120+01:00 " (RFC 3339) or "Nov 27 23:33:43 ",
// which has neither year nor zone.
func (p *Parser) stamp(line []byte, now time.Time) (at time.Time, rest []byte, ok bool) {
	if len(line) < len(time.Stamp)+1 {
		return at, nil, false
	}
	if line[0] >= '0' && line[0] <= '9' {
		word, rest, found := bytes.Cut(line, []byte(" "))
		if !found || len(word) > len(time.RFC3339Nano) {
			return at, nil, false
		}
		at, err := time.Parse(time.RFC3339Nano, string(word))
		return at, rest, err == nil
	}
	if line[len(time.Stamp)] != ' ' {
		return at, nil, false
	}
	at, err := time.ParseInLocation(time.Stamp, string(line[:len(time.Stamp)]), p.zone)
	if err != nil {
		return at, nil, false
	}
	return p.dated(at, now), line[len(time.Stamp)+1:], true
}

// dated gives a time the year in which it is nearest to now, and never one far ahead.
func (p *Parser) dated(at, now time.Time) time.Time {
	year := now.In(p.zone).Year()
	for _, y := range []int{year + 1, year, year - 1} {
		// Not AddDate: 29 February is a day in some years only.
		in := time.Date(y, at.Month(), at.Day(), at.Hour(), at.Minute(), at.Second(), 0, p.zone)
		if in.Day() == at.Day() && !in.After(now.Add(24*time.Hour)) {
			return in
		}
	}
	return now
}

// eximStamp reads "2026-11-27 23:33:08", with ".123" and " +0100" where Exim is told to write them.
func (p *Parser) eximStamp(line []byte) (at time.Time, rest []byte, ok bool) {
	const layout = "2006-01-02 15:04:05"
	if len(line) <= len(layout) || line[4] != '-' || line[10] != ' ' {
		return at, nil, false
	}
	end := len(layout)
	if line[end] == '.' {
		for end++; end < len(line) && line[end] >= '0' && line[end] <= '9'; end++ {
		}
	}
	if end >= len(line) || line[end] != ' ' || end > len(layout)+10 {
		return at, nil, false
	}
	if zone := end + 1; len(line) > zone+6 && (line[zone] == '+' || line[zone] == '-') && line[zone+5] == ' ' {
		at, err := time.Parse(layout+" -0700", string(line[:end])+string(line[end:zone+5]))
		return at, line[zone+6:], err == nil
	}
	at, err := time.ParseInLocation(layout, string(line[:end]), p.zone)
	return at, line[end+1:], err == nil
}
