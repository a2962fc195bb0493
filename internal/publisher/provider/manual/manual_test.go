package manual_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/publisher"
	"github.com/postseal/postseal/internal/publisher/provider/manual"
	"github.com/postseal/postseal/internal/publisher/providertest"
)

func TestConformance(t *testing.T) {
	providertest.Run(t, func(t *testing.T) providertest.Subject {
		return providertest.Subject{Provider: manual.New(), Zone: "example.org", Person: true}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	p := manual.New()
	const asked = 10_050
	for i := range asked {
		name := fmt.Sprintf("s%d._domainkey", i)
		c := publisher.Change{Name: name, Type: "TXT"}
		c.Want = append(c.Want, publisher.NewRecord(name, "TXT", "v=DKIM1; p=", time.Hour))
		if _, err := p.Set(t.Context(), "example.org", c); err != nil {
			t.Fatal(err)
		}
	}
	remembered := 0
	for i := range asked {
		got, err := p.Get(t.Context(), "example.org", fmt.Sprintf("s%d._domainkey", i))
		if err != nil {
			t.Fatal(err)
		}
		remembered += len(got)
	}
	if remembered != 10_000 {
		t.Errorf("%d wishes remembered, want 10000", remembered)
	}
}
