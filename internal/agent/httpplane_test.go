package agent

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/fault"
)

// authority is a certificate authority of a test.
type authority struct {
	cert *x509.Certificate
	key  crypto.Signer
	mu   sync.Mutex
	next int64
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{cert: cert, key: key, next: 1}
}

func (a *authority) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.cert.Raw})
}

func (a *authority) pin() string {
	sum := sha256.Sum256(a.cert.Raw)
	return hex.EncodeToString(sum[:])
}

func (a *authority) issue(public crypto.PublicKey, usage x509.ExtKeyUsage, hosts ...string) ([]byte, error) {
	a.mu.Lock()
	a.next++
	serial := a.next
	a.mu.Unlock()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	return x509.CreateCertificate(rand.Reader, template, a.cert, public, a.key)
}

// httpPlane serves fakePlane over HTTPS as the real control plane does, with joins and renewals.
type httpPlane struct {
	*fakePlane
	ca  *authority
	url string

	mu       sync.Mutex
	joins    map[string][]byte // token → public key that used it
	accepted map[string]bool   // serial numbers of certificates that are taken
	renewed  int
	// refuseNew makes certificates of renewals worthless; loseRenewals answers that many renewals with an error after issuing.
	refuseNew    bool
	loseRenewals int
	renewAfter   time.Duration
	installation string
	keys         []string // of renewals, in order
}

const joinSecret = "c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0LXNlY3I"

func startHTTPPlane(t testing.TB, hosts ...string) *httpPlane {
	t.Helper()
	p := &httpPlane{fakePlane: newFakePlane(), ca: newAuthority(t), joins: map[string][]byte{}, accepted: map[string]bool{}, renewAfter: time.Hour, installation: "inst-1"}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if len(hosts) == 0 {
		hosts = []string{"127.0.0.1", "localhost"}
	}
	leaf, err := p.ca.issue(key.Public(), x509.ExtKeyUsageServerAuth, hosts...)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(p)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS13, ClientAuth: tls.RequestClientCert, Certificates: []tls.Certificate{{Certificate: [][]byte{leaf, p.ca.cert.Raw}, PrivateKey: key}}}
	server.StartTLS()
	t.Cleanup(func() {
		p.setDown(true) // ends hanging polls
		server.Close()
	})
	p.url = server.URL
	return p
}

func (p *httpPlane) token(id string) string {
	return strings.Join([]string{"psj1", id, joinSecret, p.ca.pin()}, ".")
}

func (p *httpPlane) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var answer any
	var err error
	switch r.URL.Path {
	case "/agent/v1/join":
		answer, err = serve(r, p.join)
	case "/agent/v1/renew":
		answer, err = p.known(r, func() (any, error) { return serve(r, p.renew) })
	case "/agent/v1/poll":
		answer, err = p.known(r, func() (any, error) {
			return serve(r, func(in agentapi.PollRequest) (agentapi.Instructions, error) { return p.Poll(r.Context(), in) })
		})
	case "/agent/v1/report":
		answer, err = p.known(r, func() (any, error) {
			return serve(r, func(in agentapi.Report) (agentapi.ReportResponse, error) { return p.Report(r.Context(), in) })
		})
	default:
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if err != nil {
		message, hint := fault.Show(err)
		w.WriteHeader(cmp.Or(map[fault.Code]int{fault.Invalid: 400, fault.Unauthenticated: 401, fault.Denied: 403, fault.Expired: 410}[fault.CodeOf(err)], 503))
		_ = json.NewEncoder(w).Encode(map[string]any{"code": fault.CodeOf(err), "message": message, "hint": hint})
		return
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func serve[In, Out any](r *http.Request, f func(In) (Out, error)) (any, error) {
	var in In
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return nil, fault.New(fault.Invalid, "not a message")
	}
	return f(in)
}

func (p *httpPlane) known(r *http.Request, f func() (any, error)) (any, error) {
	p.mu.Lock()
	ok := len(r.TLS.PeerCertificates) > 0 && p.accepted[r.TLS.PeerCertificates[0].SerialNumber.String()]
	p.mu.Unlock()
	if !ok {
		return nil, fault.New(fault.Unauthenticated, "this certificate is not known")
	}
	return f()
}

func (p *httpPlane) certify(csr []byte) ([]byte, *x509.Certificate, error) {
	request, err := x509.ParseCertificateRequest(csr)
	if err != nil || request.CheckSignature() != nil {
		return nil, nil, fault.New(fault.Invalid, "not a certificate request")
	}
	der, err := p.ca.issue(request.PublicKey, x509.ExtKeyUsageClientAuth)
	if err != nil {
		return nil, nil, err
	}
	cert, err := x509.ParseCertificate(der)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), cert, err
}

func (p *httpPlane) join(r agentapi.JoinRequest) (agentapi.JoinResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	parts := strings.Split(r.Token, ".")
	if len(parts) != 4 || parts[2] != joinSecret {
		return agentapi.JoinResponse{}, fault.New(fault.Unauthenticated, "the join token is not known here").WithHint("ask for a new one")
	}
	request, err := x509.ParseCertificateRequest(r.CSR)
	if err != nil {
		return agentapi.JoinResponse{}, fault.New(fault.Invalid, "not a certificate request")
	}
	if used, ok := p.joins[parts[1]]; ok && string(used) != string(request.RawSubjectPublicKeyInfo) {
		return agentapi.JoinResponse{}, fault.New(fault.Expired, "the join token was used by another key")
	}
	p.joins[parts[1]] = request.RawSubjectPublicKeyInfo
	chain, cert, err := p.certify(r.CSR)
	if err != nil {
		return agentapi.JoinResponse{}, err
	}
	clear(p.accepted) // an older identity is revoked
	p.accepted[cert.SerialNumber.String()] = true
	return agentapi.JoinResponse{ServerID: "srv-1", ServerName: "mx1", Installation: p.installation, Epoch: 1, Certificate: chain, Authorities: p.ca.pem(), RenewAfter: time.Now().Add(p.renewAfter)}, nil
}

func (p *httpPlane) renew(r agentapi.RenewRequest) (agentapi.RenewResponse, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	request, err := x509.ParseCertificateRequest(r.CSR)
	if err != nil {
		return agentapi.RenewResponse{}, fault.New(fault.Invalid, "not a certificate request")
	}
	p.keys = append(p.keys, base64.StdEncoding.EncodeToString(request.RawSubjectPublicKeyInfo))
	chain, cert, err := p.certify(r.CSR)
	if err != nil {
		return agentapi.RenewResponse{}, err
	}
	if p.loseRenewals > 0 {
		p.loseRenewals--
		return agentapi.RenewResponse{}, fault.New(fault.Unavailable, "the answer was lost")
	}
	p.renewed++
	p.accepted[cert.SerialNumber.String()] = !p.refuseNew
	return agentapi.RenewResponse{Certificate: chain, Authorities: p.ca.pem(), RenewAfter: time.Now().Add(time.Hour)}, nil
}

func (p *httpPlane) renewals() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.renewed
}
