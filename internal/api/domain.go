package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/lifecycle"
)

func (a *API) domainRoutes(h huma.API) {
	register(a, h, op{method: http.MethodGet, path: "/domains", id: "domains", summary: "List domains", role: access.Viewer, what: "read"},
		func(ctx context.Context, who access.Principal, in *pageInput) (client.DomainPage, error) {
			domains, next, err := a.page(ctx, who, *in)
			return client.DomainPage{Domains: convert(domains, domainOut), Next: next}, err
		})
	register(a, h, op{method: http.MethodGet, path: "/domains/{domain}", id: "domain", summary: "Show one domain", role: access.Viewer, what: "read"},
		func(ctx context.Context, who access.Principal, in *domainInput) (client.DomainShow, error) {
			d, err := a.domain(ctx, who, in.Domain)
			if err != nil {
				return client.DomainShow{}, err
			}
			s, err := a.situation(ctx, d.Name)
			return domainShow(s), err
		})
	register(a, h, op{method: http.MethodPost, path: "/domains/{domain}/check", id: "check", summary: "Look at a domain at once", role: access.Operator, what: "have a domain looked at"},
		func(ctx context.Context, who access.Principal, in *domainInput) (client.Done, error) {
			d, err := a.domain(ctx, who, in.Domain)
			if err != nil {
				return client.Done{}, err
			}
			return done(a.storage.CheckNow(ctx, d.Name))
		})
}

func domainOut(d inventory.Domain) client.Domain {
	seconds := func(d time.Duration) int64 { return int64(d / time.Second) }
	p := d.Policy
	return client.Domain{
		Name: d.Name, Mode: string(d.Mode), Labels: d.Labels, Publisher: d.Publisher, NoKey: string(d.NoKey), DMARC: d.DMARC,
		Subdomains: d.Subdomains, Signing: signingOut(d.Signing),
		Policy: client.Policy{RotateEvery: seconds(p.RotateEvery), Retention: seconds(p.Retention), Tombstone: seconds(p.Tombstone),
			TTL: seconds(p.TTL), MinWait: seconds(p.MinWait), CheckEvery: seconds(p.CheckEvery), AuditEvery: seconds(p.AuditEvery), TestMode: p.TestMode},
	}
}

func signingOut(s inventory.Signing) client.Signing {
	return client.Signing{Headers: s.Headers, Oversign: s.Oversign, Canonicalization: s.Canonicalization, ExpireSeconds: int64(s.Expires() / time.Second)}
}

func domainShow(s lifecycle.Situation) client.DomainShow {
	out := client.DomainShow{Domain: domainOut(s.Domain), Assignments: []client.Assignment{}, Hold: holdOf(s),
		Findings: convert(lifecycle.Next(s).Findings, findingOut)}
	for _, x := range sorted(s) {
		signer := s.Signers[x.SignerID]
		one := client.Assignment{
			ID: x.ID, Signer: signer.Name, SignerKind: string(signer.Kind), Stream: x.Stream, Class: string(x.Class), Algorithms: x.Algorithms,
			Bulk: x.Bulk, Slots: x.Slots, Through: x.Through, Standby: x.Standby, Ended: !x.Ended.IsZero(), EndedBy: x.EndedBy,
			Records: convert(x.Records, func(r inventory.ServiceRecord) client.ServiceRecord {
				return client.ServiceRecord{Selector: r.Selector, Type: r.Type, Value: r.Value}
			}),
		}
		if x.Class == inventory.ClassManaged {
			one.NoKey, one.Subdomains, one.Signing = string(x.NoKeyIn(s.Domain)), x.SubdomainsIn(s.Domain), signingOut(x.SigningIn(s.Domain))
		}
		out.Assignments = append(out.Assignments, one)
	}
	for _, w := range s.Controls.Waivers {
		if w.Domain == s.Domain.Name {
			out.Waivers = append(out.Waivers, client.Waiver{Server: w.Server, Until: w.Until, By: w.By, Reason: w.Reason})
		}
	}
	return out
}
