package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"slices"
	"time"
)

// FleetRequest is a fleet document, read and with its defaults filled in, and what to do with it.
type FleetRequest struct {
	Fleet json.RawMessage `json:"fleet" doc:"the document as the command line's parser gives it"`
	Prune bool            `json:"prune,omitempty" doc:"assignments that the document no longer names are ended, through retirement"`
	// Generation is the inventory's generation that the changes were shown for; apply refuses another one. A plan ignores it.
	Generation int64 `json:"generation,omitempty"`
}

// Changes is what a document changes, or changed.
type Changes struct {
	Generation int64    `json:"generation" doc:"of the inventory: that the changes are against, or that they led to"`
	Changes    []Change `json:"changes"`
}

// Destructive returns the changes that need prune.
func (c Changes) Destructive() []Change {
	return slices.DeleteFunc(slices.Clone(c.Changes), func(x Change) bool { return !x.Destructive })
}

// Change is one difference between the document and the inventory.
type Change struct {
	Action string `json:"action" doc:"add, change, end or remove"`
	Noun   string `json:"noun" doc:"domain, server, pool, service, assignment, publisher, dns, windows or approvals"`
	Name   string `json:"name"`
	Domain string `json:"domain,omitempty"`
	Why    string `json:"why"`
	// Destructive changes take a signer or a record away; apply makes them only with prune.
	Destructive bool `json:"destructive,omitempty"`
}

// DomainPlan is what the planner would do with a domain now.
type DomainPlan struct {
	Domain   string       `json:"domain"`
	Steps    []PlanStep   `json:"steps" doc:"due now"`
	Reasons  []PlanReason `json:"reasons" doc:"what comes next for each key and record, and why not now"`
	Findings []Finding    `json:"findings,omitempty"`
	Due      time.Time    `json:"due" doc:"when it is looked at again, even if nothing happens before"`
}

// PlanStep is one step that is due.
type PlanStep struct {
	Step     string `json:"step"`
	Signer   string `json:"signer,omitempty"`
	Selector string `json:"selector,omitempty"`
	KeyID    string `json:"key_id,omitempty"`
	Record   string `json:"record,omitempty"`
	Why      string `json:"why"`
}

// PlanReason says what comes next for one key or record.
type PlanReason struct {
	Signer   string    `json:"signer,omitempty"`
	Selector string    `json:"selector,omitempty"`
	KeyID    string    `json:"key_id,omitempty"`
	Record   string    `json:"record,omitempty"`
	Next     string    `json:"next,omitempty"`
	NextAt   time.Time `json:"next_at,omitzero"`
	Text     string    `json:"text"`
	Blocked  bool      `json:"blocked"`
}

// PlanPage is a page of domains.
type PlanPage struct {
	Domains []DomainPlan `json:"domains"`
	Next    string       `json:"next,omitempty"`
}

// PlanFleet says what applying a document would change; nothing is changed.
func (c *Client) PlanFleet(ctx context.Context, r FleetRequest) (Changes, error) {
	var out Changes
	return out, c.post(ctx, place("plan"), r, &out)
}

// Apply makes the document the inventory. fault.Conflict when the generation is another one meanwhile.
func (c *Client) Apply(ctx context.Context, r FleetRequest) (Changes, error) {
	var out Changes
	return out, c.post(ctx, place("apply"), r, &out)
}

// PlanPage returns the lifecycle plans of the domains after a name.
func (c *Client) PlanPage(ctx context.Context, after string, limit int) (PlanPage, error) {
	var out PlanPage
	return out, c.get(ctx, place("plan"), page(after, limit), &out)
}

// Plan returns the lifecycle plan of one domain.
func (c *Client) Plan(ctx context.Context, domain string) (DomainPlan, error) {
	var out DomainPlan
	return out, c.call(ctx, http.MethodGet, place("plan", domain), nil, nil, &out)
}

// AllPlans walks over all pages.
func (c *Client) AllPlans(ctx context.Context) iter.Seq2[PlanPage, error] {
	return pages(func(after string) (PlanPage, string, error) {
		p, err := c.PlanPage(ctx, after, 0)
		return p, p.Next, err
	})
}
