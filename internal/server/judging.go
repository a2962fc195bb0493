package server

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/audit"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/lifecycle"
	"github.com/postseal/postseal/internal/report"
)

func (r *reporting) diagnoseWaiting(ctx context.Context) error {
	var due []string
	r.mu.Lock()
	for name, since := range r.waiting {
		if time.Since(since) >= r.config.DiagnoseAfter {
			due = append(due, name)
			delete(r.waiting, name)
		}
	}
	r.mu.Unlock()
	slices.Sort(due)
	return r.diagnose(ctx, due)
}

// diagnoseAll looks at every domain that reports were counted for lately.
func (r *reporting) diagnoseAll(ctx context.Context) error {
	now, err := r.store.Now(ctx)
	if err != nil {
		return err
	}
	counts, err := r.Counts(ctx, report.Period{Since: now.Add(-diagnoseSpan)}, report.Grouping{Domain: true})
	if err != nil {
		return err
	}
	names := map[string]bool{}
	for _, c := range counts {
		names[c.Domain] = true
	}
	seen, err := r.PostmasterDomains(ctx, now.Add(-diagnoseSpan))
	if err != nil {
		return err
	}
	if len(seen) > 0 {
		known, err := r.Directory(ctx)
		if err != nil {
			return err
		}
		for _, name := range seen {
			if ours := known.Domain(name); ours != "" {
				names[ours] = true
			}
		}
	}
	return r.diagnose(ctx, slices.Sorted(maps.Keys(names)))
}

// diagnose keeps what the reports of some domains mean as findings.
func (r *reporting) diagnose(ctx context.Context, names []string) error {
	for _, name := range names {
		s, err := r.store.Situation(ctx, name)
		if fault.CodeOf(err) == fault.NotFound {
			continue
		}
		if err != nil {
			return err
		}
		j, err := r.Judge(ctx, s, report.Period{Domains: []string{name}, Since: s.Now.Add(-diagnoseSpan), Until: s.Now})
		if err != nil {
			return err
		}
		findings := make([]audit.Finding, 0, len(j.Found))
		for _, d := range j.Found {
			findings = append(findings, audit.Finding{ID: d.ID, Severity: audit.Severity(d.Severity), Subject: d.Subject, Message: strings.TrimSuffix(d.Message, "."), Fix: strings.TrimSuffix(d.Fix, ".")})
		}
		covered := func(string) bool { return true }
		if !j.Heard { // silence resolves nothing
			covered = isPostmasterFinding
		}
		if err := r.store.SaveReportFindings(ctx, name, findings, covered); err != nil {
			return err
		}
	}
	return nil
}

// Judge says what the reports of a time mean for a domain.
func (r *reporting) Judge(ctx context.Context, s lifecycle.Situation, p report.Period) (report.Judgement, error) {
	groups, err := r.Groups(ctx, p, true)
	if err != nil {
		return report.Judgement{}, err
	}
	second, err := r.spoken(ctx, s.Domain.Name, p)
	if err != nil || len(groups) == 0 {
		return report.Judgement{Found: second}, err
	}
	scene := sceneOf(s)
	scene.From, scene.To = p.Since.UTC().Truncate(24*time.Hour), p.Until.UTC().Truncate(24*time.Hour)
	if scene.Failures, err = r.failures(ctx, p); err != nil {
		return report.Judgement{}, err
	}
	published := ""
	if s.Domain.DMARC == "" {
		if published, err = r.published(ctx, s.Domain.Name, p, &scene); err != nil {
			return report.Judgement{}, err
		}
	}
	j := report.Judge(groups, scene)
	j.Found, j.Published = append(j.Found, second...), published
	return j, nil
}

// maxPoliciesRead is how many of the newest reports are looked at for a policy: those that nobody vouches for say nothing of it.
const maxPoliciesRead = 20

// published is the policy that the newest report finds in DNS; the scene gets what it makes of the domain's mail.
func (r *reporting) published(ctx context.Context, domain string, p report.Period, scene *report.Scene) (string, error) {
	newest, err := r.Details(ctx, report.ReportFilter{Domains: []string{domain}, Type: report.Aggregate, State: report.Stored, Since: p.Since, Until: p.Until, Limit: maxPoliciesRead})
	if err != nil {
		return "", err
	}
	for _, d := range newest {
		if !d.Trust.Vouched() || d.Policy.Policy == "" || d.Domain != domain {
			continue
		}
		scene.Policy, scene.Strict = string(d.Policy.Policy), d.Policy.DKIM == "s"
		return report.PolicyText(d.Policy), nil
	}
	return "", nil
}

// maxSamples is how many failure reports are looked at: each is about one message.
const maxSamples = 500

// failures are the newest failure reports of a time.
func (r *reporting) failures(ctx context.Context, p report.Period) (out []report.Sample, err error) {
	known, err := r.Directory(ctx)
	if err != nil {
		return nil, err
	}
	listed, err := r.Reports(ctx, report.ReportFilter{Domains: p.Domains, Type: report.Failure, State: report.Stored, Since: p.Since, Until: p.Until, Limit: maxSamples})
	if err != nil {
		return nil, err
	}
	for _, l := range listed {
		d, err := r.Report(ctx, l.ID)
		if err != nil {
			return nil, err
		}
		if d.Failure == nil {
			continue
		}
		x := known.AttributeFailure(d.Failure)
		out = append(out, report.Sample{Signer: x.Signer, Source: x.Source, KeyID: x.KeyID, Cause: x.Cause, Vouched: l.Trust.Vouched(), At: d.Failure.Arrived})
	}
	return out, nil
}

// sceneOf is what the inventory knows that reports are judged by.
func sceneOf(s lifecycle.Situation) report.Scene {
	scene := report.Scene{Domain: s.Domain.Name}
	scene.Policy, scene.Strict = inventory.PolicyOf(s.Domain)
	who := func(id string) report.Who {
		x := s.Signers[id]
		return report.Who{Kind: string(x.Kind), ID: x.ID, Name: x.Name}
	}
	signerOf := map[string]string{} // by assignment
	for _, a := range s.Assignments {
		signerOf[a.ID] = a.SignerID
		if !a.Ended.IsZero() {
			continue
		}
		x := report.SceneSigner{Who: who(a.SignerID), Placed: true}
		for _, id := range s.Signers[a.SignerID].Holders() {
			x.Placed = x.Placed && len(s.Signers[id].Addresses)+len(s.Signers[id].Networks) > 0
		}
		if !slices.ContainsFunc(scene.Signers, func(y report.SceneSigner) bool { return y.ID == x.ID }) {
			scene.Signers = append(scene.Signers, x)
		}
	}
	for i := range s.Keys {
		k := &s.Keys[i]
		scene.Selectors = append(scene.Selectors, report.SceneSelector{Selector: k.Selector, KeyID: k.ID, Signer: who(signerOf[k.AssignmentID]), State: string(k.State), Since: stateSince(k)})
	}
	for i := range s.Records {
		x := &s.Records[i]
		selector, below, ok := strings.Cut(x.Name, "._domainkey.")
		if !ok || below != s.Domain.Name || !x.Gone.IsZero() {
			continue
		}
		scene.Selectors = append(scene.Selectors, report.SceneSelector{Selector: selector, Signer: who(signerOf[x.AssignmentID]), Since: x.AgreedSince})
		if x.Last.Problem == "" && x.Last.Empty() && !x.Last.At.IsZero() {
			scene.Absent = append(scene.Absent, selector)
		}
	}
	return scene
}
