package web

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/report"
	"github.com/postseal/postseal/internal/serviceclient/postmaster"
)

// secondWitness is what Google Postmaster Tools say beside the reports of google.com.
type secondWitness struct {
	postmaster.Witness
	Account  postmaster.Asked
	Domains  int                       // that Google was asked about
	Problems []postmaster.Asked        // what there are no new figures of, and why
	Latest   []witnessDay              // the last days, newest first
	Said     []postmaster.Disagreement // the last, newest first
	Earlier  int                       // days and disagreements that are not shown
}

// witnessDay is a day as it is shown: shares, "–" of what is not known.
type witnessDay struct {
	Date                                    time.Time
	Domain                                  string // of Postmaster Tools
	DKIM, SPF, DMARC, Spam                  string
	Mood                                    string // how Google's limits for those who send in bulk take Spam
	Refused                                 []string
	Reported, ReportedDKIM, ReportedAligned string
}

// secondWitness asks for it; nil when there is nothing to be said of it.
func (c *Console) secondWitness(ctx context.Context, domain string, p report.Period) (*secondWitness, error) {
	w, err := c.reports.Postmaster(ctx, domain, p)
	if err != nil || !w.On && len(w.Days) == 0 {
		return nil, err
	}
	out := secondWitness{Witness: w}
	for _, a := range w.Asked {
		if a.Domain == "" {
			out.Account = a
		} else {
			out.Domains++
		}
		if a.Problem != "" {
			out.Problems = append(out.Problems, a)
		}
	}
	days := slices.Clone(w.Days)
	slices.SortStableFunc(days, func(a, b postmaster.Beside) int { return b.Date.Compare(a.Date) })
	for i := range min(len(days), maxPostmasterDays) {
		out.Latest = append(out.Latest, witnessDayOf(&days[i]))
	}
	out.Said = slices.Clone(w.Disagreements[max(0, len(w.Disagreements)-maxDisagreements):])
	slices.Reverse(out.Said) // they are in the order of their days
	out.Earlier = len(w.Days) - len(out.Latest) + len(w.Disagreements) - len(out.Said)
	return &out, nil
}

func witnessDayOf(d *postmaster.Beside) witnessDay {
	out := witnessDay{Date: d.Date, Domain: d.Domain, DKIM: postmaster.Share(d.DKIM), SPF: postmaster.Share(d.SPF), DMARC: postmaster.Share(d.DMARC), Spam: postmaster.Share(d.Spam), Mood: spamMood(d.Spam), Reported: "–", ReportedDKIM: "–", ReportedAligned: "–"}
	for _, e := range d.Errors {
		out.Refused = append(out.Refused, postmaster.Share(&e.Ratio)+" "+strings.ToLower(strings.ReplaceAll(e.Type, "_", " ")))
	}
	if r := d.Reported; r.Messages > 0 {
		out.Reported, out.ReportedDKIM, out.ReportedAligned = report.Grouped(int64(r.Messages)), report.Share(int64(r.DKIMPassed), int64(r.DKIMTried)), report.Share(int64(r.Aligned), int64(r.Messages))
	}
	return out
}

// spamMood says how Google's limits for those who send in bulk take a share of spam.
func spamMood(v *float64) string {
	switch {
	case v == nil:
		return ""
	case *v >= postmaster.SpamLimit:
		return "poor"
	case *v >= postmaster.SpamTarget:
		return "fair"
	}
	return "good"
}
