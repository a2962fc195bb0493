package report

import (
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/postseal/postseal/dmarc"
)

var noon = time.Date(2026, 5, 20, 12, 0, 0, 0, time.UTC)

func sumOf(cells []Cell) (n int64) {
	for _, c := range cells {
		n = plus(n, c.Messages)
	}
	return n
}

// TestCells: rows that fared alike and come from the same source are one cell, others are not.
func TestCells(t *testing.T) {
	d := NewDirectory(organisation(t))
	row := func(result string, pass dmarc.Result, human string) Shape {
		x := sig("example.com", "mx1-2605abcd", result)
		x.Human = human
		return Shape{Row: dmarc.Row{HeaderFrom: "example.com", DKIM: pass, SPF: dmarc.Fail, Disposition: "none", DKIMResults: []dmarc.DKIMResult{x}, Reasons: []dmarc.Reason{{Type: "mailing_list"}, {Type: "other"}}}}
	}
	ip := netip.MustParseAddr
	f := Facts{Type: Aggregate, Domain: "example.com", Ours: "example.com", Begin: day(12), End: day(13).Add(-time.Second),
		Shapes: []Shape{row("pass", dmarc.Pass, ""), row("pass", dmarc.Pass, "good"), row("fail", dmarc.Fail, "body hash did not verify")},
		Rows:   []Row{{0, ip("192.0.2.1"), 3}, {1, ip("192.0.2.1"), 4}, {0, ip("2001:db8::1"), 1}, {0, ip("100.64.0.1"), 10}, {0, ip("100.64.0.2"), 20}, {2, ip("192.0.2.1"), 5}, {0, ip("192.0.2.2"), 0}}}
	cells, problem := Cells(&f, d, noon)
	mx1 := who(d, "mx1")
	base := Cell{Day: day(12), HeaderFrom: "example.com", SigningDomain: "example.com", Selector: "mx1-2605abcd", Result: "pass", Signer: mx1, How: Exact, KeyID: "k1", DKIM: true, Disposition: "none", Reason: "mailing_list"}
	home, forwarded, broken := base, base, base
	home.Source, home.Messages = mx1, 8
	forwarded.Messages = 30
	broken.Source, broken.Messages, broken.Result, broken.DKIM, broken.Cause = mx1, 5, "fail", false, BodyChanged
	want := []Cell{home, forwarded, broken}
	if problem != "" || len(cells) != len(want) {
		t.Fatalf("%+v, %q", cells, problem)
	}
	for i := range want {
		if cells[i] != want[i] {
			t.Errorf("%+v\nwant %+v", cells[i], want[i])
		}
	}
	for _, other := range []Facts{{Type: Failure, Begin: day(1)}, {Type: TLS}, {Type: Aggregate, Problem: "it is none"}} {
		if cells, problem := Cells(&other, d, noon); cells != nil || problem != "" {
			t.Errorf("%s: %v, %q", other.Type, cells, problem)
		}
	}
}

