package client

import (
	"context"
	"iter"
	"net/url"
	"strconv"
	"time"
)

// Status is one domain at a glance.
type Status struct {
	Domain string   `json:"domain"`
	Mode   string   `json:"mode" doc:"observed or managed"`
	Labels []string `json:"labels,omitempty"`
	// TestMode says that the waits are too short for production.
	TestMode bool        `json:"test_mode,omitempty"`
	Hold     *Hold       `json:"hold,omitempty"`
	Rows     []StatusRow `json:"rows"`
	// Findings are open and not muted: of one domain all, in a page of several those that the planner sees now.
	Findings []Finding `json:"findings,omitempty"`
	// Open counts all that are open and not muted, from the planner, audits and comparisons of keys.
	Open FindingCounts `json:"open_findings"`
}

// FindingCounts are numbers of findings by severity.
type FindingCounts struct {
	Errors   int `json:"errors"`
	Warnings int `json:"warnings"`
	Infos    int `json:"infos"`
}

// StatusRow is one signer's key, or one record that a service or the domain itself asks for.
type StatusRow struct {
	Signer       string `json:"signer" doc:"name of the server, pool or service; empty for the domain's own records"`
	SignerKind   string `json:"signer_kind,omitempty" doc:"server, pool or service"`
	Stream       string `json:"stream,omitempty"`
	Class        string `json:"class,omitempty" doc:"managed, delegated or foreign; empty for the domain's own records"`
	AssignmentID string `json:"assignment_id,omitempty"`
	Ended        bool   `json:"ended,omitempty" doc:"the signer may not sign for the domain any more; its keys are on their way out"`

	Selector  string `json:"selector,omitempty"`
	KeyID     string `json:"key_id,omitempty"`
	Algorithm string `json:"algorithm,omitempty"`
	State     string `json:"state" doc:"of the key: generated, published, propagated, proven, active, retired, revoked; of a record: wanted, published, observed; none when there is no key yet"`

	RecordName string `json:"record_name,omitempty"`
	DNS        string `json:"dns" doc:"agrees, differs, silent, pending (a person has to publish it), unseen (not looked at yet, or not since it was changed), none (nothing is wanted)"`
	DNSDetail  string `json:"dns_detail,omitempty" doc:"who disagrees, and how"`

	LastCanary    time.Time `json:"last_canary,omitzero"`
	LastSignature time.Time `json:"last_signature,omitzero"`
	Signed        uint64    `json:"signed,omitempty" doc:"messages signed with the key, by all holders"`
	Created       time.Time `json:"created,omitzero"`
	AgeSeconds    int64     `json:"age_seconds,omitempty"`

	Next    string    `json:"next,omitempty" doc:"the next step"`
	NextAt  time.Time `json:"next_at,omitzero" doc:"when time alone brings it"`
	Reason  string    `json:"reason" doc:"why that, and why not now"`
	Blocked bool      `json:"blocked" doc:"something is wrong, or somebody must act"`
	Ticket  string    `json:"ticket,omitempty" doc:"the ticket that asks a person for its record"`
}

// StatusPage is a page of domains.
type StatusPage struct {
	Now     time.Time `json:"now" doc:"database time"`
	Freeze  *Freeze   `json:"freeze,omitempty"`
	Domains []Status  `json:"domains"`
	// Tickets are the open ones that concern these domains.
	Tickets []Ticket `json:"tickets,omitempty"`
	// Next is where the following page begins; "" = this was the last.
	Next string `json:"next,omitempty"`
}

// StatusPage returns the domains after a name.
func (c *Client) StatusPage(ctx context.Context, after string, limit int) (StatusPage, error) {
	var out StatusPage
	return out, c.get(ctx, place("status"), page(after, limit), &out)
}

// Status returns one domain.
func (c *Client) Status(ctx context.Context, domain string) (StatusPage, error) {
	var out StatusPage
	return out, c.get(ctx, place("status", domain), nil, &out)
}

func page(after string, limit int) url.Values {
	q := url.Values{}
	if after != "" {
		q.Set("after", after)
	}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	return q
}

// pages walks over all pages of a list.
func pages[P any](next func(after string) (P, string, error)) iter.Seq2[P, error] {
	return func(yield func(P, error) bool) {
		after := ""
		for {
			p, more, err := next(after)
			if !yield(p, err) || err != nil || more == "" || more == after {
				return
			}
			after = more
		}
	}
}

// AllStatus walks over all pages.
func (c *Client) AllStatus(ctx context.Context) iter.Seq2[StatusPage, error] {
	return pages(func(after string) (StatusPage, string, error) {
		p, err := c.StatusPage(ctx, after, 0)
		return p, p.Next, err
	})
}
