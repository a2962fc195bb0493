package client

import (
	"context"
	"iter"
	"time"
)

// Audit is what the newest audit of a domain said, beside its findings.
type Audit struct {
	Domain   string    `json:"domain"`
	At       time.Time `json:"at,omitzero" doc:"missing = it has not been audited yet"`
	Next     time.Time `json:"next,omitzero"`
	Score    int       `json:"score" doc:"0 to 100; muted findings count"`
	Errors   int       `json:"errors"`
	Warnings int       `json:"warnings"`
	Infos    int       `json:"infos"`
	Muted    int       `json:"muted" doc:"how many of them are muted"`
	// MutedErrors are those of them that are errors.
	MutedErrors int             `json:"muted_errors"`
	Selectors   []AuditSelector `json:"selectors"`
	NotChecked  []string        `json:"not_checked,omitempty" doc:"what could not be looked at; such a thing is neither good nor bad"`
}

// AuditSelector is one selector that was looked at.
type AuditSelector struct {
	Selector string `json:"selector"`
	Signer   string `json:"signer"`
	State    string `json:"state" doc:"published, revoked, missing, invalid, unknown"`
	Source   string `json:"source" doc:"where its name came from: catalogue or inventory"`
}

// Audits is a page of audits by domain.
type Audits struct {
	Audits []Audit `json:"audits"`
	Next   string  `json:"next,omitempty"`
}

// Audits walks over all pages of audits; domain "" = of all.
func (c *Client) Audits(ctx context.Context, domain string) iter.Seq2[Audits, error] {
	return pages(func(after string) (Audits, string, error) {
		v := page(after, 0)
		set(v, map[string]string{"domain": domain})
		var out Audits
		err := c.get(ctx, place("audits"), v, &out)
		return out, out.Next, err
	})
}

// AuditNow makes the audit of a domain due.
func (c *Client) AuditNow(ctx context.Context, domain string) error {
	return c.post(ctx, place("domains", domain, "audit"), nil, nil)
}
