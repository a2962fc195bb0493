package fleet_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/fleet"
)

func TestJoinGivesAnIdentityThatIsKnown(t *testing.T) {
	b := newBench(t)
	token := b.token(t, "srv_1")
	if parts := strings.Split(token, "."); len(parts) != 4 || parts[3] != b.ca.Pin(b.clock()) {
		t.Fatalf("token %q does not end with the authority's pin", token)
	}
	answer, err := b.Join(t.Context(), agentapi.JoinRequest{Version: agentapi.Version, Token: token + "\n", CSR: csr(t, identityKey(t))}, peer)
	must(t, err)
	installation, err := b.store.Installation(t.Context())
	must(t, err)
	if answer.ServerName != "mx1" || answer.Installation != installation.ID || answer.Epoch != installation.Epoch {
		t.Errorf("joined as %+v", answer)
	}
	if life := answer.RenewAfter.Sub(b.clock()); life < 19*24*time.Hour || life > 21*24*time.Hour {
		t.Errorf("renewal is due after %s", life)
	}
	cert := leaf(t, answer.Certificate)
	if cert.URIs[0].String() != "postseal:server:srv_1" {
		t.Errorf("the certificate names %s", cert.URIs[0])
	}
	id, err := b.Identify(t.Context(), []*x509.Certificate{cert})
	must(t, err)
	if id != "srv_1" {
		t.Errorf("identified as %s", id)
	}
}

func TestJoinRefuses(t *testing.T) {
	b := newBench(t)
	good := b.token(t, "srv_1")
	parts := strings.Split(good, ".")
	otherSecret := strings.Split(b.token(t, "srv_2"), ".")[2]
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	must(t, err)
	p224, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	must(t, err)
	broken := csr(t, identityKey(t))
	broken[len(broken)-1] ^= 1
	fine := csr(t, identityKey(t))
	for name, c := range map[string]struct {
		token string
		csr   []byte
		want  fault.Code
	}{
		"no token":               {"", fine, fault.Unauthenticated},
		"not a token":            {"hunter2", fine, fault.Unauthenticated},
		"an access token":        {"psa1.at_x." + parts[2], fine, fault.Unauthenticated},
		"unknown id":             {"psj1.jt_nobody." + parts[2] + "." + parts[3], fine, fault.Unauthenticated},
		"another token's secret": {"psj1." + parts[1] + "." + otherSecret + "." + parts[3], fine, fault.Unauthenticated},
		"secret cut short":       {"psj1." + parts[1] + "." + parts[2][:10] + "." + parts[3], fine, fault.Unauthenticated},
		"huge token":             {strings.Repeat("x", 1<<20), fine, fault.Unauthenticated},
		"no request":             {good, nil, fault.Invalid},
		"not a request":          {good, []byte("hello"), fault.Invalid},
		"huge request":           {good, make([]byte, 1<<20), fault.Invalid},
		"forged request":         {good, broken, fault.Invalid},
		"small RSA key":          {good, csr(t, weak), fault.Invalid},
		"odd curve":              {good, csr(t, p224), fault.Invalid},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := b.Join(t.Context(), agentapi.JoinRequest{Version: agentapi.Version, Token: c.token, CSR: c.csr}, peer)
			wantCode(t, err, c.want)
			if strings.Contains(err.Error(), parts[2]) || strings.Contains(err.Error(), otherSecret) {
				t.Errorf("the secret is in the error: %v", err)
			}
		})
	}
	_, err = b.Join(t.Context(), agentapi.JoinRequest{Version: agentapi.Version + 1, Token: good, CSR: fine}, peer)
	wantCode(t, err, fault.Invalid)
	// None of these used the token up.
	_, err = b.Join(t.Context(), agentapi.JoinRequest{Version: agentapi.Version, Token: good, CSR: fine}, peer)
	must(t, err)
}

func TestTokenWorksOnceForAnHour(t *testing.T) {
	b := newBench(t)
	token := b.token(t, "srv_1")
	first := csr(t, identityKey(t))
	join := func(csr []byte) (agentapi.JoinResponse, error) {
		return b.Join(t.Context(), agentapi.JoinRequest{Version: agentapi.Version, Token: token, CSR: csr}, peer)
	}
	one, err := join(first)
	must(t, err)
	b.sleep(10 * time.Minute)
	again, err := join(first)
	must(t, err)
	if string(one.Certificate) != string(again.Certificate) {
		t.Error("the same request got another certificate")
	}
	_, err = join(csr(t, identityKey(t)))
	wantCode(t, err, fault.Expired)
	if message, _ := fault.Show(err); !strings.Contains(message, "used") {
		t.Errorf("it does not say that the token was used: %s", message)
	}
	b.sleep(time.Hour)
	_, err = join(first)
	wantCode(t, err, fault.Expired)
	unused := b.token(t, "srv_2")
	b.sleep(61 * time.Minute)
	_, err = b.Join(t.Context(), agentapi.JoinRequest{Version: agentapi.Version, Token: unused, CSR: first}, peer)
	wantCode(t, err, fault.Expired)
}

