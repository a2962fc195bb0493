package server

import (
	"context"

	"github.com/postseal/postseal/internal/api"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/journal"
	"github.com/postseal/postseal/internal/lifecycle"
	"github.com/postseal/postseal/internal/probe"
	"github.com/postseal/postseal/internal/store"
	"github.com/postseal/postseal/internal/ticket"
)

// apiStorage is the store in the API's words: edges do not import each other, so each has names of its own for what is
// only asked for and listed.
type apiStorage struct {
	heard
	// prepare takes an inventory's settings over before its domains are worked on; restore takes the stored ones back.
	prepare func(inventory.State)
	restore func()
}

// SaveInventory has the resolver and the publishers ready before the loop looks at what changed.
func (s apiStorage) SaveInventory(ctx context.Context, by string, expect int64, next inventory.State) error {
	s.prepare(next)
	err := s.Store.SaveInventory(ctx, by, expect, next)
	if err != nil {
		s.restore()
	}
	return err
}

func (s apiStorage) Agents(ctx context.Context, labels []string) ([]api.Agent, error) {
	found, err := s.Store.Agents(ctx, labels...)
	agents := make([]api.Agent, len(found))
	for i, a := range found {
		agents[i] = api.Agent(a)
	}
	return agents, err
}

func (s apiStorage) Domains(ctx context.Context, f api.DomainFilter) ([]inventory.Domain, error) {
	return s.Store.Domains(ctx, store.DomainFilter(f))
}

func (s apiStorage) Records(ctx context.Context, f api.RecordFilter) ([]lifecycle.Record, error) {
	return s.Store.Records(ctx, store.RecordFilter(f))
}

func (s apiStorage) Tickets(ctx context.Context, f api.TicketFilter) ([]ticket.Ticket, error) {
	return s.Store.Tickets(ctx, store.TicketFilter(f))
}

func (s apiStorage) Probes(ctx context.Context, f api.ProbeFilter) ([]probe.Probe, error) {
	return s.Store.Probes(ctx, store.ProbeFilter(f))
}

func (s apiStorage) Journal(ctx context.Context, f api.JournalFilter) ([]journal.Entry, error) {
	return s.Store.Entries(ctx, store.JournalFilter(f))
}
