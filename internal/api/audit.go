package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/audit"
)

type auditsInput struct {
	Domain string `query:"domain" maxLength:"255" doc:"only this domain"`
	After  string `query:"after" maxLength:"255" doc:"begin after this domain"`
	Limit  int    `query:"limit" minimum:"0" maximum:"500" doc:"at most so many; 0 = 100"`
}

func (a *API) auditRoutes(h huma.API) {
	register(a, h, op{method: http.MethodGet, path: "/audits", id: "audits", summary: "What the newest audits said: scores and counts", role: access.Viewer, what: "read"},
		func(ctx context.Context, who access.Principal, in *auditsInput) (client.Audits, error) {
			f := audit.SummaryFilter{After: in.After, Limit: pageInput{Limit: in.Limit}.limit(), Labels: who.Labels}
			if in.Domain != "" {
				d, err := a.domain(ctx, who, in.Domain)
				if err != nil {
					return client.Audits{}, err
				}
				f.Domain = d.Name
			}
			audits, err := a.storage.Audits(ctx, f)
			out := client.Audits{Audits: convert(audits, auditOut)}
			if len(audits) >= f.Limit {
				out.Next = audits[len(audits)-1].Domain
			}
			return out, err
		})
	register(a, h, op{method: http.MethodPost, path: "/domains/{domain}/audit", id: "audit", summary: "Audit a domain at once", role: access.Operator, what: "have a domain audited"},
		func(ctx context.Context, who access.Principal, in *domainInput) (client.Done, error) {
			d, err := a.domain(ctx, who, in.Domain)
			if err != nil {
				return client.Done{}, err
			}
			return done(a.storage.AuditNow(ctx, d.Name))
		})
}

func auditOut(a audit.Summary) client.Audit {
	c := a.Counts
	return client.Audit{
		Domain: a.Domain, At: a.At, Next: a.Due, Score: a.Score, Errors: c.Errors, Warnings: c.Warnings, Infos: c.Infos, Muted: c.Muted, MutedErrors: c.MutedErrors,
		Selectors:  convert(a.Selectors, func(s audit.Selector) client.AuditSelector { return client.AuditSelector(s) }),
		NotChecked: a.NotChecked,
	}
}
