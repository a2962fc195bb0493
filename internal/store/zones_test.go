package store

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/nameserver"
	"github.com/postseal/postseal/internal/publisher"
	"github.com/postseal/postseal/internal/publisher/provider/builtin"
	"github.com/postseal/postseal/internal/publisher/providertest"
)

var (
	_ builtin.Storage   = (*Store)(nil)
	_ nameserver.Source = (*Store)(nil)
)

const testZone = "dkim.example.net"

var zoneCases = map[string]func(*testing.T, *database){
	"a record set is compared and swapped": testSwap,
	"a serial only grows":                  testSerial,
	"a zone is served while it is wanted":  testZoneServed,
	"a zone served in another form":        testZoneForm,
	"it conforms to a publisher":           testConformance,
}

func testSwap(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	odd := "v=DKIM1; p=\\ \"é\x00\xff"
	name := "a._domainkey." + testZone
	for _, tc := range []struct {
		what         string
		kind         string
		expect, want []string
		code         fault.Code
		have         []string
		changes      bool
	}{
		{"nothing from nothing", "TXT", nil, nil, "", nil, false},
		{"a first value", "TXT", nil, []string{odd}, "", []string{odd}, true},
		{"the same again", "TXT", nil, []string{odd}, "", []string{odd}, false},
		{"another without knowing", "TXT", nil, []string{"x"}, fault.Conflict, []string{odd}, false},
		{"another with a wrong idea", "TXT", []string{"y"}, []string{"x"}, fault.Conflict, []string{odd}, false},
		{"a CNAME beside it", "CNAME", nil, []string{"t.example"}, fault.Conflict, nil, false},
		{"two values", "TXT", []string{odd}, []string{"b", "a"}, "", []string{"b", "a"}, true},
		{"the same in another order", "TXT", []string{"x"}, []string{"a", "b"}, "", []string{"a", "b"}, false},
		{"less", "TXT", []string{"a", "b"}, []string{"a"}, "", []string{"a"}, true},
		{"nothing", "TXT", []string{"a"}, nil, "", nil, true},
		{"now a CNAME", "CNAME", nil, []string{"t.example"}, "", []string{"t.example"}, true},
		{"a TXT beside a CNAME", "TXT", nil, []string{"x"}, fault.Conflict, nil, false},
	} {
		before := get[publisher.StoredZone](t)(s.Zone(ctx, testZone))
		version := get[int64](t)(s.ZonesVersion(ctx))
		have, err := s.SwapRecordSet(ctx, testZone, name, tc.kind, tc.expect, tc.want, 300)
		if tc.code == "" && err != nil || tc.code != "" && fault.CodeOf(err) != tc.code {
			t.Errorf("%s: %v", tc.what, err)
		}
		after := get[publisher.StoredZone](t)(s.Zone(ctx, testZone))
		if now := get[int64](t)(s.ZonesVersion(ctx)); now != version != tc.changes {
			t.Errorf("%s: the zones' version went from %d to %d", tc.what, version, now)
		}
		if !sameValues(have, tc.have) || (after.Serial != before.Serial) != tc.changes || after.Serial < before.Serial {
			t.Errorf("%s: have %q, serial %d to %d", tc.what, have, before.Serial, after.Serial)
		}
		var stands []string
		for _, r := range after.Records {
			if r.Type == tc.kind {
				stands = append(stands, r.Value)
				if r.Name != name || r.TTL != 300 {
					t.Errorf("%s: %+v", tc.what, r)
				}
			}
		}
		if !sameValues(stands, tc.have) {
			t.Errorf("%s: %q stands", tc.what, stands)
		}
	}
	if _, err := s.SwapRecordSet(ctx, "nowhere.example", name, "TXT", nil, []string{"x"}, 300); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("an unknown zone: %v", err)
	}
	if _, err := s.Zone(ctx, "nowhere.example"); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("an unknown zone: %v", err)
	}
}

