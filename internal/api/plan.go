package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/lifecycle"
)

type fleetInput struct{ Body client.FleetRequest }

func (a *API) planRoutes(h huma.API) {
	register(a, h, op{method: http.MethodGet, path: "/plan", id: "plan", summary: "What the planner would do now, for every domain", role: access.Viewer, what: "read"},
		func(ctx context.Context, who access.Principal, in *pageInput) (client.PlanPage, error) {
			domains, next, err := a.page(ctx, who, *in)
			out := client.PlanPage{Domains: []client.DomainPlan{}, Next: next}
			if err != nil {
				return out, err
			}
			for _, d := range domains {
				p, err := a.planOf(ctx, d.Name)
				if err != nil {
					return out, err
				}
				out.Domains = append(out.Domains, p)
			}
			return out, nil
		})
	register(a, h, op{method: http.MethodGet, path: "/plan/{domain}", id: "plan-domain", summary: "What the planner would do now, for one domain", role: access.Viewer, what: "read"},
		func(ctx context.Context, who access.Principal, in *domainInput) (client.DomainPlan, error) {
			d, err := a.domain(ctx, who, in.Domain)
			if err != nil {
				return client.DomainPlan{}, err
			}
			return a.planOf(ctx, d.Name)
		})
	register(a, h, op{method: http.MethodPost, path: "/plan", id: "plan-fleet", summary: "What applying a document would change; changes nothing",
		role: access.Viewer, what: "compare a document with the inventory", maxBody: maxFleetBody, everything: true},
		func(ctx context.Context, who access.Principal, in *fleetInput) (client.Changes, error) {
			current, _, changes, err := a.compare(ctx, who, in.Body)
			if needed := (*inventory.PruneNeeded)(nil); errors.As(err, &needed) {
				err = nil // it is what a plan is asked for
			}
			return changesOut(current.Generation, changes), err
		})
	register(a, h, op{method: http.MethodPost, path: "/apply", id: "apply", summary: "Make a document the inventory", role: access.Admin,
		what: "change the inventory", maxBody: maxFleetBody, everything: true}, a.apply)
}

// apply compares and swaps: the generation that the person saw must still be the present one (invariant 9).
func (a *API) apply(ctx context.Context, who access.Principal, in *fleetInput) (client.Changes, error) {
	current, next, changes, err := a.compare(ctx, who, in.Body)
	if err != nil {
		return client.Changes{}, err
	}
	return a.swap(ctx, who, in.Body.Generation, current, next, changes, "look at the plan again: postseal plan -f FILE")
}

// swap writes the next inventory if the person saw the present one. again is the hint for when that is not so.
func (a *API) swap(ctx context.Context, who access.Principal, saw int64, current, next inventory.State, changes []inventory.Change, again string) (client.Changes, error) {
	if current.Generation != saw {
		return client.Changes{}, errMoved(saw, current.Generation, again)
	}
	if len(changes) == 0 {
		return changesOut(current.Generation, nil), nil
	}
	err := a.storage.SaveInventory(ctx, who.Name, current.Generation, next)
	if fault.CodeOf(err) == fault.Conflict {
		return client.Changes{}, errMoved(saw, 0, again)
	}
	return changesOut(next.Generation, changes), err
}

func errMoved(saw, is int64, again string) error {
	f := fault.New(fault.Conflict, "the inventory was changed by somebody else since generation %d was shown", saw)
	if is > 0 {
		f = fault.New(fault.Conflict, "the inventory is at generation %d; the changes were shown for %d", is, saw)
	}
	return f.WithHint("%s", again)
}

// compare reads a document strictly and says what it would change.
func (a *API) compare(ctx context.Context, who access.Principal, r client.FleetRequest) (current, next inventory.State, changes []inventory.Change, err error) {
	var fleet inventory.Fleet
	d := json.NewDecoder(bytes.NewReader(r.Fleet))
	d.DisallowUnknownFields()
	if err := d.Decode(&fleet); err != nil {
		return current, next, nil, fault.Wrap(fault.Invalid, err, "the fleet document does not parse: %s", plain(err)).
			WithHint("send what inventory.ParseFleet gives, from the same release as the control plane")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return current, next, nil, fault.New(fault.Invalid, "something follows the fleet document")
	}
	if current, err = a.storage.Inventory(ctx); err != nil {
		return current, next, nil, err
	}
	now, err := a.storage.Now(ctx)
	if err != nil {
		return current, next, nil, err
	}
	next, changes, err = inventory.Apply(current, fleet, inventory.ApplyOptions{Prune: r.Prune, By: who.Name, Now: now})
	return current, next, changes, err
}

// plain is a decoder's complaint without the names of our types.
func plain(err error) string {
	if e, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return e.Field + " is " + e.Value
	}
	return strings.TrimPrefix(err.Error(), "json: ")
}

func changesOut(generation int64, changes []inventory.Change) client.Changes {
	out := client.Changes{Generation: generation, Changes: []client.Change{}}
	for _, c := range changes {
		out.Changes = append(out.Changes, client.Change{
			Action: string(c.Action), Noun: c.Noun, Name: c.Name, Domain: c.Domain, Why: c.Why, Destructive: c.Destructive,
		})
	}
	return out
}

func (a *API) planOf(ctx context.Context, domain string) (client.DomainPlan, error) {
	s, err := a.situation(ctx, domain)
	if err != nil {
		return client.DomainPlan{}, err
	}
	return domainPlan(s), nil
}

// domainPlan is pure: the planner's words with names instead of ids.
func domainPlan(s lifecycle.Situation) client.DomainPlan {
	plan := lifecycle.Next(s)
	out := client.DomainPlan{Domain: s.Domain.Name, Due: plan.Due, Steps: []client.PlanStep{}, Reasons: []client.PlanReason{},
		Findings: convert(plan.Findings, findingOut)}
	n := namesOf(s)
	for _, x := range plan.Steps {
		out.Steps = append(out.Steps, client.PlanStep{Step: string(x.Kind), Signer: n.signer[x.AssignmentID],
			Selector: n.selector[x.KeyID], KeyID: x.KeyID, Record: n.record[x.RecordID], Why: x.Why})
	}
	for _, x := range plan.Reasons {
		out.Reasons = append(out.Reasons, n.reason(x))
	}
	return out
}

// names turns ids of a situation into what people call things.
type names struct{ signer, selector, record map[string]string }

func namesOf(s lifecycle.Situation) names {
	n := names{map[string]string{}, map[string]string{}, map[string]string{}}
	for _, x := range s.Assignments {
		n.signer[x.ID] = s.Signers[x.SignerID].Name
	}
	for _, k := range s.Keys {
		n.selector[k.ID] = k.Selector
	}
	for _, r := range s.Records {
		n.record[r.ID] = r.Name
	}
	return n
}

func (n names) reason(x lifecycle.Reason) client.PlanReason {
	return client.PlanReason{Signer: n.signer[x.AssignmentID], Selector: n.selector[x.KeyID], KeyID: x.KeyID, Record: n.record[x.RecordID],
		Next: string(x.StepAfter), NextAt: x.Next, Text: x.Text, Blocked: x.Blocked}
}

func findingOut(f lifecycle.Finding) client.Finding {
	return client.Finding{ID: f.ID, Severity: f.Severity, Domain: f.Domain, Subject: f.Subject, Message: f.Message, Fix: f.Fix}
}
