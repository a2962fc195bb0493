package integration

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/keystore"
)

// identity is the real identity of a server's agent, taken from its machine as a thief would.
type identity struct {
	url  string
	http *http.Client
}

// steal reads the identity of a server from its state directory.
func (o *organisation) steal(name string) *identity {
	o.t.Helper()
	sealing, err := keystore.ReadSealingKeyFile(filepath.Join(o.dir, name+".sealing-key"))
	if err != nil {
		o.t.Fatal(err)
	}
	state := filepath.Join(o.dir, name+".state")
	store, err := keystore.Open(filepath.Join(state, "identity"), sealing)
	if err != nil {
		o.t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(state, "identity.json"))
	if err != nil {
		o.t.Fatal(err)
	}
	var file struct {
		URL         string `json:"url"`
		KeyID       string `json:"key_id"`
		Certificate []byte `json:"certificate"`
		Authorities []byte `json:"authorities"`
	}
	if err := json.Unmarshal(content, &file); err != nil {
		o.t.Fatal(err)
	}
	key, err := store.Signer(file.KeyID)
	if err != nil {
		o.t.Fatal(err)
	}
	var chain [][]byte
	for block, rest := pem.Decode(file.Certificate); block != nil; block, rest = pem.Decode(rest) {
		chain = append(chain, block.Bytes)
	}
	return newIdentity(o.t, file.URL, file.Authorities, &tls.Certificate{Certificate: chain, PrivateKey: key})
}

// newIdentity speaks the agents' contract with a certificate; nil = without.
func newIdentity(t *testing.T, base string, authorities []byte, certificate *tls.Certificate) *identity {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authorities) {
		t.Fatal("no authorities")
	}
	config := &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}
	if certificate != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
	}
	transport := &http.Transport{TLSClientConfig: config}
	t.Cleanup(transport.CloseIdleConnections)
	return &identity{url: base, http: &http.Client{Transport: transport, Timeout: 20 * time.Second}}
}

// call posts one message of the contract; an answer that is no success is returned as the API's error.
func (i *identity) call(t *testing.T, what string, message, answer any) *client.Error {
	t.Helper()
	body, err := json.Marshal(message)
	if err != nil {
		t.Fatal(err)
	}
	response, err := i.http.Post(i.url+"/agent/v1/"+what, "application/json", bytes.NewReader(body))
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if response.StatusCode != http.StatusOK {
		var refusal client.Error
		if err := json.Unmarshal(content, &refusal); err != nil || refusal.Message == "" {
			t.Fatalf("%s: %s is answered without a reason: %q", what, response.Status, content)
		}
		return &refusal
	}
	if err := json.Unmarshal(content, answer); err != nil {
		t.Fatalf("%s: %v in %q", what, err, content)
	}
	return nil
}

// denied checks a refusal.
func denied(t *testing.T, what string, got *client.Error, code string, words ...string) {
	t.Helper()
	if got == nil {
		t.Fatalf("%s was not refused", what)
	}
	if got.Code != code {
		t.Errorf("%s: code %s, expected %s", what, got.Code, code)
	}
	for _, w := range words {
		if !strings.Contains(got.Message+"\n"+got.Hint, w) {
			t.Errorf("%s: %+v does not say %q", what, *got, w)
		}
	}
}

