package postmaster

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Asked is what became of asking about a domain.
type Asked struct {
	Domain string    // of Postmaster Tools; "" = the account itself: its domains were asked for
	At     time.Time // the last time
	// Since and Until are the first day that was asked for and the one after the last: what Google had of them is stored. Zero = nothing is.
	Since, Until time.Time
	// Problem says why there are no figures, with what to do in Hint; "" = none.
	Problem, Hint string
}

// Beside is a day with what the reports of google.com say of the same one.
type Beside struct {
	Day
	Reported Reported // no Messages: none came
}

// Witness is everything that Postmaster Tools say of a domain of the inventory and the names below it.
type Witness struct {
	On            bool    // there is an account to ask with
	Asked         []Asked // the account first, and then its domains by name
	Days          []Beside
	Disagreements []Disagreement
}

// Add puts the days of one domain beside what was reported of it, and names where they disagree. expected says whether it is news that nothing was reported of a day.
func (w *Witness) Add(a Asked, days []Day, reports []Reported, expected func(day time.Time) bool, now time.Time) {
	byDate := map[time.Time]Reported{}
	var asked []Reported
	for _, r := range reports {
		d := dateOf(r.Date)
		byDate[d] = byDate[d].and(r)
		if !d.Before(a.Since) && d.Before(a.Until) {
			asked = append(asked, r)
		}
	}
	for _, d := range days {
		w.Days = append(w.Days, Beside{Day: d, Reported: byDate[dateOf(d.Date)]})
	}
	for _, d := range Compare(a.Domain, days, asked, now) {
		switch {
		case d.What == "no_report" && !expected(d.Date):
		case d.What == "dmarc" && d.Reports > d.Tools: // mail whose SPF passed for another domain is missing in what it is a share of
		default:
			w.Disagreements = append(w.Disagreements, d)
		}
	}
	slices.SortStableFunc(w.Disagreements, func(a, b Disagreement) int { return a.Date.Compare(b.Date) })
}

// The ids of findings that are made of the figures.
const (
	SpamFinding         = "GPT-01" // people call much of the mail spam
	DisagreementFinding = "GPT-02" // the reports of google.com say something else
)

// What Google asks of those who send to many: below SpamTarget, and never at SpamLimit or above it.
const (
	SpamTarget = 0.001
	SpamLimit  = 0.003
	// present is how old a day is at most that says something about now. Figures come two days late, so that a week of them is there.
	present = 10 * 24 * time.Hour
)

// Share is a share for people: never rounded up to all, nor down to nothing. "–" of what is not told.
func Share(v *float64) string {
	switch {
	case v == nil:
		return "–"
	case *v >= 1:
		return "100 %"
	case *v < 0.01:
		return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.3f", 100**v), "0"), ".") + " %"
	}
	return fmt.Sprintf("%.1f %%", min(99.9, 100**v))
}

// Finding is what the figures of one domain mean.
type Finding struct {
	ID      string
	Warning bool   // false = worth knowing
	Subject string // the domain in Postmaster Tools
	Message string
	Fix     string
	Since   time.Time // midnight of the first day that it is about
}

// Judge makes findings of the days of late.
func (w Witness) Judge(now time.Time) (found []Finding) {
	since := dateOf(now.Add(-present))
	late := slices.DeleteFunc(slices.Clone(w.Days), func(d Beside) bool { return d.Date.Before(since) || d.Spam == nil || *d.Spam < SpamTarget })
	slices.SortStableFunc(late, func(a, b Beside) int {
		if c := strings.Compare(a.Domain, b.Domain); c != 0 {
			return c
		}
		return a.Date.Compare(b.Date)
	})
	for len(late) > 0 {
		n := 1
		for n < len(late) && late[n].Domain == late[0].Domain {
			n++
		}
		found = append(found, spam(late[:n]))
		late = late[n:]
	}
	found = append(found, w.disagree(since)...)
	return found
}

// spam is the finding about days of one domain on which too many called its mail spam.
func spam(days []Beside) Finding {
	worst := days[0]
	for _, d := range days[1:] {
		if *d.Spam > *worst.Spam {
			worst = d
		}
	}
	when := "on " + worst.Date.Format(time.DateOnly)
	if len(days) > 1 {
		when += fmt.Sprintf(", and at least %s on %d days", rate(SpamTarget), len(days))
	}
	f := Finding{ID: SpamFinding, Subject: worst.Domain, Since: days[0].Date, Warning: *worst.Spam >= SpamLimit,
		Message: fmt.Sprintf("people at Gmail called %s of the mail of %s in their inboxes spam %s: Google wants less than %s", rate(*worst.Spam), worst.Domain, when, rate(SpamTarget)),
		Fix:     "see what was sent on these days and to whom; send only to those who asked for it, and make it easy to leave"}
	if f.Warning {
		f.Message += fmt.Sprintf(", and takes %s for too much of anybody who sends in bulk", rate(SpamLimit))
	}
	return f
}

// disagree is a finding for each domain with disagreements since a day.
func (w Witness) disagree(since time.Time) (found []Finding) {
	for _, d := range w.Disagreements {
		if d.Date.Before(since) {
			continue
		}
		i := slices.IndexFunc(found, func(f Finding) bool { return f.Subject == d.Domain })
		if i < 0 {
			found = append(found, Finding{ID: DisagreementFinding, Subject: d.Domain, Since: d.Date, Fix: "postseal report postmaster lists every day beside the reports"})
			i = len(found) - 1
		}
		found[i].Message = d.Message // the newest
	}
	return found
}

// rate writes a share of spam, which is small.
func rate(share float64) string {
	text := strings.TrimRight(fmt.Sprintf("%.3f", 100*share), "0")
	return strings.TrimSuffix(text, ".") + " %"
}
