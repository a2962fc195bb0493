package fakedns_test

import (
	"slices"
	"testing"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"github.com/postseal/postseal/internal/fakedns"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ask sends one question over the given transport without recursion desired.
func ask(t *testing.T, network, addr, name string, qtype uint16) *dns.Msg {
	t.Helper()
	m := new(dns.Msg).SetQuestion(dns.Fqdn(name), qtype)
	c := dns.Client{Net: network, Timeout: 8 * fakedns.Patience}
	r, _, err := c.Exchange(m, addr)
	if err != nil {
		t.Fatalf("%s %s at %s: %v", name, dns.TypeToString[qtype], addr, err)
	}
	return r
}

func texts(m *dns.Msg) []string {
	var out []string
	for _, rr := range m.Answer {
		if txt, ok := rr.(*dns.TXT); ok {
			out = append(out, txt.Txt...)
		}
	}
	slices.Sort(out)
	return out
}

func TestAuthoritativeAnswers(t *testing.T) {
	network := fakedns.New(t)
	zone := network.Zone("Example.COM", 2)
	network.Zone("_domainkey.sub.example.com", 1)
	zone.TXT("a._domainkey.example.com", "one")
	zone.CNAME("alias._domainkey.example.com", "a._domainkey.example.com")
	zone.TXT("*.wild.example.com", "any")
	zone.NS("gone.example.com", "ns.elsewhere.test")

	cases := []struct {
		name  string
		qtype uint16
		rcode int
		aa    bool
		txt   []string
		soa   bool
	}{
		{"a._domainkey.example.com", dns.TypeTXT, dns.RcodeSuccess, true, []string{"one"}, false},
		{"A._DomainKey.example.com", dns.TypeTXT, dns.RcodeSuccess, true, []string{"one"}, false},
		{"alias._domainkey.example.com", dns.TypeTXT, dns.RcodeSuccess, true, []string{"one"}, false},
		{"a._domainkey.example.com", dns.TypeMX, dns.RcodeSuccess, true, nil, true},
		{"_domainkey.example.com", dns.TypeTXT, dns.RcodeSuccess, true, nil, true}, // empty non-terminal
		{"b._domainkey.example.com", dns.TypeTXT, dns.RcodeNameError, true, nil, true},
		{"x.wild.example.com", dns.TypeTXT, dns.RcodeSuccess, true, []string{"any"}, false},
		{"s._domainkey.sub.example.com", dns.TypeTXT, dns.RcodeSuccess, false, nil, false}, // referral
		{"s.gone.example.com", dns.TypeTXT, dns.RcodeSuccess, false, nil, false},
		{"example.org", dns.TypeTXT, dns.RcodeRefused, false, nil, false},
	}
	for _, s := range zone.Servers() {
		for _, c := range cases {
			m := ask(t, "udp", s.Addr(), c.name, c.qtype)
			soa := len(m.Ns) == 1 && m.Ns[0].Header().Rrtype == dns.TypeSOA
			if m.Rcode != c.rcode || m.Authoritative != c.aa || !slices.Equal(texts(m), c.txt) || soa != c.soa {
				t.Errorf("%s %s at %s: %v", c.name, dns.TypeToString[c.qtype], s.Name(), m)
			}
		}
	}
}

func TestLagKeepsTheOldCopyUntilCaughtUp(t *testing.T) {
	network := fakedns.New(t)
	zone := network.Zone("example.com", 2)
	zone.TXT("a.example.com", "old")
	late := zone.Servers()[1]
	late.Lag()
	zone.TXT("a.example.com", "new")

	for want, s := range map[string]*fakedns.Server{"new": zone.Servers()[0], "old": late} {
		if got := texts(ask(t, "udp", s.Addr(), "a.example.com", dns.TypeTXT)); !slices.Equal(got, []string{want}) {
			t.Errorf("%s: %v, want %s", s.Name(), got, want)
		}
	}
	late.CatchUp()
	if got := texts(ask(t, "udp", late.Addr(), "a.example.com", dns.TypeTXT)); !slices.Equal(got, []string{"new"}) {
		t.Errorf("after catching up: %v", got)
	}
	soa := ask(t, "udp", late.Addr(), "example.com", dns.TypeSOA).Answer[0].(*dns.SOA)
	if soa.Serial != zone.Serial() {
		t.Errorf("serial %d, want %d", soa.Serial, zone.Serial())
	}
}

func TestFaultsShowOnTheWire(t *testing.T) {
	network := fakedns.New(t)
	zone := network.Zone("example.com", 1)
	zone.TXT("a.example.com", "here")
	s := zone.Servers()[0]

	s.Fail(fakedns.ServFail)
	if m := ask(t, "udp", s.Addr(), "a.example.com", dns.TypeTXT); m.Rcode != dns.RcodeServerFailure {
		t.Errorf("ServFail: %v", m)
	}
	s.Fail(fakedns.Refused)
	if m := ask(t, "tcp", s.Addr(), "a.example.com", dns.TypeTXT); m.Rcode != dns.RcodeRefused {
		t.Errorf("Refused: %v", m)
	}
	s.Fail(fakedns.Truncate)
	if m := ask(t, "udp", s.Addr(), "a.example.com", dns.TypeTXT); !m.Truncated || len(m.Answer) > 0 {
		t.Errorf("Truncate over UDP: %v", m)
	}
	if got := texts(ask(t, "tcp", s.Addr(), "a.example.com", dns.TypeTXT)); !slices.Equal(got, []string{"here"}) {
		t.Errorf("Truncate over TCP: %v", got)
	}
	for _, f := range []fakedns.Fault{fakedns.Timeout, fakedns.WrongID, fakedns.Garbage} {
		s.Fail(f)
		m := new(dns.Msg).SetQuestion("a.example.com.", dns.TypeTXT)
		c := dns.Client{Timeout: fakedns.Patience}
		if r, _, err := c.Exchange(m, s.Addr()); err == nil {
			t.Errorf("fault %d: a usable reply: %v", f, r)
		}
	}
	s.Fail(fakedns.None)
	if got := texts(ask(t, "udp", s.Addr(), "a.example.com", dns.TypeTXT)); !slices.Equal(got, []string{"here"}) {
		t.Errorf("None: %v", got)
	}
}

func TestRecursiveResolvesThroughTheZones(t *testing.T) {
	network := fakedns.New(t)
	com := network.Zone("example.com", 2)
	org := network.Zone("provider.org", 1)
	com.CNAME("s._domainkey.example.com", "key.provider.org")
	org.TXT("key.provider.org", "k")
	at := network.Recursive()

	m := ask(t, "udp", at, "s._domainkey.example.com", dns.TypeTXT)
	if len(m.Answer) != 2 || !slices.Equal(texts(m), []string{"k"}) {
		t.Errorf("alias across zones: %v", m)
	}
	if network.Count("recursive1", "s._domainkey.example.com", "TXT") != 1 || network.Count("", "key.provider.org", "") != 0 {
		t.Errorf("log: %v", network.Queries())
	}

	com.Servers()[0].Fail(fakedns.Timeout)
	if m := ask(t, "udp", at, "example.com", dns.TypeSOA); m.Rcode != dns.RcodeSuccess {
		t.Errorf("one of two servers down: %v", m)
	}
	com.Servers()[1].Fail(fakedns.ServFail)
	if m := ask(t, "udp", at, "example.com", dns.TypeSOA); m.Rcode != dns.RcodeServerFailure {
		t.Errorf("both servers down: %v", m)
	}

	org.Undelegate()
	if m := ask(t, "udp", at, "key.provider.org", dns.TypeTXT); m.Rcode != dns.RcodeNameError || m.Ns[0].Header().Name != "." {
		t.Errorf("undelegated: %v", m)
	}
	org.Delegate()
	org.Break(true)
	if m := ask(t, "udp", at, "key.provider.org", dns.TypeTXT); m.Rcode != dns.RcodeServerFailure {
		t.Errorf("bogus: %v", m)
	}
}

func TestRecursiveServerCanBeStale(t *testing.T) {
	network := fakedns.New(t)
	zone := network.Zone("example.com", 1)
	network.Recursives()[0].Lag()
	zone.TXT("a.example.com", "new")
	if m := ask(t, "udp", network.Recursive(), "a.example.com", dns.TypeTXT); m.Rcode != dns.RcodeNameError {
		t.Errorf("stale: %v", m)
	}
	network.Recursives()[0].CatchUp()
	if got := texts(ask(t, "udp", network.Recursive(), "a.example.com", dns.TypeTXT)); !slices.Equal(got, []string{"new"}) {
		t.Errorf("after catching up: %v", got)
	}
}

func TestFailNextEndsByItself(t *testing.T) {
	network := fakedns.New(t)
	s := network.Zone("example.com", 1).Servers()[0]
	s.FailNext(2, fakedns.Refused)
	for _, want := range []int{dns.RcodeRefused, dns.RcodeRefused, dns.RcodeSuccess} {
		if m := ask(t, "udp", s.Addr(), "example.com", dns.TypeSOA); m.Rcode != want {
			t.Errorf("answer code %d, want %d", m.Rcode, want)
		}
	}
}

func TestLaterZonesTakeOverDelegations(t *testing.T) {
	network := fakedns.New(t)
	zone := network.Zone("example.com", 1)
	zone.TXT("a.example.com", "here")
	com := network.Zone("com", 1)

	m := ask(t, "udp", com.Servers()[0].Addr(), "a.example.com", dns.TypeTXT)
	if len(m.Ns) != 1 || m.Ns[0].Header().Name != "example.com." || len(m.Extra) != 1 {
		t.Errorf("com does not refer to example.com: %v", m)
	}
	if got := texts(ask(t, "udp", network.Recursive(), "a.example.com", dns.TypeTXT)); !slices.Equal(got, []string{"here"}) {
		t.Errorf("through com: %v", got)
	}
}
