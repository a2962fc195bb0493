package resolver_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/fakedns"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/resolver"
)

func TestAllServersAgree(t *testing.T) {
	t.Parallel()
	network := fakedns.New(t)
	zone := network.Zone("example.com", 3)
	zone.SOA(1800, 600)
	zone.TTL(7200)
	zone.TXT(name, key)

	v := look(t, open(t, network), "MX1-2611abcd._domainkey.Example.COM.", "TXT")
	if v.Name != name || v.Type != "TXT" || v.Zone != "example.com" || len(v.Servers) != 3 {
		t.Errorf("view of %s %s in %s on %v", v.Name, v.Type, v.Zone, v.Servers)
	}
	if got := statuses(v); got != "ns1=ok ns2=ok ns3=ok" {
		t.Error(got)
	}
	for i, a := range v.Answers {
		if a.Server != label(zone.Servers()[i]) || !slices.Equal(a.TXT, []string{key}) || a.TTL != 7200 || a.NegativeTTL != 600 {
			t.Errorf("answer %d: %+v", i, a)
		}
		if v.Serial[a.Server] != zone.Serial() {
			t.Errorf("serial of %s: %d, want %d", a.Server, v.Serial[a.Server], zone.Serial())
		}
	}
	if v.NegativeTTL != 600 {
		t.Errorf("negative TTL %d", v.NegativeTTL)
	}
	if all, dissent := v.Agree(); !all {
		t.Errorf("they agree, yet: %v", dissent)
	}
	if all, missing := v.Shows(key); !all {
		t.Errorf("they show it, yet: %v", missing)
	}
	if all, _ := v.Shows("something else"); all {
		t.Error("they show something else")
	}
}

func TestLookingLeavesNoTraceInTheRecursiveCache(t *testing.T) {
	t.Parallel()
	network := fakedns.New(t)
	network.Zone("example.com", 2)
	look(t, open(t, network), name, "TXT")
	for _, q := range network.Queries() {
		if strings.HasPrefix(q.Server, "recursive") && strings.Contains(q.Name, "_domainkey") {
			t.Errorf("the recursive server was asked about %s %s", q.Name, q.Type)
		}
	}
	if network.Count("ns1.example.com", name, "TXT") != 1 {
		t.Error("the authoritative server was not asked")
	}
}

func TestLaggingSecondaryIsNamed(t *testing.T) {
	t.Parallel()
	for _, lagging := range []int{0, 1, 2} {
		network := fakedns.New(t)
		zone := network.Zone("example.com", 3)
		late := zone.Servers()[lagging]
		late.Lag()
		zone.TXT(name, key)

		v := look(t, open(t, network), name, "TXT")
		all, dissent := v.Agree()
		if all || !slices.Equal(servers(dissent), []string{label(late)}) {
			t.Errorf("dissent %v, want %s", dissent, label(late))
		}
		if dissent[0].Status != resolver.StatusNXDomain || v.SerialsAgree() {
			t.Errorf("the late one: %v, serials %v", dissent[0], v.Serial)
		}
		late.CatchUp()
		if all, dissent := look(t, open(t, network), name, "TXT").Agree(); !all {
			t.Errorf("after catching up: %v", dissent)
		}
	}
}

// With two of three servers behind, the newest serial decides who is right, not the majority.
func TestTwoLaggingOfThree(t *testing.T) {
	t.Parallel()
	network := fakedns.New(t)
	zone := network.Zone("example.com", 3)
	zone.TXT(name, "old")
	zone.Servers()[0].Lag()
	zone.Servers()[2].Lag()
	zone.TXT(name, key)

	_, dissent := look(t, open(t, network), name, "TXT").Agree()
	want := []string{label(zone.Servers()[0]), label(zone.Servers()[2])}
	if !slices.Equal(servers(dissent), want) {
		t.Errorf("dissent %v, want %v", servers(dissent), want)
	}
}

