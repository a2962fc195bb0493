package providertest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/libdns/libdns"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher"
)

// Subject is a provider under test with a zone that nobody else uses.
type Subject struct {
	Provider publisher.Provider
	Zone     string // lower case, no trailing dot
	// Plant puts a record into the zone behind the provider's back, as another program or person would. name is relative, the value
	// complete; TXT and CNAME.
	Plant func(t *testing.T, name, rrtype, value string)
	// Plain marks a host that holds printable ASCII without quotes and backslashes only; other values must be refused as fault.Invalid.
	Plain bool
	// Person marks a provider that only asks somebody: everything is Pending, nothing is guarded. Plant is not used.
	Person bool
}

// ttl is what records get; every provider takes an hour.
const ttl = time.Hour

// Run runs the suite. open is called once for each case and may return the same zone again; every case has names of its own.
func Run(t *testing.T, open func(t *testing.T) Subject) {
	cases := []struct {
		name string
		run  func(t *testing.T, s Subject)
	}{
		{"nothing stands", testNothing},
		{"create, replace, delete", testLife},
		{"create, replace, delete a CNAME", testLifeCNAME},
		{"repeating is done", testRepeat},
		{"values come back as they went in", testValues},
		{"names", testNames},
		{"TTL", testTTL},
		{"a neighbour is not touched", testNeighbour},
		{"foreign record", testForeign},
		{"changed by hand", testChanged},
		{"removed by hand", testRemoved},
		{"a second record beside ours", testDuplicate},
		{"a CNAME excludes other data", testExclusion},
		{"adopting a set of two", testSetOfTwo},
		{"other zone", testOtherZone},
		{"cancelled", testCancelled},
		{"several writers", testRace},
	}
	if open(t).Person {
		cases = cases[:0:0]
		cases = append(cases, struct {
			name string
			run  func(t *testing.T, s Subject)
		}{"a person", testPerson})
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t)) })
	}
}

// change makes a change of one value at most; "" = nothing.
func change(name, rrtype, expect, want string) publisher.Change {
	c := publisher.Change{Name: name, Type: rrtype}
	if expect != "" {
		c.Expect = []libdns.Record{publisher.NewRecord(name, rrtype, expect, ttl)}
	}
	if want != "" {
		c.Want = []libdns.Record{publisher.NewRecord(name, rrtype, want, ttl)}
	}
	return c
}

// done makes a change that must succeed and be seen.
func (s Subject) done(t *testing.T, c publisher.Change) {
	t.Helper()
	outcome, err := s.Provider.Set(t.Context(), s.Zone, c)
	if err != nil || outcome != publisher.Done {
		t.Fatalf("Set %s %s → %q: %q, %v; want done", c.Name, publisher.Describe(c.Expect), publisher.Describe(c.Want), outcome, err)
	}
	s.stands(t, c.Name, c.Type, publisher.Values(c.Want)...)
}

// refused makes a change that must fail with the code.
func (s Subject) refused(t *testing.T, code fault.Code, c publisher.Change) error {
	t.Helper()
	outcome, err := s.Provider.Set(t.Context(), s.Zone, c)
	if fault.CodeOf(err) != code || err == nil {
		t.Fatalf("Set %s %s → %s: %q, %v; want %s", c.Name, publisher.Describe(c.Expect), publisher.Describe(c.Want), outcome, err, code)
	}
	if outcome != "" {
		t.Errorf("an outcome %q beside an error", outcome)
	}
	return err
}

// stands checks that exactly these values of the type stand at the name.
func (s Subject) stands(t *testing.T, name, rrtype string, values ...string) {
	t.Helper()
	got := publisher.Values(publisher.OfType(s.get(t, name), rrtype))
	var records []libdns.Record
	for _, v := range values {
		records = append(records, publisher.NewRecord(name, rrtype, v, ttl))
	}
	want := publisher.Values(records)
	if len(got) != len(want) {
		t.Fatalf("at %s stand %q, want %q", name, got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("at %s stand %q, want %q", name, got, want)
		}
	}
}

func (s Subject) get(t *testing.T, name string) []libdns.Record {
	t.Helper()
	records, err := s.Provider.Get(t.Context(), s.Zone, name)
	if err != nil {
		t.Fatalf("Get %s: %v", name, err)
	}
	return records
}

// cancelled is a context that has ended.
func cancelled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("the test ended it"))
	return ctx
}
