package resolver_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/fakedns"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/resolver"
)

func TestEveryRecursiveServerIsAsked(t *testing.T) {
	t.Parallel()
	network := fakedns.New(t)
	network.AddRecursive()
	network.AddRecursive()
	zone := network.Zone("example.com", 1)
	zone.SOA(900, 1800)
	zone.Sign(true)
	zone.CNAME(name, "k.provider.org")
	org := network.Zone("provider.org", 1)
	org.TTL(60)
	org.TXT("k.provider.org", key)
	network.Recursives()[1].Fail(fakedns.Timeout)
	r := open(t, network)

	answers, err := r.Recursive(t.Context(), name, "TXT")
	if err != nil || len(answers) != 3 {
		t.Fatalf("%v, %v", answers, err)
	}
	for i, s := range network.Recursives() {
		a := answers[i]
		if a.Server != s.Addr() {
			t.Errorf("answer %d is from %s", i, a.Server)
		}
		if i == 1 {
			if a.Status != resolver.StatusError || a.Detail != resolver.DetailTimeout {
				t.Errorf("the silent one: %+v", a)
			}
			continue
		}
		if a.Status != resolver.StatusOK || !slices.Equal(a.TXT, []string{key}) || !slices.Equal(a.CNAME, []string{"k.provider.org"}) || a.Own != "k.provider.org" || a.TTL != 3600 {
			t.Errorf("answer %d: %+v", i, a)
		}
		if a.AuthenticatedData {
			t.Error("authenticated although the second zone is unsigned")
		}
	}
	org.Sign(true)
	if answers, _ = r.Recursive(t.Context(), name, "TXT"); !answers[0].AuthenticatedData {
		t.Error("both zones are signed, yet not authenticated")
	}
	answers, _ = r.Recursive(t.Context(), "none.example.com", "TXT")
	if a := answers[0]; a.Status != resolver.StatusNXDomain || a.NegativeTTL != 900 {
		t.Errorf("missing name: %+v", a)
	}
	if _, err := r.Recursive(t.Context(), "a..b", "TXT"); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("bad name: %v", err)
	}
}

func TestBogusIsToldFromServfail(t *testing.T) {
	t.Parallel()
	network := fakedns.New(t)
	zone := network.Zone("example.com", 1)
	zone.TXT(name, key)
	zone.Break(true)
	r := open(t, network)
	answers, err := r.Recursive(t.Context(), name, "TXT")
	if err != nil || answers[0].Status != resolver.StatusError || answers[0].Detail != "SERVFAIL" || !answers[0].Bogus {
		t.Errorf("bogus: %+v, %v", answers, err)
	}
	zone.Break(false)
	zone.Servers()[0].Fail(fakedns.ServFail)
	answers, err = r.Recursive(t.Context(), name, "TXT")
	if err != nil || answers[0].Detail != "SERVFAIL" || answers[0].Bogus {
		t.Errorf("dead zone: %+v, %v", answers, err)
	}
}

// dnsError is what package net would tell.
func dnsError(t *testing.T, err error) *net.DNSError {
	t.Helper()
	var e *net.DNSError
	if !errors.As(err, &e) {
		t.Fatalf("not a *net.DNSError: %v", err)
	}
	return e
}

// lookupCase is one look-up with the error that package net would give.
type lookupCase struct {
	name                         string
	txt                          []string
	notFound, timeout, temporary bool
}

func checkLookups(t *testing.T, lookup func(context.Context, string) ([]string, error), cases []lookupCase) {
	t.Helper()
	for _, c := range cases {
		txt, err := lookup(t.Context(), c.name)
		if !slices.Equal(txt, c.txt) {
			t.Errorf("%s: %q, %v", c.name, txt, err)
		}
		if c.txt != nil {
			continue
		}
		if e := dnsError(t, err); e.IsNotFound != c.notFound || e.IsTimeout != c.timeout || e.IsTemporary != c.temporary {
			t.Errorf("%s: %#v", c.name, e)
		}
	}
}

