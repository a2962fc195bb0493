package api_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/api"
	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/evidence"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/fleet"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/journal"
	"github.com/postseal/postseal/internal/lifecycle"
	"github.com/postseal/postseal/internal/probe"
	"github.com/postseal/postseal/internal/store"
	"github.com/postseal/postseal/internal/ticket"
)

// fleetYAML is the inventory that most tests begin with.
const fleetYAML = `
publishers:
  hand: {manual: {contact: dns@example.org}}
servers: {mx1: {}, mx2: {}, web1: {}, web2: {}}
pools:
  web: {members: [web1, web2]}
domains:
  example.net:
    publisher: hand
    labels: [customer-b]
    policy: {need_approval: [activate]}
    signers: [{pool: web}]
  example.org:
    publisher: hand
    labels: [customer-a]
    dmarc: v=DMARC1; p=none; rua=mailto:d@example.org
    signers:
      - server: mx1
      - server: mx2
      - service: sendgrid
        cname: {s1: s1.domainkey.u1.wl1.sendgrid.net}
  watched.example:
    mode: observed
    publisher: hand
    signers: [{server: mx1}]
`

// bench is the API on a real store, behind TLS.
type bench struct {
	store   *store.Store
	access  *access.Access
	fleet   *fleet.Fleet
	ca      *fleet.Authority
	server  *httptest.Server
	changed atomic.Int64
	tokens  map[access.Role]string
	looker  api.Looker // nil = nobody looks at DNS
	reports *keptReports
}

// Look asks the test's looker.
func (b *bench) Look(ctx context.Context, name, rrtype, expected string) evidence.Sighting {
	if b.looker == nil {
		return evidence.Sighting{Name: name, Type: rrtype, Expected: expected, Problem: "no DNS in this test"}
	}
	return b.looker.Look(ctx, name, rrtype, expected)
}

// storage is the store in the API's words, as internal/server ties them.
type storage struct{ *store.Store }

func (s storage) Agents(ctx context.Context, labels []string) ([]api.Agent, error) {
	got, err := s.Store.Agents(ctx, labels...)
	out := make([]api.Agent, len(got))
	for i, x := range got {
		out[i] = api.Agent(x)
	}
	return out, err
}

func (s storage) Domains(ctx context.Context, f api.DomainFilter) ([]inventory.Domain, error) {
	return s.Store.Domains(ctx, store.DomainFilter(f))
}

func (s storage) Records(ctx context.Context, f api.RecordFilter) ([]lifecycle.Record, error) {
	return s.Store.Records(ctx, store.RecordFilter(f))
}

func (s storage) Probes(ctx context.Context, f api.ProbeFilter) ([]probe.Probe, error) {
	return s.Store.Probes(ctx, store.ProbeFilter(f))
}

func (s storage) Tickets(ctx context.Context, f api.TicketFilter) ([]ticket.Ticket, error) {
	return s.Store.Tickets(ctx, store.TicketFilter(f))
}

func (s storage) Journal(ctx context.Context, f api.JournalFilter) ([]journal.Entry, error) {
	return s.Entries(ctx, store.JournalFilter(f))
}

// newBench serves the fleet of fleetYAML. wrap may put something between the API and the store.
func newBench(t *testing.T, wrap func(api.Storage) api.Storage) *bench {
	t.Helper()
	dir := t.TempDir()
	b := &bench{tokens: map[access.Role]string{}}
	var err error
	b.store, err = store.Open(t.Context(), store.Options{Database: dir})
	must(t, err)
	t.Cleanup(func() { must(t, b.store.Close()) })
	b.reports = newReports(t, b.store, dir)
	key, err := fleet.CreateSealingKey(filepath.Join(dir, "ca.key"))
	must(t, err)
	b.ca, err = fleet.OpenAuthority(filepath.Join(dir, "ca.sealed"), key, time.Now())
	must(t, err)
	b.fleet = fleet.New(fleet.Options{Storage: b.store, Authority: b.ca, WatchEvery: 5 * time.Millisecond})
	b.access = access.New(b.store)
	for _, role := range []access.Role{access.Viewer, access.Operator, access.Admin} {
		b.tokens[role] = b.user(t, string(role)+"-ann", role)
	}
	var s api.Storage = storage{b.store}
	if wrap != nil {
		s = wrap(s)
	}
	b.serve(t, s, nil)
	b.apply(t, fleetYAML)
	return b
}

// keep serves the same with somebody who looks after tickets.
func (b *bench) keep(t *testing.T, tickets api.Tender) { b.serve(t, storage{b.store}, tickets) }

