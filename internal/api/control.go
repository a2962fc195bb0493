package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/evidence"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
)

// maxWaiver is how long one word of a person can stand in for a name server.
const maxWaiver = 7 * 24 * time.Hour

type rotateInput struct {
	Domain string `path:"domain" maxLength:"255"`
	Body   client.RotateRequest
}

type holdInput struct {
	Domain string `path:"domain" maxLength:"255"`
	Body   client.HoldRequest
}

type waiveInput struct {
	Domain string `path:"domain" maxLength:"255"`
	Body   client.WaiveRequest
}

type freezeInput struct{ Body client.HoldRequest }

func (a *API) controlRoutes(h huma.API) {
	register(a, h, op{method: http.MethodPost, path: "/domains/{domain}/rotate", id: "rotate", summary: "Ask for new keys", role: access.Operator, what: "rotate keys"}, a.rotate)
	register(a, h, op{method: http.MethodPut, path: "/domains/{domain}/hold", id: "hold", summary: "Stop planned changes of a domain", role: access.Operator, what: "hold domains"},
		func(ctx context.Context, who access.Principal, in *holdInput) (client.Done, error) {
			d, err := a.domain(ctx, who, in.Domain)
			if err != nil {
				return client.Done{}, err
			}
			if err := a.future(ctx, in.Body.Until, 0); err != nil {
				return client.Done{}, err
			}
			return done(a.storage.SetHold(ctx, inventory.Hold{Domain: d.Name, Until: in.Body.Until, Reason: in.Body.Reason, By: who.Name}))
		})
	register(a, h, op{method: http.MethodDelete, path: "/domains/{domain}/hold", id: "release", summary: "End the hold of a domain", role: access.Operator, what: "release domains"},
		func(ctx context.Context, who access.Principal, in *domainInput) (client.Done, error) {
			d, err := a.domain(ctx, who, in.Domain)
			if err != nil {
				return client.Done{}, err
			}
			return done(a.storage.ReleaseHold(ctx, d.Name, who.Name))
		})
	register(a, h, op{method: http.MethodPost, path: "/domains/{domain}/waivers", id: "waive", summary: "Let a silent name server be ignored until a time", role: access.Operator, what: "waive name servers"},
		func(ctx context.Context, who access.Principal, in *waiveInput) (client.Done, error) {
			d, err := a.domain(ctx, who, in.Domain)
			if err != nil {
				return client.Done{}, err
			}
			if in.Body.Until.IsZero() {
				return client.Done{}, fault.New(fault.Invalid, "a waiver needs an end")
			}
			if err := a.future(ctx, in.Body.Until, maxWaiver); err != nil {
				return client.Done{}, err
			}
			server, err := a.seenServer(ctx, d.Name, in.Body.Server)
			if err != nil {
				return client.Done{}, err
			}
			return done(a.storage.Waive(ctx, inventory.Waiver{Domain: d.Name, Server: server, Until: in.Body.Until, By: who.Name, Reason: in.Body.Reason}))
		})
	register(a, h, op{method: http.MethodGet, path: "/freeze", id: "freeze-show", summary: "Show the freeze of everything", role: access.Viewer, what: "read"},
		func(ctx context.Context, _ access.Principal, _ *none) (client.FreezeShow, error) {
			f, stands, err := a.storage.Freeze(ctx)
			if err != nil || !stands {
				return client.FreezeShow{}, err
			}
			return client.FreezeShow{Freeze: freezeOut(f)}, nil
		})
	register(a, h, op{method: http.MethodPut, path: "/freeze", id: "freeze", summary: "Stop planned changes of every domain", role: access.Operator, what: "freeze everything", everything: true},
		func(ctx context.Context, who access.Principal, in *freezeInput) (client.Done, error) {
			if err := a.future(ctx, in.Body.Until, 0); err != nil {
				return client.Done{}, err
			}
			return done(a.storage.SetFreeze(ctx, inventory.Freeze{Until: in.Body.Until, Reason: in.Body.Reason, By: who.Name}))
		})
	register(a, h, op{method: http.MethodDelete, path: "/freeze", id: "thaw", summary: "End the freeze", role: access.Operator, what: "end a freeze", everything: true},
		func(ctx context.Context, who access.Principal, _ *none) (client.Done, error) {
			return done(a.storage.LiftFreeze(ctx, who.Name))
		})
}

