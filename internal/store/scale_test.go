package store

import (
	"fmt"
	"testing"

	"github.com/postseal/postseal/internal/inventory"
)

// bigInventory saves n domains of one server and returns their names in order.
func bigInventory(t *testing.T, s *Store, n int) []string {
	t.Helper()
	state := inventory.State{
		Publishers: []inventory.Publisher{{Name: "bind", Kind: inventory.PublisherRFC2136}},
		Signers:    []inventory.Signer{{ID: "srv_1", Kind: inventory.KindServer, Name: "mx1", Label: "mx1"}},
	}
	var names []string
	for i := range n {
		name := fmt.Sprintf("d%05d.example", i)
		names = append(names, name)
		state.Domains = append(state.Domains, inventory.Domain{Name: name, Mode: inventory.Managed, Publisher: "bind", NoKey: inventory.NoKeyPass, Policy: inventory.DefaultPolicy()})
	}
	must(t, s.SaveInventory(t.Context(), "ann", 0, state))
	return names
}