// TestDays: a report's messages are counted for the days that it is of, and for none where its dates cannot be.
func TestDays(t *testing.T) {
	at := func(s string) time.Time {
		x, err := time.Parse("2006-01-02 15:04:05", s)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	for _, c := range []struct{ name, begin, end, want string }{
		{"a day", "2026-05-12 00:00:00", "2026-05-12 23:59:59", "12:100"},
		{"to the next midnight", "2026-05-12 00:00:00", "2026-05-13 00:00:00", "12:100"},
		{"a day of local time", "2026-05-12 07:00:00", "2026-05-13 06:59:59", "12:100"},
		{"the other way", "2026-05-11 17:00:00", "2026-05-12 16:59:59", "12:100"},
		{"half and half", "2026-05-12 12:00:00", "2026-05-13 11:59:59", "12:100"},
		{"25 hours", "2026-05-12 00:00:00", "2026-05-13 00:59:59", "12:100"},
		{"more", "2026-05-12 00:00:00", "2026-05-13 11:59:59", "12:67 13:33"},
		{"a week", "2026-05-12 00:00:00", "2026-05-18 23:59:59", "12:15 13:15 14:14 15:14 16:14 17:14 18:14"},
		{"swapped", "2026-05-12 23:59:59", "2026-05-12 00:00:00", "12:100"},
		{"an hour", "2026-05-12 22:30:00", "2026-05-12 23:30:00", "12:100"},
		{"no begin", "1970-01-01 00:00:00", "2026-05-12 23:59:59", "12:100"},
		{"neither", "1970-01-01 00:00:00", "1970-01-01 00:00:00", "it does not say of which time"},
		{"1970", "1970-01-01 10:00:00", "1970-01-02 10:00:00", "it is of the time from 1970-01-01 10:00"},
		{"2100", "2100-01-01 00:00:00", "2100-01-01 23:59:59", "it is of the time from 2100-01-01"},
		{"a clock ahead", "2026-05-21 00:00:00", "2026-05-21 23:59:59", "21:100"},
		{"too far ahead", "2026-05-22 00:00:00", "2026-05-22 23:59:59", "it is of the time"},
		{"a quarter", "2026-01-01 00:00:00", "2026-03-31 23:59:59", "it is of 89 days"},
	} {
		f := Facts{Type: Aggregate, Domain: "example.com", Begin: at(c.begin), End: at(c.end), Shapes: []Shape{{}}, Rows: []Row{{Count: 100}}}
		cells, problem := Cells(&f, NewDirectory(Roll{}), noon)
		var got []string
		for _, x := range cells {
			got = append(got, fmt.Sprintf("%d:%d", x.Day.Day(), x.Messages))
			if x.Day != midnight(x.Day) {
				t.Errorf("%s: %s is no midnight", c.name, x.Day)
			}
		}
		if text := strings.Join(got, " ") + problem; !strings.HasPrefix(text, c.want) || problem == "" && sumOf(cells) != 100 {
			t.Errorf("%s: %s", c.name, text)
		}
	}
}

// TestCellsBounded: a report that makes names up costs a bounded number of cells, keeps every message, and ours are told apart for longest.
func TestCellsBounded(t *testing.T) {
	d := NewDirectory(organisation(t))
	const rows = 50_000
	report := func(begin, end time.Time, shape func(i int) dmarc.Row) *Facts {
		f := &Facts{Type: Aggregate, Domain: "example.com", Ours: "example.com", Begin: begin, End: end}
		for i := range rows {
			f.Shapes = append(f.Shapes, Shape{Row: shape(i)})
			f.Rows = append(f.Rows, Row{Shape: i, Source: netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), Count: int64(i%7 + 1)})
			f.Messages += int64(i%7 + 1)
		}
		return f
	}
	word := func(i, n int, words ...string) string { return words[i/n%len(words)] }
	for _, c := range []struct {
		name  string
		shape func(i int) dmarc.Row
		days  int
		level int
		check func(x Cell) bool // what must hold of some cell
	}{
		{"From domains", func(i int) dmarc.Row {
			return dmarc.Row{HeaderFrom: word(i, 1, "example.com", fmt.Sprint(i, ".example.com")), DKIMResults: []dmarc.DKIMResult{sig("example.com", "mx1-2605abcd", "pass")}}
		}, 1, 1, func(x Cell) bool { return x.HeaderFrom == "example.com" && x.KeyID == "k1" }},
		{"selectors", func(i int) dmarc.Row {
			return dmarc.Row{HeaderFrom: "example.com", DKIMResults: []dmarc.DKIMResult{sig("example.com", word(i, 1, "mx1-2605abcd", fmt.Sprint("s", i)), "fail")}}
		}, 1, 3, func(x Cell) bool { return x.Selector == "mx1-2605abcd" && x.KeyID == "k1" }},
		{"signing domains, a week", func(i int) dmarc.Row {
			return dmarc.Row{HeaderFrom: fmt.Sprint(i), DKIMResults: []dmarc.DKIMResult{sig(fmt.Sprint("d", i, ".example"), fmt.Sprint("s", i), fmt.Sprint("r", i))}}
		}, 7, 3, func(x Cell) bool { return x.Source.ID == "mx1" }},
		{"every word, a month", func(i int) dmarc.Row {
			return dmarc.Row{HeaderFrom: fmt.Sprint(i), Disposition: word(i, 1, "none", "pass", "reject", "quarantine"), DKIM: dmarc.Result(word(i, 4, "pass", "fail")), SPF: dmarc.Result(word(i, 8, "pass", "fail")),
				Reasons:     []dmarc.Reason{{Type: word(i, 16, "local_policy", "mailing_list", "other", "trusted_forwarder", "forwarded", "x")}},
				DKIMResults: []dmarc.DKIMResult{sig("example.com", fmt.Sprint(i), word(i, 96, "pass", "fail", "permerror", "neutral", "temperror", "policy"))}}
		}, 31, 5, func(x Cell) bool { return x.DKIM && !x.SPF }},
	} {
		f := report(day(1).AddDate(0, 0, -31), day(1).AddDate(0, 0, c.days-31).Add(-time.Second), c.shape)
		cells, problem := Cells(f, d, noon)
		if len(cells) > maxCells || sumOf(cells) != f.Messages {
			t.Errorf("%s: %d cells, %d messages of %d", c.name, len(cells), sumOf(cells), f.Messages)
		}
		if !strings.HasSuffix(problem, foldings()[c.level]) {
			t.Errorf("%s: %q", c.name, problem)
		}
		found := false
		for _, x := range cells {
			found = found || c.check(x)
		}
		if !found {
			t.Errorf("%s: what should be told apart is not", c.name)
		}
	}
}

