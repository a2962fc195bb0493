package client

import (
	"context"
	"time"
)

// Key is one managed key pair, its life so far, and its holders.
type Key struct {
	ID          string    `json:"id"`
	Domain      string    `json:"domain"`
	Selector    string    `json:"selector"`
	Signer      string    `json:"signer"`
	Stream      string    `json:"stream"`
	Algorithm   string    `json:"algorithm"`
	State       string    `json:"state"`
	Record      Record    `json:"record"`
	Holders     []Holding `json:"holders"`
	Created     time.Time `json:"created,omitzero"`
	Propagated  time.Time `json:"propagated,omitzero"`
	Proven      time.Time `json:"proven,omitzero"`
	Activated   time.Time `json:"activated,omitzero"`
	Signing     time.Time `json:"signing,omitzero"`
	Retired     time.Time `json:"retired,omitzero"`
	Stopped     time.Time `json:"stopped,omitzero"`
	Revoked     time.Time `json:"revoked,omitzero"`
	Removed     time.Time `json:"removed,omitzero"`
	Demoted     time.Time `json:"demoted,omitzero"`
	RotateAfter time.Time `json:"rotate_after,omitzero"`
	EndReason   string    `json:"end_reason,omitempty"`
	End         *KeyEnd   `json:"end,omitempty"`
	// Reasons are what the planner says of it now.
	Reasons []PlanReason `json:"reasons,omitempty"`
}

// KeyEnd is a person's wish that a key leaves.
type KeyEnd struct {
	By          string    `json:"by"`
	Reason      string    `json:"reason"`
	At          time.Time `json:"at"`
	Compromised bool      `json:"compromised"`
}

// Holding is what one server does with a key.
type Holding struct {
	Server         string    `json:"server"`
	Want           string    `json:"want" doc:"what it is told: hold, sign, stop, destroy"`
	Acked          string    `json:"acked" doc:"the newest of these that it has in force"`
	Has            bool      `json:"has"`
	Signing        bool      `json:"signing" doc:"mail is, or may still be, signed with it"`
	Signed         uint64    `json:"signed"`
	LastSignature  time.Time `json:"last_signature,omitzero"`
	CanaryVerified time.Time `json:"canary_verified,omitzero"`
	CanaryProblem  string    `json:"canary_problem,omitempty"`
	Error          string    `json:"error,omitempty"`
	Reported       time.Time `json:"reported,omitzero"`
	Gone           time.Time `json:"gone,omitzero"`
}

// Keys is a list of keys.
type Keys struct {
	Keys []Key `json:"keys"`
}

// RevokeRequest ends a key.
type RevokeRequest struct {
	Reason string `json:"reason" minLength:"1" maxLength:"500"`
	// Compromised takes it out of service at once, ahead of every waiting time.
	Compromised bool `json:"compromised,omitempty"`
}

// ApproveRequest is a person's yes to one step.
type ApproveRequest struct {
	Step string `json:"step" minLength:"1" maxLength:"32"`
}

// Keys returns the keys of a domain, oldest first.
func (c *Client) Keys(ctx context.Context, domain string) (Keys, error) {
	var out Keys
	return out, c.get(ctx, place("domains", domain, "keys"), nil, &out)
}

// Key returns one key.
func (c *Client) Key(ctx context.Context, domain, selector string) (Key, error) {
	var out Key
	return out, c.get(ctx, place("domains", domain, "keys", selector), nil, &out)
}

// Revoke ends a key.
func (c *Client) Revoke(ctx context.Context, domain, selector string, r RevokeRequest) error {
	return c.post(ctx, place("domains", domain, "keys", selector, "revoke"), r, nil)
}

// Approve says yes to one step of a key.
func (c *Client) Approve(ctx context.Context, domain, selector, step string) error {
	return c.post(ctx, place("domains", domain, "keys", selector, "approve"), ApproveRequest{step}, nil)
}
