package providertest

import (
	"strings"
	"testing"

	"github.com/libdns/libdns"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher"
)

func testNeighbour(t *testing.T, s Subject) {
	s.Plant(t, "n2._domainkey", "TXT", theirs)
	s.Plant(t, "sub.n1._domainkey", "TXT", theirs)
	s.done(t, change("n1._domainkey", "TXT", "", keyA))
	s.done(t, change("n1._domainkey", "TXT", keyA, keyB))
	s.done(t, change("n1._domainkey", "TXT", keyB, ""))
	s.stands(t, "n2._domainkey", "TXT", theirs)
	s.stands(t, "sub.n1._domainkey", "TXT", theirs)
}

func testForeign(t *testing.T, s Subject) {
	const name = "foreign._domainkey"
	s.Plant(t, name, "TXT", theirs)
	for _, c := range []publisher.Change{
		change(name, "TXT", "", keyA),
		change(name, "TXT", keyA, keyB),
		change(name, "TXT", keyA, ""),
		change(name, "CNAME", "", "target.example.net"),
	} {
		err := s.refused(t, fault.Conflict, c)
		if message, hint := fault.Show(err); !strings.Contains(message, theirs) || !strings.Contains(message, name) || hint == "" {
			t.Errorf("%q, hint %q: does not say what stands where and what to do", message, hint)
		}
		s.stands(t, name, "TXT", theirs)
	}
}

func testChanged(t *testing.T, s Subject) {
	const name = "changed._domainkey"
	s.done(t, change(name, "TXT", "", keyA))
	s.done(t, change(name, "TXT", keyA, theirs)) // stands for the hand of somebody else
	s.refused(t, fault.Conflict, change(name, "TXT", keyA, keyB))
	s.refused(t, fault.Conflict, change(name, "TXT", keyA, ""))
	s.stands(t, name, "TXT", theirs)
}

func testRemoved(t *testing.T, s Subject) {
	const name = "removed._domainkey"
	s.refused(t, fault.Conflict, change(name, "TXT", keyA, keyB))
	s.stands(t, name, "TXT")
	s.refused(t, fault.Conflict, change(name, "CNAME", "one.example.net", "two.example.net"))
	s.stands(t, name, "CNAME")
}

func testDuplicate(t *testing.T, s Subject) {
	const name = "double._domainkey"
	s.done(t, change(name, "TXT", "", keyA))
	s.Plant(t, name, "TXT", theirs)
	s.refused(t, fault.Conflict, change(name, "TXT", keyA, keyB))
	s.refused(t, fault.Conflict, change(name, "TXT", keyA, ""))
	s.refused(t, fault.Conflict, change(name, "TXT", "", keyA))
	s.stands(t, name, "TXT", keyA, theirs)
}

func testExclusion(t *testing.T, s Subject) {
	const alias, text = "is-alias._domainkey", "is-text._domainkey"
	s.Plant(t, alias, "CNAME", "target.example.net")
	err := s.refused(t, fault.Conflict, change(alias, "TXT", "", keyA))
	if message, _ := fault.Show(err); !strings.Contains(message, "target.example.net") {
		t.Errorf("%q does not name the CNAME", message)
	}
	s.refused(t, fault.Conflict, change(alias, "TXT", keyA, keyB))
	s.refused(t, fault.Conflict, change(alias, "CNAME", "", "other.example.net"))
	s.stands(t, alias, "CNAME", "target.example.net")

	s.done(t, change(text, "TXT", "", keyA))
	s.refused(t, fault.Conflict, change(text, "CNAME", "", "target.example.net"))
	s.stands(t, text, "TXT", keyA)
	s.stands(t, text, "CNAME")
}

// testSetOfTwo replaces a set that a person let us take over by one record of ours.
func testSetOfTwo(t *testing.T, s Subject) {
	const name = "two._domainkey"
	s.Plant(t, name, "TXT", theirs)
	s.Plant(t, name, "TXT", gone)
	c := change(name, "TXT", "", keyA)
	c.Expect = []libdns.Record{publisher.NewRecord(name, "TXT", gone, ttl), publisher.NewRecord(name, "TXT", theirs, ttl)}
	s.done(t, c)
	s.done(t, change(name, "TXT", keyA, ""))
}