// TestCellsKeepTheSum: whatever a report says, no message is lost or made up.
func TestCellsKeepTheSum(t *testing.T) {
	d := NewDirectory(organisation(t))
	rapid.Check(t, func(t *rapid.T) {
		pick := func(name string, words ...string) string { return rapid.SampledFrom(words).Draw(t, name) }
		f := Facts{Type: Aggregate, Domain: "example.com", Ours: "example.com", Begin: noon.Add(-time.Duration(rapid.Int64Range(0, 40*86400).Draw(t, "begin")) * time.Second)}
		f.End = f.Begin.Add(time.Duration(rapid.Int64Range(-86400, 36*86400).Draw(t, "length")) * time.Second)
		for range rapid.IntRange(1, 6).Draw(t, "shapes") {
			row := dmarc.Row{HeaderFrom: pick("from", "example.com", "shop.example.com", ""), DKIM: dmarc.Result(pick("dkim", "pass", "fail", "")), Disposition: pick("disposition", "none", "reject", "?")}
			for range rapid.IntRange(0, 3).Draw(t, "signatures") {
				row.DKIMResults = append(row.DKIMResults, sig(pick("d", "example.com", "other.example", ""), pick("s", "mx1-2605abcd", "slot", "x", ""), pick("r", "pass", "fail", "hardfail", "")))
			}
			f.Shapes = append(f.Shapes, Shape{Row: row})
		}
		var want int64
		for range rapid.IntRange(0, 12).Draw(t, "rows") {
			r := Row{Shape: rapid.IntRange(0, len(f.Shapes)-1).Draw(t, "shape"), Count: rapid.OneOf(rapid.Int64Range(0, 9), rapid.Int64Range(0, 1<<40)).Draw(t, "count")}
			if a, err := netip.ParseAddr(pick("ip", "192.0.2.1", "198.51.100.9", "203.0.113.70", "100.64.0.1", "2001:db8::1", "")); err == nil {
				r.Source = a
			}
			f.Rows = append(f.Rows, r)
			want += r.Count
		}
		cells, problem := Cells(&f, d, noon)
		if problem != "" {
			if cells != nil || !strings.HasSuffix(problem, "not counted") {
				t.Fatalf("%d cells, and %q", len(cells), problem)
			}
			return
		}
		if sumOf(cells) != want {
			t.Fatalf("%d messages in cells, %d in rows", sumOf(cells), want)
		}
		first, last := f.Begin, f.End
		if last.Before(first) {
			first, last = last, first
		}
		for _, c := range cells {
			if c.Messages <= 0 || c.Day.Before(midnight(first)) || c.Day.After(midnight(last)) {
				t.Fatalf("%+v is none of %s to %s", c, first, last)
			}
		}
	})
}

