package inventory

import (
	"strings"
	"testing"
	"time"
)

// at reads a time with its offset, or in UTC.
func utc(t *testing.T, s string) time.Time {
	t.Helper()
	for _, layout := range []string{"2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02 15:04 -0700"} {
		if v, err := time.Parse(layout, s); err == nil {
			return v.UTC()
		}
	}
	t.Fatalf("bad time %q in the test", s)
	return time.Time{}
}

func TestBlocked(t *testing.T) {
	now := utc(t, "2026-11-25 12:00") // a Wednesday
	night := Window{From: "22:00", To: "04:00"}
	for _, tc := range []struct {
		name     string
		controls Controls
		step     string
		key      string
		why      []string // parts of it; empty = not blocked
		until    string
	}{
		{name: "nothing said"},
		{name: "held until released", controls: Controls{Holds: []Hold{{Domain: "example.com", By: "ada", Reason: "migration"}}},
			why: []string{"on hold by ada", "migration"}},
		{name: "held until a time", controls: Controls{Holds: []Hold{{Domain: "example.com", Until: utc(t, "2026-11-26 08:00"), By: "ada"}}},
			why: []string{"until 2026-11-26 08:00 UTC"}, until: "2026-11-26 08:00"},
		{name: "a hold that is over", controls: Controls{Holds: []Hold{{Domain: "example.com", Until: now}}}},
		{name: "a hold of another domain", controls: Controls{Holds: []Hold{{Domain: "example.net"}}}},
		{name: "frozen", controls: Controls{Freezes: []Freeze{{Until: utc(t, "2027-01-02 00:00"), Reason: "end of year"}}},
			why: []string{"frozen", "end of year"}, until: "2027-01-02 00:00"},
		{name: "a hold within a longer freeze", controls: Controls{
			Holds:   []Hold{{Domain: "example.com", Until: utc(t, "2026-11-26 08:00")}},
			Freezes: []Freeze{{Until: utc(t, "2026-11-27 08:00")}}},
			why: []string{"on hold", "frozen"}, until: "2026-11-27 08:00"},
		{name: "a freeze with an end and a hold without", controls: Controls{
			Holds:   []Hold{{Domain: "example.com"}},
			Freezes: []Freeze{{Until: utc(t, "2026-11-27 08:00")}}},
			why: []string{"on hold", "frozen"}},
		{name: "outside the window", controls: Controls{Windows: []Window{night}},
			why: []string{"next change window opens 2026-11-25 22:00 UTC"}, until: "2026-11-25 22:00"},
		{name: "inside one of two windows", controls: Controls{Windows: []Window{night, {From: "11:00", To: "13:00"}}}},
		{name: "the window opens after the hold", controls: Controls{
			Holds:   []Hold{{Domain: "example.com", Until: utc(t, "2026-11-26 08:00")}},
			Windows: []Window{{From: "11:00", To: "13:00"}}},
			why: []string{"on hold", "next change window opens 2026-11-26 11:00 UTC"}, until: "2026-11-26 11:00"},
		{name: "the hold ends in an open window", controls: Controls{
			Holds:   []Hold{{Domain: "example.com", Until: utc(t, "2026-11-25 23:30")}},
			Windows: []Window{night}},
			why: []string{"on hold", "next change window"}, until: "2026-11-25 23:30"},
		{name: "a window that cannot be read never opens", controls: Controls{Windows: []Window{{From: "22", To: "04:00"}}},
			why: []string{"no change window ever opens"}},
		{name: "not approved", controls: Controls{NeedApproval: []string{"activate"}}, step: "activate", key: "k1",
			why: []string{"approval"}},
		{name: "approved", controls: Controls{NeedApproval: []string{"activate"}, Approvals: []Approval{{KeyID: "k1", Step: "activate", By: "ada"}}},
			step: "activate", key: "k1"},
		{name: "approved for another key", controls: Controls{NeedApproval: []string{"activate"}, Approvals: []Approval{{KeyID: "k2", Step: "activate"}}},
			step: "activate", key: "k1", why: []string{"approval"}},
		{name: "approved for another step", controls: Controls{NeedApproval: []string{"activate", "remove"}, Approvals: []Approval{{KeyID: "k1", Step: "remove"}}},
			step: "activate", key: "k1", why: []string{"approval"}},
		{name: "a step that needs no approval", controls: Controls{NeedApproval: []string{"activate"}}, step: "publish", key: "k1"},
		{name: "not approved and outside the window", controls: Controls{NeedApproval: []string{"activate"}, Windows: []Window{night}},
			step: "activate", key: "k1", why: []string{"approval", "window"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			why, until, blocked := tc.controls.Blocked("example.com", tc.step, tc.key, now)
			if blocked != (len(tc.why) > 0) || (why != "") != blocked {
				t.Fatalf("blocked = %v, why %q", blocked, why)
			}
			for _, part := range tc.why {
				if !strings.Contains(why, part) {
					t.Errorf("why %q lacks %q", why, part)
				}
			}
			var want time.Time
			if tc.until != "" {
				want = utc(t, tc.until)
			}
			if !until.Equal(want) {
				t.Errorf("until %v, want %v", until, want)
			}
			if blocked && !until.IsZero() {
				if why, _, still := tc.controls.Blocked("example.com", tc.step, tc.key, until); still {
					t.Errorf("still blocked at until: %s", why)
				}
			}
		})
	}
}

