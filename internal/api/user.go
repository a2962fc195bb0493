package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/api/client"
)

type userInput struct{ Body client.UserRequest }

type userTokenInput struct {
	Name string `path:"name" maxLength:"255"`
	Body client.AccessTokenRequest
}

type accessTokensInput struct {
	User string `query:"user" maxLength:"64" doc:"only tokens of this user"`
}

func (a *API) userRoutes(h huma.API) {
	register(a, h, op{method: http.MethodGet, path: "/me", id: "me", summary: "Who the token belongs to", role: access.Viewer, what: "read"},
		func(_ context.Context, who access.Principal, _ *none) (client.User, error) {
			return client.User{Name: who.Name, Role: string(who.Role), Labels: who.Labels}, nil
		})
	register(a, h, op{method: http.MethodGet, path: "/users", id: "users", summary: "List users", role: access.Admin, what: "see users", everything: true},
		func(ctx context.Context, _ access.Principal, _ *none) (client.Users, error) {
			users, err := a.access.Users(ctx)
			return client.Users{Users: convert(users, userOut)}, err
		})
	register(a, h, op{method: http.MethodPost, path: "/users", id: "user-add", summary: "Add a user", role: access.Admin, what: "add users", everything: true},
		func(ctx context.Context, who access.Principal, in *userInput) (client.User, error) {
			u, err := a.access.AddUser(ctx, in.Body.Name, access.Role(in.Body.Role), in.Body.Labels, who.Name)
			return userOut(u), err
		})
	register(a, h, op{method: http.MethodDelete, path: "/users/{name}", id: "user-disable", summary: "Take away a user's access", role: access.Admin, what: "disable users", everything: true},
		func(ctx context.Context, who access.Principal, in *nameInput) (client.Done, error) {
			return done(a.access.DisableUser(ctx, in.Name, who.Name))
		})
	register(a, h, op{method: http.MethodPost, path: "/users/{name}/tokens", id: "access-token-add", summary: "Make an access token for a user", role: access.Admin,
		what: "make access tokens", everything: true},
		func(ctx context.Context, who access.Principal, in *userTokenInput) (client.NewAccessToken, error) {
			text, t, err := a.access.AddToken(ctx, in.Name, in.Body.Note, time.Duration(in.Body.Seconds)*time.Second, who.Name)
			return client.NewAccessToken{AccessToken: accessTokenOut(t), Token: text}, err
		})
	register(a, h, op{method: http.MethodGet, path: "/access-tokens", id: "access-tokens", summary: "List access tokens", role: access.Admin, what: "see access tokens", everything: true},
		func(ctx context.Context, _ access.Principal, in *accessTokensInput) (client.AccessTokens, error) {
			tokens, err := a.access.Tokens(ctx, in.User)
			return client.AccessTokens{Tokens: convert(tokens, accessTokenOut)}, err
		})
	register(a, h, op{method: http.MethodDelete, path: "/access-tokens/{id}", id: "access-token-revoke", summary: "End an access token", role: access.Admin,
		what: "revoke access tokens", everything: true},
		func(ctx context.Context, who access.Principal, in *idInput) (client.Done, error) {
			return done(a.access.RevokeToken(ctx, in.ID, who.Name))
		})
}

func userOut(u access.User) client.User {
	return client.User{Name: u.Name, Role: string(u.Role), Labels: u.Labels, Created: u.Created, CreatedBy: u.CreatedBy, Disabled: u.Disabled}
}

func accessTokenOut(t access.Token) client.AccessToken {
	return client.AccessToken{ID: t.ID, User: t.User, Note: t.Note, Created: t.Created, CreatedBy: t.CreatedBy,
		Expires: t.Expires, Revoked: t.Revoked, LastUsed: t.LastUsed}
}
