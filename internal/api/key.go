package api

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/lifecycle"
)

// keyInput names a key in the path.
type keyInput struct {
	Domain   string `path:"domain" maxLength:"255"`
	Selector string `path:"selector" maxLength:"255"`
}

type revokeInput struct {
	Domain   string `path:"domain" maxLength:"255"`
	Selector string `path:"selector" maxLength:"255"`
	Body     client.RevokeRequest
}

type approveInput struct {
	Domain   string `path:"domain" maxLength:"255"`
	Selector string `path:"selector" maxLength:"255"`
	Body     client.ApproveRequest
}

func (a *API) keyRoutes(h huma.API) {
	register(a, h, op{method: http.MethodGet, path: "/domains/{domain}/keys", id: "keys", summary: "List the keys of a domain", role: access.Viewer, what: "read"},
		func(ctx context.Context, who access.Principal, in *domainInput) (client.Keys, error) {
			d, err := a.domain(ctx, who, in.Domain)
			if err != nil {
				return client.Keys{}, err
			}
			s, err := a.situation(ctx, d.Name)
			if err != nil {
				return client.Keys{}, err
			}
			slices.SortStableFunc(s.Keys, func(x, y lifecycle.Key) int { return cmp.Or(x.Created.Compare(y.Created), cmp.Compare(x.ID, y.ID)) })
			plan := lifecycle.Next(s)
			return client.Keys{Keys: convert(s.Keys, func(k lifecycle.Key) client.Key { return keyOut(s, plan, k) })}, nil
		})
	register(a, h, op{method: http.MethodGet, path: "/domains/{domain}/keys/{selector}", id: "key", summary: "Show one key", role: access.Viewer, what: "read"},
		func(ctx context.Context, who access.Principal, in *keyInput) (client.Key, error) {
			s, k, err := a.key(ctx, who, in.Domain, in.Selector)
			if err != nil {
				return client.Key{}, err
			}
			return keyOut(s, lifecycle.Next(s), k), nil
		})
	register(a, h, op{method: http.MethodPost, path: "/domains/{domain}/keys/{selector}/revoke", id: "revoke",
		summary: "End a key: through retirement, or at once when it is compromised", role: access.Admin, what: "revoke keys"},
		func(ctx context.Context, who access.Principal, in *revokeInput) (client.Done, error) {
			_, k, err := a.key(ctx, who, in.Domain, in.Selector)
			if err != nil {
				return client.Done{}, err
			}
			if !k.State.Before(lifecycle.Revoked) {
				return client.Done{}, fault.New(fault.Conflict, "%s is %s already", k.Name(), k.State)
			}
			return done(a.storage.EndKey(ctx, k.ID, lifecycle.End{By: who.Name, Reason: in.Body.Reason, Compromised: in.Body.Compromised}))
		})
	register(a, h, op{method: http.MethodPost, path: "/domains/{domain}/keys/{selector}/approve", id: "approve",
		summary: "Say yes to one step of a key", role: access.Operator, what: "approve steps"},
		func(ctx context.Context, who access.Principal, in *approveInput) (client.Done, error) {
			s, k, err := a.key(ctx, who, in.Domain, in.Selector)
			if err != nil {
				return client.Done{}, err
			}
			if !slices.Contains(slices.Concat(s.Controls.NeedApproval, s.Domain.Policy.NeedApproval), in.Body.Step) {
				return client.Done{}, fault.New(fault.Invalid, "the step %q does not wait for approval in %s", in.Body.Step, s.Domain.Name).
					WithHint("need_approval in fleet.yaml names the steps that do")
			}
			return done(a.storage.Approve(ctx, inventory.Approval{KeyID: k.ID, Step: in.Body.Step, By: who.Name}))
		})
}

// key finds a key by its selector: the newest one, where a slot has carried several.
func (a *API) key(ctx context.Context, who access.Principal, domain, selector string) (lifecycle.Situation, lifecycle.Key, error) {
	d, err := a.domain(ctx, who, domain)
	if err != nil {
		return lifecycle.Situation{}, lifecycle.Key{}, err
	}
	s, err := a.situation(ctx, d.Name)
	if err != nil {
		return s, lifecycle.Key{}, err
	}
	var found *lifecycle.Key
	for i := range s.Keys {
		if k := &s.Keys[i]; k.Selector == selector && (found == nil || k.Created.After(found.Created)) {
			found = k
		}
	}
	if found == nil {
		f := fault.New(fault.NotFound, "%s has no key with the selector %s", d.Name, selector)
		for _, r := range s.Records {
			if r.Name == inventory.KeyName(selector, d.Name) && r.Purpose != lifecycle.ForSlot {
				return s, lifecycle.Key{}, f.WithHint("that selector belongs to a service, which has the private key: end it there, and take the service out of fleet.yaml")
			}
		}
		return s, lifecycle.Key{}, f.WithHint("postseal key list %s", d.Name)
	}
	return s, *found, nil
}

func keyOut(s lifecycle.Situation, plan lifecycle.Plan, k lifecycle.Key) client.Key {
	out := client.Key{
		ID: k.ID, Domain: k.Domain, Selector: k.Selector, Algorithm: k.Algorithm, State: string(k.State),
		Record: recordOut(k.Record), Holders: []client.Holding{},
		Created: k.Created, Propagated: k.Propagated, Proven: k.Proven, Activated: k.Activated, Signing: k.Signing, Retired: k.Retired,
		Stopped: k.Stopped, Revoked: k.Revoked, Removed: k.Removed, Demoted: k.Demoted, RotateAfter: k.RotateAfter, EndReason: k.EndReason,
	}
	for _, x := range s.Assignments {
		if x.ID == k.AssignmentID {
			out.Signer, out.Stream = s.Signers[x.SignerID].Name, x.Stream
		}
	}
	if k.End != nil {
		out.End = &client.KeyEnd{By: k.End.By, Reason: k.End.Reason, At: k.End.At, Compromised: k.End.Compromised}
	}
	for _, h := range k.Holders {
		out.Holders = append(out.Holders, client.Holding{
			Server: cmp.Or(s.Signers[h.ServerID].Name, h.ServerID), Want: string(h.Want), Acked: string(h.Acked), Has: h.Has, Signing: h.Signing,
			Signed: h.Signed, LastSignature: h.LastSigned, CanaryVerified: h.CanaryVerified, CanaryProblem: h.CanaryProblem, Error: h.Error,
			Reported: h.Reported, Gone: h.Gone,
		})
	}
	n := namesOf(s)
	for _, r := range plan.Reasons {
		if r.KeyID == k.ID {
			out.Reasons = append(out.Reasons, n.reason(r))
		}
	}
	return out
}
