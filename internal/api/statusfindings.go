package api

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/audit"
	"github.com/postseal/postseal/internal/inventory"
)

// openFindings is what a page of the status says about findings.
type openFindings struct {
	counts map[string]audit.Counts
	mutes  []audit.Mute
}

// openFindings asks twice, however many domains there are: a page of them is read for every table of all domains.
func (a *API) openFindings(ctx context.Context, domains []inventory.Domain) (o openFindings, err error) {
	names := make([]string, len(domains))
	for i, d := range domains {
		names[i] = d.Name
	}
	if o.counts, err = a.storage.FindingCounts(ctx, names); err == nil {
		o.mutes, err = a.storage.Mutes(ctx, names)
	}
	return o, err
}

// tell counts the open findings of a domain that are not muted, and takes those away that are.
func (o openFindings) tell(s *client.Status, now time.Time) {
	c := o.counts[s.Domain]
	s.Open = client.FindingCounts{Errors: c.Errors - c.MutedErrors, Warnings: c.Warnings - c.MutedWarnings, Infos: c.Infos - (c.Muted - c.MutedErrors - c.MutedWarnings)}
	s.Findings = slices.DeleteFunc(s.Findings, func(f client.Finding) bool {
		return slices.ContainsFunc(o.mutes, func(m audit.Mute) bool { return m.Domain == s.Domain && m.Covers(f.ID, f.Subject, now) })
	})
}

// addFindings adds what audits found to what the planner sees now, the worst first. Of more than maxPage the number tells.
func (a *API) addFindings(ctx context.Context, s *client.Status) error {
	open, err := a.storage.Findings(ctx, audit.FindingFilter{Domain: s.Domain, Limit: maxPage})
	if err != nil {
		return err
	}
	all := convert(open, openOut)
	for _, f := range s.Findings {
		if !slices.ContainsFunc(all, func(have client.Finding) bool { return have.ID == f.ID && have.Subject == f.Subject }) {
			all = append(all, f)
		}
	}
	rank := func(f client.Finding) int { return slices.Index([]string{"error", "warning", "info"}, f.Severity) }
	slices.SortStableFunc(all, func(x, y client.Finding) int { return cmp.Compare(rank(x), rank(y)) })
	s.Findings = all
	return nil
}
