package client

import (
	"context"
	"iter"
)

// Domain is a signing domain of the inventory.
type Domain struct {
	Name      string   `json:"name"`
	Mode      string   `json:"mode" doc:"observed or managed"`
	Labels    []string `json:"labels,omitempty"`
	Publisher string   `json:"publisher" doc:"name of the publisher that writes its zone"`
	NoKey     string   `json:"no_key" doc:"pass or tempfail: what becomes of mail that should be signed and cannot be"`
	DMARC     string   `json:"dmarc,omitempty" doc:"complete value wanted at _dmarc"`
	Policy    Policy   `json:"policy"`
	// Subdomains and Signing are what the domain says; an assignment may say otherwise.
	Subdomains bool    `json:"subdomains,omitempty" doc:"mail of subdomains without signers of their own is signed with d= of this domain"`
	Signing    Signing `json:"signing,omitzero"`
}

// Signing is how signatures are made. What is left out is the default.
type Signing struct {
	Headers          []string `json:"headers,omitempty" doc:"header fields signed as often as they are present"`
	Oversign         []string `json:"oversign,omitempty" doc:"header fields listed once more than they are present"`
	Canonicalization string   `json:"canonicalization,omitempty" doc:"of header and body, such as relaxed/relaxed"`
	ExpireSeconds    int64    `json:"expire_seconds,omitempty" doc:"how long a signature counts; 0 = for ever"`
}

// Policy is a domain's numbers, in seconds.
type Policy struct {
	RotateEvery int64 `json:"rotate_every"`
	Retention   int64 `json:"retention"`
	Tombstone   int64 `json:"tombstone"`
	TTL         int64 `json:"ttl"`
	MinWait     int64 `json:"min_wait"`
	CheckEvery  int64 `json:"check_every"`
	AuditEvery  int64 `json:"audit_every"`
	TestMode    bool  `json:"test_mode,omitempty" doc:"waits are too short for production"`
}

// DomainPage is a page of domains.
type DomainPage struct {
	Domains []Domain `json:"domains"`
	Next    string   `json:"next,omitempty"`
}

// DomainShow is one domain with those who sign for it.
type DomainShow struct {
	Domain
	Assignments []Assignment `json:"assignments"`
	Hold        *Hold        `json:"hold,omitempty"`
	Waivers     []Waiver     `json:"waivers,omitempty"`
	Findings    []Finding    `json:"findings,omitempty"`
}

// Assignment says that a signer may sign for a domain.
type Assignment struct {
	ID         string          `json:"id"`
	Signer     string          `json:"signer"`
	SignerKind string          `json:"signer_kind"`
	Stream     string          `json:"stream"`
	Class      string          `json:"class"`
	Algorithms []string        `json:"algorithms,omitempty"`
	Bulk       bool            `json:"bulk,omitempty"`
	NoKey      string          `json:"no_key,omitempty" doc:"as it counts: of the assignment, or else of its domain; empty for services"`
	Subdomains bool            `json:"subdomains,omitempty" doc:"as it counts"`
	Signing    Signing         `json:"signing,omitzero" doc:"as it counts"`
	Records    []ServiceRecord `json:"records,omitempty"`
	Slots      []string        `json:"slots,omitempty"`
	Through    string          `json:"through,omitempty"`
	Standby    bool            `json:"standby,omitempty" doc:"a further key is kept ready"`
	Ended      bool            `json:"ended,omitempty"`
	EndedBy    string          `json:"ended_by,omitempty"`
}

// ServiceRecord is one record that a service asks for.
type ServiceRecord struct {
	Selector string `json:"selector"`
	Type     string `json:"type"`
	Value    string `json:"value"`
}

// Domains returns the domains after a name.
func (c *Client) Domains(ctx context.Context, after string, limit int) (DomainPage, error) {
	var out DomainPage
	return out, c.get(ctx, place("domains"), page(after, limit), &out)
}

// AllDomains walks over all pages.
func (c *Client) AllDomains(ctx context.Context) iter.Seq2[DomainPage, error] {
	return pages(func(after string) (DomainPage, string, error) {
		p, err := c.Domains(ctx, after, 0)
		return p, p.Next, err
	})
}

// Domain returns one domain.
func (c *Client) Domain(ctx context.Context, name string) (DomainShow, error) {
	var out DomainShow
	return out, c.get(ctx, place("domains", name), nil, &out)
}

// CheckNow makes the control plane look at a domain at once.
func (c *Client) CheckNow(ctx context.Context, domain string) error {
	return c.post(ctx, place("domains", domain, "check"), struct{}{}, nil)
}
