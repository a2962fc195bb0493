package postmaster_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postseal/postseal/internal/serviceclient/postmaster"
)

func TestCompare(t *testing.T) {
	day := func(n int, dkim, spf, dmarc float64) postmaster.Day {
		return postmaster.Day{Domain: "example.org", Date: date(n), DKIM: share(dkim), SPF: share(spf), DMARC: share(dmarc)}
	}
	report := func(n int, messages, dkim, spf, aligned uint64) postmaster.Reported {
		return postmaster.Reported{Date: date(n), Messages: messages, DKIMTried: messages, DKIMPassed: dkim, SPFTried: messages, SPFPassed: spf, Authenticated: messages, Aligned: aligned}
	}
	now := date(20)
	tests := map[string]struct {
		tools   []postmaster.Day
		reports []postmaster.Reported
		want    []string // day, what, the shares
	}{
		"nothing":                       {nil, nil, nil},
		"the same":                      {[]postmaster.Day{day(10, 1, 0.99, 0.98)}, []postmaster.Reported{report(10, 1000, 1000, 990, 980)}, nil},
		"rounded":                       {[]postmaster.Day{day(10, 1, 1, 1)}, []postmaster.Reported{report(10, 100_000, 98_100, 98_100, 98_100)}, nil},
		"spoofed mail in the reports":   {[]postmaster.Day{day(10, 1, 1, 1)}, []postmaster.Reported{report(10, 1000, 900, 1000, 1000)}, []string{"10 dkim 1.000 0.900"}},
		"Google sees signatures fail":   {[]postmaster.Day{day(10, 0.5, 1, 1)}, []postmaster.Reported{report(10, 1000, 1000, 1000, 1000)}, []string{"10 dkim 0.500 1.000"}},
		"all three":                     {[]postmaster.Day{day(10, 0.5, 0.5, 0.5)}, []postmaster.Reported{report(10, 1000, 1000, 1000, 1000)}, []string{"10 dkim 0.500 1.000", "10 dmarc 0.500 1.000", "10 spf 0.500 1.000"}},
		"a difference by chance":        {[]postmaster.Day{day(10, 0.9, 1, 1)}, []postmaster.Reported{report(10, 100, 83, 100, 100)}, nil},
		"the same of more mail":         {[]postmaster.Day{day(10, 0.9, 1, 1)}, []postmaster.Reported{report(10, 10_000, 8300, 10_000, 10_000)}, []string{"10 dkim 0.900 0.830"}},
		"too few messages":              {[]postmaster.Day{day(10, 1, 1, 1)}, []postmaster.Reported{report(10, 49, 0, 0, 0)}, nil},
		"two reports of a day":          {[]postmaster.Day{day(10, 0.5, 1, 1)}, []postmaster.Reported{report(10, 500, 500, 500, 500), report(10, 500, 0, 500, 500)}, nil},
		"more passed than tried":        {[]postmaster.Day{day(10, 1, 1, 1)}, []postmaster.Reported{report(10, 100, 1000, 1000, 1000)}, nil},
		"no share":                      {[]postmaster.Day{{Domain: "example.org", Date: date(10)}}, []postmaster.Reported{report(10, 1000, 0, 0, 0)}, nil},
		"no report":                     {[]postmaster.Day{day(10, 1, 1, 1), day(11, 1, 1, 1)}, []postmaster.Reported{report(11, 100, 100, 100, 100)}, []string{"10 no_report 0.000 0.000"}},
		"an empty report":               {[]postmaster.Day{day(10, 1, 1, 1)}, []postmaster.Reported{{Date: date(10)}}, []string{"10 no_report 0.000 0.000"}},
		"a report that may still come":  {[]postmaster.Day{day(18, 1, 1, 1), day(19, 1, 1, 1)}, nil, nil},
		"a day that says nothing":       {[]postmaster.Day{{Domain: "example.org", Date: date(10)}}, nil, nil},
		"no figures of much mail":       {nil, []postmaster.Reported{report(10, 1000, 0, 0, 0)}, []string{"10 no_figures 0.000 0.000"}},
		"no figures of little mail":     {nil, []postmaster.Reported{report(10, 999, 0, 0, 0)}, nil},
		"figures that may still come":   {nil, []postmaster.Reported{report(19, 5000, 0, 0, 0)}, nil},
		"a day twice":                   {[]postmaster.Day{day(10, 0.5, 1, 1), day(10, 0.1, 0.1, 0.1)}, []postmaster.Reported{report(10, 1000, 1000, 1000, 1000)}, []string{"10 dkim 0.500 1.000"}},
		"in the order of days":          {[]postmaster.Day{day(12, 0.5, 1, 1), day(10, 0.5, 1, 1)}, []postmaster.Reported{report(12, 1000, 1000, 1000, 1000), report(10, 1000, 1000, 1000, 1000), report(11, 2000, 0, 0, 0)}, []string{"10 dkim 0.500 1.000", "11 no_figures 0.000 0.000", "12 dkim 0.500 1.000"}},
		"a time of the day is no other": {[]postmaster.Day{day(10, 1, 1, 1)}, []postmaster.Reported{{Date: date(10).Add(23 * 3600e9), Messages: 100, DKIMTried: 100, DKIMPassed: 100}}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, d := range postmaster.Compare("example.org", tt.tools, tt.reports, now) {
				if d.Domain != "example.org" {
					t.Errorf("it is about %q", d.Domain)
				}
				got = append(got, fmt.Sprintf("%d %s %.3f %.3f", d.Date.Day(), d.What, d.Tools, d.Reports))
				if !strings.Contains(d.Message, d.Date.Format("2006-01-02")) {
					t.Errorf("the sentence does not name the day: %s", d.Message)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	all := postmaster.Compare("example.org", []postmaster.Day{day(10, 1, 0.5, 1)}, []postmaster.Reported{report(10, 1000, 800, 1000, 1000)}, now)
	want := []string{
		"DKIM of example.org on 2026-11-10: 100.0 % passed in Postmaster Tools, 80.0 % of 1000 messages in the reports of google.com: the reports count spoofed and broken mail that Google leaves out: look at the sources that fail",
		"SPF of example.org on 2026-11-10: 50.0 % passed in Postmaster Tools, 100.0 % of 1000 messages in the reports of google.com: Gmail sees SPF fail where its reports do not: reports may be missing",
	}
	for i, w := range want {
		if i >= len(all) || all[i].Message != w {
			t.Errorf("got %+v, want %s", all, w)
		}
	}
}