func TestTokenLimits(t *testing.T) {
	b := newBench(t)
	server, err := b.store.Server(t.Context(), "srv_1")
	must(t, err)
	join := func(token string, from netip.Addr) error {
		_, err := b.Join(t.Context(), agentapi.JoinRequest{Version: agentapi.Version, Token: token, CSR: csr(t, identityKey(t))}, from)
		return err
	}
	text, token, err := b.AddToken(t.Context(), fleet.TokenRequest{Server: server, By: "ann", Network: netip.MustParsePrefix("198.51.100.0/24")})
	must(t, err)
	wantCode(t, join(text, peer), fault.Denied)
	must(t, join(text, netip.MustParseAddr("::ffff:198.51.100.9")))
	if len(token.SecretHash) != 32 || strings.Contains(text, string(token.SecretHash)) {
		t.Error("the stored token is not a hash of the secret")
	}

	withdrawn, token, err := b.AddToken(t.Context(), fleet.TokenRequest{Server: server, By: "ann"})
	must(t, err)
	must(t, b.RevokeToken(t.Context(), token.ID, "ann"))
	wantCode(t, join(withdrawn, peer), fault.Expired)

	_, _, err = b.AddToken(t.Context(), fleet.TokenRequest{Server: server, By: "ann", Life: 365 * 24 * time.Hour})
	wantCode(t, err, fault.Invalid)
	signers, err := b.store.Signers(t.Context())
	must(t, err)
	for _, s := range signers {
		if s.ID == "svc_1" {
			_, _, err = b.AddToken(t.Context(), fleet.TokenRequest{Server: s, By: "ann"})
			wantCode(t, err, fault.Invalid)
		}
	}
}

func TestTwoJoinsAtOnceGiveOneIdentity(t *testing.T) {
	b := newBench(t)
	token := b.token(t, "srv_1")
	requests := [][]byte{csr(t, identityKey(t)), csr(t, identityKey(t)), csr(t, identityKey(t)), csr(t, identityKey(t))}
	errs := make([]error, len(requests))
	var group sync.WaitGroup
	for i, r := range requests {
		group.Go(func() {
			_, errs[i] = b.Join(t.Context(), agentapi.JoinRequest{Version: agentapi.Version, Token: token, CSR: r}, peer)
		})
	}
	group.Wait()
	joined := 0
	for _, err := range errs {
		if err == nil {
			joined++
			continue
		}
		wantCode(t, err, fault.Expired)
	}
	if joined != 1 {
		t.Errorf("%d of %d joined with one token", joined, len(requests))
	}
}

func TestJoiningAgainRevokesTheOlderCertificate(t *testing.T) {
	b := newBench(t)
	older := b.join(t, "srv_1")
	other := b.join(t, "srv_2")
	newer := b.join(t, "srv_1")
	_, err := b.Identify(t.Context(), []*x509.Certificate{older})
	wantCode(t, err, fault.Unauthenticated)
	if _, hint := fault.Show(err); !strings.Contains(hint, "join again") {
		t.Errorf("no hint to join again: %q", hint)
	}
	for _, cert := range []*x509.Certificate{newer, other} {
		_, err = b.Identify(t.Context(), []*x509.Certificate{cert})
		must(t, err)
	}
}

func TestIdentifyRefusesStrangers(t *testing.T) {
	b := newBench(t)
	mine := b.join(t, "srv_1")
	elsewhere := newBench(t).join(t, "srv_1") // same names, another authority
	key := identityKey(t)
	self := &x509.Certificate{SerialNumber: mine.SerialNumber, Subject: pkix.Name{CommonName: "mx1"}, NotBefore: b.clock().Add(-time.Hour), NotAfter: b.clock().Add(time.Hour),
		URIs: []*url.URL{mine.URIs[0]}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, self, self, key.Public(), key)
	must(t, err)
	forged, err := x509.ParseCertificate(der)
	must(t, err)
	forgotten := *mine
	forgotten.SerialNumber = big.NewInt(42)
	for name, chain := range map[string][]*x509.Certificate{
		"none":              nil,
		"another authority": {elsewhere},
		"signed by itself":  {forged},
		"unknown serial":    {&forgotten},
	} {
		_, err := b.Identify(t.Context(), chain)
		if wantCode(t, err, fault.Unauthenticated); t.Failed() {
			t.Log(name)
		}
	}
	b.sleep(31 * 24 * time.Hour)
	_, err = b.Identify(t.Context(), []*x509.Certificate{mine})
	wantCode(t, err, fault.Unauthenticated)
}

func TestADecommissionedServerIsRefusedAndCannotJoin(t *testing.T) {
	b := newBench(t)
	cert := b.join(t, "srv_1")
	token := b.token(t, "srv_1")
	must(t, b.store.Decommission(t.Context(), "srv_1", "ann", "it burnt"))
	b.sleep(time.Second)
	_, err := b.Identify(t.Context(), []*x509.Certificate{cert})
	wantCode(t, err, fault.Unauthenticated)
	_, err = b.Join(t.Context(), agentapi.JoinRequest{Version: agentapi.Version, Token: token, CSR: csr(t, identityKey(t))}, peer)
	if c := fault.CodeOf(err); err == nil || c != fault.Denied && c != fault.Expired {
		t.Errorf("joined, or %v", err)
	}
	server, err := b.store.Server(t.Context(), "srv_1")
	must(t, err)
	_, _, err = b.AddToken(t.Context(), fleet.TokenRequest{Server: server, By: "ann"})
	wantCode(t, err, fault.Denied)
}
