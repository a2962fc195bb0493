package fleet_test

import (
	"crypto/x509"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/fault"
)

func TestRenewalOverlapsUntilTheNewCertificateIsUsed(t *testing.T) {
	b := newBench(t)
	older := b.join(t, "srv_1")
	identify := func(c *x509.Certificate) error {
		_, err := b.Identify(t.Context(), []*x509.Certificate{c})
		return err
	}
	must(t, identify(older))
	b.sleep(20 * 24 * time.Hour)
	request := csr(t, identityKey(t))
	answer, err := b.Renew(t.Context(), "srv_1", agentapi.RenewRequest{Version: agentapi.Version, CSR: request})
	must(t, err)
	again, err := b.Renew(t.Context(), "srv_1", agentapi.RenewRequest{Version: agentapi.Version, CSR: request})
	must(t, err)
	if string(again.Certificate) != string(answer.Certificate) {
		t.Error("the repeated request got another certificate")
	}
	newer := leaf(t, answer.Certificate)
	b.sleep(time.Hour)
	must(t, identify(older)) // the answer may have been lost
	must(t, identify(newer))
	b.sleep(time.Minute)
	must(t, identify(older)) // requests under way
	b.sleep(time.Hour)
	wantCode(t, identify(older), fault.Unauthenticated)
	must(t, identify(newer))

	_, err = b.Renew(t.Context(), "srv_1", agentapi.RenewRequest{Version: agentapi.Version, CSR: request})
	wantCode(t, err, fault.Invalid) // the key is in use: a renewal needs a new one
}

func TestRenewalRefusesRubbish(t *testing.T) {
	b := newBench(t)
	for name, r := range map[string]agentapi.RenewRequest{
		"other version": {Version: 9, CSR: csr(t, identityKey(t))},
		"no request":    {Version: agentapi.Version},
		"rubbish":       {Version: agentapi.Version, CSR: []byte{0x30, 0x82}},
	} {
		if _, err := b.Renew(t.Context(), "srv_1", r); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err := b.Renew(t.Context(), "srv_9", agentapi.RenewRequest{Version: agentapi.Version, CSR: csr(t, identityKey(t))})
	wantCode(t, err, fault.NotFound)
}
