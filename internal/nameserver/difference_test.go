package nameserver_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/nameserver"
	"github.com/postseal/postseal/internal/publisher/provider/builtin"
)

// Whoever had the zone at any serial has it as it is now after applying what IXFR gives (RFC 1995 §4).
func TestDifferences(t *testing.T) {
	const zone = "example.org"
	rnd := rand.New(rand.NewPCG(1, 2))
	m := builtin.NewMemory(zone)
	for i := range 60 {
		put(t, m, zone, fmt.Sprintf("fixed%d.%s", i, zone), "TXT", nil, []string{"v=DKIM1; p=FIXED"})
	}
	s := start(t, nameserver.Config{Source: m, RefreshEvery: time.Hour, TransferTo: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	serial := func() uint32 {
		soa, ok := first(ask(t, "tcp", s.Addr(), zone, dns.TypeSOA, nil).Answer).(*dns.SOA)
		if !ok {
			t.Fatal("no SOA record")
		}
		return soa.Serial
	}
	states := map[uint32]map[string]bool{serial(): axfr(t, s.Addr(), zone)}
	have := map[string][]string{}
	for range 130 { // more than are remembered
		for range 1 + rnd.IntN(2) {
			name := fmt.Sprintf("n%d.%s", rnd.IntN(6), zone)
			var want []string
			for range rnd.IntN(3) {
				want = append(want, fmt.Sprintf("value %d", len(want)*10+rnd.IntN(9)))
			}
			put(t, m, zone, name, "TXT", have[name], want)
			have[name] = want
		}
		current, err := m.Zone(t.Context(), zone)
		if err != nil {
			t.Fatal(err)
		}
		s.Notify(zone)
		eventually(t, "the change is served", func() bool { return serial() == current.Serial })
		states[current.Serial] = axfr(t, s.Addr(), zone)
	}
	now := serial()
	steps, whole := 0, 0
	for from, state := range states {
		got, incremental := ixfr(t, s.Addr(), zone, from, state)
		if !maps.Equal(got, states[now]) {
			t.Fatalf("from %d to %d: %d records, want %d", from, now, len(got), len(states[now]))
		}
		if incremental {
			steps++
		} else {
			whole++
		}
	}
	if steps < 20 || whole < 20 {
		t.Errorf("%d transfers of differences and %d of the whole zone: both should happen", steps, whole)
	}
	// A serial that never was, one of the future, and a restart.
	if _, incremental := ixfr(t, s.Addr(), zone, 1, nil); incremental {
		t.Error("differences from a serial that is not known")
	}
	again := start(t, nameserver.Config{Source: m, TransferTo: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	if got, incremental := ixfr(t, again.Addr(), zone, now-1, nil); incremental || !maps.Equal(got, states[now]) {
		t.Errorf("after a restart: differences %t, %d records", incremental, len(got))
	}
}

// axfr is a zone as it is transferred, without SOA.
func axfr(t *testing.T, addr, zone string) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for rr := range zoneOf(t, addr, zone, false) {
		if !strings.Contains(rr, " SOA ") {
			out[rr] = true
		}
	}
	return out
}

// ixfr applies what IXFR gives to a state. incremental is false when it was the whole zone.
func ixfr(t *testing.T, addr, zone string, from uint32, state map[string]bool) (out map[string]bool, incremental bool) {
	t.Helper()
	q := new(dns.Msg)
	q.SetIxfr(dns.Fqdn(zone), from, "ns1.postseal.example.", "hostmaster.example.org.")
	envelopes, err := (&dns.Transfer{DialTimeout: deadline, ReadTimeout: deadline}).In(q, addr)
	if err != nil {
		t.Fatal(err)
	}
	var all []dns.RR
	for e := range envelopes {
		if e.Error != nil {
			t.Fatal(e.Error)
		}
		all = append(all, e.RR...)
	}
	text := func(rr dns.RR) string { return strings.Join(strings.Fields(rr.String()), " ") }
	if len(all) == 1 {
		return state, true // nothing new
	}
	if _, ok := all[1].(*dns.SOA); !ok {
		out = map[string]bool{}
		for _, rr := range all {
			if _, soa := rr.(*dns.SOA); !soa {
				out[text(rr)] = true
			}
		}
		return out, false
	}
	out = maps.Clone(state)
	adding, last := true, from
	for _, rr := range all[1 : len(all)-1] {
		if soa, ok := rr.(*dns.SOA); ok {
			if adding = !adding; !adding && soa.Serial != last {
				t.Fatalf("a step from %d after %d", soa.Serial, last)
			}
			last = soa.Serial
			continue
		}
		switch {
		case adding && out[text(rr)]:
			t.Fatalf("%s is added and is there", rr)
		case !adding && !out[text(rr)]:
			t.Fatalf("%s is taken away and is not there", rr)
		case adding:
			out[text(rr)] = true
		default:
			delete(out, text(rr))
		}
	}
	return out, true
}
