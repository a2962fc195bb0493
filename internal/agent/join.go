package agent

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/keystore"
)

// Joined says who a server has become.
type Joined struct {
	ServerID     string    `json:"server_id"`
	ServerName   string    `json:"server_name"`
	Installation string    `json:"installation"`
	RenewAfter   time.Time `json:"renew_after"`
}

// JoinSealingKey reads the sealing key, or makes the file that the configuration names when neither it nor any sealed key is there;
// made is its path then.
func (c Config) JoinSealingKey() (key keystore.SealingKey, made string, err error) {
	set, err := compile(c)
	if err != nil {
		return key, "", err
	}
	key, err = set.openSealingKey()
	if fault.CodeOf(err) != fault.NotFound || set.SealingKey.File == "" {
		return key, "", err
	}
	for _, dir := range []string{dirKeys, dirIdentity} {
		if entries, readErr := os.ReadDir(filepath.Join(set.StateDirectory, dir)); readErr == nil && len(entries) > 0 {
			return key, "", err // a new one would not open what is there
		}
	}
	if err := os.MkdirAll(filepath.Dir(set.SealingKey.File), 0o755); err != nil {
		return key, "", fault.Wrap(fault.Invalid, err, "the directory of %s cannot be made", set.SealingKey.File)
	}
	key, err = keystore.CreateSealingKeyFile(set.SealingKey.File)
	return key, set.SealingKey.File, err
}

// Join gives this server an identity at the control plane at address, by a join token. An identity that was there is replaced as
// a whole at the end, and stays when anything fails. A repeated attempt with the same token uses the same key, so that an answer that was
// lost on the way costs nothing. An agent that runs picks the new identity up when the old one is refused.
func Join(ctx context.Context, cfg Config, sealing keystore.SealingKey, address, token string) (Joined, error) {
	set, err := compile(cfg)
	if err != nil {
		return Joined{}, err
	}
	u, err := checkURL(address)
	if err != nil {
		return Joined{}, err
	}
	t, err := parseToken(token)
	if err != nil {
		return Joined{}, err
	}
	dir := set.StateDirectory
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Joined{}, fault.Wrap(fault.Invalid, err, "the state directory %s cannot be made", dir)
	}
	store, err := keystore.Open(filepath.Join(dir, dirIdentity), sealing)
	if err != nil {
		return Joined{}, err
	}
	// The token's id is the control plane's word and may hold what a file name must not.
	digest := sha256.Sum256([]byte(t.text))
	keyID, csr, err := newIdentityKey(store, "join-"+hex.EncodeToString(digest[:12]))
	if err != nil {
		return Joined{}, err
	}
	hostname, _ := os.Hostname()
	request, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	plane := newTransport(address, pinnedTLS(t.pin, u.Hostname()))
	defer plane.close()
	r, err := plane.Join(request, agentapi.JoinRequest{Version: agentapi.Version, Token: t.text, CSR: csr, Hostname: hostname})
	if err != nil {
		return Joined{}, err
	}
	id := identity{
		URL: strings.TrimSuffix(address, "/"), ServerID: r.ServerID, ServerName: r.ServerName, Installation: r.Installation, Epoch: r.Epoch,
		JoinedAt: time.Now(), Authorities: r.Authorities, credential: credential{KeyID: keyID, Certificate: r.Certificate, RenewAfter: r.RenewAfter},
	}
	// What does not work now must not replace what does.
	trial := &identities{dir: dir, store: store, now: time.Now, id: id}
	if err := trial.connect(); err != nil {
		return Joined{}, err
	}
	trial.plane.close()
	if err := writeState(dir, fileIdentity, id); err != nil {
		return Joined{}, err
	}
	dropOldKeys(store, keyID)
	return Joined{ServerID: r.ServerID, ServerName: r.ServerName, Installation: r.Installation, RenewAfter: r.RenewAfter}, nil
}

// dropOldKeys destroys the keys of earlier identities; an agent that still runs with one keeps it in memory.
func dropOldKeys(store *keystore.Store, keep string) {
	ids, _ := store.List()
	for _, id := range ids {
		if id != keep {
			_ = store.Destroy(id)
		}
	}
}

// pinnedTLS trusts exactly the authority whose certificate has this SHA-256, which the server must present in its chain. It is
// used once, to join; from then on the authorities of the answer are the roots.
func pinnedTLS(pin [sha256.Size]byte, host string) *tls.Config {
	return &tls.Config{
		ServerName: host,
		Rand:       rand.Reader,
		// The usual verification needs the root beforehand; VerifyConnection does all of it with the pinned one.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			return verifyPinned(state.PeerCertificates, pin, host)
		},
	}
}

func verifyPinned(chain []*x509.Certificate, pin [sha256.Size]byte, host string) error {
	wrong := fault.New(fault.Denied, "the server at this address is not the control plane that made the token").
		WithHint("its certificate does not lead to the authority pinned in the token; check the address, and that no proxy opens the connection")
	if len(chain) == 0 {
		return wrong
	}
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	found := false
	for _, c := range chain[1:] {
		if c.IsCA && sha256.Sum256(c.Raw) == pin {
			roots.AddCert(c)
			found = true
		} else {
			intermediates.AddCert(c)
		}
	}
	if !found {
		return wrong
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, DNSName: host, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}); err != nil {
		return fault.Wrap(fault.Denied, err, "the control plane's certificate is not valid for %s", host).
			WithHint("use a name or address that the certificate has")
	}
	return nil
}