// foreignKeys: mx1's agent is in the hands of somebody who would like to have mx2's keys.
func foreignKeys(o *organisation, selector string) {
	t, c := o.t, o.api()
	before := lastEntry(t, c)
	theirs, err := c.Key(context.Background(), zone, selector)
	if err != nil {
		t.Fatal(err)
	}
	thief := o.steal("mx1")
	now := time.Now().Unix()

	var answer agentapi.Instructions
	if e := thief.call(t, "poll", map[string]any{"version": agentapi.Version, "have": 0, "wait_seconds": 0, "server_id": "mx2", "server": "mx2"}, &answer); e != nil {
		t.Fatalf("mx1's own poll: %+v", e)
	}
	if len(answer.Assignments) != 1 || len(answer.Assignments[0].Keys) == 0 {
		t.Fatalf("mx1 is told %+v, expected its one assignment", answer)
	}
	mine := answer.Assignments[0].Keys[0]
	for _, a := range answer.Assignments {
		if slices.ContainsFunc(a.Keys, func(k agentapi.Key) bool { return k.ID == theirs.ID }) {
			t.Error("mx1 is told of mx2's key")
		}
	}
	lie := agentapi.Report{Version: agentapi.Version, Applied: answer.Version, UnixTime: now,
		Keys: []agentapi.KeyReport{{ID: mine.ID, Has: true, Record: mine.Record, Signing: true, SignedAgeSeconds: 1, Signed: 1},
			{ID: theirs.ID, Has: false, Record: mine.Record, SignedAgeSeconds: -1, Error: "destroyed by mx1", Destroyed: true}}}
	denied(t, "a report about mx2's key", thief.call(t, "report", lie, nil), "denied", selector+"._domainkey."+zone, "another server holds", "an agent speaks only of keys that it holds")
	if !journalled(journal(t, c, before), "agent:mx1", "refused", theirs.ID, "another server holds") {
		t.Error("the refusal is not in the journal")
	}

	// A name in the request for a certificate decides nothing.
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	csr := must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "mx2"}, DNSNames: []string{"mx2"},
		URIs: []*url.URL{{Scheme: "spiffe", Host: "postseal", Path: "/mx2"}}}, key))
	var renewed agentapi.RenewResponse
	if e := thief.call(t, "renew", agentapi.RenewRequest{Version: agentapi.Version, CSR: csr}, &renewed); e != nil {
		t.Fatalf("mx1's own renewal: %+v", e)
	}
	block, _ := pem.Decode(renewed.Certificate)
	leaf := must(x509.ParseCertificate(block.Bytes))
	if names := leaf.Subject.String() + strings.Join(leaf.DNSNames, " "); strings.Contains(names, "mx2") || len(leaf.URIs) != 1 {
		t.Errorf("the renewed certificate is for %q %v, as the request wanted", names, leaf.URIs)
	}

	for what, x := range map[string]struct {
		message any
		words   []string
	}{
		"poll":   {map[string]any{"version": agentapi.Version, "have": -1}, []string{"less than nothing"}},
		"renew":  {agentapi.RenewRequest{Version: agentapi.Version, CSR: []byte("no request")}, []string{"certificate request"}},
		"report": {agentapi.Report{Version: agentapi.Version, UnixTime: now, Keys: []agentapi.KeyReport{{ID: mine.ID, Record: "v=spf1 +all"}}}, []string{"not a DKIM key record"}},
	} {
		denied(t, "a broken "+what, thief.call(t, what, x.message, nil), "invalid", x.words...)
	}
	denied(t, "half a message", thief.call(t, "report", json.RawMessage(`"half"`), nil), "invalid", "does not parse")

	authorities := must(client.ReadAdmin(o.data)).CA
	nobody := newIdentity(t, thief.url, []byte(authorities), nil)
	denied(t, "a poll without a certificate", nobody.call(t, "poll", agentapi.PollRequest{Version: agentapi.Version}, nil), "unauthenticated", "no client certificate", "join again")
	forger := newIdentity(t, thief.url, []byte(authorities), selfSigned(theirs.Holders[0].Server, key))
	denied(t, "a poll with a certificate of one's own", forger.call(t, "poll", agentapi.PollRequest{Version: agentapi.Version}, nil), "unauthenticated", "join again")

	after, err := c.Key(context.Background(), zone, selector)
	if err != nil {
		t.Fatal(err)
	}
	if h := after.Holders[0]; !h.Has || !h.Signing || h.Error != "" || after.State != theirs.State || after.Record.Want != theirs.Record.Want {
		t.Errorf("mx2's key was changed: %+v", after)
	}
}

func selfSigned(name string, key crypto.Signer) *tls.Certificate {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, URIs: []*url.URL{{Scheme: "postseal", Opaque: name}}}
	der := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// replacedIdentity: mx2 joins again, as after a break-in. What was stolen before is worth nothing, and its agent goes on.
func replacedIdentity(o *organisation) {
	t, c := o.t, o.api()
	thief := o.steal("mx2")
	var answer agentapi.Instructions
	if e := thief.call(t, "poll", agentapi.PollRequest{Version: agentapi.Version}, &answer); e != nil {
		t.Fatalf("mx2's identity before: %+v", e)
	}
	before := lastEntry(t, c)
	token := filepath.Join(o.dir, "mx2.again.token")
	o.postseal("token", "add", "--server", "mx2", "--out", token)
	if out := run(t, binary, "agent", "join", "https://"+o.listen, "--config", o.agentConfigs["mx2"], "--token-file", token); !strings.Contains(out, "joined as mx2") {
		t.Fatalf("joining again: %q", out)
	}
	if !journalled(journal(t, c, before), "agent:mx2", "join", "mx2 joined from 127.0.0.1") {
		t.Error("the join is not in the journal")
	}
	denied(t, "the replaced identity's poll", thief.call(t, "poll", agentapi.PollRequest{Version: agentapi.Version, Have: answer.Version}, nil), "unauthenticated", "was revoked at", "join again")
	denied(t, "the replaced identity's report", thief.call(t, "report", agentapi.Report{Version: agentapi.Version, UnixTime: time.Now().Unix()}, nil), "unauthenticated", "was revoked at")
	csr := must(x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))))
	denied(t, "the replaced identity's renewal", thief.call(t, "renew", agentapi.RenewRequest{Version: agentapi.Version, CSR: csr}, nil), "unauthenticated", "was revoked at")

	joined := time.Now()
	eventually(t, "mx2's agent goes on under its new identity", func() bool {
		s, err := c.Server(context.Background(), "mx2")
		return err == nil && s.State == "current" && s.Reported.After(joined)
	})
	if out, _, status := product(t, "agent", "status", "--config", o.agentConfigs["mx2"]); status != 0 {
		t.Errorf("mx2's agent is not content: %s", out)
	}
}
