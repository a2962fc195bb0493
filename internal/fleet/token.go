package fleet

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/netip"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/journal"
)

const (
	// DefaultTokenLife of a join token: long enough to walk to another terminal, short enough to be worthless in a ticket.
	DefaultTokenLife = time.Hour
	// MaxTokenLife keeps somebody from making a password of it.
	MaxTokenLife = 7 * 24 * time.Hour

	tokenPrefix = "psj1"
	// secretSize of a join token: 256 bits, so that a plain hash is enough to store it.
	secretSize = 32
	// maxToken is what is looked at: prefix, id, secret and pin have about 140 octets.
	maxToken = 512
)

// TokenRequest is what a person asks for.
type TokenRequest struct {
	Server inventory.Signer // a server of the inventory
	By     string           // the person
	Life   time.Duration    // 0 = DefaultTokenLife
	// Network limits from where the token may be used; zero = anywhere.
	Network netip.Prefix
}

// AddToken makes a join token for one server. The first result is the only copy of its secret: psj1.ID.SECRET.PIN,
// where PIN is the SHA-256 of the certificate of the authority that the agent has to find.
func (f *Fleet) AddToken(ctx context.Context, r TokenRequest) (string, JoinToken, error) {
	if r.Server.Kind != inventory.KindServer {
		return "", JoinToken{}, fault.New(fault.Invalid, "%s is a %s; only a server has an agent that joins", r.Server.Name, r.Server.Kind)
	}
	if !r.Server.Decommissioned.IsZero() {
		return "", JoinToken{}, fault.New(fault.Denied, "%s was decommissioned by %s", r.Server.Name, r.Server.DecommissionedBy).
			WithHint("a machine that takes its place is a new server: give it a name of its own in fleet.yaml")
	}
	if r.Life == 0 {
		r.Life = DefaultTokenLife
	}
	if r.Life < time.Minute || r.Life > MaxTokenLife {
		return "", JoinToken{}, fault.New(fault.Invalid, "a join token lives between a minute and %s", MaxTokenLife)
	}
	now, err := f.storage.Now(ctx)
	if err != nil {
		return "", JoinToken{}, err
	}
	secret := make([]byte, secretSize)
	rand.Read(secret)
	sum := sha256.Sum256(secret)
	t := JoinToken{
		ID: inventory.NewID("jt"), SecretHash: sum[:], ServerID: r.Server.ID, Server: r.Server.Name, MaxUses: 1,
		Network: r.Network, Created: now, CreatedBy: r.By, Expires: now.Add(r.Life),
	}
	e := journal.Entry{Kind: journal.Event, Actor: r.By, Step: "token", OK: true,
		Why: "join token " + t.ID + " for " + t.Server + ", until " + t.Expires.UTC().Format(time.RFC3339)}
	if err := f.storage.AddJoinToken(ctx, t, e); err != nil {
		return "", JoinToken{}, err
	}
	text := strings.Join([]string{tokenPrefix, t.ID, base64.RawURLEncoding.EncodeToString(secret), f.authority.Pin(now)}, ".")
	return text, t, nil
}

// RevokeToken makes a token unusable. The identity of an agent that has joined with it already is not touched.
func (f *Fleet) RevokeToken(ctx context.Context, id, by string) error {
	return f.storage.RevokeJoinToken(ctx, id, journal.Entry{
		Kind: journal.Event, Actor: by, Step: "token-revoke", OK: true, Why: "join token " + id + " was withdrawn",
	})
}

// Tokens returns every join token, newest first; none has its secret.
func (f *Fleet) Tokens(ctx context.Context) ([]JoinToken, error) { return f.storage.JoinTokens(ctx) }

// errToken says the same about an unknown token and a wrong secret, so that ids cannot be tried out.
func errToken() error {
	return fault.New(fault.Unauthenticated, "the join token is not known here").
		WithHint("ask for a new one: postseal token add --server NAME; check that it was copied whole and is for this control plane")
}

// parseToken takes a token apart. The pin is the agent's business and only its presence is checked.
func parseToken(text string) (id string, secretHash []byte, err error) {
	if len(text) > maxToken {
		return "", nil, errToken()
	}
	parts := strings.Split(strings.TrimSpace(text), ".")
	if len(parts) != 4 || parts[0] != tokenPrefix || parts[1] == "" || len(parts[3]) != 2*sha256.Size {
		return "", nil, errToken()
	}
	secret, err := base64.RawURLEncoding.DecodeString(parts[2])
	if err != nil || len(secret) != secretSize {
		return "", nil, errToken()
	}
	sum := sha256.Sum256(secret)
	return parts[1], sum[:], nil
}

// usable says whether a token may be used now from peer by the identity key with this hash. again is true when that
// key has used it already: the answer is then the one it got.
func (t JoinToken) usable(now time.Time, peer netip.Addr, key []byte) (again bool, err error) {
	ask := "ask for a new one: postseal token add --server " + t.Server
	if t.Server == "" {
		ask = "ask for a new one"
	}
	switch {
	case !t.Revoked.IsZero():
		return false, fault.New(fault.Expired, "the join token %s was withdrawn at %s", t.ID, stamp(t.Revoked)).WithHint("%s", ask)
	case !now.Before(t.Expires):
		return false, fault.New(fault.Expired, "the join token %s expired at %s", t.ID, stamp(t.Expires)).WithHint("%s", ask)
	case t.Network.IsValid() && !t.Network.Contains(peer.Unmap()):
		return false, fault.New(fault.Denied, "the join token %s may only be used from %s, not from %s", t.ID, t.Network, peer)
	}
	if t.Uses == 0 {
		return false, nil
	}
	if subtle.ConstantTimeCompare(t.UsedKey, key) == 1 {
		return true, nil
	}
	if t.Uses >= t.MaxUses {
		return false, fault.New(fault.Expired, "the join token %s was used at %s, by another identity key", t.ID, stamp(t.UsedAt)).
			WithHint("if that was not you, decommission %s or let it join again at once; %s", t.Server, ask)
	}
	return false, nil
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
