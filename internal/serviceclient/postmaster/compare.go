package postmaster

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// Limits of what counts as a disagreement.
const (
	// Tolerance is the least difference that is named: days may begin at different hours on both sides, and Google rounds.
	Tolerance = 0.02
	// MinMessages is the least number of messages of a day whose shares are compared: below it one message is more than Tolerance.
	MinMessages = 50
	// ManyMessages is from how many messages on a day is expected to have figures of Google, which leaves days with little mail out.
	ManyMessages = 1000
	// sigmas is how many standard deviations of chance a difference must have.
	sigmas = 3
)

// Reported is what the aggregate reports of google.com say of a domain and a day.
type Reported struct {
	Date     time.Time
	Messages uint64
	// DKIMTried had a signature, whoever's; DKIMPassed one that verified. SPFTried had a result other than none.
	DKIMTried, DKIMPassed uint64
	SPFTried, SPFPassed   uint64
	// Authenticated passed DKIM or SPF, aligned or not; Aligned passed DMARC.
	Authenticated, Aligned uint64
}

// Disagreement is one figure in which Postmaster Tools and the reports differ.
type Disagreement struct {
	Domain string // of Postmaster Tools
	Date   time.Time
	// What is "dkim", "spf" or "dmarc"; "no_report" when only Google's tools know of the day, "no_figures" when only the reports do.
	What     string
	Tools    float64 // shares, for the first three
	Reports  float64
	Messages uint64 // of the reports, that the share is of
	Message  string // a sentence for people
}

// Compare lays the figures of Postmaster Tools about a domain beside those of the reports of the same days and names what differs by more than chance, by date. Days of the last
// two before now are passed over where one side is missing: both come late. Neither side proves anything alone: both are what one receiver says.
func Compare(domain string, tools []Day, reports []Reported, now time.Time) (found []Disagreement) {
	byDate := map[time.Time]Reported{}
	for _, r := range reports {
		d := dateOf(r.Date)
		byDate[d] = byDate[d].and(r)
	}
	known := map[time.Time]bool{}
	late := dateOf(now).AddDate(0, 0, -2)
	for _, day := range tools {
		date := dateOf(day.Date)
		if known[date] {
			continue
		}
		known[date] = true
		r, reported := byDate[date]
		if !reported || r.Messages == 0 {
			if date.Before(late) && day.says() {
				found = append(found, Disagreement{Date: date, What: "no_report",
					Message: fmt.Sprintf("Gmail had mail of %s on %s, and no report of google.com about that day has arrived: see whether reports get through", domain, date.Format(time.DateOnly))})
			}
			continue
		}
		found = append(found, r.against(day, date)...)
	}
	for date, r := range byDate {
		if !known[date] && r.Messages >= ManyMessages && date.Before(late) {
			found = append(found, Disagreement{Date: date, What: "no_figures", Messages: r.Messages,
				Message: fmt.Sprintf("google.com reports %d messages of %s on %s, and Postmaster Tools has no figures: mail may be signed in the name of another domain", r.Messages, domain, date.Format(time.DateOnly))})
		}
	}
	for i := range found {
		found[i].Domain = domain
	}
	slices.SortFunc(found, func(a, b Disagreement) int {
		if c := a.Date.Compare(b.Date); c != 0 {
			return c
		}
		return strings.Compare(a.What, b.What)
	})
	return found
}

// says reports whether Google knows anything of the day.
func (d Day) says() bool {
	return d.DKIM != nil || d.SPF != nil || d.DMARC != nil || d.Spam != nil || len(d.Errors) > 0
}

// and adds the figures of two reports about one day.
func (r Reported) and(o Reported) Reported {
	return Reported{
		Date: o.Date, Messages: r.Messages + o.Messages, DKIMTried: r.DKIMTried + o.DKIMTried, DKIMPassed: r.DKIMPassed + o.DKIMPassed,
		SPFTried: r.SPFTried + o.SPFTried, SPFPassed: r.SPFPassed + o.SPFPassed, Authenticated: r.Authenticated + o.Authenticated, Aligned: r.Aligned + o.Aligned,
	}
}

// against compares one day.
func (r Reported) against(day Day, date time.Time) (found []Disagreement) {
	for _, x := range []struct {
		what, name   string
		tools        *float64
		passed, of   uint64
		fewer, other string // what it can mean that the reports show less, or Google does
	}{
		{"dkim", "DKIM", day.DKIM, r.DKIMPassed, r.DKIMTried,
			"the reports count spoofed and broken mail that Google leaves out: look at the sources that fail",
			"Gmail sees signatures fail that its reports do not show: reports may be missing"},
		{"spf", "SPF", day.SPF, r.SPFPassed, r.SPFTried,
			"the reports count spoofed and forwarded mail that Google leaves out: look at the sources that fail",
			"Gmail sees SPF fail where its reports do not: reports may be missing"},
		{"dmarc", "DMARC", day.DMARC, r.Aligned, r.Authenticated,
			"mail passes under other domains in the reports: a service that signs with its own, or a mailing list",
			"Gmail sees less mail aligned than its reports show: reports may be missing"},
	} {
		if x.tools == nil || x.of < MinMessages {
			continue
		}
		passed := min(x.passed, x.of)
		reports := float64(passed) / float64(x.of)
		if !differ(*x.tools, reports, x.of) {
			continue
		}
		why := x.other
		if reports < *x.tools {
			why = x.fewer
		}
		found = append(found, Disagreement{Date: date, What: x.what, Tools: *x.tools, Reports: reports, Messages: x.of,
			Message: fmt.Sprintf("%s of %s on %s: %s passed in Postmaster Tools, %s of %d messages in the reports of google.com: %s",
				x.name, day.Domain, date.Format(time.DateOnly), percent(*x.tools), percent(reports), x.of, why)})
	}
	return found
}

// differ reports whether two shares differ by more than Tolerance and by more than chance makes of so many messages.
func differ(a, b float64, messages uint64) bool {
	p := (a + b) / 2
	chance := sigmas * math.Sqrt(p*(1-p)/float64(messages))
	return math.Abs(a-b) > max(Tolerance, chance)
}

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }
