package api

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/audit"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/lifecycle"
	"github.com/postseal/postseal/internal/report"
)

type dmarcInput struct {
	Domain string `path:"domain" maxLength:"255"`
	Body   client.DMARCRequest
}

// dmarcRoutes show, change and advance the DMARC policy of one domain.
func (a *API) dmarcRoutes(h huma.API) {
	register(a, h, op{method: http.MethodGet, path: "/domains/{domain}/dmarc", id: "dmarc", summary: "The DMARC policy of a domain, how it stands, and where its reports go",
		role: access.Viewer, what: "read"},
		func(ctx context.Context, who access.Principal, in *domainInput) (client.DMARC, error) {
			s, findings, err := a.dmarcSituation(ctx, who, in.Domain)
			if err != nil {
				return client.DMARC{}, err
			}
			return dmarcShow(s, findings), nil
		})
	register(a, h, op{method: http.MethodGet, path: "/domains/{domain}/dmarc/next", id: "next-dmarc", summary: "The next step of a domain's DMARC policy, with the evidence for it",
		role: access.Viewer, what: "read"},
		func(ctx context.Context, who access.Principal, in *domainInput) (client.DMARCStep, error) {
			s, findings, err := a.dmarcSituation(ctx, who, in.Domain)
			if err != nil {
				return client.DMARCStep{}, err
			}
			var j report.Judgement
			if a.reports != nil {
				if j, err = a.reports.Judge(ctx, s, report.Period{Domains: []string{s.Domain.Name}, Since: s.Now.Add(-defaultReportSpan), Until: s.Now}); err != nil {
					return client.DMARCStep{}, err
				}
			}
			return nextPolicy(s, findings, j), nil
		})
	register(a, h, op{method: http.MethodPost, path: "/domains/{domain}/dmarc/plan", id: "plan-dmarc", summary: "What another DMARC policy would change; changes nothing",
		role: access.Viewer, what: "read"},
		func(ctx context.Context, who access.Principal, in *dmarcInput) (client.DMARCChange, error) {
			in.Body.Weaken = true // what is weaker is told, and is what a plan is asked for
			_, _, _, out, err := a.compareDMARC(ctx, who, in)
			return out, err
		})
	register(a, h, op{method: http.MethodPost, path: "/domains/{domain}/dmarc", id: "set-dmarc", summary: "Set the DMARC policy of a domain", role: access.Admin, what: "change the inventory"},
		func(ctx context.Context, who access.Principal, in *dmarcInput) (client.DMARCChange, error) {
			current, next, changes, out, err := a.compareDMARC(ctx, who, in)
			if err != nil {
				return client.DMARCChange{}, err
			}
			out.Changes, err = a.swap(ctx, who, in.Body.Generation, current, next, changes, "ask for the plan again and look at it")
			return out, err
		})
}

// findingsForDMARC is how many findings of a domain are looked at: a domain with so many has no next step, whatever the others say.
const findingsForDMARC = 500

// dmarcSituation reads a domain and what is found about it. What somebody muted is not found.
func (a *API) dmarcSituation(ctx context.Context, who access.Principal, name string) (s lifecycle.Situation, findings []audit.OpenFinding, err error) {
	d, err := a.domain(ctx, who, name)
	if err != nil {
		return s, nil, err
	}
	if s, err = a.situation(ctx, d.Name); err != nil {
		return s, nil, err
	}
	findings, err = a.storage.Findings(ctx, audit.FindingFilter{Domain: d.Name, Limit: findingsForDMARC})
	return s, findings, err
}

// compareDMARC says what a request would change.
func (a *API) compareDMARC(ctx context.Context, who access.Principal, in *dmarcInput) (current, next inventory.State, changes []inventory.Change, out client.DMARCChange, err error) {
	d, err := a.domain(ctx, who, in.Domain)
	if err != nil {
		return current, next, nil, out, err
	}
	if current, err = a.storage.Inventory(ctx); err != nil {
		return current, next, nil, out, err
	}
	now, err := a.storage.Now(ctx)
	if err != nil {
		return current, next, nil, out, err
	}
	value := strings.TrimSpace(in.Body.Value)
	next, changes, err = inventory.SetDMARC(current, d.Name, value, in.Body.Weaken, inventory.ApplyOptions{By: who.Name, Now: now, Prune: true})
	if err != nil {
		return current, next, changes, out, err
	}
	i := slices.IndexFunc(current.Domains, func(x inventory.Domain) bool { return x.Name == d.Name })
	old := current.Domains[i].DMARC
	out = client.DMARCChange{Changes: changesOut(current.Generation, changes), Old: old, New: value, Weaker: inventory.Weaker(old, value),
		Warnings: inventory.DMARCWarnings(value), Records: dmarcRecords(next, d.Name)}
	return current, next, changes, out, nil
}

// dmarcRecords are the records that a domain's policy asks for in a state.
func dmarcRecords(s inventory.State, domain string) []client.DMARCRecord {
	publishers := make(map[string]inventory.Publisher, len(s.Publishers))
	for _, p := range s.Publishers {
		publishers[p.Name] = p
	}
	find := func(name string) (inventory.Domain, inventory.Publisher, bool) {
		i := slices.IndexFunc(s.Domains, func(d inventory.Domain) bool { return d.Name == name })
		if i < 0 {
			return inventory.Domain{}, inventory.Publisher{}, false
		}
		return s.Domains[i], publishers[s.Domains[i].Publisher], true
	}
	out := []client.DMARCRecord{}
	d, _, _ := find(domain)
	if d.DMARC == "" {
		return out
	}
	own := client.DMARCRecord{Name: "_dmarc." + d.Name, Value: d.DMARC}
	if d.Mode == inventory.Managed {
		own.Publisher = d.Publisher
	}
	out = append(out, own)
	for _, r := range inventory.ReportRecords(d, inventory.Destinations(d, find)) {
		if d.Mode != inventory.Managed {
			r.Publisher = ""
		}
		out = append(out, client.DMARCRecord{Name: r.Name, Value: r.Value, Publisher: r.Publisher})
	}
	return out
}

// dmarcShow is pure: the policy as it is wanted, and what DNS shows of it.
func dmarcShow(s lifecycle.Situation, findings []audit.OpenFinding) client.DMARC {
	out := client.DMARC{Domain: s.Domain.Name, Mode: string(s.Domain.Mode), Want: s.Domain.DMARC, Destinations: []client.DMARCDestination{}, Findings: []client.Finding{}}
	plan := lifecycle.Next(s)
	if r := recordOf(s, "_dmarc."+s.Domain.Name); r != nil {
		shown := recordOut(*r)
		out.Record, out.State = &shown, sentenceOf(plan, r.ID)
		if standsNow(s, r) {
			out.Since = r.AgreedSince
		}
	}
	for _, to := range inventory.ReportAddresses(s.Domain.DMARC) {
		out.Destinations = append(out.Destinations, destinationOut(s, plan, to))
	}
	for _, f := range findings {
		if strings.HasPrefix(f.ID, "DMARC-") || strings.Contains(f.Subject, "_dmarc.") {
			out.Findings = append(out.Findings, openOut(f))
		}
	}
	return out
}

// recordOf finds the TXT record of a name that is not of a managed key and has not gone; nil = there is none.
func recordOf(s lifecycle.Situation, name string) *lifecycle.Record {
	i := slices.IndexFunc(s.Records, func(r lifecycle.Record) bool { return r.Name == name && r.Type == "TXT" && r.Gone.IsZero() })
	if i < 0 {
		return nil
	}
	return &s.Records[i]
}

// sentenceOf is what the planner says of a record.
func sentenceOf(plan lifecycle.Plan, id string) string {
	i := slices.IndexFunc(plan.Reasons, func(r lifecycle.Reason) bool { return r.RecordID == id })
	if i < 0 {
		return ""
	}
	return plan.Reasons[i].Text
}

func standsNow(s lifecycle.Situation, r *lifecycle.Record) bool {
	word, _ := dnsState(r, func(server string) bool { return waived(s, server) })
	return word == "agrees" && r.Want != ""
}

func destinationOut(s lifecycle.Situation, plan lifecycle.Plan, to inventory.ReportTo) client.DMARCDestination {
	out := client.DMARCDestination{Tag: to.Tag, Address: to.Address}
	if !slices.Contains(inventory.ReportHosts(s.Domain), to.Host) {
		out.State, out.Text = "own", "the domain itself, or one above or below it: nothing is needed"
		return out
	}
	out.Record, out.Value = inventory.ReportName(s.Domain.Name, to.Host), inventory.ReportValue
	r := recordOf(s, out.Record)
	switch {
	case r == nil:
		out.State, out.Text = "unseen", "nobody has looked yet"
		return out
	case standsNow(s, r):
		out.State, out.Value = "stands", r.Want
	case r.Last.At.IsZero() || r.Last.Expected != r.Want:
		out.State = "unseen"
	case s.Watched(r):
		out.State = "missing"
	default:
		out.State = "waiting"
	}
	out.Text = sentenceOf(plan, r.ID)
	return out
}

