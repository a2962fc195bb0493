package client

import (
	"context"
	"net/http"
	"time"
)

// JoinToken is the right of a machine to become a server of the fleet, once.
type JoinToken struct {
	ID        string    `json:"id"`
	Server    string    `json:"server"`
	Network   string    `json:"network,omitempty" doc:"from where it may be used; empty = anywhere"`
	State     string    `json:"state" doc:"open, used, expired or revoked"`
	Created   time.Time `json:"created"`
	CreatedBy string    `json:"created_by"`
	Expires   time.Time `json:"expires"`
	UsedAt    time.Time `json:"used_at,omitzero"`
}

// NewJoinToken is a join token with the only copy of its secret.
type NewJoinToken struct {
	JoinToken
	Token string `json:"token"`
}

// JoinTokenRequest asks for a join token.
type JoinTokenRequest struct {
	Server  string `json:"server" minLength:"1" maxLength:"253"`
	Seconds int64  `json:"seconds,omitempty" minimum:"0" maximum:"604800" doc:"how long it lives; 0 = an hour"`
	Network string `json:"network,omitempty" maxLength:"64" doc:"address or CIDR from where it may be used"`
}

// JoinTokens is a list of join tokens.
type JoinTokens struct {
	Tokens []JoinToken `json:"tokens"`
}

// AddJoinToken makes a join token.
func (c *Client) AddJoinToken(ctx context.Context, r JoinTokenRequest) (NewJoinToken, error) {
	var out NewJoinToken
	return out, c.post(ctx, place("join-tokens"), r, &out)
}

// JoinTokens returns every join token, newest first.
func (c *Client) JoinTokens(ctx context.Context) (JoinTokens, error) {
	var out JoinTokens
	return out, c.get(ctx, place("join-tokens"), nil, &out)
}

// RevokeJoinToken makes a join token unusable.
func (c *Client) RevokeJoinToken(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, place("join-tokens", id), nil, nil, nil)
}
