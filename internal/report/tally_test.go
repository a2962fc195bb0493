package report

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTallySigners(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 11, n, 0, 0, 0, 0, time.UTC) }
	mx1, news := Who{Kind: "server", ID: "srv_1", Name: "mx1"}, Who{Kind: "service", ID: "svc_1", Name: "news"}
	g := func(w Who, how Confidence, selector, result string, n int64, dkim, spf bool, org string, first, last int) Group {
		x := Group{Signer: w, How: how, Selector: selector, Result: result, Messages: n, DKIM: dkim, SPF: spf, Org: org, Reporter: ReporterOf(org), Vouched: true, First: day(first), Last: day(last)}
		if selector != "" {
			x.SigningDomain = "example.org"
		}
		return x
	}
	stranger := g(mx1, Exact, "a", "fail", 1000, false, false, "liar.example", 1, 20)
	stranger.Vouched = false
	signers, reporters := TallySigners([]Group{
		g(mx1, Exact, "a", "pass", 10, true, true, "one.example", 3, 5),
		g(mx1, Exact, "a", "fail", 2, false, true, "two.example", 2, 4),
		g(mx1, Exact, "b", "pass", 30, true, false, "one.example", 6, 6),
		g(mx1, Inferred, "", "", 7, false, false, "one.example", 6, 7),
		g(news, Exact, "s1", "pass", 7, true, false, "two.example", 6, 6),
		g(Who{}, Unknown, "", "", 100, false, false, "two.example", 6, 6),
		stranger,
	})
	want := []SignerTally{
		{Who{}, Unknown, Tally{Messages: 100}, []SelectorTally{{Messages: 100, Reporters: 1, First: day(6), Last: day(6)}}},
		{mx1, Exact, Tally{Messages: 42, DKIM: 40, SPF: 12, DMARC: 42}, []SelectorTally{
			{Domain: "example.org", Selector: "b", Messages: 30, Passed: 30, Reporters: 1, First: day(6), Last: day(6)},
			{Domain: "example.org", Selector: "a", Messages: 12, Passed: 10, Reporters: 2, First: day(2), Last: day(5)},
		}},
		{mx1, Inferred, Tally{Messages: 7}, []SelectorTally{{Messages: 7, Reporters: 1, First: day(6), Last: day(7)}}},
		{news, Exact, Tally{Messages: 7, DKIM: 7, DMARC: 7}, []SelectorTally{{Domain: "example.org", Selector: "s1", Messages: 7, Passed: 7, Reporters: 1, First: day(6), Last: day(6)}}},
	}
	if d := cmp.Diff(want, signers); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff([]string{"two.example", "one.example"}, reporters); d != "" {
		t.Error(d)
	}
}

func TestTallyDays(t *testing.T) {
	first, second := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)
	days, sum, unvouched := TallyDays([]Count{
		{Day: first, Vouched: true, Messages: 10, BothPass: 4, OnlyDKIM: 3, OnlySPF: 2},
		{Day: first, Messages: 99, BothPass: 99},
		{Day: second, Vouched: true, Messages: 5, OnlySPF: 5},
	})
	want := []DayTally{{first, Tally{10, 7, 6, 9}}, {second, Tally{5, 0, 5, 5}}}
	if d := cmp.Diff(want, days); d != "" {
		t.Error(d)
	}
	if sum != (Tally{15, 7, 11, 14}) || unvouched != 99 {
		t.Errorf("%+v, %d", sum, unvouched)
	}
}

// A source is new only when everything that came before is known.
func TestNewIn(t *testing.T) {
	at := func(last byte, reports int) SeenSource {
		return SeenSource{Source: netip.AddrFrom4([4]byte{192, 0, 2, last}), Reports: reports}
	}
	for name, c := range map[string]struct {
		before Sources
		of     SeenSource
		want   bool
	}{
		"seen before":                        {Sources{Top: []SeenSource{at(1, 1), at(2, 1)}, Count: 2}, at(2, 1), false},
		"not seen before":                    {Sources{Top: []SeenSource{at(1, 1), at(2, 1)}, Count: 2}, at(3, 1), true},
		"only unvouched before":              {Sources{Top: []SeenSource{at(1, 1), at(2, 0)}, Count: 2}, at(2, 1), true},
		"only unvouched now":                 {Sources{Top: []SeenSource{at(1, 1)}, Count: 1}, at(2, 0), false},
		"nothing before":                     {Sources{}, at(1, 1), false},
		"not all vouched before are known":   {Sources{Top: []SeenSource{at(1, 1)}, Count: 2}, at(3, 1), false},
		"all vouched before are known":       {Sources{Top: []SeenSource{at(1, 1), at(2, 0)}, Count: 9}, at(3, 1), true},
		"nothing that is vouched for before": {Sources{Top: []SeenSource{at(1, 0)}, Count: 1}, at(3, 1), false},
	} {
		if got := NewIn(c.before)(&c.of); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// A share is never rounded up to all, nor down to none.
func TestShare(t *testing.T) {
	for _, c := range []struct {
		part, whole int64
		want        string
	}{{99_999, 100_000, "99.9 %"}, {0, 0, "–"}, {5, 5, "100 %"}, {1, 100_000, "0.1 %"}, {0, 5, "0 %"}, {1, 3, "33.3 %"}} {
		if got := Share(c.part, c.whole); got != c.want {
			t.Errorf("%d of %d is %s, want %s", c.part, c.whole, got, c.want)
		}
	}
}
