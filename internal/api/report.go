package api

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postseal/postseal/dmarc"
	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/lifecycle"
	"github.com/postseal/postseal/internal/report"
	"github.com/postseal/postseal/internal/serviceclient/postmaster"
)

const (
	// maxNamedDomains is how many domains are looked up for a user who may see only some of them and names none.
	maxNamedDomains = 1000
	// defaultReportSpan is the time that is asked about when none is named.
	defaultReportSpan = 30 * 24 * time.Hour
	// maxReportSources is how many sources are told at once.
	maxReportSources = 1000
)

// Reports is what receivers report, and where it is kept.
type Reports interface {
	report.Answers
	report.Knower
	// Take reads an arrival and stores it.
	Take(ctx context.Context, a report.Arrival) (report.Receipt, error)
	// Octets returns an input as it arrived. fault.NotFound when there is none, and when its octets are kept no more.
	Octets(ctx context.Context, input string) (report.Arrival, error)
	// RemoveInput removes an input with all that was stored and counted of it. fault.NotFound when there is none.
	RemoveInput(ctx context.Context, input, by string) error
	// Judge says what the reports of a time mean for a domain.
	Judge(ctx context.Context, s lifecycle.Situation, p report.Period) (report.Judgement, error)
	// Postmaster returns what Google Postmaster Tools say of a domain, beside the reports.
	Postmaster(ctx context.Context, domain string, p report.Period) (postmaster.Witness, error)
	// Ways says how the ways fare by which reports get in.
	Ways() []client.IntakeWay
	// Names returns what addresses are called (PTR), as far as that is found in a short time.
	Names(ctx context.Context, addresses []netip.Addr) map[netip.Addr]string
}

type reportsInput struct {
	Domain string    `query:"domain" maxLength:"255" doc:"only of this domain"`
	Org    string    `query:"org" maxLength:"255" doc:"only of this reporter"`
	Type   string    `query:"type" enum:"aggregate,failure,tls" doc:"only these"`
	State  string    `query:"state" enum:"stored,duplicate,foreign,unreadable" doc:"only these"`
	Since  time.Time `query:"since" doc:"reports that end at or after it"`
	Until  time.Time `query:"until" doc:"reports that begin before it"`
	After  string    `query:"after" maxLength:"255" doc:"next of the page before"`
	Limit  int       `query:"limit" minimum:"0" maximum:"500" doc:"at most so many; 0 = 100"`
}

type reportInput struct {
	ID    string `path:"id" maxLength:"64"`
	After string `query:"after" maxLength:"32" doc:"next of the page before"`
	Limit int    `query:"limit" minimum:"0" maximum:"500" doc:"at most so many rows; 0 = 100"`
}

type rawReportInput struct {
	ID string `path:"id" maxLength:"64"`
}

type removeReportInput struct {
	ID     string `path:"id" maxLength:"64"`
	DryRun bool   `query:"dry_run" doc:"only say what would be removed"`
}

// maxRemovedListed is how many reports that go with one are named.
const maxRemovedListed = 1000

type importInput struct {
	Name    string `query:"name" maxLength:"255" doc:"name of the file, for people"`
	RawBody []byte `contentType:"application/octet-stream"`
}

type sourcesInput struct {
	Domain string    `path:"domain" maxLength:"255"`
	Since  time.Time `query:"since" doc:"from this time on; default 30 days ago"`
	Until  time.Time `query:"until" doc:"before this time; default now"`
	Names  bool      `query:"names" doc:"ask DNS for the names of unknown ones"`
	Limit  int       `query:"limit" minimum:"0" maximum:"1000" doc:"at most so many, the largest first; 0 = 100"`
}