func TestLookupTXT(t *testing.T) {
	t.Parallel()
	network := fakedns.New(t)
	network.AddRecursive()
	zone := network.Zone("example.com", 1)
	zone.TXT("b.example.com", "two", "one")
	zone.TXT("long.example.com", strings.Repeat("x", 700))
	zone.CNAME("alias.example.com", "b.example.com")
	zone.CNAME("loop.example.com", "loop.example.com")
	zone.Set("a.example.com", "A", "192.0.2.1")
	dead := network.Zone("dead.test", 1)
	dead.Servers()[0].Fail(fakedns.Timeout)
	cases := []lookupCase{
		{name: "B.example.com.", txt: []string{"one", "two"}},
		{name: "long.example.com", txt: []string{strings.Repeat("x", 700)}},
		{name: "alias.example.com", txt: []string{"one", "two"}},
		{name: "a.example.com", notFound: true},
		{name: "none.example.com", notFound: true},
		{name: "not a name", notFound: true},
		{name: "s.dead.test", temporary: true},
		{name: "loop.example.com", temporary: true}, // the recursive server answers SERVFAIL
	}
	r := open(t, network)
	checkLookups(t, r.LookupTXT, cases)
	one := resolver.NewRecursive(network.Recursive(), fakedns.Patience)
	checkLookups(t, one.LookupTXT, cases)

	network.Recursives()[0].Fail(fakedns.Refused)
	checkLookups(t, r.LookupTXT, cases)
	network.Recursives()[0].Fail(fakedns.Timeout)
	checkLookups(t, one.LookupTXT, []lookupCase{{name: "b.example.com", timeout: true, temporary: true}})
	checkLookups(t, resolver.NewRecursive("no server", fakedns.Patience).LookupTXT, []lookupCase{{name: "b.example.com", temporary: true}})
}

func TestLookupsForSPF(t *testing.T) {
	t.Parallel()
	network := fakedns.New(t)
	zone := network.Zone("example.com", 1)
	zone.Set("example.com", "MX", "10 mx1.example.com.", "20 mx2.example.com.")
	zone.Set("mx1.example.com", "A", "192.0.2.7")
	zone.Set("mx1.example.com", "AAAA", "2001:db8::7")
	zone.Set("v4.example.com", "A", "192.0.2.8")
	arpa := network.Zone("2.0.192.in-addr.arpa", 1)
	arpa.CNAME("7.2.0.192.in-addr.arpa", "7.0/25.2.0.192.in-addr.arpa")
	arpa.Set("7.0/25.2.0.192.in-addr.arpa", "PTR", "mx1.example.com.")
	r := open(t, network)

	mx, err := r.LookupMX(t.Context(), "example.com")
	if err != nil || len(mx) != 2 || mx[0].Host != "mx1.example.com." || mx[1].Pref != 20 {
		t.Errorf("MX: %v, %v", mx, err)
	}
	if ips, err := r.LookupIPAddr(t.Context(), "mx1.example.com"); err != nil || fmt.Sprint(ips) != "[{192.0.2.7 } {2001:db8::7 }]" {
		t.Errorf("addresses: %v, %v", ips, err)
	}
	if ips, err := r.LookupIPAddr(t.Context(), "v4.example.com"); err != nil || len(ips) != 1 {
		t.Errorf("one family: %v, %v", ips, err)
	}
	if _, err := r.LookupIPAddr(t.Context(), "none.example.com"); !dnsError(t, err).IsNotFound {
		t.Errorf("no addresses: %v", err)
	}
	if names, err := r.LookupAddr(t.Context(), "192.0.2.7"); err != nil || !slices.Equal(names, []string{"mx1.example.com."}) {
		t.Errorf("PTR: %v, %v", names, err)
	}
	if _, err := r.LookupAddr(t.Context(), "nonsense"); !dnsError(t, err).IsNotFound {
		t.Errorf("no address: %v", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	good := resolver.Config{Recursive: []string{"192.0.2.1", "[2001:db8::1]:53", "2001:db8::1", "localhost:5353"}}
	if _, err := resolver.New(good); err != nil {
		t.Error(err)
	}
	for _, bad := range []resolver.Config{
		{Recursive: []string{"192.0.2.1:dns!"}},
		{Recursive: []string{""}},
		{Recursive: []string{"192.0.2.1"}, Authorities: map[string][]string{"example.com": nil}},
		{Recursive: []string{"192.0.2.1"}, Authorities: map[string][]string{"exa mple": {"192.0.2.1:53"}}},
		{Recursive: []string{"192.0.2.1"}, Authorities: map[string][]string{"example.com": {"a:b:c"}}},
		{Recursive: []string{"192.0.2.1"}, AuthorityPort: "99999"},
	} {
		if _, err := resolver.New(bad); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
