package builtin_test

import (
	"testing"

	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/publisher/provider/builtin"
	"github.com/postseal/postseal/internal/publisher/providertest"
	"github.com/postseal/postseal/internal/store"
)

// The database behind the provider keeps the same promises as the memory.
func TestConformanceOnStore(t *testing.T) {
	s, err := store.Open(t.Context(), store.Options{Database: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	state := inventory.State{Publishers: []inventory.Publisher{{Name: "own", Kind: inventory.PublisherBuiltin, Zone: "example.org"}}}
	if err := s.SaveInventory(t.Context(), "test", 0, state); err != nil {
		t.Fatal(err)
	}
	zone := func() uint32 {
		z, err := s.Zone(t.Context(), "example.org")
		if err != nil {
			t.Fatal(err)
		}
		return z.Serial
	}
	before := zone()
	providertest.Run(t, func(t *testing.T) providertest.Subject {
		return providertest.Subject{Provider: builtin.New(s), Zone: "example.org", Plant: func(t *testing.T, name, rrtype, value string) {
			plant(t, s, name, rrtype, value)
		}}
	})
	if after := zone(); int32(after-before) <= 0 {
		t.Errorf("the serial went from %d to %d", before, after)
	}
}

// plant adds a value to a record set of example.org.
func plant(t *testing.T, s builtin.Storage, name, rrtype, value string) {
	t.Helper()
	owner := name + ".example.org"
	zone, err := s.Zone(t.Context(), "example.org")
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, r := range zone.Records {
		if r.Name == owner {
			have = append(have, r.Value)
		}
	}
	if _, err := s.SwapRecordSet(t.Context(), "example.org", owner, rrtype, have, append(have[:len(have):len(have)], value), 60); err != nil {
		t.Fatal(err)
	}
}
