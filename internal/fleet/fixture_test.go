package fleet_test

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/fleet"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/lifecycle"
	"github.com/postseal/postseal/internal/store"
)

// peer is where joins come from.
var peer = netip.MustParseAddr("192.0.2.7")

const testDomain = "example.org"

// bench is a fleet on a real store whose clock the test moves. mx1 holds key_1, mx2 holds key_2.
type bench struct {
	*fleet.Fleet
	store    *store.Store
	ca       *fleet.Authority
	canaries *canaries

	mu  sync.Mutex
	now time.Time
}

// canaries says yes or no to every canary, and remembers what it was asked.
type canaries struct {
	mu    sync.Mutex
	err   error
	asked []string
}

func (c *canaries) Verify(_ context.Context, domain, selector, record, nonce string, message []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, selector+"."+domain+" "+record+" "+nonce+" "+string(message))
	return c.err
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{now: time.Now().Truncate(time.Second), canaries: &canaries{}}
	dir := t.TempDir()
	var err error
	b.store, err = store.Open(t.Context(), store.Options{Database: dir, Clock: b.clock})
	must(t, err)
	t.Cleanup(func() { must(t, b.store.Close()) })
	key, err := fleet.CreateSealingKey(filepath.Join(dir, "ca.key"))
	must(t, err)
	b.ca, err = fleet.OpenAuthority(filepath.Join(dir, "ca.sealed"), key, b.now)
	must(t, err)
	b.Fleet = fleet.New(fleet.Options{Storage: b.store, Authority: b.ca, Canaries: b.canaries, WatchEvery: 5 * time.Millisecond})
	managed := func(id, signer string) inventory.Assignment {
		return inventory.Assignment{ID: id, Domain: testDomain, SignerID: signer, Stream: inventory.DefaultStream, Class: inventory.ClassManaged, Algorithms: []string{"rsa2048"}}
	}
	must(t, b.store.SaveInventory(t.Context(), "ann", 0, inventory.State{
		Publishers: []inventory.Publisher{{Name: "hand", Kind: inventory.PublisherManual, Contact: "dns@example.org"}},
		Signers: []inventory.Signer{
			{ID: "srv_1", Kind: inventory.KindServer, Name: "mx1", Label: "mx1"},
			{ID: "srv_2", Kind: inventory.KindServer, Name: "mx2", Label: "mx2"},
			{ID: "svc_1", Kind: inventory.KindService, Name: "sendgrid", Service: "sendgrid"},
		},
		Domains:     []inventory.Domain{{Name: testDomain, Mode: inventory.Managed, Publisher: "hand", NoKey: inventory.NoKeyPass, Policy: inventory.DefaultPolicy()}},
		Assignments: []inventory.Assignment{managed("as_1", "srv_1"), managed("as_2", "srv_2")},
	}))
	b.commit(t, func() []lifecycle.Key {
		return []lifecycle.Key{newKey("key_1", "as_1", "s1", "srv_1"), newKey("key_2", "as_2", "s2", "srv_2")}
	})
	return b
}

func newKey(id, assignment, selector, server string) lifecycle.Key {
	k := lifecycle.Key{ID: id, Domain: testDomain, AssignmentID: assignment, Selector: selector, Algorithm: "rsa2048", State: lifecycle.Generated,
		Created: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), Holders: []lifecycle.Holding{{ServerID: server, Want: lifecycle.WantHold}}}
	k.Record = lifecycle.Record{ID: "rec_" + id, Domain: testDomain, Purpose: lifecycle.ForKey, AssignmentID: assignment, KeyID: id, Name: k.Name(), Type: "TXT", TTL: time.Hour}
	return k
}

// commit does what the reconcile loop does: claim, write keys, finish.
func (b *bench) commit(t *testing.T, keys func() []lifecycle.Key) {
	t.Helper()
	works, err := b.store.Claim(t.Context(), "test", 10, time.Minute)
	must(t, err)
	if len(works) != 1 {
		t.Fatalf("claimed %v, want %s", works, testDomain)
	}
	must(t, b.store.Commit(t.Context(), works[0], lifecycle.Commit{Keys: keys()}))
	must(t, b.store.Finish(t.Context(), works[0], b.clock().Add(time.Hour)))
}

// change writes one key again; its work is made due first.
func (b *bench) change(t *testing.T, id string, f func(*lifecycle.Key)) {
	t.Helper()
	must(t, b.store.CheckNow(t.Context(), testDomain))
	b.commit(t, func() []lifecycle.Key {
		k := b.key(t, id)
		f(&k)
		return []lifecycle.Key{k}
	})
}

func (b *bench) key(t *testing.T, id string) lifecycle.Key {
	t.Helper()
	s, err := b.store.Situation(t.Context(), testDomain)
	must(t, err)
	for _, k := range s.Keys {
		if k.ID == id {
			return k
		}
	}
	t.Fatalf("there is no key %s", id)
	return lifecycle.Key{}
}

func (b *bench) clock() time.Time {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.now
}

func (b *bench) sleep(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

// token makes a join token for a server.
func (b *bench) token(t *testing.T, id string) string {
	t.Helper()
	server, err := b.store.Server(t.Context(), id)
	must(t, err)
	text, _, err := b.AddToken(t.Context(), fleet.TokenRequest{Server: server, By: "ann"})
	must(t, err)
	return text
}

// join lets an agent with a new identity key become a server.
func (b *bench) join(t *testing.T, id string) *x509.Certificate {
	t.Helper()
	answer, err := b.Join(t.Context(), agentapi.JoinRequest{Version: agentapi.Version, Token: b.token(t, id), CSR: csr(t, identityKey(t))}, peer)
	must(t, err)
	if answer.ServerID != id {
		t.Fatalf("joined as %s, want %s", answer.ServerID, id)
	}
	return leaf(t, answer.Certificate)
}

func identityKey(t *testing.T) crypto.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

func csr(t *testing.T, key crypto.Signer) []byte {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	must(t, err)
	return der
}

// leaf returns the first certificate of a PEM chain.
func leaf(t *testing.T, chain []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(chain)
	if block == nil {
		t.Fatal("no certificate in the chain")
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	must(t, err)
	return cert
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantCode checks the code of an error, and that it says something.
func wantCode(t *testing.T, err error, code fault.Code) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %s", code)
	}
	if got := fault.CodeOf(err); got != code {
		t.Fatalf("%s (%v), want %s", got, err, code)
	}
}
