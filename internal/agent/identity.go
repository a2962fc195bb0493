package agent

import (
	"context"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"path/filepath"
	"sync"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/keystore"
)

// identityAlgorithm: crypto/tls and x509 serve Ed25519 fully, and its requests are the same octets each time they are signed, which a
// repeated join needs.
const identityAlgorithm = keystore.Ed25519

// identity is identity.json: who this agent is. The private key is in the keystore beside it.
type identity struct {
	URL          string    `json:"url"`
	ServerID     string    `json:"server_id"`
	ServerName   string    `json:"server_name"`
	Installation string    `json:"installation"`
	Epoch        int64     `json:"epoch"`
	JoinedAt     time.Time `json:"joined_at"`
	Authorities  []byte    `json:"authorities"` // PEM: the only roots that the control plane's certificate may lead to

	credential
	// Previous is what was used before a renewal, until the new certificate has worked.
	Previous *credential `json:"previous,omitempty"`
}

// credential is one certificate with the id of its key.
type credential struct {
	KeyID       string    `json:"key_id"`
	Certificate []byte    `json:"certificate"` // PEM, leaf first
	RenewAfter  time.Time `json:"renew_after"`
}

// identities is the agent's identity in use, and the control plane reached with it. It is an agentapi.ControlPlane; Join is not
// for it.
type identities struct {
	dir   string
	store *keystore.Store
	now   func() time.Time

	mu    sync.Mutex
	id    identity
	plane *transport
}

var _ agentapi.ControlPlane = (*identities)(nil)

// openIdentities reads the identity of a server that has joined; fault.NotFound when it has not.
func openIdentities(dir string, sealing keystore.SealingKey, now func() time.Time) (*identities, error) {
	store, err := keystore.Open(filepath.Join(dir, dirIdentity), sealing)
	if err != nil {
		return nil, err
	}
	i := &identities{dir: dir, store: store, now: now}
	ok, err := readState(dir, fileIdentity, &i.id)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fault.New(fault.NotFound, "this server has not joined a control plane").WithHint("make a token there and run: postseal agent join URL")
	}
	return i, i.connect()
}

// connect makes the transport for the present credential. The caller holds i.mu, or nobody else has i yet.
func (i *identities) connect() error {
	u, err := checkURL(i.id.URL)
	if err != nil {
		return err
	}
	key, err := i.store.Signer(i.id.KeyID)
	if err != nil {
		return err
	}
	certificate, err := certificateOf(i.id.Certificate, key)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(i.id.Authorities) {
		return fault.New(fault.Invalid, "the identity has no authority that the control plane could be known by").WithHint("join again")
	}
	if i.plane != nil {
		i.plane.close()
	}
	i.plane = newTransport(i.id.URL, &tls.Config{
		RootCAs:    roots,
		ServerName: u.Hostname(),
		// Always this one, whatever authorities the server names: a request without it would only be told that it is missing.
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificate, nil },
	})
	return nil
}

// certificateOf joins a certificate chain and its key.
func certificateOf(chain []byte, key crypto.Signer) (tls.Certificate, error) {
	var c tls.Certificate
	for block, rest := pem.Decode(chain); block != nil; block, rest = pem.Decode(rest) {
		if block.Type == "CERTIFICATE" {
			c.Certificate = append(c.Certificate, block.Bytes)
		}
	}
	if len(c.Certificate) == 0 {
		return c, fault.New(fault.Invalid, "the identity's certificate cannot be read")
	}
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		return c, fault.Wrap(fault.Invalid, err, "the identity's certificate cannot be read")
	}
	public, ok := key.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(leaf.PublicKey) {
		return c, fault.New(fault.Invalid, "the identity's certificate is for another key")
	}
	c.PrivateKey, c.Leaf = key, leaf
	return c, nil
}

// current is the identity in use.
func (i *identities) current() identity {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.id
}

func (i *identities) reach() *transport {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.plane
}

// Join is refused: joining makes a new identity, which a running agent picks up from its state directory.
func (i *identities) Join(context.Context, agentapi.JoinRequest) (agentapi.JoinResponse, error) {
	return agentapi.JoinResponse{}, fault.New(fault.Invalid, "this agent has joined already")
}

func (i *identities) Renew(ctx context.Context, r agentapi.RenewRequest) (agentapi.RenewResponse, error) {
	plane := i.reach()
	response, err := plane.Renew(ctx, r)
	return response, i.learn(plane, err)
}

func (i *identities) Poll(ctx context.Context, r agentapi.PollRequest) (agentapi.Instructions, error) {
	plane := i.reach()
	response, err := plane.Poll(ctx, r)
	return response, i.learn(plane, err)
}

func (i *identities) Report(ctx context.Context, r agentapi.Report) (agentapi.ReportResponse, error) {
	plane := i.reach()
	response, err := plane.Report(ctx, r)
	return response, i.learn(plane, err)
}

// learn draws the conclusions of a call made over plane: the first success ends the previous credential, a refusal goes back to it,
// or to what a new join left on disk.
func (i *identities) learn(plane *transport, err error) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if plane != i.plane {
		return err // made with a credential that is not in use any more
	}
	switch {
	case err == nil && i.id.Previous != nil:
		old := *i.id.Previous
		i.id.Previous = nil
		if writeErr := writeState(i.dir, fileIdentity, i.id); writeErr == nil {
			_ = i.store.Destroy(old.KeyID)
		}
	case err != nil && fault.CodeOf(err) == fault.Unauthenticated:
		var joined identity
		if ok, readErr := readState(i.dir, fileIdentity, &joined); readErr == nil && ok && joined.JoinedAt.After(i.id.JoinedAt) {
			before := i.id
			i.id = joined
			if connectErr := i.connect(); connectErr != nil {
				i.id = before
			}
			return err
		}
		if i.id.Previous != nil {
			refused := i.id
			i.id.credential, i.id.Previous = *i.id.Previous, nil
			if connectErr := i.connect(); connectErr != nil {
				i.id = refused
				return err
			}
			if writeErr := writeState(i.dir, fileIdentity, i.id); writeErr == nil {
				_ = i.store.Destroy(refused.KeyID)
			}
		}
	}
	return err
}