func (a *API) reportRoutes(h huma.API) {
	if a.reports == nil {
		return
	}
	register(a, h, op{method: http.MethodPost, path: "/reports", id: "import-reports", summary: "Hand in a report, or a mail with reports", role: access.Operator, what: "hand reports in",
		maxBody: report.MaxInput, everything: true},
		func(ctx context.Context, who access.Principal, in *importInput) (client.ReportReceipt, error) {
			now, err := a.storage.Now(ctx)
			if err != nil {
				return client.ReportReceipt{}, err
			}
			receipt, err := a.reports.Take(ctx, report.Arrival{
				Way: report.ByHand, Place: who.Name, Name: in.Name, Octets: in.RawBody, At: now, Trust: report.Given, Verdict: "handed in by " + who.Name,
			})
			return client.ReportReceipt{Input: receipt.Input, Again: receipt.Again, Reports: convert(receipt.Reports, receivedOut)}, err
		})
	register(a, h, op{method: http.MethodGet, path: "/intake", id: "intake", summary: "How the ways fare by which reports get in", role: access.Viewer, what: "see how reports get in", everything: true},
		func(context.Context, access.Principal, *none) (client.Intake, error) {
			return client.Intake{Ways: a.reports.Ways()}, nil
		})
	register(a, h, op{method: http.MethodGet, path: "/reports", id: "reports", summary: "Reports that were received, newest first", role: access.Viewer, what: "read"}, a.reportList)
	register(a, h, op{method: http.MethodGet, path: "/reports/{id}", id: "report", summary: "A report and a page of its rows", role: access.Viewer, what: "read"}, a.reportShow)
	register(a, h, op{method: http.MethodGet, path: "/reports/{id}/raw", id: "raw-report", summary: "The input of a report as it arrived", role: access.Operator, what: "read inputs as they arrived"},
		func(ctx context.Context, who access.Principal, in *rawReportInput) (client.RawReport, error) {
			d, err := a.reportDetail(ctx, who, in.ID)
			if err != nil {
				return client.RawReport{}, err
			}
			// An input may hold reports about domains that this user does not see.
			if err := who.SeesAll("read inputs as they arrived"); err != nil {
				return client.RawReport{}, err
			}
			arrival, err := a.reports.Octets(ctx, d.Input)
			if err == nil {
				a.log.InfoContext(ctx, "an input was handed out as it arrived", "user", who.Name, "input", d.Input)
			}
			return client.RawReport{Name: arrival.Name, Octets: arrival.Octets}, err
		})
	register(a, h, op{method: http.MethodDelete, path: "/reports/{id}", id: "remove-report", summary: "Remove the input that a report came in, with all reports in it and all that was counted of them", role: access.Admin,
		what: "remove reports", everything: true},
		func(ctx context.Context, who access.Principal, in *removeReportInput) (client.RemovedReports, error) {
			d, err := a.reports.Report(ctx, in.ID)
			if err != nil {
				return client.RemovedReports{}, err
			}
			found, err := a.reports.Reports(ctx, report.ReportFilter{With: d.Input, Limit: maxRemovedListed})
			if err == nil && !in.DryRun {
				err = a.reports.RemoveInput(ctx, d.Input, who.Name)
			}
			return client.RemovedReports{Input: d.Input, DryRun: in.DryRun, Reports: convert(found, listedOut)}, err
		})
	register(a, h, op{method: http.MethodGet, path: "/domains/{domain}/reports/sources", id: "report-sources", summary: "Where mail in the name of a domain came from", role: access.Viewer, what: "read"}, a.reportSources)
	register(a, h, op{method: http.MethodGet, path: "/domains/{domain}/reports/summary", id: "report-summary", summary: "How a domain's mail fared, by signer and selector", role: access.Viewer, what: "read"}, a.reportSummary)
	register(a, h, op{method: http.MethodGet, path: "/domains/{domain}/reports/postmaster", id: "report-postmaster", summary: "What Google Postmaster Tools say of a domain, beside the reports of google.com",
		role: access.Viewer, what: "read"}, a.reportPostmaster)
}

func receivedOut(r report.ReceivedReport) client.ReceivedReport {
	return client.ReceivedReport{
		ID: r.ID, Document: r.Document, State: string(r.State), Type: string(r.Type), Domain: r.Domain, Org: r.Org, ReportID: r.ReportID, Begin: r.Begin, End: r.End, Rows: r.Rows, Messages: r.Messages,
		Problem: r.Problem,
	}
}

func listedOut(l report.Listed) client.Report {
	counted := l.Ours
	if l.State != report.Stored {
		counted = ""
	}
	return client.Report{ReceivedReport: receivedOut(l.ReceivedReport), Input: l.Input, Counted: counted, Trust: string(l.Trust), Arrived: l.Arrived, SameAs: l.SameAs, Way: string(l.Way), Place: l.Place}
}

