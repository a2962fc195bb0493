package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/audit"
	"github.com/postseal/postseal/internal/resolver"
	"github.com/postseal/postseal/internal/services"
)

// standing is what stands at a record's name today.
type standing struct {
	Name  string `json:"name"`
	State string `json:"state"` // free, same, ours, other or unknown
	Text  string `json:"text,omitempty"`
	rtype string // of what stands there in state other
	value string
}

// lookAround asks DNS about the records that are to be published: what is behind the targets, what stands at the names, and what the
// SPF record includes. Trouble with DNS is told and stops nothing.
func (a *serviceAdd) lookAround() error {
	a.out.Needs = needsOf(a.catalogue, a.service)
	if a.offline {
		return nil
	}
	dns, err := a.dns.asker()
	if err != nil {
		return err
	}
	ctx := a.cmd.Context()
	behind := make([]resolver.Answer, len(a.out.Records))
	a.out.Standing = make([]standing, len(a.out.Records))
	var hosts []services.SightedSPF
	var spf resolver.Answer
	var group errgroup.Group
	group.SetLimit(looksTogether)
	for i, r := range a.out.Records {
		group.Go(func() error {
			if r.Type == "CNAME" {
				behind[i] = dns.ask(ctx, r.Value, "TXT")
			}
			a.out.Standing[i] = standsAt(ctx, dns, r)
			return nil
		})
	}
	group.Go(func() error {
		spf = dns.ask(ctx, a.out.Domain, "TXT")
		hosts, _ = spfHosts(ctx, dns, spf.TXT)
		return nil
	})
	_ = group.Wait()
	if err := ctx.Err(); err != nil {
		return err
	}
	if spf.Status != resolver.StatusError {
		for i := range a.out.Needs.SPF {
			need := &a.out.Needs.SPF[i]
			included := slices.ContainsFunc(hosts, func(h services.SightedSPF) bool { return services.Pattern(need.Include).Match("", h.Host) })
			need.Included = &included
		}
	}
	a.judge(behind)
	return nil
}

// judge says what is behind the targets, by the rules that watch them later.
func (a *serviceAdd) judge(behind []resolver.Answer) {
	looks := make([]audit.ServiceLook, len(a.out.Records))
	for i, r := range a.out.Records {
		looks[i] = audit.ServiceLook{Domain: a.out.Domain, Selector: r.Selector, Now: time.Now(), Service: a.out.Service, Custom: a.custom, State: audit.LookFound, TXT: []string{r.Value}}
		if r.Type == "CNAME" {
			looks[i].Chain = append([]string{r.Value}, behind[i].CNAME...)
			looks[i].TXT, looks[i].State = behind[i].TXT, lookState(behind[i])
		}
	}
	for i, look := range looks {
		for j, other := range looks {
			if i != j {
				look.Siblings = append(look.Siblings, audit.ServiceSibling{Selector: other.Selector, State: other.State, Revoked: audit.Revoked(other.TXT)})
			}
		}
		for _, f := range audit.ServiceFindings(a.catalogue, look) {
			switch {
			case f.ID == "SVC-01":
				continue // what is missing here may stand already; the records say how many are usual
			case f.ID == "DKIM-D02":
				// A service may make the key only once it has seen the CNAME.
				f.Severity = audit.Warning
				f.Message += " (yet: some services make the key when they see the CNAME)"
				f.Fix, f.Mend = "compare the target once more, and check again after switching DKIM on at the service", nil
			case slices.Contains(a.out.Warnings, f.Message):
				continue // said already
			}
			if !slices.ContainsFunc(a.out.Findings, func(have audit.Finding) bool { return have.ID == f.ID && have.Subject == f.Subject }) {
				a.out.Findings = append(a.out.Findings, f)
			}
		}
	}
}

// lookState is what an answer amounts to.
func lookState(a resolver.Answer) audit.LookState {
	switch a.Status {
	case resolver.StatusOK:
		return audit.LookFound
	case resolver.StatusNoData:
		return audit.LookMissing
	case resolver.StatusNXDomain:
		return audit.LookGone
	}
	return audit.LookSilent
}

// standsAt says what stands at the name of a record today.
func standsAt(ctx context.Context, dns asker, r services.SetupRecord) standing {
	s := standing{Name: r.Name, State: "free"}
	a := dns.ask(ctx, r.Name, "TXT")
	switch {
	case len(a.CNAME) > 0 && r.Type == "CNAME" && a.CNAME[0] == r.Value, len(a.CNAME) == 0 && r.Type == "TXT" && slices.Equal(a.TXT, []string{r.Value}):
		s.State, s.Text = "same", "exactly this record stands there already"
	case len(a.CNAME) > 0:
		s.State, s.rtype, s.value = "other", "CNAME", a.CNAME[0]
		s.Text = "a CNAME to " + a.CNAME[0] + " stands there; Postseal leaves it alone until its owner removes it"
	case len(a.TXT) > 0:
		s.State, s.rtype, s.value = "other", "TXT", strings.Join(a.TXT, "\n")
		s.Text = "another TXT record stands there; Postseal leaves it alone until its owner removes it"
	case a.Status == resolver.StatusError:
		s.State, s.Text = "unknown", "nobody answers for it: "+a.Detail
	}
	return s
}

// knowOurs finds what Postseal wrote itself among what stands at the records' names: that is changed, and not left alone. Where the control plane
// does not answer nothing is known here; the change says why.
func (a *serviceAdd) knowOurs() {
	if !slices.ContainsFunc(a.out.Standing, func(s standing) bool { return s.State == "other" }) {
		return
	}
	c, err := a.open()
	if err != nil {
		return
	}
	for i := range a.out.Standing {
		if s := &a.out.Standing[i]; s.State == "other" {
			for page, err := range c.Records(a.cmd.Context(), client.RecordQuery{Name: s.Name}) {
				if err != nil {
					return
				}
				s.know(page.Records)
			}
		}
	}
}

// know looks for what stands among the records that Postseal has at the name.
func (s *standing) know(records []client.Record) {
	for _, r := range records {
		if r.Name == s.Name && r.Type == s.rtype && r.Written != "" && (r.Written == s.value || r.Type == "CNAME" && strings.EqualFold(r.Written, s.value)) {
			s.State, s.Text = "ours", "Postseal's own "+r.Type+" record stands there and is changed: it was "+s.value
		}
	}
}