func TestWindow(t *testing.T) {
	weekend := Window{Days: []time.Weekday{time.Saturday, time.Sunday}, From: "22:00", To: "04:00", Zone: "Europe/Berlin"}
	gap := Window{From: "02:15", To: "03:30", Zone: "Europe/Berlin"}
	twice := Window{From: "02:15", To: "02:45", Zone: "Europe/Berlin"}
	overnight := Window{From: "23:00", To: "02:30", Zone: "America/New_York"}
	whole := Window{Days: []time.Weekday{time.Monday}, From: "00:00", To: "24:00"}
	for _, tc := range []struct {
		name   string
		window Window
		at     string
		next   string // "" = open at once
	}{
		{"Friday night belongs to Friday", weekend, "2026-11-27 23:00 +0100", "2026-11-28 22:00 +0100"},
		{"Saturday morning belongs to Friday night", weekend, "2026-11-28 03:00 +0100", "2026-11-28 22:00 +0100"},
		{"opens on the minute", weekend, "2026-11-28 22:00 +0100", ""},
		{"a second before", weekend, "2026-11-28 20:59:59", "2026-11-28 21:00"},
		{"past midnight", weekend, "2026-11-29 01:00 +0100", ""},
		{"Monday morning belongs to Sunday night", weekend, "2026-11-30 03:59 +0100", ""},
		{"closes on the minute", weekend, "2026-11-30 04:00 +0100", "2026-12-05 22:00 +0100"},

		// Clocks go forward in Berlin on 2026-03-29 from 02:00 to 03:00.
		{"the skipped beginning", gap, "2026-03-29 01:59 +0100", "2026-03-29 03:00 +0200"},
		{"the rest after the skip", gap, "2026-03-29 03:10 +0200", ""},
		{"closes by the clock on the wall", gap, "2026-03-29 03:30 +0200", "2026-03-30 02:15 +0200"},
		{"a window that is skipped altogether", twice, "2026-03-29 00:00 +0100", "2026-03-30 02:15 +0200"},
		{"a week ahead across the change", weekend, "2026-03-23 05:00 +0100", "2026-03-28 22:00 +0100"},
		{"the first after the change", weekend, "2026-03-30 05:00 +0200", "2026-04-04 22:00 +0200"},

		// Clocks go back in Berlin on 2026-10-25 from 03:00 to 02:00.
		{"shown for the first time", twice, "2026-10-25 02:20 +0200", ""},
		{"between both", twice, "2026-10-25 02:50 +0200", "2026-10-25 02:15 +0100"},
		{"shown again", twice, "2026-10-25 02:20 +0100", ""},
		{"over for that day", twice, "2026-10-25 02:50 +0100", "2026-10-26 02:15 +0100"},

		// Clocks go back in New York on 2026-11-01 from 02:00 to 01:00.
		{"an hour longer across midnight", overnight, "2026-11-01 02:29 -0500", ""},
		{"closed after it", overnight, "2026-11-01 02:30 -0500", "2026-11-01 23:00 -0500"},

		{"a whole day begins at midnight", whole, "2026-11-29 23:59:59", "2026-11-30 00:00"},
		{"to its last second", whole, "2026-11-30 23:59:59", ""},
		{"and is over", whole, "2026-12-01 00:00", "2026-12-07 00:00"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, err := tc.window.read()
			if err != nil {
				t.Fatal(err)
			}
			now := utc(t, tc.at)
			want := now
			if tc.next != "" {
				want = utc(t, tc.next)
			}
			if open := c.open(now); open != (tc.next == "") {
				t.Errorf("open = %v", open)
			}
			got, ok := c.next(now)
			if !ok || !got.Equal(want) {
				t.Errorf("next = %v, %v; want %v", got.In(c.zone), ok, want.In(c.zone))
			}
		})
	}
}

// The search by arithmetic must agree with looking at every minute of a year, changes of clocks included.
func TestWindowNextAgreesWithEveryMinute(t *testing.T) {
	for _, w := range []Window{
		{Days: []time.Weekday{time.Sunday}, From: "01:30", To: "02:30", Zone: "Europe/Berlin"},
		{From: "23:30", To: "01:45", Zone: "America/New_York"},
		{From: "02:10", To: "02:20", Zone: "Australia/Lord_Howe"}, // changes by half an hour
		{Days: []time.Weekday{time.Friday, time.Saturday}, From: "22:00", To: "04:00", Zone: "Africa/Casablanca"},
	} {
		c, err := w.read()
		if err != nil {
			t.Fatal(err)
		}
		start := utc(t, "2026-01-01 00:00")
		opening := time.Time{}
		for m := 365 * minutesPerDay; m >= 0; m-- {
			now := start.Add(time.Duration(m) * time.Minute)
			if c.open(now) {
				opening = now
			}
			if opening.IsZero() || m%7 != 0 {
				continue // after the last opening of the year; and every seventh minute is enough
			}
			if got, ok := c.next(now); !ok || !got.Equal(opening) {
				t.Fatalf("%v: next(%v) = %v, %v; the minutes say %v", w, now, got, ok, opening)
			}
		}
	}
}

func TestWindowRead(t *testing.T) {
	for _, w := range []Window{
		{From: "", To: "04:00"}, {From: "9:00", To: "10:00"}, {From: "24:00", To: "04:00"}, {From: "22:00", To: "25:00"},
		{From: "22:00", To: "22:00"}, {From: "22:00", To: "23:00", Zone: "Local"}, {From: "22:00", To: "23:00", Zone: "Europe/Nowhere"},
		{From: "22:00", To: "23:00", Zone: "../etc/passwd"}, {From: "22:00", To: "23:00", Days: []time.Weekday{7}},
	} {
		if _, err := w.read(); err == nil {
			t.Errorf("%v was taken", w)
		}
	}
}