// visibleDomains are the domains that reports may be shown of: nil = of all, and those that are nobody's.
func (a *API) visibleDomains(ctx context.Context, who access.Principal, domain string) ([]string, error) {
	if domain != "" {
		d, err := a.domain(ctx, who, domain)
		return []string{d.Name}, err
	}
	if len(who.Labels) == 0 {
		return nil, nil
	}
	domains, err := a.storage.Domains(ctx, DomainFilter{Limit: maxNamedDomains, Labels: who.Labels})
	if err == nil && len(domains) == maxNamedDomains {
		err = fault.New(fault.Invalid, "these are too many domains at once").WithHint("name a domain")
	}
	names := []string{}
	for _, d := range domains {
		names = append(names, d.Name)
	}
	return names, err
}

func (a *API) reportList(ctx context.Context, who access.Principal, in *reportsInput) (client.Reports, error) {
	domains, err := a.visibleDomains(ctx, who, in.Domain)
	if err != nil {
		return client.Reports{}, err
	}
	out := client.Reports{Reports: []client.Report{}}
	if domains != nil && len(domains) == 0 {
		return out, nil
	}
	f := report.ReportFilter{Domains: domains, Org: in.Org, Type: report.Type(in.Type), State: report.State(in.State), Since: in.Since, Until: in.Until, After: in.After,
		Limit: pageInput{Limit: in.Limit}.limit()}
	found, err := a.reports.Reports(ctx, f)
	out.Reports = convert(found, listedOut)
	if n := len(found); n >= f.Limit {
		out.Next = found[n-1].ID
	}
	return out, err
}

// reportDetail reads a report that somebody may see.
func (a *API) reportDetail(ctx context.Context, who access.Principal, id string) (report.Detail, error) {
	d, err := a.reports.Report(ctx, id)
	if err != nil {
		return d, err
	}
	if len(who.Labels) == 0 {
		return d, nil
	}
	known, err := a.reports.Directory(ctx)
	if err != nil {
		return d, err
	}
	if !d.Narrow(known, func(domain string) bool { _, err := a.domain(ctx, who, domain); return err == nil }) {
		return d, fault.New(fault.NotFound, "there is no report %s", id)
	}
	return d, nil
}

func (a *API) reportShow(ctx context.Context, who access.Principal, in *reportInput) (client.ReportDetail, error) {
	d, err := a.reportDetail(ctx, who, in.ID)
	if err != nil {
		return client.ReportDetail{}, err
	}
	out := client.ReportDetail{Report: listedOut(d.Listed), Rows: []client.ReportRow{}}
	out.Report.Email, out.Report.Schema, out.Report.Policy, out.Report.Errors = d.Email, string(d.Schema), report.PolicyText(d.Policy), d.Errors
	inputs, err := a.reports.Inputs(ctx, report.InputFilter{ID: d.Input, Limit: 1})
	if err != nil {
		return out, err
	}
	for _, x := range inputs {
		out.Report.Verdict = x.Verdict
	}
	switch {
	case d.Failure != nil:
		f := d.Failure
		out.Failure = &client.FailedMessage{SourceIP: f.SourceIP, Failed: append([]string{}, f.Failed...), Alignment: f.Alignment, Delivery: f.Delivery, DKIMDomain: f.DKIMDomain,
			DKIMSelector: f.DKIMSelector, HeaderFrom: f.HeaderFrom, MessageID: f.MessageID}
	case d.TLS != nil:
		out.Policies = convert(d.TLS.Policies, sessionsOut)
	}
	from := 0
	if in.After != "" {
		if from, err = strconv.Atoi(in.After); err != nil || from < 0 {
			return out, errCursor()
		}
	}
	limit := pageInput{Limit: in.Limit}.limit()
	rows, err := a.reports.Rows(ctx, in.ID, from, limit)
	if err != nil {
		return out, err
	}
	known, err := a.reports.Directory(ctx)
	if err != nil {
		return out, err
	}
	for _, r := range rows {
		out.Rows = append(out.Rows, rowOut(r, known.AttributeStored(&d, &r)))
	}
	if len(rows) >= limit {
		out.Next = strconv.Itoa(from + limit)
	}
	return out, nil
}

func sessionsOut(p report.TLSPolicy) client.TLSSessions {
	out := client.TLSSessions{Type: p.Type, Domain: p.Domain, Successful: p.Successful, Failed: p.Failed}
	for _, f := range p.Failures {
		out.Failures = append(out.Failures, client.TLSFailure{Result: f.Result, SendingIP: f.SendingIP, ReceivingMX: f.ReceivingMX, ReceivingIP: f.ReceivingIP, Sessions: f.Sessions, Reason: f.Reason})
	}
	return out
}