func (b *bench) serve(t *testing.T, s api.Storage, tickets api.Tender) {
	t.Helper()
	handler, err := api.New(api.Options{Storage: s, Access: b.access, Joining: b.fleet, Agents: b.fleet, Looker: b, Probes: probe.New(b.store), Reports: b.reports, Tickets: tickets, Changed: func() { b.changed.Add(1) }})
	must(t, err)
	b.server = httptest.NewUnstartedServer(handler)
	b.server.TLS = b.ca.ServerTLS([]string{"127.0.0.1"}, time.Now)
	b.server.StartTLS()
	t.Cleanup(b.server.Close)
}

func (b *bench) user(t *testing.T, name string, role access.Role, labels ...string) string {
	t.Helper()
	_, err := b.access.AddUser(t.Context(), name, role, labels, "test")
	must(t, err)
	text, _, err := b.access.AddToken(t.Context(), name, "", 0, "test")
	must(t, err)
	return text
}

// as returns a client with a token.
func (b *bench) as(t *testing.T, token string) *client.Client {
	t.Helper()
	c, err := client.New(client.Access{URL: b.server.URL, Token: token, CA: string(b.ca.Bundle())})
	must(t, err)
	t.Cleanup(c.Close)
	return c
}

func (b *bench) admin(t *testing.T) *client.Client { return b.as(t, b.tokens[access.Admin]) }

// document is a fleet.yaml as the command line sends it.
func document(t *testing.T, text string) json.RawMessage {
	t.Helper()
	f, err := inventory.ParseFleet("fleet.yaml", []byte(text), nil)
	must(t, err)
	f.Warnings = nil
	raw, err := json.Marshal(f)
	must(t, err)
	return raw
}

func (b *bench) apply(t *testing.T, text string) client.Changes {
	t.Helper()
	c := b.admin(t)
	r := client.FleetRequest{Fleet: document(t, text)}
	plan, err := c.PlanFleet(t.Context(), r)
	must(t, err)
	r.Generation = plan.Generation
	done, err := c.Apply(t.Context(), r)
	must(t, err)
	return done
}

// raw makes one request and returns its status and its error, which every refusal must have in the same shape.
func (b *bench) raw(t *testing.T, h *http.Client, method, path, token, body string) (int, client.Error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, b.server.URL+path, bytes.NewBufferString(body))
	must(t, err)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := h.Do(r)
	must(t, err)
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	must(t, err)
	var e client.Error
	if answer.StatusCode >= 300 {
		if kind := answer.Header.Get("Content-Type"); kind != "application/json" {
			t.Errorf("%s %s: an error of type %q: %s", method, path, kind, content)
		}
		if err := json.Unmarshal(content, &e); err != nil || e.Code == "" || e.Message == "" {
			t.Errorf("%s %s: %d without code and message: %s", method, path, answer.StatusCode, content)
		}
	}
	return answer.StatusCode, e
}

// http returns a client that trusts the authority; certificate may be nil.
func (b *bench) http(certificate *tls.Certificate) *http.Client {
	config := &tls.Config{RootCAs: b.ca.Pool()}
	if certificate != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return certificate, nil }
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
}

// commit does what the reconcile loop does with one domain.
func (b *bench) commit(t *testing.T, domain string, keys func(lifecycle.Situation) []lifecycle.Key) {
	t.Helper()
	must(t, b.store.CheckNow(t.Context(), domain))
	works, err := b.store.Claim(t.Context(), "test", 100, time.Minute)
	must(t, err)
	for _, w := range works {
		if w.Domain == domain {
			s, err := b.store.Situation(t.Context(), domain)
			must(t, err)
			must(t, b.store.Commit(t.Context(), w, lifecycle.Commit{Keys: keys(s)}))
		}
		must(t, b.store.Finish(t.Context(), w, time.Now().Add(time.Hour)))
	}
}

// addKey gives an assignment of a domain a key.
func (b *bench) addKey(t *testing.T, domain, signer, id, selector string) {
	t.Helper()
	b.commit(t, domain, func(s lifecycle.Situation) []lifecycle.Key {
		for _, a := range s.Assignments {
			if s.Signers[a.SignerID].Name != signer {
				continue
			}
			k := lifecycle.Key{ID: id, Domain: domain, AssignmentID: a.ID, Selector: selector, Algorithm: "rsa2048", State: lifecycle.Generated, Created: s.Now}
			for _, server := range s.Signers[a.SignerID].Holders() {
				k.Holders = append(k.Holders, lifecycle.Holding{ServerID: server, Want: lifecycle.WantHold})
			}
			k.Record = lifecycle.Record{ID: "rec_" + id, Domain: domain, Purpose: lifecycle.ForKey, AssignmentID: a.ID, KeyID: id, Name: k.Name(), Type: "TXT", TTL: time.Hour}
			return []lifecycle.Key{k}
		}
		t.Fatalf("%s does not sign for %s", signer, domain)
		return nil
	})
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, err error, code fault.Code) {
	t.Helper()
	if err == nil || fault.CodeOf(err) != code {
		t.Fatalf("%v, want %s", err, code)
	}
}
