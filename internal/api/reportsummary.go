package api

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/audit"
	"github.com/postseal/postseal/internal/report"
)

// maxReporters is how many reporters are named.
const maxReporters = 20

type summaryInput struct {
	Domain string    `path:"domain" maxLength:"255"`
	Since  time.Time `query:"since" doc:"from this time on; default 30 days ago"`
	Until  time.Time `query:"until" doc:"before this time; default now"`
}

func (a *API) reportSummary(ctx context.Context, who access.Principal, in *summaryInput) (client.ReportSummary, error) {
	d, err := a.domain(ctx, who, in.Domain)
	if err != nil {
		return client.ReportSummary{}, err
	}
	p, err := a.spanOf(ctx, in.Since, in.Until)
	if err != nil {
		return client.ReportSummary{}, err
	}
	p.Domains = []string{d.Name}
	s, err := a.situation(ctx, d.Name)
	if err != nil {
		return client.ReportSummary{}, err
	}
	groups, err := a.reports.Groups(ctx, p, false)
	if err != nil {
		return client.ReportSummary{}, err
	}
	counts, err := a.reports.Counts(ctx, p, report.Grouping{Day: true})
	if err != nil {
		return client.ReportSummary{}, err
	}
	j, err := a.reports.Judge(ctx, s, p)
	if err != nil {
		return client.ReportSummary{}, err
	}
	out := client.ReportSummary{Domain: d.Name, Since: p.Since, Until: p.Until, Reporters: []string{}, Findings: convert(j.Found, func(f report.Diagnosis) client.Finding { return diagnosisOut(d.Name, f) }),
		Compliance: complianceOut(j.Bulk), Days: []client.DayFigures{}, NextPolicy: client.DMARCStep{}}
	open, err := a.storage.Findings(ctx, audit.FindingFilter{Domain: d.Name, Limit: findingsForDMARC})
	if err != nil {
		return out, err
	}
	out.NextPolicy = nextPolicy(s, open, j)
	if out.Reports, out.UnvouchedReports, err = a.reports.CountReports(ctx, p); err != nil {
		return out, err
	}
	w, err := a.reports.Postmaster(ctx, d.Name, p)
	if err != nil {
		return out, err
	}
	if w.On || len(w.Days) > 0 {
		second := postmasterOut(d.Name, p, w)
		out.Postmaster = &second
	}
	for _, c := range counts {
		if !c.Vouched {
			out.Unvouched += c.Messages
			continue
		}
		f := client.Figures{Messages: c.Messages, DKIM: c.BothPass + c.OnlyDKIM, SPF: c.BothPass + c.OnlySPF, DMARC: c.Passed()}
		addFigures(&out.Figures, f)
		out.Days = append(out.Days, client.DayFigures{Day: c.Day, Figures: f})
	}
	out.Signers, out.Reporters = signersOut(groups)
	return out, nil
}

func complianceOut(all []report.BulkRules) []client.Compliance {
	out := []client.Compliance{}
	for _, b := range all {
		for _, r := range b.Rules {
			out = append(out, client.Compliance{Receiver: b.Provider, Bulk: b.Bulk, Rule: r.Rule, Met: string(r.Met), Why: r.Says})
		}
	}
	return out
}

func addFigures(sum *client.Figures, f client.Figures) {
	sum.Messages, sum.DKIM, sum.SPF, sum.DMARC = sum.Messages+f.Messages, sum.DKIM+f.DKIM, sum.SPF+f.SPF, sum.DMARC+f.DMARC
}

func diagnosisOut(domain string, d report.Diagnosis) client.Finding {
	return client.Finding{ID: d.ID, Severity: string(d.Severity), Domain: domain, Subject: d.Subject, Message: strings.TrimSuffix(d.Message, "."), Fix: strings.TrimSuffix(d.Fix, "."), Since: d.Since}
}

// signersOut sums vouched groups up by signer and selector, those with most messages first, and names the reporters.
func signersOut(groups []report.Group) (signers []client.SignerFigures, reporters []string) {
	type signerKey struct {
		who report.Who
		how report.Confidence
	}
	type selectorKey struct {
		signerKey
		domain, selector string
	}
	bySigner, bySelector := map[signerKey]*client.SignerFigures{}, map[selectorKey]*client.SelectorFigures{}
	orgs, heard := map[string]int64{}, map[selectorKey]map[string]bool{}
	for _, t := range groups {
		if !t.Vouched {
			continue
		}
		orgs[t.Org] += t.Messages
		k := signerKey{t.Signer, t.How}
		x := bySigner[k]
		if x == nil {
			x = &client.SignerFigures{Signer: t.Signer.Name, SignerKind: t.Signer.Kind, How: string(t.How)}
			bySigner[k] = x
		}
		f := client.Figures{Messages: t.Messages}
		if t.DKIM {
			f.DKIM = t.Messages
		}
		if t.SPF {
			f.SPF = t.Messages
		}
		if t.DKIM || t.SPF {
			f.DMARC = t.Messages
		}
		addFigures(&x.Figures, f)
		sk := selectorKey{k, t.SigningDomain, t.Selector}
		y := bySelector[sk]
		if y == nil {
			y = &client.SelectorFigures{Domain: t.SigningDomain, Selector: t.Selector, First: t.First, Last: t.Last}
			bySelector[sk], heard[sk] = y, map[string]bool{}
		}
		y.Messages += t.Messages
		if t.Result == "pass" {
			y.Passed += t.Messages
		}
		if t.First.Before(y.First) {
			y.First = t.First
		}
		if t.Last.After(y.Last) {
			y.Last = t.Last
		}
		heard[sk][t.Org] = true
	}
	for sk, y := range bySelector {
		y.Reporters = len(heard[sk])
		bySigner[sk.signerKey].Selectors = append(bySigner[sk.signerKey].Selectors, *y)
	}
	signers = []client.SignerFigures{}
	for _, x := range bySigner {
		slices.SortFunc(x.Selectors, func(a, b client.SelectorFigures) int {
			return cmp.Or(cmp.Compare(b.Messages, a.Messages), cmp.Compare(a.Selector, b.Selector), cmp.Compare(a.Domain, b.Domain))
		})
		signers = append(signers, *x)
	}
	slices.SortFunc(signers, func(a, b client.SignerFigures) int {
		return cmp.Or(cmp.Compare(b.Messages, a.Messages), cmp.Compare(a.Signer, b.Signer), cmp.Compare(a.How, b.How))
	})
	reporters = slices.SortedFunc(maps.Keys(orgs), func(a, b string) int { return cmp.Or(cmp.Compare(orgs[b], orgs[a]), cmp.Compare(a, b)) })
	if len(reporters) > maxReporters {
		reporters = reporters[:maxReporters]
	}
	if reporters == nil {
		reporters = []string{}
	}
	return signers, reporters
}