func rowOut(r report.StoredRow, x report.Attribution) client.ReportRow {
	out := client.ReportRow{
		Source: r.SourceIP, Messages: r.Count, Disposition: r.Disposition, DKIM: r.DKIM == dmarc.Pass, SPF: r.SPF == dmarc.Pass, HeaderFrom: r.HeaderFrom, EnvelopeFrom: r.EnvelopeFrom, EnvelopeTo: r.EnvelopeTo,
		Signatures: []client.ReportResult{}, SPFResults: []client.ReportResult{}, Attributed: attributedOut(x.Signer, x.How, x.Source),
	}
	if r.Source.IsValid() {
		out.Source = r.Source.String()
	}
	for _, s := range r.DKIMResults {
		out.Signatures = append(out.Signatures, client.ReportResult{Domain: s.Domain, Selector: s.Selector, Result: s.Result, Human: s.Human})
	}
	for _, s := range r.SPFResults {
		out.SPFResults = append(out.SPFResults, client.ReportResult{Domain: s.Domain, Scope: s.Scope, Result: s.Result, Human: s.Human})
	}
	for _, s := range r.Reasons {
		out.Reasons = append(out.Reasons, strings.TrimSpace(s.Type+" "+s.Comment))
	}
	return out
}

func attributedOut(signer report.Who, how report.Confidence, source report.Who) client.Attributed {
	return client.Attributed{Signer: signer.Name, SignerKind: signer.Kind, How: string(how), From: source.Name}
}

// spanOf completes the time that is asked about.
func (a *API) spanOf(ctx context.Context, since, until time.Time) (report.Period, error) {
	now, err := a.storage.Now(ctx)
	if err != nil {
		return report.Period{}, err
	}
	if until.IsZero() {
		until = now
	}
	if since.IsZero() {
		since = until.Add(-defaultReportSpan)
	}
	if !until.After(since) {
		return report.Period{}, fault.New(fault.Invalid, "the time ends before it begins")
	}
	return report.Period{Since: since, Until: until}, nil
}

func (a *API) reportSources(ctx context.Context, who access.Principal, in *sourcesInput) (client.ReportSources, error) {
	d, err := a.domain(ctx, who, in.Domain)
	if err != nil {
		return client.ReportSources{}, err
	}
	p, err := a.spanOf(ctx, in.Since, in.Until)
	if err != nil {
		return client.ReportSources{}, err
	}
	p.Domains = []string{d.Name}
	limit := in.Limit
	if limit == 0 {
		limit = defaultPage
	}
	seen, err := a.reports.Sources(ctx, p, limit)
	if err != nil {
		return client.ReportSources{}, err
	}
	before, err := a.reports.Sources(ctx, report.Period{Domains: p.Domains, Since: p.Since.Add(-report.KnownBefore), Until: p.Since}, maxReportSources)
	known, e := a.reports.Directory(ctx)
	if err = errors.Join(err, e); err != nil {
		return client.ReportSources{}, err
	}
	out := client.ReportSources{Domain: d.Name, Since: p.Since, Until: p.Until, Sources: []client.ReportSource{}, More: seen.Count > len(seen.Top)}
	isNew := report.NewIn(before)
	var unknown []netip.Addr
	for _, s := range seen.Top {
		x := sourceOut(known, p, s)
		x.New = isNew(&s)
		if x.How == string(report.Unknown) && s.Source.IsValid() {
			unknown = append(unknown, s.Source)
		}
		out.Sources = append(out.Sources, x)
	}
	if in.Names && len(unknown) > 0 {
		names := a.reports.Names(ctx, unknown)
		for i := range out.Sources {
			if at, err := netip.ParseAddr(out.Sources[i].Address); err == nil {
				out.Sources[i].Name = names[at]
			}
		}
	}
	return out, nil
}

func sourceOut(known *report.Directory, p report.Period, s report.SeenSource) client.ReportSource {
	x := known.AttributeSource(p, &s)
	out := client.ReportSource{
		Address: s.Source.String(), Figures: client.Figures(s.Tally()), Unvouched: s.Unvouched, Reporters: len(s.Orgs), First: s.First, Last: s.Last, Signatures: []string{},
		Attributed: attributedOut(x.Signer, x.How, x.Source),
	}
	if !s.Source.IsValid() {
		out.Address = ""
	}
	for _, x := range s.Signed {
		if x.Domain != "" {
			out.Signatures = append(out.Signatures, x.Selector+"@"+x.Domain)
		}
	}
	return out
}
