package server

import (
	"context"
	"time"

	"github.com/postseal/postseal/internal/probe"
)

// tendProbes asks for the probes that are due and notices those that are lost.
func (s *Server) tendProbes(ctx context.Context) error {
	tick := time.NewTicker(probe.TendEvery)
	defer tick.Stop()
	for {
		if err := s.prober.Tend(ctx); err != nil && ctx.Err() == nil {
			s.config.Logger.Error("looking after probes", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
