package api_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fault"
)

// post makes one call of the contract.
func post[T any](t *testing.T, b *bench, h *http.Client, call string, in any) (T, int, client.Error) {
	t.Helper()
	raw, err := json.Marshal(in)
	must(t, err)
	answer, err := h.Post(b.server.URL+"/agent/v1/"+call, "application/json", bytes.NewReader(raw))
	must(t, err)
	defer answer.Body.Close()
	var out T
	var e client.Error
	if answer.StatusCode == http.StatusOK {
		must(t, json.NewDecoder(answer.Body).Decode(&out))
	} else {
		must(t, json.NewDecoder(answer.Body).Decode(&e))
	}
	return out, answer.StatusCode, e
}

// joined makes an agent and lets it join as a server.
func (b *bench) joined(t *testing.T, server string) (*http.Client, agentapi.JoinResponse) {
	t.Helper()
	token, err := b.admin(t).AddJoinToken(t.Context(), client.JoinTokenRequest{Server: server})
	must(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	must(t, err)
	answer, status, e := post[agentapi.JoinResponse](t, b, b.http(nil), "join", agentapi.JoinRequest{Version: agentapi.Version, Token: token.Token, CSR: csr})
	if status != http.StatusOK {
		t.Fatalf("join: %d %+v", status, e)
	}
	certificate := &tls.Certificate{PrivateKey: key}
	for rest := answer.Certificate; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		certificate.Certificate = append(certificate.Certificate, block.Bytes)
	}
	return b.http(certificate), answer
}

func TestAgentOverTheWire(t *testing.T) {
	b := newBench(t, nil)
	b.addKey(t, "example.org", "mx1", "key_1", "one")
	b.addKey(t, "example.org", "mx2", "key_2", "two")
	h, joined := b.joined(t, "mx1")
	if joined.ServerName != "mx1" {
		t.Errorf("joined as %+v", joined)
	}
	told, status, e := post[agentapi.Instructions](t, b, h, "poll", agentapi.PollRequest{Version: agentapi.Version})
	if status != http.StatusOK || told.Installation != joined.Installation {
		t.Fatalf("poll: %d %+v, %+v", status, e, told)
	}
	for _, a := range told.Assignments {
		for _, k := range a.Keys {
			if k.ID != "key_1" {
				t.Errorf("mx1 is told of %+v", k)
			}
		}
	}
	report := func(keys ...agentapi.KeyReport) (int, client.Error) {
		_, status, e := post[agentapi.ReportResponse](t, b, h, "report", agentapi.Report{Version: agentapi.Version, UnixTime: time.Now().Unix(), Applied: told.Version, Source: agentapi.Source{Installation: told.Installation, Epoch: told.Epoch}, Keys: keys})
		return status, e
	}
	if status, e := report(agentapi.KeyReport{ID: "key_1", Has: true, Record: "v=DKIM1; p=AAAA", SignedAgeSeconds: -1}); status != http.StatusOK {
		t.Errorf("report: %d %+v", status, e)
	}
	if status, e := report(agentapi.KeyReport{ID: "key_2", Has: true, Record: "v=DKIM1; p=EVIL", SignedAgeSeconds: -1}); status != http.StatusForbidden || e.Code != "denied" {
		t.Errorf("a report of another server's key: %d %+v", status, e)
	}
	// What a message says of who it is from counts for nothing.
	forged := fmt.Sprintf(`{"version":1,"server_id":"%s","have":0,"wait_seconds":0}`, "srv_of_mx2")
	answer, err := h.Post(b.server.URL+"/agent/v1/poll?server=mx2", "application/json", strings.NewReader(forged))
	must(t, err)
	defer answer.Body.Close()
	var again agentapi.Instructions
	must(t, json.NewDecoder(answer.Body).Decode(&again))
	for _, a := range again.Assignments {
		for _, k := range a.Keys {
			if k.ID == "key_2" {
				t.Error("asking in the name of mx2 gave mx2's key")
			}
		}
	}
	s, err := b.admin(t).Server(t.Context(), "mx1")
	must(t, err)
	if s.State != "behind" && s.State != "current" || s.Joined.IsZero() || s.CertificateEnds.IsZero() || s.Keys != 1 {
		t.Errorf("mx1 is %+v", s)
	}
	must(t, b.admin(t).Decommission(t.Context(), "mx1", "it burnt"))
	if _, status, e := post[agentapi.Instructions](t, b, h, "poll", agentapi.PollRequest{Version: agentapi.Version}); status != http.StatusUnauthorized || e.Hint == "" {
		t.Errorf("after it was decommissioned: %d %+v", status, e)
	}
}

