package api

import (
	"context"
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
	days, sum, unvouched := report.TallyDays(counts)
	out.Figures, out.Unvouched = client.Figures(sum), unvouched
	out.Days = convert(days, func(d report.DayTally) client.DayFigures {
		return client.DayFigures{Day: d.Day, Figures: client.Figures(d.Tally)}
	})
	signers, reporters := report.TallySigners(groups)
	out.Signers = convert(signers, signerOfReports)
	out.Reporters = append(out.Reporters, reporters[:min(len(reporters), maxReporters)]...)
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

func diagnosisOut(domain string, d report.Diagnosis) client.Finding {
	return client.Finding{ID: d.ID, Severity: string(d.Severity), Domain: domain, Subject: d.Subject, Message: strings.TrimSuffix(d.Message, "."), Fix: strings.TrimSuffix(d.Fix, "."), Since: d.Since}
}

func signerOfReports(x report.SignerTally) client.SignerFigures {
	return client.SignerFigures{Signer: x.Signer.Name, SignerKind: x.Signer.Kind, How: string(x.How), Figures: client.Figures(x.Tally),
		Selectors: convert(x.Selectors, func(y report.SelectorTally) client.SelectorFigures { return client.SelectorFigures(y) })}
}
