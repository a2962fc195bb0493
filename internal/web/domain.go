package web

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/lifecycle"
	"github.com/postseal/postseal/internal/report"
)

// domainPage is what the pages of a domain have in common.
type domainPage struct {
	Domain string
	report.Period
	Days  int // that were asked about
	Spans []int
}

// summaryPage is how a domain's mail fared.
type summaryPage struct {
	domainPage
	Reports          int // that are vouched for
	UnvouchedReports int
	report.Tally
	Unvouched     int64 // messages of the other reports
	ByDay         []report.DayTally
	Most          int64 // on one day
	Signers       []report.SignerTally
	Reporters     []string
	MoreReporters int
	Found         []report.Diagnosis
	Bulk          []report.BulkRules
	Advice        *report.Advice // nil = no report, no advice
	Postmaster    *secondWitness // nil = Google is not asked, and was not
}

// sourcesPage is where a domain's mail came from.
type sourcesPage struct {
	domainPage
	Sources []sourceLine
	More    int  // that are not shown
	Unknown bool // there are some that have no name yet
}

// sourceLine is an address and who that is.
type sourceLine struct {
	Seen report.SeenSource
	report.Tally
	Address    string
	Who        string
	Name       string // in DNS, of an unknown one; "" = not asked for, or it has none
	How        report.Confidence
	New        bool
	Signatures []string
}

// span is the time that a page is about: the last days, as many as the query says.
func (c *Console) span(ctx context.Context, q url.Values) (report.Period, error) {
	n, err := spanDays(q)
	if err != nil {
		return report.Period{}, err
	}
	now, err := c.storage.Now(ctx)
	return report.Period{Since: now.Add(-time.Duration(n) * 24 * time.Hour), Until: now}, err
}

func spanDays(q url.Values) (int, error) {
	text := q.Get("days")
	if text == "" {
		return defaultSpan, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxSpan {
		return 0, fault.New(fault.Invalid, "%q is no number of days", text).WithHint("1 to %d", maxSpan)
	}
	return n, nil
}

// asked is a domain that somebody may see and the time that is asked about.
func (c *Console) asked(r *http.Request, who access.Principal) (domainPage, error) {
	d, err := c.domain(r.Context(), who, r.PathValue("domain"))
	if err != nil {
		return domainPage{}, err
	}
	p, err := c.span(r.Context(), r.URL.Query())
	if err != nil {
		return domainPage{}, err
	}
	n, _ := spanDays(r.URL.Query()) // it was read by span
	p.Domains = []string{d.Name}
	return domainPage{Domain: d.Name, Period: p, Days: n, Spans: []int{7, 30, 90, 365}}, nil
}

func (c *Console) summary(w http.ResponseWriter, r *http.Request, who access.Principal) error {
	ctx := r.Context()
	asked, err := c.asked(r, who)
	if err != nil {
		return err
	}
	out := summaryPage{domainPage: asked}
	s, err := c.storage.Situation(ctx, out.Domain)
	if err != nil {
		return err
	}
	s.Records = lifecycle.WantedRecords(s)
	groups, err := c.reports.Groups(ctx, out.Period, false)
	if err != nil {
		return err
	}
	counts, err := c.reports.Counts(ctx, out.Period, report.Grouping{Day: true})
	if err != nil {
		return err
	}
	j, err := c.reports.Judge(ctx, s, out.Period)
	if err != nil {
		return err
	}
	if out.Reports, out.UnvouchedReports, err = c.reports.CountReports(ctx, out.Period); err != nil {
		return err
	}
	out.ByDay, out.Tally, out.Unvouched = report.TallyDays(counts)
	for _, d := range out.ByDay {
		out.Most = max(out.Most, d.Messages)
	}
	out.Signers, out.Reporters = report.TallySigners(groups)
	if n := len(out.Reporters); n > maxReporters {
		out.Reporters, out.MoreReporters = out.Reporters[:maxReporters], n-maxReporters
	}
	out.Found, out.Bulk = j.Found, j.Bulk
	if j.Heard {
		out.Advice = &j.Advice
	}
	if out.Postmaster, err = c.secondWitness(ctx, out.Domain, out.Period); err != nil {
		return err
	}
	c.show(w, r, http.StatusOK, "summary", viewOf(who, out.Domain, out))
	return nil
}

func (c *Console) sources(w http.ResponseWriter, r *http.Request, who access.Principal) error {
	ctx := r.Context()
	asked, err := c.asked(r, who)
	if err != nil {
		return err
	}
	out := sourcesPage{domainPage: asked}
	seen, err := c.reports.Sources(ctx, out.Period, maxListed)
	if err != nil {
		return err
	}
	before, err := c.reports.Sources(ctx, report.Period{Domains: out.Domains, Since: out.Since.Add(-report.KnownBefore), Until: out.Since}, maxSourcesBefore)
	if err != nil {
		return err
	}
	known, err := c.reports.Directory(ctx)
	if err != nil {
		return err
	}
	isNew := report.NewIn(before)
	var unknown []netip.Addr
	for i := range seen.Top {
		s := &seen.Top[i]
		x := known.AttributeSource(out.Period, s)
		line := sourceLine{Seen: *s, Tally: s.Tally(), Who: sender(x), How: x.How, New: isNew(s)}
		if s.Source.IsValid() {
			line.Address = s.Source.String()
		}
		if line.Who == "" && s.Source.IsValid() {
			unknown = append(unknown, s.Source)
		}
		for _, y := range s.Signed {
			if y.Domain != "" {
				line.Signatures = append(line.Signatures, y.Selector+"@"+y.Domain)
			}
		}
		out.Sources = append(out.Sources, line)
	}
	out.More = max(0, seen.Count-len(seen.Top))
	if out.Unknown = len(unknown) > 0; out.Unknown && r.URL.Query().Get("names") == "yes" {
		out.Unknown = false
		names := c.reports.Names(ctx, unknown)
		for i := range out.Sources {
			if x := &out.Sources[i]; x.Who == "" {
				x.Name = names[x.Seen.Source]
			}
		}
	}
	c.show(w, r, http.StatusOK, "sources", viewOf(who, out.Domain+": sources", out))
	return nil
}
