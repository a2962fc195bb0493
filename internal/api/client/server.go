package client

import (
	"context"
	"time"
)

// Server is a mail server and what is known of its agent.
type Server struct {
	ID               string            `json:"id"`
	Name             string            `json:"name"`
	Label            string            `json:"label" doc:"first part of its selectors"`
	Decommissioned   time.Time         `json:"decommissioned,omitzero"`
	DecommissionedBy string            `json:"decommissioned_by,omitempty"`
	State            string            `json:"state" doc:"new (never joined), current, behind (has not applied the newest instructions), silent (no report for a while), decommissioned"`
	Joined           time.Time         `json:"joined,omitzero"`
	CertificateEnds  time.Time         `json:"certificate_ends,omitzero"`
	Reported         time.Time         `json:"reported,omitzero"`
	SkewSeconds      int64             `json:"skew_seconds,omitempty" doc:"its clock minus ours"`
	Software         string            `json:"software,omitempty"`
	Keys             int               `json:"keys"`
	Unsigned         map[string]uint64 `json:"unsigned,omitempty" doc:"messages that should have been signed and were not, by reason"`
	Refused          []Refused         `json:"refused,omitempty" doc:"what receivers refused because of authentication in the last 24 hours, by the log of its MTA"`
}

// Refused is what one receiver refused of one domain with one code.
type Refused struct {
	Domain    string    `json:"domain" doc:"of the author where the receiver names it, else of the envelope sender; empty = not known"`
	Receiver  string    `json:"receiver"`
	Code      string    `json:"code" doc:"enhanced status code, or three digits"`
	Cause     string    `json:"cause" doc:"authentication, dkim, spf, dmarc, alignment, reverse_dns, tls, arc or null_mx"`
	Permanent bool      `json:"permanent" doc:"given back to the sender; else it is tried again"`
	Messages  uint64    `json:"messages"`
	First     time.Time `json:"first"`
	Last      time.Time `json:"last"`
	Text      string    `json:"text" doc:"a sample of what the receiver says"`
}

// Servers is the list of servers.
type Servers struct {
	Now     time.Time `json:"now"`
	Servers []Server  `json:"servers"`
}

// Signer is a pool or a service.
type Signer struct {
	ID      string   `json:"id"`
	Kind    string   `json:"kind"`
	Name    string   `json:"name"`
	Label   string   `json:"label,omitempty"`
	Service string   `json:"service,omitempty" doc:"id in the catalogue of outside services"`
	Members []string `json:"members,omitempty" doc:"names of the servers of a pool"`
	Removed bool     `json:"removed,omitempty" doc:"of a service: it may sign for no domain any more"`
}

// SignerShow is a signer with the domains that it may sign for.
type SignerShow struct {
	Signer
	Domains []string `json:"domains"`
	// More is true when there are more domains than are listed.
	More bool `json:"more,omitempty"`
}

// Signers is a list of pools or services.
type Signers struct {
	Signers []Signer `json:"signers"`
}

// Reason is why a person does something that cannot be undone.
type Reason struct {
	Reason string `json:"reason" minLength:"1" maxLength:"500"`
}

// Servers returns every server, decommissioned ones included.
func (c *Client) Servers(ctx context.Context) (Servers, error) {
	var out Servers
	return out, c.get(ctx, place("servers"), nil, &out)
}

// Server returns one server by name.
func (c *Client) Server(ctx context.Context, name string) (Server, error) {
	var out Server
	return out, c.get(ctx, place("servers", name), nil, &out)
}

// Decommission declares a server gone: it holds nothing any more, and cannot come back under its name.
func (c *Client) Decommission(ctx context.Context, name, reason string) error {
	return c.post(ctx, place("servers", name, "decommission"), Reason{reason}, nil)
}

// Pools returns every pool.
func (c *Client) Pools(ctx context.Context) (Signers, error) {
	var out Signers
	return out, c.get(ctx, place("pools"), nil, &out)
}

// Services returns every outside service that is assigned somewhere.
func (c *Client) Services(ctx context.Context) (Signers, error) {
	var out Signers
	return out, c.get(ctx, place("services"), nil, &out)
}

// Pool returns one pool by name.
func (c *Client) Pool(ctx context.Context, name string) (SignerShow, error) {
	var out SignerShow
	return out, c.get(ctx, place("pools", name), nil, &out)
}

// Service returns one service by name.
func (c *Client) Service(ctx context.Context, name string) (SignerShow, error) {
	var out SignerShow
	return out, c.get(ctx, place("services", name), nil, &out)
}
