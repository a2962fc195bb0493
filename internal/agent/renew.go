package agent

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/keystore"
)

// renew keeps the certificate fresh, with a new key each time.
func (a *Agent) renew(ctx context.Context) {
	if a.identities == nil {
		return
	}
	failures := 0
	for {
		wait := a.pace.Renew
		if due, err := a.identities.renewIfDue(ctx); ctx.Err() != nil {
			return
		} else if err != nil {
			wait = min(wait, backoff(failures, a.pace.RetryMin, a.pace.Renew))
			failures++
			a.log.Warn("the identity's certificate cannot be renewed yet", "error", err, "again_in", wait.Round(time.Millisecond))
		} else if due {
			failures = 0
			a.log.Info("the identity's certificate was renewed")
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
	}
}

// renewIfDue asks for a certificate for a new key when the present one is due. While one is still unproven nothing is asked.
func (i *identities) renewIfDue(ctx context.Context) (bool, error) {
	id := i.current()
	if id.Previous != nil || i.now().Before(renewalTime(id.credential)) {
		return false, nil
	}
	// The same key when the answer to an earlier request was lost: the control plane then repeats it.
	digest := sha256.Sum256([]byte(id.KeyID))
	keyID, csr, err := newIdentityKey(i.store, "renew-"+hex.EncodeToString(digest[:12]))
	if err != nil {
		return false, err
	}
	request, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	response, err := i.Renew(request, agentapi.RenewRequest{Version: agentapi.Version, CSR: csr})
	if err != nil {
		return false, err
	}
	if err := i.take(keyID, response); err != nil {
		_ = i.store.Destroy(keyID)
		return false, err
	}
	return true, nil
}

// take puts a renewed certificate into use; the one before stays until the new one has worked.
func (i *identities) take(keyID string, r agentapi.RenewResponse) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	before := i.id
	next := before
	previous := before.credential
	next.Previous = &previous
	next.credential = credential{KeyID: keyID, Certificate: r.Certificate, RenewAfter: r.RenewAfter}
	if len(r.Authorities) > 0 {
		next.Authorities = r.Authorities
	}
	i.id = next
	if err := i.connect(); err != nil {
		i.id = before
		return err
	}
	if err := writeState(i.dir, fileIdentity, next); err != nil {
		i.id = before
		_ = i.connect()
		return err
	}
	return nil
}

// renewalTime is when a certificate is due: when the control plane said, or after two thirds of its life.
func renewalTime(c credential) time.Time {
	if !c.RenewAfter.IsZero() {
		return c.RenewAfter
	}
	block, _ := pem.Decode(c.Certificate)
	if block == nil {
		return time.Time{}
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return time.Time{}
	}
	return leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) * 2 / 3)
}

// newIdentityKey makes a key, or takes the one that is there under this id, and a certificate request for it. Who it is for the control
// plane decides; the request names nobody.
func newIdentityKey(store *keystore.Store, id string) (string, []byte, error) {
	if store.Check(id) != nil {
		if _, err := store.Generate(id, identityAlgorithm); err != nil {
			return "", nil, err
		}
	}
	key, err := store.Signer(id)
	if err != nil {
		return "", nil, err
	}
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "postseal agent"}}, key)
	return id, csr, err
}