func TestStrangersAreRefused(t *testing.T) {
	b := newBench(t, nil)
	elsewhere, _ := newBench(t, nil).joined(t, "mx1")
	stranger := elsewhere.Transport.(*http.Transport).TLSClientConfig.Clone()
	stranger.RootCAs = b.ca.Pool()
	for name, h := range map[string]*http.Client{
		"no certificate":            b.http(nil),
		"another authority's agent": {Transport: &http.Transport{TLSClientConfig: stranger, DisableKeepAlives: true}},
	} {
		for _, call := range []string{"poll", "renew", "report"} {
			if _, status, e := post[agentapi.Instructions](t, b, h, call, agentapi.PollRequest{Version: agentapi.Version}); status != http.StatusUnauthorized || fault.Code(e.Code) != fault.Unauthenticated {
				t.Errorf("%s, %s: %d %+v", name, call, status, e)
			}
		}
	}
	// A person's token is no agent, and an agent no person.
	h, _ := b.joined(t, "mx1")
	if status, _ := b.raw(t, h, "GET", "/v1/status", "", ""); status != http.StatusUnauthorized {
		t.Errorf("an agent reads the status: %d", status)
	}
	if status, _ := b.raw(t, b.http(nil), "POST", "/agent/v1/poll", b.tokens["admin"], `{"version":1}`); status != http.StatusUnauthorized {
		t.Errorf("a person polls: %d", status)
	}
}

func TestAgentMessagesAreBounded(t *testing.T) {
	b := newBench(t, nil)
	h, _ := b.joined(t, "mx1")
	for name, c := range map[string]struct {
		call, body string
		status     int
	}{
		"join too large":      {"join", `{"token":"` + strings.Repeat("x", 64<<10) + `"}`, 400},
		"join of rubbish":     {"join", "]", 400},
		"join of nothing":     {"join", "", 400},
		"poll too large":      {"poll", `{"have":` + strings.Repeat(" ", 64<<10) + `1}`, 400},
		"poll of rubbish":     {"poll", "\x00\xff", 400},
		"poll of wrong types": {"poll", `{"have":"much"}`, 400},
		"report too large":    {"report", `{"software":"` + strings.Repeat("x", agentapi.MaxMessage) + `"}`, 400},
		"report of nulls":     {"report", `null`, 400},
		"deep nesting":        {"report", strings.Repeat("[", 100_000), 400},
		"no such call":        {"exec", `{}`, 404},
	} {
		if status, e := b.raw(t, h, "POST", "/agent/v1/"+c.call, "", c.body); status != c.status {
			t.Errorf("%s: %d %+v", name, status, e)
		}
	}
	if status, _ := b.raw(t, h, "GET", "/agent/v1/poll", "", ""); status != http.StatusNotFound {
		t.Errorf("GET poll: %d", status)
	}
}

func TestHealth(t *testing.T) {
	b := newBench(t, nil)
	for _, path := range []string{"/healthz", "/readyz"} {
		answer, err := b.http(nil).Get(b.server.URL + path)
		must(t, err)
		answer.Body.Close()
		if answer.StatusCode != http.StatusOK || answer.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d", path, answer.StatusCode)
		}
	}
}
