package api

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/fleet"
	"github.com/postseal/postseal/internal/inventory"
)

// Joining is what the API needs of the fleet for join tokens.
type Joining interface {
	AddToken(ctx context.Context, r fleet.TokenRequest) (string, fleet.JoinToken, error)
	Tokens(ctx context.Context) ([]fleet.JoinToken, error)
	RevokeToken(ctx context.Context, id, by string) error
}

type joinTokenInput struct{ Body client.JoinTokenRequest }

// idInput names something by id in the path.
type idInput struct {
	ID string `path:"id" maxLength:"64"`
}

func (a *API) tokenRoutes(h huma.API) {
	register(a, h, op{method: http.MethodPost, path: "/join-tokens", id: "join-token-add", summary: "Make a token with which one server's agent joins", role: access.Admin,
		what: "let servers join", everything: true},
		func(ctx context.Context, who access.Principal, in *joinTokenInput) (client.NewJoinToken, error) {
			server, err := a.signer(ctx, inventory.KindServer, in.Body.Server)
			if err != nil {
				return client.NewJoinToken{}, err
			}
			network, err := parseNetwork(in.Body.Network)
			if err != nil {
				return client.NewJoinToken{}, err
			}
			text, t, err := a.joining.AddToken(ctx, fleet.TokenRequest{
				Server: server, By: who.Name, Life: time.Duration(in.Body.Seconds) * time.Second, Network: network,
			})
			if err != nil {
				return client.NewJoinToken{}, err
			}
			return client.NewJoinToken{JoinToken: joinTokenOut(t, t.Created), Token: text}, nil
		})
	register(a, h, op{method: http.MethodGet, path: "/join-tokens", id: "join-tokens", summary: "List join tokens", role: access.Operator, what: "see join tokens", everything: true},
		func(ctx context.Context, _ access.Principal, _ *none) (client.JoinTokens, error) {
			now, err := a.storage.Now(ctx)
			if err != nil {
				return client.JoinTokens{}, err
			}
			tokens, err := a.joining.Tokens(ctx)
			return client.JoinTokens{Tokens: convert(tokens, func(t fleet.JoinToken) client.JoinToken { return joinTokenOut(t, now) })}, err
		})
	register(a, h, op{method: http.MethodDelete, path: "/join-tokens/{id}", id: "join-token-revoke", summary: "Make a join token unusable", role: access.Admin,
		what: "withdraw join tokens", everything: true},
		func(ctx context.Context, who access.Principal, in *idInput) (client.Done, error) {
			return done(a.joining.RevokeToken(ctx, in.ID, who.Name))
		})
}

func parseNetwork(text string) (netip.Prefix, error) {
	if text == "" {
		return netip.Prefix{}, nil
	}
	if !strings.Contains(text, "/") {
		if addr, err := netip.ParseAddr(text); err == nil {
			return netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), nil
		}
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return netip.Prefix{}, fault.Wrap(fault.Invalid, err, "%q is neither an address nor a network such as 192.0.2.0/24", text)
	}
	return p.Masked(), nil
}

func joinTokenOut(t fleet.JoinToken, now time.Time) client.JoinToken {
	out := client.JoinToken{ID: t.ID, Server: t.Server, Created: t.Created, CreatedBy: t.CreatedBy, Expires: t.Expires, UsedAt: t.UsedAt}
	if t.Network.IsValid() {
		out.Network = t.Network.String()
	}
	switch {
	case !t.Revoked.IsZero():
		out.State = "revoked"
	case t.Uses >= t.MaxUses:
		out.State = "used"
	case !now.Before(t.Expires):
		out.State = "expired"
	default:
		out.State = "open"
	}
	return out
}
