package server

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
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
	return s.store.SaveInventory(ctx, firstActor, state.Generation, next)
}

// lockData makes sure that no other process works on the same data directory, where the database is one that only one
// process may use. The lock goes with the process, however it ends.
func (s *Server) lockData(ctx context.Context) error {
	if s.config.Database != "" {
		return nil
	}
	path := filepath.Join(s.config.Data, "serve.lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "%s cannot be opened", path)
	}
	s.lock = f
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return fault.New(fault.Conflict, "another postseal serve uses the data directory %s", s.config.Data).
			WithHint("stop it first; several control planes need one PostgreSQL: --database postgres://…")
	}
	if err != nil {
		return fault.Wrap(fault.Unavailable, err, "%s cannot be locked", path)
	}
	return s.store.ReleaseLeases(ctx)
}
