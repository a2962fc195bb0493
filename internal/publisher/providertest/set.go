package providertest

import (
	"strings"
	"testing"
	"time"

	"github.com/libdns/libdns"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher"
)

const (
	keyA   = "v=DKIM1; k=ed25519; p=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
	keyB   = "v=DKIM1; k=ed25519; p=BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBA="
	gone   = "v=DKIM1; k=ed25519; p="
	theirs = "v=DKIM1; p=somebodyelse"
)

func testNothing(t *testing.T, s Subject) {
	if got := s.get(t, "nobody-was-here._domainkey"); len(got) != 0 {
		t.Errorf("Get = %s, want nothing", publisher.Describe(got))
	}
}

func testLife(t *testing.T, s Subject) {
	const name = "life._domainkey"
	s.done(t, change(name, "TXT", "", keyA))
	s.done(t, change(name, "TXT", keyA, gone))
	s.done(t, change(name, "TXT", gone, ""))
	s.done(t, change(name, "TXT", "", keyB)) // a slot carries another key later
	s.done(t, change(name, "TXT", keyB, ""))
}

func testLifeCNAME(t *testing.T, s Subject) {
	const name = "alias._domainkey"
	s.done(t, change(name, "CNAME", "", "s1.domainkey.u1.wl.sendgrid.example"))
	s.done(t, change(name, "CNAME", "s1.domainkey.u1.wl.sendgrid.example", "S2.Domainkey.u1.wl.sendgrid.example."))
	s.done(t, change(name, "CNAME", "s2.domainkey.u1.wl.sendgrid.example", ""))
}

func testRepeat(t *testing.T, s Subject) {
	const name = "again._domainkey"
	for range 2 {
		s.done(t, change(name, "TXT", "", keyA))
	}
	for range 2 {
		s.done(t, change(name, "TXT", keyA, keyB))
	}
	for range 2 {
		s.done(t, change(name, "TXT", keyB, ""))
	}
	s.done(t, change(name, "TXT", "", ""))
	for range 2 {
		s.done(t, change(name, "CNAME", "", "target.example.net"))
	}
	for range 2 {
		s.done(t, change(name, "CNAME", "target.example.net", ""))
	}
}

func testValues(t *testing.T, s Subject) {
	limit := s.Provider.Capabilities().MaxTXT
	values := []string{
		strings.Repeat("x", 255),
		strings.Repeat("y", 256),
		"v=DKIM1; k=rsa; p=" + strings.Repeat("M", 736), // RSA-4096
		strings.Repeat("z", 4096),
		`quotes " and \ backslashes; semicolons \123 and 'more'`,
		"two  spaces, a trailing one ",
		"v=DMARC1; p=none; rua=mailto:reports@example.org!10m",
		"octets \xc3\xa9 beyond ASCII",
	}
	const name = "values._domainkey"
	before := ""
	for _, v := range values {
		if limit > 0 && len(v) > limit {
			continue
		}
		if s.Plain && strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r > '~' || r == '"' || r == '\\' }) {
			s.refused(t, fault.Invalid, change(name, "TXT", before, v))
			continue
		}
		s.done(t, change(name, "TXT", before, v))
		before = v
	}
	s.done(t, change(name, "TXT", before, ""))
}

func testNames(t *testing.T, s Subject) {
	for _, name := range []string{"_dmarc", "deep.er.names._domainkey", "a-1_b._domainkey", strings.Repeat("l", 63) + "._domainkey"} {
		s.done(t, change(name, "TXT", "", keyA))
		s.done(t, change(name, "TXT", keyA, ""))
	}
	s.done(t, change("Case._DomainKey", "TXT", "", keyA))
	s.stands(t, "case._domainkey", "TXT", keyA)
	s.done(t, change("case._domainkey", "TXT", keyA, ""))
}

func testTTL(t *testing.T, s Subject) {
	const name = "ttl._domainkey"
	c := change(name, "TXT", "", keyA)
	want := max(2*time.Hour, s.Provider.Capabilities().MinTTL)
	c.Want = []libdns.Record{publisher.NewRecord(name, "TXT", keyA, want)}
	s.done(t, c)
	for _, r := range s.get(t, name) {
		if got := r.RR().TTL; got != want {
			t.Errorf("TTL %s, want %s", got, want)
		}
	}
	s.done(t, change(name, "TXT", keyA, ""))
}

func testOtherZone(t *testing.T, s Subject) {
	const zone = "zone-that-is-not-served.invalid"
	if _, err := s.Provider.Get(t.Context(), zone, "x._domainkey"); fault.CodeOf(err) != fault.NotFound || err == nil {
		t.Errorf("Get: %v, want not_found", err)
	}
	_, err := s.Provider.Set(t.Context(), zone, change("x._domainkey", "TXT", "", keyA))
	if fault.CodeOf(err) != fault.NotFound || err == nil {
		t.Fatalf("Set: %v, want not_found", err)
	}
	if message, hint := fault.Show(err); !strings.Contains(message, zone) || hint == "" {
		t.Errorf("%q, hint %q: the zone is not named or there is no hint", message, hint)
	}
}

func testCancelled(t *testing.T, s Subject) {
	const name = "cancelled._domainkey"
	outcome, err := s.Provider.Set(cancelled(t), s.Zone, change(name, "TXT", "", keyA))
	if err == nil || outcome != "" || fault.CodeOf(err) != fault.Unavailable {
		t.Fatalf("%q, %v; want unavailable", outcome, err)
	}
	s.stands(t, name, "TXT")
}
