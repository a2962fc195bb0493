package server

import (
	"context"
	"time"

	"github.com/postseal/postseal/internal/inventory"
)

// watchEvery is how soon a change of the inventory that another replica made is noticed.
const watchEvery = 5 * time.Second

// watch takes over the inventory's publishers and DNS settings whenever its generation has changed.
func (s *Server) watch(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	var seen int64
	for {
		generation, err := s.store.Generation(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			s.config.Logger.Error("reading the inventory's generation", "err", err)
		case generation != seen:
			if err := s.reconfigure(ctx); err != nil {
				s.config.Logger.Error("taking over the inventory's settings", "err", err)
			} else {
				seen = generation
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-s.changed:
		}
	}
}

// reconfigure gives the resolver, the publishers and the name server what the inventory says now. A publisher that
// cannot be used is logged, shown with each of its changes, and keeps nothing else from working.
func (s *Server) reconfigure(ctx context.Context) error {
	state, err := s.store.Inventory(ctx)
	if err != nil {
		return err
	}
	return s.use(state)
}

func (s *Server) use(state inventory.State) error {
	if err := s.dns.configure(state.DNS); err != nil {
		return err
	}
	if err := s.auditing.configure(state.DNS); err != nil {
		return err
	}
	if err := s.publisher.Reconfigure(state.Publishers); err != nil {
		s.config.Logger.Error("a publisher cannot be used", "err", err)
	}
	s.zonesChanged()
	return nil
}

// apiStorage is the store as the API sees it.
func (s *Server) apiStorage() apiStorage {
	log := func(err error) {
		if err != nil {
			s.config.Logger.Error("taking over the inventory's settings", "err", err)
		}
	}
	return apiStorage{
		heard:   s.heard(),
		prepare: func(next inventory.State) { log(s.use(next)) },
		restore: func() { log(s.reconfigure(context.Background())) },
	}
}

// announce tells waiting agents at once that there are new instructions; without it they would hear at their next turn.
func (s *Server) announce(ctx context.Context) error {
	changed := s.store.Changed(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-changed:
			if !ok {
				return nil
			}
			s.fleet.Wake()
		}
	}
}
