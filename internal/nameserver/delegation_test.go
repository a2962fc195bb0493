package nameserver_test

import (
	"net"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/evidence"
	"github.com/postseal/postseal/internal/fakedns"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/nameserver"
	"github.com/postseal/postseal/internal/publisher"
	"github.com/postseal/postseal/internal/publisher/provider/builtin"
	"github.com/postseal/postseal/internal/resolver"
)

// The customer's zone delegates _domainkey to two servers of ours: the cut is found, what is published is seen on both, and negative
// answers may be cached no longer than configured.
func TestDelegatedZone(t *testing.T) {
	network := fakedns.New(t)
	customer := network.Zone("example.com", 1)
	customer.TXT("example.com", "v=spf1 -all")
	ours := network.Zone("postseal.example", 1)

	memory := builtin.NewMemory("_domainkey.example.com")
	names := []string{"ns1.postseal.example", "ns2.postseal.example"}
	var servers []*nameserver.Server
	for i, addr := range []string{"127.0.113.1", "127.0.113.2"} {
		servers = append(servers, start(t, nameserver.Config{
			Listen: net.JoinHostPort(addr, network.Port()), Names: names, NegativeTTL: 90 * time.Second,
			Source: memory, Version: memory.Version, RefreshEvery: 10 * time.Millisecond,
		}))
		ours.Set(names[i], "A", addr)
	}
	customer.NS("_domainkey.example.com", names...)

	r, err := resolver.New(resolver.Config{Recursive: []string{network.Recursive()}, AuthorityPort: network.Port(), Timeout: fakedns.Patience})
	if err != nil {
		t.Fatal(err)
	}
	p := publisher.New(publisher.Deps{Zones: r, Kinds: map[inventory.PublisherKind]publisher.Open{
		inventory.PublisherBuiltin: func(inventory.Publisher) (publisher.Provider, error) { return builtin.New(memory), nil },
	}})
	if err := p.Reconfigure([]inventory.Publisher{{Name: "own", Kind: inventory.PublisherBuiltin}}); err != nil {
		t.Fatal(err)
	}
	o := evidence.New(r, time.Now)
	const name = "mx1._domainkey.example.com"

	before := o.Look(t.Context(), name, "TXT", "")
	if !before.Agreed(nil) || len(before.Servers) != 2 || before.Zone != "_domainkey.example.com" || before.NegativeTTL != 90*time.Second {
		t.Fatalf("before: %+v", before)
	}
	want := ""
	for _, value := range []string{"v=DKIM1; p=AAAA", "v=DKIM1; p=", ""} {
		outcome, err := p.Set(t.Context(), publisher.Request{Publisher: "own", Name: name, Type: "TXT", Expect: want, Want: value, TTL: 10 * time.Minute})
		if err != nil || outcome != publisher.Done {
			t.Fatalf("%q: %q, %v", value, outcome, err)
		}
		servers[0].Notify("_domainkey.example.com") // the other replica finds out by itself
		var s evidence.Sighting
		eventually(t, "all servers agree", func() bool {
			s = o.Look(t.Context(), name, "TXT", value)
			return s.Agreed(nil)
		})
		if value != "" && (s.PositiveTTL != 10*time.Minute || s.NegativeTTL != 90*time.Second) {
			t.Errorf("%q: %+v", value, s)
		}
		want = value
	}
}