func TestNegativeAnswersAndTroubles(t *testing.T) {
	t.Parallel()
	const ok, trouble = resolver.StatusOK, resolver.StatusError
	cases := []struct {
		name, rrtype string
		fault        fakedns.Fault
		status       resolver.Status
		detail       string
		absent       bool
	}{
		{name, "TXT", fakedns.None, ok, "", false},
		{name, "CNAME", fakedns.None, resolver.StatusNoData, "", true},
		{"_domainkey.example.com", "TXT", fakedns.None, resolver.StatusNoData, "", true},
		{"none._domainkey.example.com", "TXT", fakedns.None, resolver.StatusNXDomain, "", true},
		{"other._domainkey.example.com", "TXT", fakedns.None, ok, "", false},
		{name, "TXT", fakedns.Timeout, trouble, "timeout", false},
		{name, "TXT", fakedns.ServFail, trouble, "SERVFAIL", false},
		{name, "TXT", fakedns.Refused, trouble, "REFUSED", false},
		{name, "TXT", fakedns.Lame, trouble, "lame", false},
		{name, "TXT", fakedns.Garbage, trouble, "malformed", false},
		{name, "TXT", fakedns.WrongID, trouble, "reply to another question", false},
		{name, "TXT", fakedns.WrongQuestion, trouble, "reply to another question", false},
		{name, "TXT", fakedns.TruncateOnly, trouble, "TCP after truncation: timeout", false},
		{name, "TXT", fakedns.Truncate, ok, "", false},
		{name, "TXT", fakedns.NoEDNS, ok, "", false},
	}
	for _, c := range cases {
		t.Run(fmt.Sprintf("%s %s fault %d", c.name, c.rrtype, c.fault), func(t *testing.T) {
			t.Parallel()
			network := fakedns.New(t)
			zone := network.Zone("example.com", 1)
			zone.SOA(120, 900)
			zone.TXT(name, key)
			zone.TXT("other._domainkey.example.com", "")
			s := zone.Servers()[0]
			s.Fail(c.fault)
			r := open(t, network, func(cfg *resolver.Config) {
				cfg.Authorities = map[string][]string{"example.com": {s.Addr()}}
			})
			v := look(t, r, c.name, c.rrtype)
			if a := v.Answers[0]; len(v.Answers) != 1 || a.Server != s.Addr() || a.Status != c.status || a.Detail != c.detail {
				t.Errorf("%+v", v.Answers)
			}
			negative := uint32(120)
			if c.status == resolver.StatusError {
				negative = 0
			}
			if v.NegativeTTL != negative {
				t.Errorf("negative TTL %d, want %d", v.NegativeTTL, negative)
			}
			if all, _ := v.Absent(); all != c.absent {
				t.Errorf("Absent says %v", all)
			}
		})
	}
}

func TestTruncatedReplyIsFetchedOverTCP(t *testing.T) {
	t.Parallel()
	network := fakedns.New(t)
	zone := network.Zone("example.com", 1)
	long := "v=DKIM1; p=" + strings.Repeat("QUJD", 500)
	zone.TXT(name, long)

	a := look(t, open(t, network), name, "TXT").Answers[0]
	if !a.Truncated || !slices.Equal(a.TXT, []string{long}) || a.Size < 2000 {
		t.Errorf("%+v", a)
	}
	if len(a.Strings) != 1 || len(a.Strings[0]) != 8 || len(a.Strings[0][0]) != 255 {
		t.Errorf("strings: %d of %d", len(a.Strings), len(a.Strings[0]))
	}
}

func TestOctetsComeThroughUnescaped(t *testing.T) {
	t.Parallel()
	network := fakedns.New(t)
	zone := network.Zone("example.com", 1)
	values := []string{`say "hi"; back\slash`, "caf\xc3\xa9 \x00\xff", `\065`}
	zone.TXT(name, values...)
	slices.Sort(values)
	if a := look(t, open(t, network), name, "TXT").Answers[0]; !slices.Equal(a.TXT, values) {
		t.Errorf("%q", a.TXT)
	}
}

func TestEveryListedServerAppears(t *testing.T) {
	t.Parallel()
	network := fakedns.New(t)
	zone := network.Zone("example.com", 2)
	zone.TXT(name, key)
	zone.Servers()[1].Fail(fakedns.Timeout)
	zone.NS("example.com", "ns1.example.com", "ns2.example.com", "ns3.example.com", "ns4.example.com", `bad\032name.example.com`)
	zone.Set("ns4.example.com", "A", "224.0.0.1")

	v := look(t, open(t, network), name, "TXT")
	got := statuses(v)
	for _, want := range []string{"ns1=ok", "ns2=error:timeout", "ns3=error:no address", "ns4=error:address not asked", "name=error:unusable name"} {
		if !strings.Contains(strings.ReplaceAll(got, `"bad\\032name`, "name"), want) {
			t.Errorf("%q is missing in %s", want, got)
		}
	}
	if len(v.Answers) != 5 {
		t.Errorf("%d answers", len(v.Answers))
	}
}

func TestAllServersDeadAreFoundThroughTheZoneAbove(t *testing.T) {
	t.Parallel()
	network := fakedns.New(t)
	network.Zone("com", 1)
	zone := network.Zone("example.com", 2)
	for _, s := range zone.Servers() {
		s.Fail(fakedns.Timeout)
	}
	v := look(t, open(t, network), name, "TXT")
	if v.Zone != "example.com" || statuses(v) != "ns1=error:timeout ns2=error:timeout" {
		t.Errorf("%s: %s", v.Zone, statuses(v))
	}
}

