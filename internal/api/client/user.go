package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// User is a person or program that may use the API.
type User struct {
	Name      string    `json:"name"`
	Role      string    `json:"role" doc:"viewer, operator or admin"`
	Labels    []string  `json:"labels,omitempty" doc:"only domains with one of these; empty = every domain"`
	Created   time.Time `json:"created"`
	CreatedBy string    `json:"created_by"`
	Disabled  time.Time `json:"disabled,omitzero"`
}

// Users is a list of users.
type Users struct {
	Users []User `json:"users"`
}

// UserRequest adds a user.
type UserRequest struct {
	Name   string   `json:"name" minLength:"1" maxLength:"64"`
	Role   string   `json:"role" enum:"viewer,operator,admin"`
	Labels []string `json:"labels,omitempty" maxItems:"64"`
}

// AccessToken is a credential of a user.
type AccessToken struct {
	ID        string    `json:"id"`
	User      string    `json:"user"`
	Note      string    `json:"note,omitempty"`
	Created   time.Time `json:"created"`
	CreatedBy string    `json:"created_by"`
	Expires   time.Time `json:"expires,omitzero"`
	Revoked   time.Time `json:"revoked,omitzero"`
	LastUsed  time.Time `json:"last_used,omitzero"`
}

// NewAccessToken is an access token with the only copy of its secret.
type NewAccessToken struct {
	AccessToken
	Token string `json:"token"`
}

// AccessTokenRequest makes an access token.
type AccessTokenRequest struct {
	Note    string `json:"note,omitempty" maxLength:"200"`
	Seconds int64  `json:"seconds,omitempty" minimum:"0" maximum:"3155760000" doc:"how long it lives; 0 = until it is revoked"`
}

// AccessTokens is a list of access tokens.
type AccessTokens struct {
	Tokens []AccessToken `json:"tokens"`
}

// Me returns who the client's token belongs to.
func (c *Client) Me(ctx context.Context) (User, error) {
	var out User
	return out, c.get(ctx, place("me"), nil, &out)
}

// Users returns every user.
func (c *Client) Users(ctx context.Context) (Users, error) {
	var out Users
	return out, c.get(ctx, place("users"), nil, &out)
}

// AddUser adds a user.
func (c *Client) AddUser(ctx context.Context, r UserRequest) (User, error) {
	var out User
	return out, c.post(ctx, place("users"), r, &out)
}

// DisableUser takes away a user's access.
func (c *Client) DisableUser(ctx context.Context, name string) error {
	return c.call(ctx, http.MethodDelete, place("users", name), nil, nil, nil)
}

// AddAccessToken makes a token for a user.
func (c *Client) AddAccessToken(ctx context.Context, user string, r AccessTokenRequest) (NewAccessToken, error) {
	var out NewAccessToken
	return out, c.post(ctx, place("users", user, "tokens"), r, &out)
}

// AccessTokens returns the tokens of a user, "" = of all.
func (c *Client) AccessTokens(ctx context.Context, user string) (AccessTokens, error) {
	v := url.Values{}
	if user != "" {
		v.Set("user", user)
	}
	var out AccessTokens
	return out, c.get(ctx, place("access-tokens"), v, &out)
}

// RevokeAccessToken ends a token.
func (c *Client) RevokeAccessToken(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, place("access-tokens", id), nil, nil, nil)
}
