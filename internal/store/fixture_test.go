package store

import (
	"testing"
	"time"

	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/journal"
	"github.com/postseal/postseal/internal/lifecycle"
)

const (
	testDomain = "example.org"
	testLease  = time.Minute
)

// smallFleet is two servers, a pool of both, a service and two domains.
func smallFleet() inventory.State {
	policy := inventory.DefaultPolicy()
	fortnight, never, not := 14*24*time.Hour, time.Duration(0), false
	return inventory.State{
		Publishers: []inventory.Publisher{
			{Name: "bind", Kind: inventory.PublisherRFC2136, Server: "192.0.2.1:53", KeyFile: "/etc/postseal/tsig.key", Repair: true},
			{Name: "own", Kind: inventory.PublisherBuiltin, Zone: "dkim.example.net"},
			{Name: "vast", Kind: inventory.PublisherAzure, Credential: "file:/etc/postseal/azure", Endpoint: "https://dns.example.org/v1", Account: "sub", Group: "dns",
				ZoneID: "z1", File: "/zones/a", Program: "load", Host: "ovh", RemindEvery: time.Hour, ExpiresAfter: 48 * time.Hour}, // no real one has all of them
		},
		Signers: []inventory.Signer{
			{ID: "srv_1", Kind: inventory.KindServer, Name: "mx1", Label: "mx1", SendsFrom: inventory.SendsFrom{HELO: "mx1.example.org", Addresses: []string{"192.0.2.7", "2001:db8::7"}}},
			{ID: "srv_2", Kind: inventory.KindServer, Name: "mx2", Label: "mx2"},
			{ID: "pool_1", Kind: inventory.KindPool, Name: "out", Label: "out", Members: []string{"srv_2", "srv_1"}},
			{ID: "svc_1", Kind: inventory.KindService, Name: "sendgrid", Label: "sendgrid", Service: "sendgrid"},
		},
		Domains: []inventory.Domain{
			{Name: testDomain, Mode: inventory.Managed, Labels: []string{"customers", "eu"}, Publisher: "bind", NoKey: inventory.NoKeyPass, Policy: policy},
			{Name: "example.net", Mode: inventory.Managed, Publisher: "own", NoKey: inventory.NoKeyTempfail, DMARC: "v=DMARC1; p=none", Policy: policy,
				Subdomains: true, Signing: inventory.Signing{Headers: []string{"X-A"}, Canonicalization: "relaxed/simple", Expire: &fortnight}},
		},
		Assignments: []inventory.Assignment{
			{ID: "as_1", Domain: testDomain, SignerID: "srv_1", Stream: "default", Class: inventory.ClassManaged, Algorithms: []string{"rsa2048"}},
			{ID: "as_2", Domain: testDomain, SignerID: "srv_2", Stream: "default", Class: inventory.ClassManaged, Algorithms: []string{"rsa2048"}, Slots: []string{"slot1", "slot2"}, Through: "own", Standby: true},
			{ID: "as_3", Domain: testDomain, SignerID: "svc_1", Stream: "default", Class: inventory.ClassDelegated,
				Records: []inventory.ServiceRecord{{Selector: "s1", Type: "CNAME", Value: "s1.domainkey.u1.wl.sendgrid.net"}}},
			{ID: "as_4", Domain: "example.net", SignerID: "pool_1", Stream: "bulk", Class: inventory.ClassManaged, Algorithms: []string{"rsa2048"}, Bulk: true,
				NoKey: inventory.NoKeyPass, Subdomains: &not, Signing: inventory.Signing{Oversign: []string{"Subject", "X-B"}, Expire: &never}},
		},
		Windows:      []inventory.Window{{Days: []time.Weekday{time.Saturday}, From: "22:00", To: "04:00", Zone: "Europe/Berlin"}},
		NeedApproval: []string{"remove"},
		DNS:          inventory.DNS{Resolvers: []string{"192.0.2.53:53"}, Views: []string{"192.0.2.54:53"}, BlockLists: []string{"list.example.net"}, Authorities: map[string][]string{"example.org": {"192.0.2.1:53"}}},
	}
}

// filled opens a store with the small fleet.
func (db *database) filled(t *testing.T) *Store {
	t.Helper()
	s := db.open(t)
	must(t, s.SaveInventory(t.Context(), "ann", 0, smallFleet()))
	return s
}

// claim takes one domain, which must be due.
func claim(t *testing.T, s *Store, domain string) lifecycle.Work {
	t.Helper()
	works := get[[]lifecycle.Work](t)(s.Claim(t.Context(), "w1", 100, testLease))
	for _, w := range works {
		if w.Domain == domain {
			return w
		}
	}
	t.Fatalf("%s is not due; claimed %v", domain, works)
	return lifecycle.Work{}
}

// newKey is a key as the planner makes one.
func newKey(id, assignment, selector string, servers ...string) lifecycle.Key {
	k := lifecycle.Key{ID: id, Domain: testDomain, AssignmentID: assignment, Selector: selector, Algorithm: "rsa2048", State: lifecycle.Generated,
		Created: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}
	for _, server := range servers {
		k.Holders = append(k.Holders, lifecycle.Holding{ServerID: server, Want: lifecycle.WantHold})
	}
	k.Record = lifecycle.Record{ID: "rec_" + id, Domain: testDomain, Purpose: lifecycle.ForKey, AssignmentID: assignment, KeyID: id,
		Name: k.Name(), Type: "TXT", TTL: time.Hour}
	return k
}

// withKey commits a new key and returns the work that is still held.
func withKey(t *testing.T, s *Store, k lifecycle.Key) lifecycle.Work {
	t.Helper()
	w := claim(t, s, k.Domain)
	must(t, s.Commit(t.Context(), w, lifecycle.Commit{Keys: []lifecycle.Key{k}}))
	return w
}

// keyNow reads one key of the test domain.
func keyNow(t *testing.T, s *Store, id string) lifecycle.Key {
	t.Helper()
	situation := get[lifecycle.Situation](t)(s.Situation(t.Context(), testDomain))
	for _, k := range situation.Keys {
		if k.ID == id {
			return k
		}
	}
	t.Fatalf("no key %s in %v", id, situation.Keys)
	return lifecycle.Key{}
}

func event(why string) journal.Entry {
	return journal.Entry{Kind: journal.Event, Actor: "planner", Step: "test", Why: why}
}