func TestZonesThatCannotBeFound(t *testing.T) {
	t.Parallel()
	network := fakedns.New(t)
	zone := network.Zone("example.com", 1)
	zone.Undelegate()
	r := open(t, network)

	_, err := r.Authoritative(t.Context(), name, "TXT")
	if message, hint := fault.Show(err); fault.CodeOf(err) != fault.NotFound || !strings.Contains(message, "example.com is not delegated") || hint == "" {
		t.Errorf("undelegated: %v (%s)", err, hint)
	}
	network.Recursives()[0].Fail(fakedns.Timeout)
	_, err = r.Authoritative(t.Context(), name, "TXT")
	if _, hint := fault.Show(err); fault.CodeOf(err) != fault.Unavailable || hint == "" {
		t.Errorf("no recursive server: %v", err)
	}
	for _, bad := range [][2]string{{"a..b", "TXT"}, {"a b.com", "TXT"}, {"", "TXT"}, {strings.Repeat("a", 64) + ".com", "TXT"}, {name, "AXFR"}} {
		if _, err := r.Authoritative(t.Context(), bad[0], bad[1]); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%q %s: %v", bad[0], bad[1], err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := r.Authoritative(ctx, name, "TXT"); fault.CodeOf(err) != fault.Unavailable {
		t.Errorf("cancelled: %v", err)
	}
}

func TestSecondRecursiveServerStepsIn(t *testing.T) {
	t.Parallel()
	network := fakedns.New(t)
	network.AddRecursive()
	network.Zone("example.com", 1).TXT(name, key)
	network.Recursives()[0].Fail(fakedns.ServFail)
	if got := statuses(look(t, open(t, network), name, "TXT")); got != "ns1=ok" {
		t.Error(got)
	}
}

func TestDelegatedSubZone(t *testing.T) {
	t.Parallel()
	t.Run("on servers of its own", func(t *testing.T) {
		network := fakedns.New(t)
		network.Zone("example.com", 2)
		sub := network.Zone("_domainkey.example.com", 2)
		sub.TXT(name, key)
		checkSubZone(t, network, "ns1._domainkey.example.com")
	})
	t.Run("on the servers of the zone above", func(t *testing.T) {
		network := fakedns.New(t)
		zone := network.Zone("example.com", 2)
		sub := network.ZoneOn("_domainkey.example.com", zone.Servers()...)
		sub.TXT(name, key)
		checkSubZone(t, network, "ns1.example.com")
	})
	t.Run("one selector alone", func(t *testing.T) {
		network := fakedns.New(t)
		network.Zone("example.com", 1)
		sub := network.Zone(name, 1)
		sub.TXT(name, key)
		v := look(t, open(t, network), name, "TXT")
		if v.Zone != name || statuses(v) != "ns1=ok" {
			t.Errorf("%s: %s", v.Zone, statuses(v))
		}
	})
	t.Run("deeper domains", func(t *testing.T) {
		network := fakedns.New(t)
		network.Zone("co.uk", 1)
		network.Zone("example.co.uk", 1)
		zone := network.Zone("mail.example.co.uk", 1)
		zone.TXT("s._domainkey.mail.example.co.uk", key)
		v := look(t, open(t, network), "s._domainkey.mail.example.co.uk", "TXT")
		if v.Zone != "mail.example.co.uk" || statuses(v) != "ns1=ok" {
			t.Errorf("%s: %s", v.Zone, statuses(v))
		}
	})
}

func checkSubZone(t *testing.T, network *fakedns.Net, first string) {
	t.Helper()
	r := open(t, network)
	v := look(t, r, name, "TXT")
	if v.Zone != "_domainkey.example.com" || statuses(v) != "ns1=ok ns2=ok" || !strings.HasPrefix(v.Answers[0].Server, first+" ") {
		t.Errorf("%s: %s (%s)", v.Zone, statuses(v), v.Answers[0].Server)
	}
	ns := look(t, r, "_domainkey.example.com", "NS")
	if ns.Zone != "example.com" || statuses(ns) != "ns1=ok ns2=ok" || len(ns.Answers[0].NS) != 2 || ns.Answers[0].NS[0] != first {
		t.Errorf("delegation in %s: %s %v", ns.Zone, statuses(ns), ns.Answers[0].NS)
	}
}

