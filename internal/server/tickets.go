package server

import (
	"context"
	"time"

	"github.com/postseal/postseal/internal/ticket"
)

// keepTickets opens, reminds and closes what people are asked for. It looks as often as for changes of the inventory: one small question each time.
func (s *Server) keepTickets(ctx context.Context) error {
	keeper := ticket.NewKeeper(s.store, s.config.Logger)
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		if err := keeper.Tend(ctx); err != nil && ctx.Err() == nil {
			s.config.Logger.Error("looking after tickets", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
