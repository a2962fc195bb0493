package api

import (
	"context"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/probe"
)

// Probing asks for probes.
type Probing interface {
	Ask(ctx context.Context, r probe.Request) ([]probe.Asking, error)
}

type probesInput struct {
	Domain string `query:"domain" maxLength:"255" doc:"only of this domain"`
	Signer string `query:"signer" maxLength:"255" doc:"only through this server, or from this service"`
	State  string `query:"state" enum:"asked,submitted,arrived,refused,lost"`
	Newest bool   `query:"newest" doc:"only the newest of each path"`
	Limit  int    `query:"limit" minimum:"0" maximum:"500" doc:"at most so many; 0 = 100"`
}

type probeInput struct {
	Probe string `path:"probe" maxLength:"40"`
}

type askProbesInput struct{ Body client.ProbeAsk }

func (a *API) probeRoutes(h huma.API) {
	register(a, h, op{method: http.MethodGet, path: "/probes", id: "probes", summary: "List probes, newest first", role: access.Viewer, what: "read"},
		func(ctx context.Context, who access.Principal, in *probesInput) (client.Probes, error) {
			out := client.Probes{}
			settings, now, err := a.storage.ProbeSettings(ctx)
			if err != nil {
				return out, err
			}
			out.Now, out.Address = now, settings.Address
			found, err := a.storage.Probes(ctx, ProbeFilter{Domain: plainName(in.Domain), Signer: strings.ToLower(in.Signer), State: probe.State(in.State), Newest: in.Newest, Labels: who.Labels, Limit: pageInput{Limit: in.Limit}.limit()})
			out.Probes = convert(found, probeOut)
			return out, err
		})
	register(a, h, op{method: http.MethodGet, path: "/probes/{probe}", id: "probe", summary: "Show one probe", role: access.Viewer, what: "read"},
		func(ctx context.Context, who access.Principal, in *probeInput) (client.ProbeShow, error) {
			out := client.ProbeShow{}
			var err error
			if out.Now, err = a.storage.Now(ctx); err != nil {
				return out, err
			}
			p, err := a.storage.Probe(ctx, in.Probe)
			if err != nil {
				return out, err
			}
			if len(who.Labels) > 0 {
				if _, err := a.domain(ctx, who, p.Domain); err != nil {
					return out, fault.New(fault.NotFound, "there is no probe %s", in.Probe).WithHint("postseal probe list shows them")
				}
			}
			out.Probe = probeOut(p)
			return out, nil
		})
	register(a, h, op{method: http.MethodPost, path: "/probes", id: "ask-probes", summary: "Ask for probes through a server, or of a service", role: access.Operator, what: "ask for probes"}, a.askProbes)
}

func (a *API) askProbes(ctx context.Context, who access.Principal, in *askProbesInput) (client.Probes, error) {
	ask := in.Body
	out := client.Probes{}
	if (ask.Server == "") == (ask.Service == "") {
		return out, fault.New(fault.Invalid, "a probe is of a server or of a service: name one of them")
	}
	if a.probing == nil {
		return out, fault.New(fault.Unavailable, "this control plane asks for no probes")
	}
	r := probe.Request{Signer: strings.ToLower(ask.Server + ask.Service), Service: ask.Service != "", By: who.Name}
	if ask.Domain != "" {
		d, err := a.domain(ctx, who, ask.Domain)
		if err != nil {
			return out, err
		}
		r.Domain = d.Name
	} else if err := who.SeesAll("probe every domain of a server"); err != nil {
		return out, err
	}
	settings, now, err := a.storage.ProbeSettings(ctx)
	if err != nil {
		return out, err
	}
	out.Now, out.Address = now, settings.Address
	asked, err := a.probing.Ask(ctx, r)
	out.Probes = convert(asked, func(x probe.Asking) client.Probe {
		p := probeOut(x.Probe)
		if x.Service {
			p.Address = x.Address
		}
		return p
	})
	return out, err
}

func probeOut(p probe.Probe) client.Probe {
	out := client.Probe{
		Probe: p.ID, Domain: p.Domain, Signer: p.Signer, Kind: "server", State: string(p.State), Why: string(p.Why), By: p.By, Wanted: convert(p.Wanted, func(s string) string { return s }),
		Asked: p.Asked, Submitted: p.Submitted, Reply: p.Reply, NotSetUp: p.NotSetUp, Ended: p.Ended,
	}
	if p.Service {
		out.Kind = "service"
	}
	if !p.State.Ended() {
		out.Deadline = p.Deadline()
	}
	if v := p.Verdict; v != nil {
		out.Good = v.Good
		out.Verdict = &client.ProbeVerdict{Outcome: string(v.Outcome), Sentence: v.Sentence, Fix: v.Fix, Notes: v.Notes, Proven: v.Proven}
	}
	if m := p.Mail; m != nil {
		out.Mail = &client.ProbeMail{
			At: m.At, Peer: m.Peer, HELO: m.HELO, EnvelopeFrom: m.EnvelopeFrom, From: m.From, Subject: m.Subject, Hops: m.Hops,
			SPF: m.SPF.Result, SPFDomain: m.SPF.Domain, SPFAligned: m.SPF.Aligned, DMARC: m.DMARC.Result, DMARCPolicy: m.DMARC.Policy,
			Signatures: convert(m.Signatures, func(s probe.Signature) client.ProbeSignature {
				return client.ProbeSignature{Domain: s.Domain, Selector: s.Selector, Algorithm: s.Algorithm, Result: string(s.Result), Reason: string(s.Reason), Aligned: s.Aligned}
			}),
		}
	}
	return out
}
