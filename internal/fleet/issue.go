package fleet

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net"
	"net/url"
	"sync"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
)

const (
	// clientLife bounds how long a copied agent key is of use when nobody notices.
	clientLife = 30 * 24 * time.Hour
	// clientRenew is when an agent asks for the next certificate: ten days are left for a control plane that is away.
	clientRenew = clientLife * 2 / 3
	// listenerLife and listenerRenew are the same for the control plane's own listener, which has nobody to ask.
	listenerLife  = 90 * 24 * time.Hour
	listenerRenew = listenerLife * 2 / 3
	// maxCSR is what is parsed of a certificate request: one with a 4096-bit RSA key has about 1.2 kB.
	maxCSR = 8 << 10
	// minRSABits of an agent's identity key, where it insists on RSA.
	minRSABits = 2048
)

// uriPrefix of the URI in an agent's certificate that names its server.
const uriPrefix = "postseal:server:"

// parseCSR returns the public key of a certificate request that is signed with it.
func parseCSR(der []byte) (crypto.PublicKey, error) {
	if len(der) > maxCSR {
		return nil, fault.New(fault.Invalid, "the certificate request has %d octets; at most %d are taken", len(der), maxCSR)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the certificate request does not parse")
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the certificate request is not signed with its own key")
	}
	switch key := csr.PublicKey.(type) {
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() || key.Curve == elliptic.P384() {
			return key, nil
		}
	case ed25519.PublicKey:
		return key, nil
	case *rsa.PublicKey:
		if key.N.BitLen() >= minRSABits {
			return key, nil
		}
	}
	return nil, fault.New(fault.Invalid, "the identity key of the request is of a kind that is not taken").
		WithHint("use ECDSA P-256 or P-384, Ed25519, or RSA with at least %d bits", minRSABits)
}

// keyHash is the SHA-256 of a public key's SubjectPublicKeyInfo.
func keyHash(pub crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the identity key cannot be written down")
	}
	sum := sha256.Sum256(der)
	return sum[:], nil
}

// issueClient makes a client certificate for one server.
func (a *Authority) issueClient(server inventory.Signer, pub crypto.PublicKey, now time.Time) (*x509.Certificate, error) {
	return a.issue(now, pub, &x509.Certificate{
		Subject:     pkix.Name{CommonName: server.Name},
		URIs:        []*url.URL{{Scheme: "postseal", Opaque: "server:" + server.ID}},
		NotAfter:    now.Add(clientLife),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	})
}

func (a *Authority) issue(now time.Time, pub crypto.PublicKey, template *x509.Certificate) (*x509.Certificate, error) {
	issuer := a.issuer(now)
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	template.NotBefore = now.Add(-backdate)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.BasicConstraintsValid = true
	der, err := x509.CreateCertificate(rand.Reader, template, issuer.cert, pub, issuer.signer)
	if err != nil {
		return nil, fault.Wrap(fault.Internal, err, "the certificate cannot be made")
	}
	return x509.ParseCertificate(der)
}

// chain returns a certificate and its authority as PEM, leaf first.
func (a *Authority) chain(leaf []byte) []byte {
	out := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf})
	cert, err := x509.ParseCertificate(leaf)
	if err != nil {
		return out
	}
	a.mu.RLock()
	defer a.mu.RUnlock()
	for _, h := range a.held {
		if cert.CheckSignatureFrom(h.cert) == nil {
			out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.cert.Raw})...)
		}
	}
	return out
}

// ServerTLS returns the configuration of the control plane's listener: a certificate for hosts (names and addresses),
// renewed by itself, TLS 1.3, and client certificates asked for but not required: people come with bearer tokens, and
// an agent with an expired certificate shall get a sentence instead of a broken handshake. clock tells when to renew.
func (a *Authority) ServerTLS(hosts []string, clock func() time.Time) *tls.Config {
	l := &listener{authority: a, hosts: hosts, clock: clock}
	base := &tls.Config{
		MinVersion:     tls.VersionTLS13,
		ClientAuth:     tls.RequestClientCert,
		NextProtos:     []string{"h2", "http/1.1"},
		GetCertificate: l.certificate,
	}
	base.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		c := base.Clone()
		c.GetConfigForClient = nil
		c.ClientCAs = a.Pool() // tells browsers that they need not ask their user for a certificate
		return c, nil
	}
	return base
}

// listener keeps the listener's certificate. Its key lives in memory only: clients trust the authority, not the leaf.
type listener struct {
	authority *Authority
	hosts     []string
	clock     func() time.Time

	mu     sync.Mutex
	cert   *tls.Certificate
	issuer *x509.Certificate
	renew  time.Time
}

func (l *listener) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.clock()
	issuer := l.authority.issuer(now).cert
	if l.cert != nil && now.Before(l.renew) && issuer.Equal(l.issuer) {
		return l.cert, nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: "Postseal control plane"},
		NotAfter:    now.Add(listenerLife),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, host := range l.hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	leaf, err := l.authority.issue(now, key.Public(), template)
	if err != nil {
		return nil, err
	}
	// The authority goes along: a joining agent looks for its pin in the chain.
	l.cert = &tls.Certificate{Certificate: [][]byte{leaf.Raw, issuer.Raw}, PrivateKey: key, Leaf: leaf}
	l.issuer = issuer
	l.renew = now.Add(listenerRenew)
	return l.cert, nil
}
