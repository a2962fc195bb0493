package store

import (
	"context"
	"testing"

	"github.com/postseal/postseal/internal/api"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/journal"
	"github.com/postseal/postseal/internal/lifecycle"
	"github.com/postseal/postseal/internal/probe"
	"github.com/postseal/postseal/internal/ticket"
)

// apiStorage is how the server gives a Store to the API: store and api are edges and do not import each other, so the
// filters and views have the same fields under two names.
type apiStorage struct{ *Store }

var _ api.Storage = apiStorage{}

func (s apiStorage) Domains(ctx context.Context, f api.DomainFilter) ([]inventory.Domain, error) {
	return s.Store.Domains(ctx, DomainFilter(f))
}

func (s apiStorage) Records(ctx context.Context, f api.RecordFilter) ([]lifecycle.Record, error) {
	return s.Store.Records(ctx, RecordFilter(f))
}

func (s apiStorage) Probes(ctx context.Context, f api.ProbeFilter) ([]probe.Probe, error) {
	return s.Store.Probes(ctx, ProbeFilter(f))
}

func (s apiStorage) Tickets(ctx context.Context, f api.TicketFilter) ([]ticket.Ticket, error) {
	return s.Store.Tickets(ctx, TicketFilter(f))
}

func (s apiStorage) Journal(ctx context.Context, f api.JournalFilter) ([]journal.Entry, error) {
	return s.Store.Entries(ctx, JournalFilter(f))
}

func (s apiStorage) Agents(ctx context.Context, labels []string) ([]api.Agent, error) {
	all, err := s.Store.Agents(ctx, labels...)
	out := make([]api.Agent, len(all))
	for i, a := range all {
		out[i] = api.Agent(a)
	}
	return out, err
}

func TestStoreServesTheAPI(t *testing.T) {
	s, err := Open(t.Context(), Options{Database: t.TempDir()})
	must(t, err)
	defer s.Close()
	must(t, s.SaveInventory(t.Context(), "ann", 0, smallFleet()))
	var storage api.Storage = apiStorage{s}
	if agents := get[[]api.Agent](t)(storage.Agents(t.Context(), nil)); len(agents) != 2 || agents[0].Server.Name != "mx1" || agents[0].Latest < 1 {
		t.Errorf("agents: %+v", agents)
	}
	if entries := get[[]journal.Entry](t)(storage.Journal(t.Context(), api.JournalFilter{Limit: 1})); len(entries) != 1 || entries[0].Actor != "ann" {
		t.Errorf("journal: %+v", entries)
	}
}
