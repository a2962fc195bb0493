package resolver_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/fakedns"
	"github.com/postseal/postseal/internal/resolver"
)

func TestCNAMEAcrossZones(t *testing.T) {
	t.Parallel()
	network := fakedns.New(t)
	zone := network.Zone("example.com", 2)
	zone.SOA(3600, 60)
	zone.TTL(300)
	zone.CNAME(name, "b1.provider.org")
	middle := network.Zone("provider.org", 2)
	middle.SOA(3600, 900)
	middle.TTL(86400)
	middle.CNAME("b1.provider.org", "key17.dkim.provider.org")
	middle.TTL(600)
	middle.TXT("key17.dkim.provider.org", key)

	v := look(t, open(t, network), name, "TXT")
	if all, dissent := v.Agree(); !all {
		t.Fatal(dissent)
	}
	for _, a := range v.Answers {
		if a.Own != "b1.provider.org" || !slices.Equal(a.CNAME, []string{"b1.provider.org", "key17.dkim.provider.org"}) || !slices.Equal(a.TXT, []string{key}) {
			t.Errorf("%+v", a)
		}
		if a.TTL != 86400 || a.NegativeTTL != 900 {
			t.Errorf("TTL %d, negative %d: want the largest along the chain", a.TTL, a.NegativeTTL)
		}
	}
	if len(v.Targets) != 1 || v.Targets[0].Zone != "provider.org" || len(v.Targets[0].Answers) != 2 {
		t.Errorf("targets: %+v", v.Targets)
	}

	v = look(t, open(t, network), name, "CNAME")
	if a := v.Answers[0]; a.Status != resolver.StatusOK || a.Own != "b1.provider.org" || len(a.TXT) != 0 || len(v.Targets) != 0 {
		t.Errorf("asked for the alias itself: %+v", a)
	}
}

func TestCNAMEWithinOneZoneIsEachServersWord(t *testing.T) {
	t.Parallel()
	network := fakedns.New(t)
	zone := network.Zone("example.com", 2)
	zone.CNAME(name, "slot1.example.com")
	zone.TXT("slot1.example.com", "old")
	late := zone.Servers()[0]
	late.Lag()
	zone.TXT("slot1.example.com", key)

	v := look(t, open(t, network), name, "TXT")
	_, dissent := v.Agree()
	if !slices.Equal(servers(dissent), []string{label(late)}) || !slices.Equal(dissent[0].TXT, []string{"old"}) {
		t.Errorf("dissent: %+v", dissent)
	}
}

func TestTargetZoneNotOfOneMind(t *testing.T) {
	t.Parallel()
	network := fakedns.New(t)
	network.Zone("example.com", 2).CNAME(name, "k.provider.org")
	target := network.Zone("provider.org", 2)
	late := target.Servers()[1]
	late.Lag()
	target.TXT("k.provider.org", key)

	v := look(t, open(t, network), name, "TXT")
	all, dissent := v.Agree()
	if all || !slices.Contains(servers(dissent), label(late)) {
		t.Errorf("dissent: %v", dissent)
	}
	for _, a := range v.Answers {
		if a.Status != resolver.StatusError || !strings.Contains(a.Detail, label(late)) {
			t.Errorf("%+v", a)
		}
	}
}

func TestDanglingCNAME(t *testing.T) {
	t.Parallel()
	network := fakedns.New(t)
	zone := network.Zone("example.com", 1)
	provider := network.Zone("provider.org", 1)
	provider.TXT("there.provider.org", "x")
	provider.Set("there.provider.org", "TXT")
	provider.Set("there.provider.org", "A", "192.0.2.1")
	for target, want := range map[string]string{
		"gone.provider.org":  "ns1=nxdomain",
		"there.provider.org": "ns1=nodata",
		"expired.test":       "ns1=nxdomain",
	} {
		zone.CNAME(name, target)
		v := look(t, open(t, network), name, "TXT")
		if got := statuses(v); got != want || v.Answers[0].Own != target {
			t.Errorf("%s: %s, own %q", target, got, v.Answers[0].Own)
		}
	}
}

func TestCNAMELoopAndLongChain(t *testing.T) {
	t.Parallel()
	network := fakedns.New(t)
	zone := network.Zone("example.com", 1)
	other := network.Zone("provider.org", 1)

	zone.CNAME(name, "a.provider.org")
	other.CNAME("a.provider.org", name)
	v := look(t, open(t, network), name, "TXT")
	if a := v.Answers[0]; a.Detail != resolver.DetailLoop || !slices.Equal(a.CNAME, []string{"a.provider.org", name}) {
		t.Errorf("loop: %+v", a)
	}
	zone.CNAME(name, name)
	if a := look(t, open(t, network), name, "TXT").Answers[0]; a.Detail != resolver.DetailLoop {
		t.Errorf("loop on itself: %+v", a)
	}

	zone.CNAME(name, "h1.provider.org")
	for i := 1; i < 12; i++ {
		other.CNAME(fmt.Sprintf("h%d.provider.org", i), fmt.Sprintf("h%d.provider.org", i+1))
	}
	a := look(t, open(t, network), name, "TXT").Answers[0]
	if a.Detail != resolver.DetailLong || a.Status != resolver.StatusError {
		t.Errorf("long chain: %+v", a)
	}
	other.CNAME("h8.provider.org", "")
	other.TXT("h8.provider.org", key)
	a = look(t, open(t, network), name, "TXT").Answers[0]
	if a.Status != resolver.StatusOK || len(a.CNAME) != 8 {
		t.Errorf("eight hops: %+v", a)
	}

	zone.Set(name, "CNAME", `evil\000name.provider.org.`)
	if a := look(t, open(t, network), name, "TXT").Answers[0]; a.Detail != resolver.DetailBadName {
		t.Errorf("unusable target: %+v", a)
	}
	zone.Set(name, "CNAME", "a.provider.org.", "b.provider.org.")
	if a := look(t, open(t, network), name, "TXT").Answers[0]; a.Detail != resolver.DetailConflict {
		t.Errorf("two aliases: %+v", a)
	}
}

// The servers of one zone may name different targets while a change spreads.
func TestServersWithDifferentAliases(t *testing.T) {
	t.Parallel()
	network := fakedns.New(t)
	zone := network.Zone("example.com", 2)
	zone.CNAME(name, "old.provider.org")
	late := zone.Servers()[1]
	late.Lag()
	zone.CNAME(name, "new.provider.org")
	other := network.Zone("provider.org", 1)
	other.TXT("old.provider.org", key)
	other.TXT("new.provider.org", key)

	v := look(t, open(t, network), name, "TXT")
	if got := statuses(v); got != "ns1=ok ns2=ok" {
		t.Error(got)
	}
	_, dissent := v.Agree()
	if !slices.Equal(servers(dissent), []string{label(late)}) {
		t.Errorf("dissent: %v", dissent)
	}
	if len(v.Targets) != 2 {
		t.Errorf("%d targets", len(v.Targets))
	}
}

func TestTXTBesideCNAME(t *testing.T) {
	t.Parallel()
	network := fakedns.New(t)
	zone := network.Zone("example.com", 1)
	zone.Set(name, "TXT", `"v=DKIM1; p="`)
	zone.Set(name, "CNAME", "k.provider.org.")
	a := look(t, open(t, network), name, "TXT").Answers[0]
	if a.Status != resolver.StatusOK || a.Own != "k.provider.org" || len(a.TXT) != 1 || len(a.CNAME) != 0 {
		t.Errorf("%+v", a)
	}
}
