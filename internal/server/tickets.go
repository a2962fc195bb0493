package server

import (
	"context"
	"time"
)

// keepTickets opens, reminds and closes what people are asked for. It looks as often as for changes of the inventory: one small question each time.
func (s *Server) keepTickets(ctx context.Context) error {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		if err := s.tickets.Tend(ctx); err != nil && ctx.Err() == nil {
			s.config.Logger.Error("looking after tickets", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
