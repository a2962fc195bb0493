package api

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
)

// silentAfter is when a server counts as silent: three reports of five minutes are missing.
const silentAfter = 15 * time.Minute

// maxShownDomains bounds the domains that a signer is shown with.
const maxShownDomains = 1000

// nameInput names something in the path.
type nameInput struct {
	Name string `path:"name" maxLength:"255"`
}

type decommissionInput struct {
	Name string `path:"name" maxLength:"255"`
	Body client.Reason
}

func (a *API) serverRoutes(h huma.API) {
	register(a, h, op{method: http.MethodGet, path: "/servers", id: "servers", summary: "List servers and their agents", role: access.Viewer, what: "read"},
		func(ctx context.Context, who access.Principal, _ *none) (client.Servers, error) {
			return a.servers(ctx, who)
		})
	register(a, h, op{method: http.MethodGet, path: "/servers/{name}", id: "server", summary: "Show one server", role: access.Viewer, what: "read"},
		func(ctx context.Context, who access.Principal, in *nameInput) (client.Server, error) {
			all, err := a.servers(ctx, who)
			if err != nil {
				return client.Server{}, err
			}
			at := slices.IndexFunc(all.Servers, func(s client.Server) bool { return s.Name == in.Name })
			if at < 0 {
				return client.Server{}, errNoSigner("server", in.Name)
			}
			return all.Servers[at], nil
		})
	register(a, h, op{method: http.MethodPost, path: "/servers/{name}/decommission", id: "decommission",
		summary: "Declare a server gone: it holds nothing any more", role: access.Admin, what: "declare servers gone", everything: true},
		func(ctx context.Context, who access.Principal, in *decommissionInput) (client.Done, error) {
			s, err := a.signer(ctx, inventory.KindServer, in.Name)
			if err != nil {
				return client.Done{}, err
			}
			return done(a.storage.Decommission(ctx, s.ID, who.Name, in.Body.Reason))
		})
	a.signerRoutes(h, inventory.KindPool, "/pools")
	a.signerRoutes(h, inventory.KindService, "/services")
}

func (a *API) signerRoutes(h huma.API, kind inventory.SignerKind, path string) {
	register(a, h, op{method: http.MethodGet, path: path, id: string(kind) + "s", summary: "List " + string(kind) + "s", role: access.Viewer, what: "read"},
		func(ctx context.Context, _ access.Principal, _ *none) (client.Signers, error) {
			all, err := a.storage.Signers(ctx)
			out := client.Signers{Signers: []client.Signer{}}
			for _, s := range all {
				if s.Kind != kind {
					continue
				}
				signer := signerOut(s, all)
				if kind == inventory.KindService {
					signs, err := a.storage.Domains(ctx, DomainFilter{Limit: 1, Signer: s.ID})
					if err != nil {
						return out, err
					}
					signer.Removed = len(signs) == 0
				}
				out.Signers = append(out.Signers, signer)
			}
			return out, err
		})
	register(a, h, op{method: http.MethodGet, path: path + "/{name}", id: string(kind), summary: "Show one " + string(kind), role: access.Viewer, what: "read"},
		func(ctx context.Context, who access.Principal, in *nameInput) (client.SignerShow, error) {
			all, err := a.storage.Signers(ctx)
			if err != nil {
				return client.SignerShow{}, err
			}
			at := slices.IndexFunc(all, func(s inventory.Signer) bool { return s.Kind == kind && s.Name == in.Name })
			if at < 0 {
				return client.SignerShow{}, errNoSigner(string(kind), in.Name)
			}
			domains, err := a.storage.Domains(ctx, DomainFilter{Limit: maxShownDomains, Labels: who.Labels, Signer: all[at].ID})
			return client.SignerShow{Signer: signerOut(all[at], all), More: len(domains) == maxShownDomains,
				Domains: convert(domains, func(d inventory.Domain) string { return d.Name })}, err
		})
}

// servers are all servers, with what receivers refused of the domains that a user may see.
func (a *API) servers(ctx context.Context, who access.Principal) (client.Servers, error) {
	now, err := a.storage.Now(ctx)
	if err != nil {
		return client.Servers{}, err
	}
	agents, err := a.storage.Agents(ctx, who.Labels)
	return client.Servers{Now: now, Servers: convert(agents, func(x Agent) client.Server { return serverOut(x, now) })}, err
}

func serverOut(x Agent, now time.Time) client.Server {
	s := client.Server{
		ID: x.Server.ID, Name: x.Server.Name, Label: x.Server.Label,
		Decommissioned: x.Server.Decommissioned, DecommissionedBy: x.Server.DecommissionedBy,
		Joined: x.Joined, CertificateEnds: x.CertificateEnds, Reported: x.Reported, SkewSeconds: int64(x.Skew / time.Second),
		Software: x.Software, Keys: x.Keys, Unsigned: maps.Clone(x.Unsigned),
	}
	for _, r := range x.Refused {
		s.Refused = append(s.Refused, client.Refused(r))
	}
	switch {
	case !x.Server.Decommissioned.IsZero():
		s.State = "decommissioned"
	case x.Joined.IsZero():
		s.State = "new"
	case x.Reported.IsZero() || now.Sub(x.Reported) > silentAfter:
		s.State = "silent"
	case x.Applied != x.Latest:
		s.State = "behind"
	default:
		s.State = "current"
	}
	return s
}

// signer finds a signer of a kind by name.
func (a *API) signer(ctx context.Context, kind inventory.SignerKind, name string) (inventory.Signer, error) {
	all, err := a.storage.Signers(ctx)
	if err != nil {
		return inventory.Signer{}, err
	}
	at := slices.IndexFunc(all, func(s inventory.Signer) bool { return s.Kind == kind && s.Name == name })
	if at < 0 {
		return inventory.Signer{}, errNoSigner(string(kind), name)
	}
	return all[at], nil
}

func errNoSigner(kind, name string) error {
	return fault.New(fault.NotFound, "there is no %s %s in the inventory", kind, name).
		WithHint("postseal %s list; they come from fleet.yaml: postseal apply -f fleet.yaml", kind)
}

func signerOut(s inventory.Signer, all []inventory.Signer) client.Signer {
	out := client.Signer{ID: s.ID, Kind: string(s.Kind), Name: s.Name, Label: s.Label, Service: s.Service}
	for _, id := range s.Members {
		name := id
		if at := slices.IndexFunc(all, func(m inventory.Signer) bool { return m.ID == id }); at >= 0 {
			name = all[at].Name
		}
		out.Members = append(out.Members, name)
	}
	slices.Sort(out.Members)
	return out
}