func TestZone(t *testing.T) {
	t.Parallel()
	network := fakedns.New(t)
	network.Zone("example.com", 2)
	network.Zone("_domainkey.sub.example.com", 1)
	r := open(t, network)
	for name, want := range map[string]string{
		"example.com":                  "example.com",
		"s._domainkey.example.com":     "example.com",
		"sub.example.com":              "example.com",
		"s._domainkey.sub.example.com": "_domainkey.sub.example.com",
	} {
		if got, err := r.Zone(t.Context(), name); got != want || err != nil {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
	if _, err := r.Zone(t.Context(), "example.org"); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("undelegated: %v", err)
	}
}

func TestDelegationThatOneServerLacks(t *testing.T) {
	t.Parallel()
	network := fakedns.New(t)
	zone := network.Zone("example.com", 2)
	zone.Servers()[0].Lag()
	network.Zone("_domainkey.example.com", 1)

	ns := look(t, open(t, network), "_domainkey.example.com", "NS")
	if got := statuses(ns); got != "ns1=nxdomain ns2=ok" {
		t.Errorf("delegation: %s", got)
	}
	// The server that is asked first decides where the cut is; the other one then is no evidence.
	v := look(t, open(t, network), name, "TXT")
	if got := statuses(v); v.Zone != "example.com" || got != "ns1=nxdomain ns2=error:refers to _domainkey.example.com" {
		t.Errorf("%s: %s", v.Zone, got)
	}
	if all, _ := v.Absent(); all {
		t.Error("taken for absent")
	}
}

func TestPinnedAuthorities(t *testing.T) {
	t.Parallel()
	network := fakedns.New(t)
	zone := network.Zone("example.com", 2)
	zone.Undelegate()
	zone.TXT(name, key)
	sub := network.Zone("sub.example.com", 1)
	sub.TXT("s._domainkey.sub.example.com", key)
	list := []string{zone.Servers()[1].Addr(), zone.Servers()[0].Addr()}
	r := open(t, network, func(c *resolver.Config) { c.Authorities = map[string][]string{"example.com": list} })

	v := look(t, r, name, "TXT")
	if v.Zone != "example.com" || !slices.Equal([]string{v.Answers[0].Server, v.Answers[1].Server}, list) {
		t.Errorf("%s %v", v.Zone, v.Answers)
	}
	if all, dissent := v.Agree(); !all {
		t.Error(dissent)
	}
	if n := network.Count("recursive1", "", ""); n != 0 {
		t.Errorf("%d questions to the recursive server", n)
	}
	v = look(t, r, "s._domainkey.sub.example.com", "TXT")
	if v.Zone != "sub.example.com" || statuses(v) != "ns1=ok" {
		t.Errorf("below the pinned zone: %s: %s", v.Zone, statuses(v))
	}
	if v = look(t, r, "example.com", "NS"); v.Zone != "example.com" || len(v.Answers[0].NS) != 2 {
		t.Errorf("NS of the pinned zone: %v", v)
	}
}

func TestInternationalisedNames(t *testing.T) {
	t.Parallel()
	network := fakedns.New(t)
	zone := network.Zone("xn--bcher-kva.example.com", 1)
	zone.TXT("s._domainkey.xn--bcher-kva.example.com", key)
	v := look(t, open(t, network), "s._domainkey.BÜCHER。example.com", "TXT")
	if v.Zone != "xn--bcher-kva.example.com" || statuses(v) != "ns1=ok" {
		t.Errorf("%s: %s", v.Zone, statuses(v))
	}
}

func TestOtherTypes(t *testing.T) {
	t.Parallel()
	network := fakedns.New(t)
	zone := network.Zone("example.com", 1)
	zone.Set("example.com", "MX", "10 mx1.example.com.", "20 mx2.example.com.")
	v := look(t, open(t, network), "example.com", "MX")
	if !slices.Equal(v.Answers[0].Data, []string{"10 mx1.example.com.", "20 mx2.example.com."}) {
		t.Errorf("%q", v.Answers[0].Data)
	}
	network.Forget()
	v = look(t, open(t, network), "example.com", "SOA")
	if len(v.Answers[0].Data) != 1 || v.Serial[v.Answers[0].Server] != zone.Serial() || v.NegativeTTL != 300 {
		t.Errorf("%+v", v)
	}
	if network.Count("ns1.example.com", "example.com", "SOA") != 1 {
		t.Error("the SOA was asked for twice")
	}
}

func TestManyServersAreBoundedAndSaid(t *testing.T) {
	t.Parallel()
	network := fakedns.New(t)
	zone := network.Zone("example.com", 1)
	zone.TXT(name, key)
	var names []string
	for i := range 60 {
		host := fmt.Sprintf("n%02d.example.com", i)
		names = append(names, host)
		zone.Set(host, "A", zone.Servers()[0].IP())
	}
	zone.NS("example.com", names...)
	v := look(t, open(t, network), name, "TXT")
	last := v.Answers[len(v.Answers)-1]
	if last.Status != resolver.StatusError || last.Detail != resolver.DetailTooMany || !strings.Contains(last.Server, "more servers") {
		t.Errorf("%v", last)
	}
	if all, _ := v.Agree(); all {
		t.Error("agreement although not all were asked")
	}
}