// TestCellsOfBadCounts: what is below zero is left out and said, and sums do not overflow.
func TestCellsOfBadCounts(t *testing.T) {
	f := Facts{Type: Aggregate, Domain: "example.com", Begin: day(12), End: day(12), Shapes: []Shape{{}}, Rows: []Row{{Count: -5}, {Count: 7}, {Count: 0}, {Shape: 3, Count: 1}}}
	cells, problem := Cells(&f, NewDirectory(Roll{}), noon)
	if sumOf(cells) != 7 || !strings.Contains(problem, "2 of its records") {
		t.Errorf("%+v, %q", cells, problem)
	}
	f.Rows = []Row{{Count: math.MaxInt64}, {Count: math.MaxInt64}}
	if cells, _ := Cells(&f, NewDirectory(Roll{}), noon); len(cells) != 1 || cells[0].Messages != math.MaxInt64 {
		t.Errorf("%+v", cells)
	}
}

// FuzzDivide: shares add up, and none is negative.
func FuzzDivide(f *testing.F) {
	f.Add(int64(100), uint32(86400), uint32(1), uint32(7))
	f.Add(int64(math.MaxInt64), uint32(1), uint32(86400), uint32(86400))
	f.Fuzz(func(t *testing.T, n int64, a, b, c uint32) {
		if n < 0 {
			return
		}
		days := []share{{seconds: uint64(a) + 1}, {seconds: uint64(b)}, {seconds: uint64(c)}}
		parts := make([]int64, 3)
		divide(n, days, parts)
		var sum int64
		for _, p := range parts {
			if p < 0 {
				t.Fatal(parts)
			}
			sum += p
		}
		if sum != n {
			t.Fatalf("%v of %d", parts, n)
		}
	})
}

// BenchmarkCells: a report of 100,000 rows from as many addresses in 300 shapes, with a directory of a large organisation.
func BenchmarkCells(b *testing.B) {
	roll := organisation(b)
	for i := range 100_000 {
		roll.Keys = append(roll.Keys, KnownKey{ID: fmt.Sprint("k", i), Domain: "example.com", Selector: fmt.Sprint("sel", i), SignerID: "mx1", From: day(1)})
	}
	d := NewDirectory(roll)
	f := Facts{Type: Aggregate, Domain: "example.com", Ours: "example.com", Begin: day(12), End: day(13)}
	for i := range 300 {
		f.Shapes = append(f.Shapes, Shape{Row: dmarc.Row{HeaderFrom: "example.com", DKIM: dmarc.Pass, SPF: dmarc.Fail, Disposition: "none",
			DKIMResults: []dmarc.DKIMResult{sig("example.com", fmt.Sprint("sel", i), "pass")}, SPFResults: []dmarc.SPFResult{{Domain: "example.com", Result: "pass"}}}})
	}
	for i := range 100_000 {
		f.Rows = append(f.Rows, Row{Shape: i % 300, Source: netip.AddrFrom4([4]byte{byte(192 + i>>16), byte(i >> 8), byte(i), 1}), Count: 1})
	}
	b.ReportAllocs()
	for b.Loop() {
		if cells, _ := Cells(&f, d, noon); sumOf(cells) != 100_000 {
			b.Fatal("messages are missing")
		}
	}
	b.ReportMetric(float64(b.N*len(f.Rows))/b.Elapsed().Seconds(), "rows/s")
}
