package fleet

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"math/big"
	"os"
	"sync"
	"time"

	"github.com/postseal/postseal/internal/fault"
)

const (
	// authorityLife is longer than anyone wants to think of it; renewal happens by itself long before.
	authorityLife = 10 * 365 * 24 * time.Hour
	// authorityRenew is how long before its end a successor is made.
	authorityRenew = 2 * 365 * 24 * time.Hour
	// authorityOverlap is how long a successor is only trusted and does not issue: every agent that is not off for longer
	// has renewed its certificate, and with that its bundle, at least twice by then.
	authorityOverlap = 3 * clientLife
	// backdate lets a certificate be used by a machine whose clock is a little behind.
	backdate = 10 * time.Minute
)

// Authority is the installation's own certificate authority: it signs the certificates of agents and of the control
// plane's listener, and nothing else trusts it. During a renewal it is two authorities: both are trusted, the older
// one issues until the agents know the newer. It is safe for concurrent use.
type Authority struct {
	path string
	key  SealingKey

	mu   sync.RWMutex
	held []heldAuthority // oldest first
}

type heldAuthority struct {
	cert   *x509.Certificate
	signer crypto.Signer
}

// sealedAuthority is one authority in the sealed file.
type sealedAuthority struct {
	Certificate []byte `json:"certificate"` // DER
	Key         []byte `json:"key"`         // PKCS#8 DER
}

// OpenAuthority reads the sealed authority at path, or makes one when there is no file. now decides about renewal.
func OpenAuthority(path string, key SealingKey, now time.Time) (*Authority, error) {
	a := &Authority{path: path, key: key}
	sealed, err := readLimited(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, fault.Wrap(fault.Invalid, err, "the certificate authority at %s cannot be read", path)
	default:
		if a.held, err = unsealAuthorities(path, key, sealed); err != nil {
			return nil, err
		}
	}
	if err := a.Maintain(now); err != nil {
		return nil, err
	}
	return a, nil
}

func readLimited(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxSealed))
}

func unsealAuthorities(path string, key SealingKey, sealed []byte) ([]heldAuthority, error) {
	plain, err := key.open(path, sealed)
	if err != nil {
		return nil, err
	}
	var list []sealedAuthority
	if err := json.Unmarshal(plain, &list); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "%s does not hold a certificate authority", path)
	}
	var held []heldAuthority
	for _, s := range list {
		cert, err := x509.ParseCertificate(s.Certificate)
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "%s holds a certificate that does not parse", path)
		}
		parsed, err := x509.ParsePKCS8PrivateKey(s.Key)
		signer, ok := parsed.(crypto.Signer)
		if err != nil || !ok {
			return nil, fault.Wrap(fault.Invalid, err, "%s holds a key that does not parse", path)
		}
		held = append(held, heldAuthority{cert, signer})
	}
	return held, nil
}

// Maintain makes a first authority or a successor where one is due, and forgets those that have ended.
func (a *Authority) Maintain(now time.Time) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	held := make([]heldAuthority, 0, len(a.held)+1)
	for _, h := range a.held {
		if now.Before(h.cert.NotAfter) {
			held = append(held, h)
		}
	}
	if n := len(held); n > 0 && now.Before(held[n-1].cert.NotAfter.Add(-authorityRenew)) {
		a.held = held
		return nil
	}
	made, err := newAuthority(now)
	if err != nil {
		return err
	}
	held = append(held, made)
	if err := a.save(held); err != nil {
		return err
	}
	a.held = held
	return nil
}

func newAuthority(now time.Time) (heldAuthority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return heldAuthority{}, err
	}
	serial, err := newSerial()
	if err != nil {
		return heldAuthority{}, err
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: "Postseal agents " + now.UTC().Format("2006-01")},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(authorityLife),
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return heldAuthority{}, err
	}
	cert, err := x509.ParseCertificate(der)
	return heldAuthority{cert, key}, err
}

func (a *Authority) save(held []heldAuthority) error {
	var list []sealedAuthority
	for _, h := range held {
		der, err := x509.MarshalPKCS8PrivateKey(h.signer)
		if err != nil {
			return err
		}
		list = append(list, sealedAuthority{h.cert.Raw, der})
	}
	plain, err := json.Marshal(list)
	if err != nil {
		return err
	}
	sealed, err := a.key.seal(plain)
	if err != nil {
		return err
	}
	if err := replaceFile(a.path, sealed); err != nil {
		return fault.Wrap(fault.Internal, err, "the certificate authority cannot be written to %s", a.path)
	}
	return nil
}

// issuer returns the authority that signs now: the newest that has been trusted long enough, else the oldest.
func (a *Authority) issuer(now time.Time) heldAuthority {
	a.mu.RLock()
	defer a.mu.RUnlock()
	chosen := a.held[0]
	for _, h := range a.held[1:] {
		if !now.Before(h.cert.NotBefore.Add(authorityOverlap)) {
			chosen = h
		}
	}
	return chosen
}

// Bundle returns every trusted authority as PEM.
func (a *Authority) Bundle() []byte {
	a.mu.RLock()
	defer a.mu.RUnlock()
	var out []byte
	for _, h := range a.held {
		out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.cert.Raw})...)
	}
	return out
}

// Pool returns every trusted authority for verification.
func (a *Authority) Pool() *x509.CertPool {
	a.mu.RLock()
	defer a.mu.RUnlock()
	pool := x509.NewCertPool()
	for _, h := range a.held {
		pool.AddCert(h.cert)
	}
	return pool
}

// Pin returns the SHA-256 of the certificate of the authority that signs the listener's certificate at now, in hex. A
// joining agent compares it before it says anything secret.
func (a *Authority) Pin(now time.Time) string {
	sum := sha256.Sum256(a.issuer(now).cert.Raw)
	return hex.EncodeToString(sum[:])
}

// newSerial returns 127 random bits, so that the DER integer stays positive and within 16 octets.
func newSerial() (*big.Int, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	return serial.Add(serial, big.NewInt(1)), nil
}