func testSerial(t *testing.T, db *database) {
	first := db.filled(t)
	second := db.open(t)
	ctx := t.Context()
	start := get[publisher.StoredZone](t)(first.Zone(ctx, testZone)).Serial
	const writers, each = 4, 10
	var all sync.WaitGroup
	for i := range writers {
		s := []*Store{first, second}[i%2]
		all.Go(func() {
			for j := range each {
				name := fmt.Sprintf("n%d-%d.%s", i, j, testZone)
				if _, err := s.SwapRecordSet(ctx, testZone, name, "TXT", nil, []string{strings.Repeat("x", 4000)}, 60); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	zone := get[publisher.StoredZone](t)(first.Zone(ctx, testZone))
	if zone.Serial-start < writers*each || len(zone.Records) != writers*each {
		t.Errorf("serial %d to %d after %d changes; %d records", start, zone.Serial, writers*each, len(zone.Records))
	}
}

func testZoneServed(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	names := func() []string { t.Helper(); return get[[]string](t)(s.Zones(ctx)) }
	if !slices.Equal(names(), []string{testZone}) {
		t.Errorf("zones %v", names())
	}
	if serials := get[map[string]uint32](t)(s.ZoneSerials(ctx)); len(serials) != 1 || serials[testZone] != get[publisher.StoredZone](t)(s.Zone(ctx, testZone)).Serial {
		t.Errorf("serials %v", serials)
	}
	for range 3 {
		serial := get[publisher.StoredZone](t)(s.Zone(ctx, testZone)).Serial
		state := get[inventory.State](t)(s.Inventory(ctx))
		state.Publishers[1].Kind, state.Publishers[1].Zone = inventory.PublisherManual, ""
		must(t, s.SaveInventory(ctx, "ann", state.Generation, state))
		if len(names()) != 0 {
			t.Errorf("zones %v", names())
		}
		state = get[inventory.State](t)(s.Inventory(ctx))
		state.Publishers[1] = smallFleet().Publishers[1]
		must(t, s.SaveInventory(ctx, "ann", state.Generation, state))
		if again := get[publisher.StoredZone](t)(s.Zone(ctx, testZone)).Serial; again < serial {
			t.Errorf("serial %d after %d", again, serial)
		}
	}
}

func testZoneForm(t *testing.T, db *database) {
	s := db.filled(t)
	ctx := t.Context()
	serial := func() uint32 { t.Helper(); return get[publisher.StoredZone](t)(s.Zone(ctx, testZone)).Serial }
	last := serial()
	for _, c := range []struct {
		form  string
		grows bool
	}{{"ns1, 300", true}, {"ns1, 300", false}, {"ns1 ns2, 300", true}, {"ns1 ns2, 300", false}, {"ns1, 300", true}} {
		must(t, s.ServeZonesAs(ctx, c.form))
		now := serial()
		if now < last || (now > last) != c.grows {
			t.Errorf("%q: serial %d after %d", c.form, now, last)
		}
		last = now
	}
}

func TestNextSerial(t *testing.T) {
	for _, tc := range []struct {
		serial uint32
		unix   int64
		want   uint32
	}{
		{0, 1700000000, 1700000000}, {1700000000, 1700000000, 1700000001}, {1700000005, 1700000001, 1700000006},
		{1<<32 - 1, 1700000000, 1700000000}, {1<<32 - 1, -1, 1}, {1 << 31, 5, 1<<31 + 1}, {7, 1 << 40, 8},
	} {
		if got := nextSerial(tc.serial, tc.unix); got != tc.want {
			t.Errorf("after %d at %d: %d, want %d", tc.serial, tc.unix, got, tc.want)
		}
	}
}

func TestEscape(t *testing.T) {
	var all []byte
	for c := range 256 {
		all = append(all, byte(c))
	}
	written := escape(string(all))
	if got, err := unescape(written); err != nil || got != string(all) {
		t.Errorf("%q: %v", got, err)
	}
	if text(written) != written {
		t.Error("the database could not keep it")
	}
	for _, bad := range []string{`\`, `\1`, `\999`, `a\x01`} {
		if got, err := unescape(bad); err == nil {
			t.Errorf("%q read as %q", bad, got)
		}
	}
}

// testConformance runs the suite that every publisher passes.
func testConformance(t *testing.T, db *database) {
	s := db.filled(t)
	plant := func(t *testing.T, name, rrtype, value string) {
		owner := publisher.Absolute(name, testZone)
		var have []string
		for _, r := range get[publisher.StoredZone](t)(s.Zone(t.Context(), testZone)).Records {
			if r.Name == owner && r.Type == rrtype {
				have = append(have, r.Value)
			}
		}
		get[[]string](t)(s.SwapRecordSet(t.Context(), testZone, owner, rrtype, have, append(slices.Clone(have), value), 3600))
	}
	providertest.Run(t, func(*testing.T) providertest.Subject {
		return providertest.Subject{Provider: builtin.New(s), Zone: testZone, Plant: plant}
	})
}
