package web

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/report"
)

// overviewPage is what the first page shows.
type overviewPage struct {
	Domains []domainLine // that reports tell of, most messages first
	More    int          // domains that are not shown
	Many    bool         // this user's domains are too many for one page: one has to be named
	States  []stateTab
	State   string
	Domain  string
	Reports []report.Listed
	Next    string // link to the next page; "" = this is the last
}

// domainLine is a domain and its mail.
type domainLine struct {
	Name string
	report.Tally
	Unvouched int64
}

// stateTab is a choice of reports.
type stateTab struct {
	Name, Link string
	Chosen     bool
}

func (c *Console) overview(w http.ResponseWriter, r *http.Request, who access.Principal) error {
	ctx, q := r.Context(), r.URL.Query()
	out := overviewPage{State: q.Get("state"), Domain: q.Get("domain")}
	states := []report.State{"", report.Stored, report.Duplicate, report.Foreign, report.Unread}
	if !slices.Contains(states, report.State(out.State)) {
		return fault.New(fault.Invalid, "%q is no state of a report", out.State)
	}
	for _, s := range states {
		query := url.Values{}
		if s != "" {
			query.Set("state", string(s))
		}
		if out.Domain != "" {
			query.Set("domain", out.Domain)
		}
		out.States = append(out.States, stateTab{Name: cmp.Or(string(s), "all"), Link: "?" + query.Encode(), Chosen: out.State == string(s)})
	}
	f := report.ReportFilter{State: report.State(out.State), After: q.Get("after"), Limit: maxListed + 1}
	if out.Domain != "" {
		d, err := c.domain(ctx, who, out.Domain)
		if err != nil {
			return err
		}
		f.Domains = []string{d.Name}
	} else {
		var err error
		if f.Domains, out.Many, err = c.visible(ctx, who); err != nil {
			return err
		}
		if out.Domains, out.More, err = c.domainLines(ctx, f.Domains); err != nil {
			return err
		}
	}
	if f.Domains == nil || len(f.Domains) > 0 {
		var err error
		if out.Reports, err = c.reports.Reports(ctx, f); err != nil {
			return err
		}
	}
	if len(out.Reports) > maxListed {
		out.Reports = out.Reports[:maxListed]
		q.Set("after", out.Reports[maxListed-1].ID)
		out.Next = "?" + q.Encode()
	}
	c.show(w, r, http.StatusOK, "overview", viewOf(who, "Reports", out))
	return nil
}

// toDomain leads to the page of a domain that was named.
func (c *Console) toDomain(w http.ResponseWriter, r *http.Request, who access.Principal) error {
	d, err := c.domain(r.Context(), who, strings.TrimSpace(r.URL.Query().Get("domain")))
	if err == nil {
		http.Redirect(w, r, Root+"domains/"+url.PathEscape(d.Name), http.StatusSeeOther)
	}
	return err
}

// visible are the domains that reports may be shown of: nil = of all, and those that are nobody's. When they are too many to be asked about at once, there are none.
func (c *Console) visible(ctx context.Context, who access.Principal) (names []string, many bool, err error) {
	if len(who.Labels) == 0 {
		return nil, false, nil
	}
	domains, err := c.storage.Domains(ctx, DomainFilter{Limit: maxNamedDomains + 1, Labels: who.Labels})
	if many = len(domains) > maxNamedDomains; many {
		domains = nil
	}
	names = []string{}
	for _, d := range domains {
		names = append(names, d.Name)
	}
	return names, many, err
}

// domainLines are the domains that reports of the last days tell of.
func (c *Console) domainLines(ctx context.Context, visible []string) (lines []domainLine, more int, err error) {
	if visible != nil && len(visible) == 0 {
		return nil, 0, nil
	}
	p, err := c.span(ctx, nil)
	if err != nil {
		return nil, 0, err
	}
	p.Domains = visible
	counts, err := c.reports.Counts(ctx, p, report.Grouping{Domain: true})
	if err != nil {
		return nil, 0, err
	}
	at := map[string]int{}
	for i := range counts {
		x := &counts[i]
		n, ok := at[x.Domain]
		if !ok {
			n = len(lines)
			at[x.Domain], lines = n, append(lines, domainLine{Name: x.Domain})
		}
		if x.Vouched {
			lines[n].Add(x.Tally())
		} else {
			lines[n].Unvouched += x.Messages
		}
	}
	slices.SortFunc(lines, func(a, b domainLine) int {
		return cmp.Or(cmp.Compare(b.Messages, a.Messages), cmp.Compare(b.Unvouched, a.Unvouched), cmp.Compare(a.Name, b.Name))
	})
	if len(lines) > maxDomainsShown {
		lines, more = lines[:maxDomainsShown], len(lines)-maxDomainsShown
	}
	return lines, more, nil
}
