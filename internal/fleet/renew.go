package fleet

import (
	"context"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/journal"
)

// Renew gives a certificate for a new identity key. The older certificate works until the newer one has been used.
// Asking again with the same new key, because the answer was lost, gives the same certificate.
func (f *Fleet) Renew(ctx context.Context, serverID string, r agentapi.RenewRequest) (agentapi.RenewResponse, error) {
	if err := checkVersion(r.Version); err != nil {
		return agentapi.RenewResponse{}, err
	}
	pub, err := parseCSR(r.CSR)
	if err != nil {
		return agentapi.RenewResponse{}, err
	}
	key, err := keyHash(pub)
	if err != nil {
		return agentapi.RenewResponse{}, err
	}
	now, err := f.storage.Now(ctx)
	if err != nil {
		return agentapi.RenewResponse{}, err
	}
	have, err := f.storage.IdentityByKey(ctx, serverID, key)
	switch {
	case err == nil && !have.FirstUsed.IsZero():
		return agentapi.RenewResponse{}, fault.New(fault.Invalid, "a renewal needs a new identity key, and this one is in use already")
	case err == nil && have.accepted(now) == nil:
		return f.renewed(have), nil
	case err != nil && fault.CodeOf(err) != fault.NotFound:
		return agentapi.RenewResponse{}, err
	}
	server, err := f.storage.Server(ctx, serverID)
	if err != nil {
		return agentapi.RenewResponse{}, err
	}
	identity, err := f.identity(server, pub, key, now)
	if err != nil {
		return agentapi.RenewResponse{}, err
	}
	e := journal.Entry{Kind: journal.Event, Actor: "agent:" + server.Name, Step: "renew", OK: true,
		Why: server.Name + " renewed its certificate; the new one is " + identity.Serial}
	if err := f.storage.AddIdentity(ctx, identity, e); err != nil {
		return agentapi.RenewResponse{}, err
	}
	return f.renewed(identity), nil
}

func (f *Fleet) renewed(i Identity) agentapi.RenewResponse {
	return agentapi.RenewResponse{
		Certificate: f.authority.chain(i.Certificate), Authorities: f.authority.Bundle(), RenewAfter: i.Issued.Add(clientRenew),
	}
}
