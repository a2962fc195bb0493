package api

import (
	"context"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/report"
	"github.com/postseal/postseal/internal/serviceclient/postmaster"
)

func (a *API) reportPostmaster(ctx context.Context, who access.Principal, in *summaryInput) (client.Postmaster, error) {
	d, err := a.domain(ctx, who, in.Domain)
	if err != nil {
		return client.Postmaster{}, err
	}
	p, err := a.spanOf(ctx, in.Since, in.Until)
	if err != nil {
		return client.Postmaster{}, err
	}
	w, err := a.reports.Postmaster(ctx, d.Name, p)
	return postmasterOut(d.Name, p, w), err
}

func postmasterOut(domain string, p report.Period, w postmaster.Witness) client.Postmaster {
	out := client.Postmaster{Domain: domain, Since: p.Since, Until: p.Until, On: w.On, Domains: []client.PostmasterAsked{},
		Days: convert(w.Days, postmasterDayOut),
		Disagreements: convert(w.Disagreements, func(d postmaster.Disagreement) client.PostmasterDisagreement {
			return client.PostmasterDisagreement{Domain: d.Domain, Day: d.Date, What: d.What, Message: d.Message}
		})}
	for _, x := range w.Asked {
		y := client.PostmasterAsked{Domain: x.Domain, Asked: x.At, Problem: x.Problem, Hint: x.Hint}
		if x.Domain == "" {
			out.Account = y
			continue
		}
		out.Domains = append(out.Domains, y)
	}
	return out
}

func postmasterDayOut(d postmaster.Beside) client.PostmasterDay {
	out := client.PostmasterDay{Domain: d.Domain, Day: d.Date, DKIM: d.DKIM, SPF: d.SPF, DMARC: d.DMARC, Spam: d.Spam, Reputation: d.Reputation, Fetched: d.Fetched,
		Errors: convert(d.Errors, func(e postmaster.DeliveryError) client.PostmasterError {
			return client.PostmasterError{Class: e.Class, Type: e.Type, Share: e.Ratio}
		})}
	if r := d.Reported; r.Messages > 0 {
		out.Reports = &client.PostmasterReported{Messages: int64(r.Messages), Signed: int64(r.DKIMTried), DKIM: int64(r.DKIMPassed), DMARC: int64(r.Aligned)}
	}
	return out
}