func (a *API) rotate(ctx context.Context, who access.Principal, in *rotateInput) (client.Rotated, error) {
	d, err := a.domain(ctx, who, in.Domain)
	if err != nil {
		return client.Rotated{}, err
	}
	if d.Mode != inventory.Managed {
		return client.Rotated{}, fault.New(fault.Conflict, "%s is only observed: its keys are not Postseal's to rotate", d.Name).
			WithHint("mode: managed in fleet.yaml")
	}
	s, err := a.storage.Situation(ctx, d.Name)
	if err != nil {
		return client.Rotated{}, err
	}
	var ids, signers []string
	for _, x := range sorted(s) {
		signer := s.Signers[x.SignerID]
		if in.Body.Signer != "" && signer.Name != in.Body.Signer || !x.Ended.IsZero() || !signer.Decommissioned.IsZero() {
			continue
		}
		if x.Class != inventory.ClassManaged {
			if in.Body.Signer != "" {
				return client.Rotated{}, fault.New(fault.Conflict, "%s has the private key itself: Postseal cannot rotate it", signer.Name).
					WithHint("rotate it at the service; a new TXT value then goes into fleet.yaml")
			}
			continue
		}
		ids = append(ids, x.ID)
		if !slices.Contains(signers, signer.Name) {
			signers = append(signers, signer.Name)
		}
	}
	if len(ids) == 0 {
		if in.Body.Signer != "" {
			return client.Rotated{}, fault.New(fault.NotFound, "%s does not sign for %s", in.Body.Signer, d.Name).WithHint("postseal domain show %s", d.Name)
		}
		return client.Rotated{}, fault.New(fault.Conflict, "nobody signs for %s with a key of ours", d.Name)
	}
	return client.Rotated{Signers: signers}, a.storage.RequestRotation(ctx, d.Name, ids, who.Name)
}

// future refuses a time that has passed, or lies further ahead than most (0 = any).
func (a *API) future(ctx context.Context, t time.Time, most time.Duration) error {
	if t.IsZero() {
		return nil
	}
	now, err := a.storage.Now(ctx)
	switch {
	case err != nil:
		return err
	case !t.After(now):
		return fault.New(fault.Invalid, "%s has passed already", t.UTC().Format(time.RFC3339))
	case most > 0 && t.After(now.Add(most)):
		return fault.New(fault.Invalid, "%s is more than %d days ahead", t.UTC().Format(time.RFC3339), int(most.Hours()/24))
	}
	return nil
}

func freezeOut(f inventory.Freeze) *client.Freeze {
	return &client.Freeze{Until: f.Until, Reason: f.Reason, By: f.By, At: f.At}
}

// maxNamedServers is how many name servers a hint names; a zone has 13 at most by custom.
const maxNamedServers = 16

// seenServer finds a name server among those that were seen for the domain's records, by its name, which means all its addresses, or as it is shown, with one.
// Where nothing was seen yet every name will do. fault.NotFound.
func (a *API) seenServer(ctx context.Context, domain, server string) (string, error) {
	server = strings.ToLower(strings.TrimSpace(server))
	if name, address, one := strings.Cut(server, " ("); one {
		server = strings.TrimSuffix(name, ".") + " (" + address
	} else {
		server = strings.TrimSuffix(name, ".")
	}
	s, err := a.storage.Situation(ctx, domain)
	if err != nil {
		return server, err
	}
	looks := make([]evidence.Sighting, 0, len(s.Keys)+len(s.Records))
	for _, k := range s.Keys {
		looks = append(looks, k.Record.Last)
	}
	for _, r := range s.Records {
		looks = append(looks, r.Last)
	}
	var names []string
	for _, look := range looks {
		for _, seen := range look.Servers {
			name, _, _ := strings.Cut(seen.Server, " (")
			if strings.EqualFold(server, seen.Server) || strings.EqualFold(server, name) {
				return server, nil
			}
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return server, nil
	}
	slices.Sort(names)
	names = slices.Compact(names)
	return server, fault.New(fault.NotFound, "%q is none of the name servers that were seen for %s", server, domain).
		WithHint("seen: %s", strings.Join(names[:min(len(names), maxNamedServers)], ", "))
}
