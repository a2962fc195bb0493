package fleet

import (
	"context"
	"crypto/subtle"
	"crypto/x509"
	"net/netip"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/journal"
)

// joinAttempts is how often a join is tried when another one used the token in between: the second look decides.
const joinAttempts = 2

// Join turns a token and a certificate request into an identity. peer is where the request came from.
func (f *Fleet) Join(ctx context.Context, r agentapi.JoinRequest, peer netip.Addr) (agentapi.JoinResponse, error) {
	if err := checkVersion(r.Version); err != nil {
		return agentapi.JoinResponse{}, err
	}
	id, secretHash, err := parseToken(r.Token)
	if err != nil {
		return agentapi.JoinResponse{}, err
	}
	pub, err := parseCSR(r.CSR)
	if err != nil {
		return agentapi.JoinResponse{}, err
	}
	key, err := keyHash(pub)
	if err != nil {
		return agentapi.JoinResponse{}, err
	}
	for attempt := 1; ; attempt++ {
		answer, err := f.join(ctx, id, secretHash, pub, key, peer)
		if fault.CodeOf(err) == fault.Conflict && attempt < joinAttempts {
			continue
		}
		if err != nil {
			f.log.WarnContext(ctx, "a join was refused", "token", id, "peer", peer, "error", err)
		}
		return answer, err
	}
}

func (f *Fleet) join(ctx context.Context, id string, secretHash []byte, pub any, key []byte, peer netip.Addr) (agentapi.JoinResponse, error) {
	t, err := f.storage.JoinToken(ctx, id)
	if fault.CodeOf(err) == fault.NotFound {
		return agentapi.JoinResponse{}, errToken()
	}
	if err != nil {
		return agentapi.JoinResponse{}, err
	}
	if subtle.ConstantTimeCompare(t.SecretHash, secretHash) != 1 {
		return agentapi.JoinResponse{}, errToken()
	}
	now, err := f.storage.Now(ctx)
	if err != nil {
		return agentapi.JoinResponse{}, err
	}
	again, err := t.usable(now, peer, key)
	if err != nil {
		return agentapi.JoinResponse{}, err
	}
	server, err := f.storage.Server(ctx, t.ServerID)
	if err != nil {
		return agentapi.JoinResponse{}, err
	}
	if !server.Decommissioned.IsZero() {
		return agentapi.JoinResponse{}, fault.New(fault.Denied, "%s was decommissioned by %s", server.Name, server.DecommissionedBy).
			WithHint("a machine that takes its place is a new server: give it a name of its own in fleet.yaml")
	}
	if again {
		have, err := f.storage.IdentityByKey(ctx, server.ID, key)
		if err != nil {
			return agentapi.JoinResponse{}, err
		}
		if err := have.accepted(now); err != nil {
			return agentapi.JoinResponse{}, err
		}
		return f.joined(ctx, server, have)
	}
	identity, err := f.identity(server, pub, key, now)
	if err != nil {
		return agentapi.JoinResponse{}, err
	}
	identity.TokenID = t.ID
	e := journal.Entry{Kind: journal.Event, Actor: "agent:" + server.Name, Step: "join", OK: true,
		Why: server.Name + " joined from " + peer.String() + " with token " + t.ID + " of " + t.CreatedBy + "; certificate " + identity.Serial}
	if err := f.storage.Enrol(ctx, t.ID, t.Uses, identity, e); err != nil {
		return agentapi.JoinResponse{}, err
	}
	f.log.InfoContext(ctx, "an agent joined", "server", server.Name, "peer", peer, "serial", identity.Serial)
	return f.joined(ctx, server, identity)
}

// identity makes a certificate for a server's identity key.
func (f *Fleet) identity(server inventory.Signer, pub any, key []byte, now time.Time) (Identity, error) {
	cert, err := f.authority.issueClient(server, pub, now)
	if err != nil {
		return Identity{}, err
	}
	return Identity{
		Serial: serialOf(cert), ServerID: server.ID, KeyHash: key, Certificate: cert.Raw, Issued: now, NotAfter: cert.NotAfter,
	}, nil
}

func (f *Fleet) joined(ctx context.Context, server inventory.Signer, i Identity) (agentapi.JoinResponse, error) {
	installation, err := f.storage.Installation(ctx)
	if err != nil {
		return agentapi.JoinResponse{}, err
	}
	return agentapi.JoinResponse{
		ServerID: server.ID, ServerName: server.Name, Installation: installation.ID, Epoch: installation.Epoch,
		Certificate: f.authority.chain(i.Certificate), Authorities: f.authority.Bundle(), RenewAfter: i.Issued.Add(clientRenew),
	}, nil
}

// serialOf writes a serial the way identities are keyed.
func serialOf(cert *x509.Certificate) string { return cert.SerialNumber.Text(16) }
