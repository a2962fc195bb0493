package fleet

import (
	"context"
	"crypto/x509"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/fault"
)

// useGrace is how long the older certificate of an agent still works after the newer one was seen: requests that were
// under way with it end, the longest of which is a long poll.
const useGrace = 10 * time.Minute

// joinAgain is the hint of everything that only a new join mends.
const joinAgain = "the agent has to join again: postseal token add --server NAME on the control plane, then postseal agent join there"

// Identify returns the durable id of the server whose agent presents this chain of certificates, leaf first.
// fault.Unauthenticated when the certificate is missing, not ours, expired, unknown or revoked.
func (f *Fleet) Identify(ctx context.Context, chain []*x509.Certificate) (serverID string, err error) {
	if len(chain) == 0 {
		return "", fault.New(fault.Unauthenticated, "no client certificate was presented").WithHint(joinAgain)
	}
	now, err := f.storage.Now(ctx)
	if err != nil {
		return "", err
	}
	leaf := chain[0]
	if now.After(leaf.NotAfter) {
		return "", fault.New(fault.Unauthenticated, "the agent's certificate ended at %s", stamp(leaf.NotAfter)).WithHint(joinAgain)
	}
	_, err = leaf.Verify(x509.VerifyOptions{
		Roots: f.authority.Pool(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
	if err != nil {
		return "", fault.Wrap(fault.Unauthenticated, err, "the client certificate is not of this installation").WithHint(joinAgain)
	}
	for _, uri := range leaf.URIs {
		if id, ok := strings.CutPrefix(uri.String(), uriPrefix); ok {
			serverID = id
		}
	}
	have, err := f.storage.Identity(ctx, serialOf(leaf))
	if fault.CodeOf(err) == fault.NotFound || err == nil && have.ServerID != serverID {
		return "", fault.New(fault.Unauthenticated, "the agent's certificate is not known to this control plane").WithHint(joinAgain)
	}
	if err != nil {
		return "", err
	}
	if err := have.accepted(now); err != nil {
		return "", err
	}
	if have.FirstUsed.IsZero() {
		if err := f.storage.FirstUse(ctx, have.Serial, useGrace); err != nil {
			return "", err
		}
	}
	return serverID, nil
}

// accepted returns fault.Unauthenticated when the certificate is not taken any more.
func (i Identity) accepted(now time.Time) error {
	if !i.RefusedFrom.IsZero() && !now.Before(i.RefusedFrom) {
		return fault.New(fault.Unauthenticated, "the agent's certificate was revoked at %s: the server joined anew, or renewed it, or was decommissioned", stamp(i.RefusedFrom)).
			WithHint(joinAgain)
	}
	if now.After(i.NotAfter) {
		return fault.New(fault.Unauthenticated, "the agent's certificate ended at %s", stamp(i.NotAfter)).WithHint(joinAgain)
	}
	return nil
}
