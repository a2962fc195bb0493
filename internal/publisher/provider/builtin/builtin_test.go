package builtin_test

import (
	"testing"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher/provider/builtin"
	"github.com/postseal/postseal/internal/publisher/providertest"
)

func TestConformance(t *testing.T) {
	providertest.Run(t, func(t *testing.T) providertest.Subject {
		memory := builtin.NewMemory("example.org", "example.net")
		return providertest.Subject{
			Provider: builtin.New(memory),
			Zone:     "example.org",
			Plant:    func(t *testing.T, name, rrtype, value string) { plant(t, memory, name, rrtype, value) },
		}
	})
}

func TestSerialGrowsOnlyWithChanges(t *testing.T) {
	memory := builtin.NewMemory("example.org")
	serial := func() uint32 {
		zone, err := memory.Zone(t.Context(), "example.org")
		if err != nil {
			t.Fatal(err)
		}
		return zone.Serial
	}
	if serial() == 0 {
		t.Fatal("a serial of 0")
	}
	steps := []struct {
		expect, want []string
		grows        bool
	}{
		{nil, []string{"a"}, true},
		{[]string{"b"}, []string{"c"}, false},
		{[]string{"a"}, nil, true},
		{nil, nil, false},
	}
	for _, s := range steps {
		before := serial()
		_, err := memory.SwapRecordSet(t.Context(), "example.org", "x.example.org", "TXT", s.expect, s.want, 60)
		if err != nil && fault.CodeOf(err) != fault.Conflict {
			t.Fatal(err)
		}
		if grew := serial() > before; grew != s.grows {
			t.Errorf("%v → %v: serial %d → %d", s.expect, s.want, before, serial())
		}
	}
}
