package server

import (
	"context"
	"os"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/services"
)

// firstActor is who applies the fleet.yaml of the first start.
const firstActor = "serve --config"

// firstStart applies the fleet.yaml named on the command line when the inventory is still empty. Later starts never
// apply it again by themselves (invariant 9): `postseal apply` does, for a named person.
func (s *Server) firstStart(ctx context.Context) error {
	state, err := s.store.Inventory(ctx)
	if err != nil || state.Generation != 0 || s.config.Fleet == "" {
		return err
	}
	data, err := os.ReadFile(s.config.Fleet)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "%s cannot be read", s.config.Fleet)
	}
	catalogue, err := services.Load()
	if err != nil {
		return err
	}
	f, err := inventory.ParseFleet(s.config.Fleet, data, catalogue)
	if err != nil {
		return err
	}
	next, changes, err := inventory.Apply(state, f, inventory.ApplyOptions{By: firstActor, Now: time.Now()})
	if err != nil {
		return err
	}
	s.config.Logger.Info("applied the first fleet.yaml", "file", s.config.Fleet, "changes", len(changes))
	s.firstTime = true
	return s.store.SaveInventory(ctx, firstActor, state.Generation, next)
}
