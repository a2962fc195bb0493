package postmaster_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postseal/postseal/internal/serviceclient/postmaster"
)

// Only what both sides could know is compared.
func TestWitnessComparesWhatItCan(t *testing.T) {
	asked := postmaster.Asked{Domain: "example.org", Since: date(5), Until: date(20)}
	always := func(time.Time) bool { return true }
	report := func(n int, messages, aligned uint64) postmaster.Reported {
		return postmaster.Reported{Date: date(n), Messages: messages, DKIMTried: messages, DKIMPassed: messages, Authenticated: messages, Aligned: aligned}
	}
	tools := func(n int, dmarc float64) postmaster.Day {
		return postmaster.Day{Domain: "example.org", Date: date(n), DMARC: share(dmarc)}
	}
	for name, c := range map[string]struct {
		days     []postmaster.Day
		reports  []postmaster.Reported
		expected func(time.Time) bool
		want     []string
	}{
		"less aligned in the reports":       {[]postmaster.Day{tools(10, 1)}, []postmaster.Reported{report(10, 1000, 500)}, always, []string{"10 dmarc"}},
		"more, of a part of the mail":       {[]postmaster.Day{tools(10, 0.5)}, []postmaster.Reported{report(10, 1000, 1000)}, always, nil},
		"before the first day that we know": {nil, []postmaster.Reported{report(4, 5000, 5000), report(5, 5000, 5000)}, always, []string{"5 no_figures"}},
		"after the last one":                {nil, []postmaster.Reported{report(20, 5000, 5000)}, always, nil},
		"no report":                         {[]postmaster.Day{tools(10, 1)}, nil, always, []string{"10 no_report"}},
		"no report that would be there":     {[]postmaster.Day{tools(10, 1)}, nil, func(day time.Time) bool { return !day.Equal(date(10)) }, nil},
	} {
		var w postmaster.Witness
		w.Add(asked, c.days, c.reports, c.expected, date(30))
		var got []string
		for _, d := range w.Disagreements {
			got = append(got, fmt.Sprintf("%d %s", d.Date.Day(), d.What))
		}
		if diff := cmp.Diff(c.want, got); diff != "" || len(w.Days) != len(c.days) {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestWitnessJudges(t *testing.T) {
	now := date(20).Add(7 * time.Hour)
	spam := func(domain string, n int, v float64) postmaster.Beside {
		return postmaster.Beside{Day: postmaster.Day{Domain: domain, Date: date(n), Spam: share(v)}}
	}
	unsaid := postmaster.Beside{Day: postmaster.Day{Domain: "example.org", Date: date(18)}}
	for name, c := range map[string]struct {
		w    postmaster.Witness
		want []string // id, subject, a warning?, the first day, a part of the message
	}{
		"nothing":                {postmaster.Witness{}, nil},
		"Google does not say":    {postmaster.Witness{Days: []postmaster.Beside{unsaid}}, nil},
		"below the target":       {postmaster.Witness{Days: []postmaster.Beside{spam("example.org", 18, 0.00099)}}, nil},
		"at the target":          {postmaster.Witness{Days: []postmaster.Beside{spam("example.org", 18, 0.001)}}, []string{"GPT-01 example.org false 18 called 0.1 % of"}},
		"below the limit":        {postmaster.Witness{Days: []postmaster.Beside{spam("example.org", 18, 0.00299)}}, []string{"GPT-01 example.org false 18 called 0.299 % of"}},
		"at the limit":           {postmaster.Witness{Days: []postmaster.Beside{spam("example.org", 18, 0.003)}}, []string{"GPT-01 example.org true 18 and takes 0.3 % for too much"}},
		"the worst of many days": {postmaster.Witness{Days: []postmaster.Beside{spam("example.org", 12, 0.002), spam("example.org", 13, 0.01), unsaid, spam("example.org", 17, 0.0001)}}, []string{"GPT-01 example.org true 12 called 1 % of the mail of example.org in their inboxes spam on 2026-11-13, and at least 0.1 % on 2 days"}},
		"long ago":               {postmaster.Witness{Days: []postmaster.Beside{spam("example.org", 9, 0.9), spam("example.org", 10, 0.002)}}, []string{"GPT-01 example.org false 10 0.2 %"}},
		"each domain": {postmaster.Witness{Days: []postmaster.Beside{spam("b.example.org", 18, 0.001), spam("a.example.org", 18, 0.9)}},
			[]string{"GPT-01 a.example.org true 18 90 %", "GPT-01 b.example.org false 18 0.1 %"}},
		"disagreements": {postmaster.Witness{Disagreements: []postmaster.Disagreement{{Domain: "example.org", Date: date(9), Message: "old"}, {Domain: "example.org", Date: date(12), Message: "first"},
			{Domain: "a.example.org", Date: date(13), Message: "another"}, {Domain: "example.org", Date: date(15), Message: "newest"}}},
			[]string{"GPT-02 example.org false 12 newest", "GPT-02 a.example.org false 13 another"}},
	} {
		found := c.w.Judge(now)
		if len(found) != len(c.want) {
			t.Errorf("%s: %+v", name, found)
			continue
		}
		for i, f := range found {
			head := fmt.Sprintf("%s %s %t %d ", f.ID, f.Subject, f.Warning, f.Since.Day())
			if said, ok := strings.CutPrefix(c.want[i], head); !ok || !strings.Contains(f.Message, said) || f.Fix == "" {
				t.Errorf("%s: %s%s, want %s", name, head, f.Message, c.want[i])
			}
		}
	}
}
