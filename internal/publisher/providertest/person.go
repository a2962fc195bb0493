package providertest

import (
	"testing"

	"github.com/postseal/postseal/internal/publisher"
)

// testPerson checks a provider that asks somebody: it never says Done, and remembers what it last asked for.
func testPerson(t *testing.T, s Subject) {
	pending := func(c publisher.Change) {
		t.Helper()
		outcome, err := s.Provider.Set(t.Context(), s.Zone, c)
		if err != nil || outcome != publisher.Pending {
			t.Fatalf("Set %s: %q, %v; want pending", c.Name, outcome, err)
		}
		s.stands(t, c.Name, c.Type, publisher.Values(c.Want)...)
	}
	const name = "person._domainkey"
	pending(change(name, "TXT", "", keyA))
	pending(change(name, "TXT", "", keyA)) // asked again: still not done
	pending(change(name, "TXT", keyA, keyB))
	pending(change("other._domainkey", "CNAME", "", "target.example.net"))
	s.stands(t, name, "TXT", keyB)
	pending(change(name, "TXT", keyB, ""))
	pending(change("never-asked._domainkey", "TXT", keyA, ""))
	if outcome, err := s.Provider.Set(cancelled(t), s.Zone, change(name, "TXT", "", keyA)); err == nil || outcome != "" {
		t.Errorf("cancelled: %q, %v", outcome, err)
	}
}
