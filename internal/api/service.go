package api

import (
	"context"
	"errors"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
)

type serviceInput struct {
	Domain string `path:"domain" maxLength:"255"`
	Body   client.ServiceRequest
}

// serviceRoutes change one service of one domain, with the same care as a whole document: seen first, then compared and swapped. Who is
// limited to labels may do it for the domains that carry them.
func (a *API) serviceRoutes(h huma.API) {
	register(a, h, op{method: http.MethodPost, path: "/domains/{domain}/services/plan", id: "plan-service",
		summary: "What adding or removing a service of a domain would change; changes nothing", role: access.Viewer, what: "read"},
		func(ctx context.Context, who access.Principal, in *serviceInput) (client.Changes, error) {
			current, _, changes, err := a.compareService(ctx, who, in)
			if needed := (*inventory.PruneNeeded)(nil); errors.As(err, &needed) {
				err = nil // it is what a plan is asked for
			}
			return changesOut(current.Generation, changes), err
		})
	register(a, h, op{method: http.MethodPost, path: "/domains/{domain}/services", id: "change-service",
		summary: "Add a service to a domain, give it records, or take it away", role: access.Admin, what: "change the inventory"},
		func(ctx context.Context, who access.Principal, in *serviceInput) (client.Changes, error) {
			current, next, changes, err := a.compareService(ctx, who, in)
			if err != nil {
				return client.Changes{}, err
			}
			return a.swap(ctx, who, in.Body.Generation, current, next, changes, "ask for the plan again and look at it")
		})
}

// compareService says what a request would change. The word for a removal is the request itself.
func (a *API) compareService(ctx context.Context, who access.Principal, in *serviceInput) (current, next inventory.State, changes []inventory.Change, err error) {
	d, err := a.domain(ctx, who, in.Domain)
	if err != nil {
		return current, next, nil, err
	}
	if current, err = a.storage.Inventory(ctx); err != nil {
		return current, next, nil, err
	}
	now, err := a.storage.Now(ctx)
	if err != nil {
		return current, next, nil, err
	}
	opts := inventory.ApplyOptions{By: who.Name, Now: now, Prune: true}
	if in.Body.Remove {
		if len(in.Body.Records) > 0 {
			return current, next, nil, fault.New(fault.Invalid, "a removal has no records")
		}
		next, changes, err = inventory.RemoveService(current, d.Name, in.Body.Service, in.Body.Stream, opts)
		return current, next, changes, err
	}
	s := inventory.FleetSigner{Service: in.Body.Service, Stream: in.Body.Stream}
	for _, r := range in.Body.Records {
		s.Records = append(s.Records, inventory.ServiceRecord{Selector: r.Selector, Type: r.Type, Value: r.Value})
	}
	next, changes, err = inventory.AddService(current, d.Name, s, opts)
	return current, next, changes, err
}