// aboutThePolicy are findings that say how strong the policy is. A proposal to strengthen it does not wait for them.
func aboutThePolicy() []string {
	return []string{"DMARC-07", "DMARC-08", "DMARC-09", "DMARC-11", "DMARC-12"}
}

// nextPolicy is the next step with what reports say of it.
func nextPolicy(s lifecycle.Situation, findings []audit.OpenFinding, j report.Judgement) client.DMARCStep {
	told := func(f audit.OpenFinding) bool { // what reports mean is told by the advice
		return slices.ContainsFunc(j.Found, func(d report.Diagnosis) bool { return d.ID == f.ID })
	}
	e := dmarcEvidence(s, slices.DeleteFunc(slices.Clone(findings), told))
	e.Published = j.Published
	if j.Heard {
		e.Reported = &audit.DMARCReported{For: j.Advice.Reasons, Against: j.Advice.Missing}
	}
	return stepOut(s.Domain, audit.NextDMARC(e))
}

// dmarcEvidence gathers what is known for the next step beside reports.
func dmarcEvidence(s lifecycle.Situation, findings []audit.OpenFinding) audit.DMARCEvidence {
	e := audit.DMARCEvidence{Now: s.Now, Observed: s.Domain.Mode != inventory.Managed, Policy: s.Domain.DMARC}
	plan := lifecycle.Next(s)
	show := dmarcShow(s, nil)
	e.Stands = show.Since
	for _, d := range show.Destinations {
		if d.Tag != "rua" {
			continue
		}
		reporting := audit.DMARCReporting{Address: d.Address}
		if d.State != "own" && d.State != "stands" {
			reporting.Trouble = d.Text
		}
		e.Reports = append(e.Reports, reporting)
	}
	for _, f := range findings {
		if f.Severity != "info" && f.ID != lifecycle.ReportMissingFinding && !strings.HasPrefix(f.ID, "RPT-") && !strings.HasPrefix(f.ID, "GPT-") && !slices.Contains(aboutThePolicy(), f.ID) {
			e.Findings = append(e.Findings, f.ID+" "+f.Subject+": "+f.Message)
		}
	}
	for _, x := range sorted(s) {
		if x.Ended.IsZero() {
			e.Signers = append(e.Signers, audit.DMARCSigner{Name: s.Signers[x.SignerID].Name, Trouble: signerTrouble(s, plan, x)})
		}
	}
	return e
}

// signerTrouble says why mail of a signer may carry no signature that verifies; "" = it signs, and its records stand.
func signerTrouble(s lifecycle.Situation, plan lifecycle.Plan, x inventory.Assignment) string {
	if x.Class == inventory.ClassManaged {
		for i := range s.Keys {
			if k := &s.Keys[i]; k.AssignmentID == x.ID && k.State == lifecycle.Active && !k.Signing.IsZero() && standsNow(s, &k.Record) {
				return ""
			}
		}
		return "it does not sign yet with a key whose record stands"
	}
	if len(x.Records) == 0 {
		return "its records are not known, so that nobody can say whether its signatures verify"
	}
	for i := range s.Records {
		if r := &s.Records[i]; r.AssignmentID == x.ID && r.Want != "" && !standsNow(s, r) {
			return r.Name + ": " + sentenceOf(plan, r.ID)
		}
	}
	return ""
}

func stepOut(d inventory.Domain, p audit.DMARCProposal) client.DMARCStep {
	out := client.DMARCStep{Domain: d.Name, Present: d.DMARC, Step: p.Step, Policy: p.Policy, Ready: p.Ready, Reasons: p.Reasons, Missing: p.Missing, Notes: p.Notes}
	if p.Step != "" {
		out.Command = "postseal dmarc set " + strings.Join(append([]string{d.Name}, p.Flags...), " ")
	}
	if out.Reasons == nil {
		out.Reasons = []string{}
	}
	if out.Missing == nil {
		out.Missing = []string{}
	}
	if out.Notes == nil {
		out.Notes = []string{}
	}
	return out
}
