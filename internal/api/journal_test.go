package api_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/api"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/journal"
)

// tampered changes what the store says of the journal.
type tampered struct {
	api.Storage
	change func([]journal.Entry) []journal.Entry
}

func (s *tampered) Journal(ctx context.Context, f api.JournalFilter) ([]journal.Entry, error) {
	entries, err := s.Storage.Journal(ctx, f)
	if s.change != nil && len(entries) > 0 {
		entries = s.change(entries)
	}
	return entries, err
}

func TestJournalCheck(t *testing.T) {
	var s *tampered
	b := newBench(t, func(inner api.Storage) api.Storage {
		s = &tampered{Storage: inner}
		return s
	})
	for i := range 1500 { // more than one page
		must(t, b.store.Journal(t.Context(), journal.Entry{Kind: journal.Event, Actor: "test", Step: "note", Why: fmt.Sprint("note ", i)}))
	}
	c := b.admin(t)
	good, err := c.CheckJournal(t.Context())
	must(t, err)
	if !good.OK || good.Checked < 1500 || good.Last != good.Checked || good.Hash == "" {
		t.Fatalf("an untouched journal: %+v", good)
	}
	for name, change := range map[string]func([]journal.Entry) []journal.Entry{
		"a changed word":   func(e []journal.Entry) []journal.Entry { e[len(e)/2].Why = "other"; return e },
		"a changed person": func(e []journal.Entry) []journal.Entry { e[0].Actor = "eve"; return e },
		"one removed":      func(e []journal.Entry) []journal.Entry { return append(e[:3:3], e[4:]...) },
		"the first gone":   func(e []journal.Entry) []journal.Entry { return e[1:] },
	} {
		s.change = change
		if got, err := c.CheckJournal(t.Context()); err != nil || got.OK || got.Problem == "" {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

// broken fails with something that nobody outside may read.
type broken struct{ api.Storage }

func (broken) Signers(context.Context) ([]inventory.Signer, error) {
	return nil, errors.New("dial postgres://user:hunter2@db: refused")
}

func TestOurOwnTroubleIsLoggedAndNotShown(t *testing.T) {
	var log bytes.Buffer
	b := newBench(t, nil)
	handler, err := api.New(api.Options{Storage: broken{storage{b.store}}, Access: b.access, Joining: b.fleet, Agents: b.fleet, Log: slog.New(slog.NewTextHandler(&log, nil))})
	must(t, err)
	b.server.Config.Handler = handler
	_, err = b.admin(t).Pools(t.Context())
	wantCode(t, err, fault.Internal)
	message, hint := fault.Show(err)
	if strings.Contains(message+hint, "hunter2") || strings.Contains(message+hint, "postgres") || !strings.Contains(hint, "ref_") {
		t.Errorf("it shows %q, %q", message, hint)
	}
	_, reference, _ := strings.Cut(hint, "ref_")
	reference, _, _ = strings.Cut(reference, ";")
	if !strings.Contains(log.String(), "hunter2") || !strings.Contains(log.String(), reference) {
		t.Errorf("the log has %q", log.String())
	}
}
