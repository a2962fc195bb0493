package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
)

// Access is what the API needs to know about people.
type Access interface {
	Authenticate(ctx context.Context, token string) (access.Principal, error)
	Users(ctx context.Context) ([]access.User, error)
	AddUser(ctx context.Context, name string, role access.Role, labels []string, by string) (access.User, error)
	DisableUser(ctx context.Context, name, by string) error
	Tokens(ctx context.Context, user string) ([]access.Token, error)
	AddToken(ctx context.Context, user, note string, life time.Duration, by string) (string, access.Token, error)
	RevokeToken(ctx context.Context, id, by string) error
}

type principalKey struct{}

// authenticate lets only known callers through and tells the operations who calls.
func (a *API) authenticate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") {
			token = ""
		}
		who, err := a.access.Authenticate(r.Context(), strings.TrimSpace(token))
		if err != nil {
			if fault.CodeOf(err) == fault.Unauthenticated {
				w.Header().Set("WWW-Authenticate", "Bearer")
			}
			writeFault(w, a.failure(r.Context(), "authenticate", err))
			return
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), principalKey{}, who)))
	})
}

// principal is who calls; it is a property of the request and nothing else travels in the context.
func principal(ctx context.Context) (access.Principal, error) {
	who, ok := ctx.Value(principalKey{}).(access.Principal)
	if !ok {
		return who, fault.New(fault.Unauthenticated, "the request has no caller")
	}
	return who, nil
}

// domain returns a domain that the caller may see. One outside of the caller's labels is not found, like one that does
// not exist, so that names of customers cannot be tried out.
func (a *API) domain(ctx context.Context, who access.Principal, name string) (inventory.Domain, error) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	d, err := a.storage.Domain(ctx, name)
	if fault.CodeOf(err) == fault.NotFound || err == nil && !who.Sees(d.Labels) {
		return inventory.Domain{}, fault.New(fault.NotFound, "the domain %s is not in the inventory", name).
			WithHint("postseal domain list; domains come from fleet.yaml: postseal apply -f fleet.yaml")
	}
	return d, err
}
