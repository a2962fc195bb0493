package ticket

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/journal"
)

// fullEvery is how often everything is read although nothing seems to have changed: a mark is a summary, and two changes could cancel out in it.
const fullEvery = 10 * time.Minute

// maxNamed is how many domains an entry of the journal names.
const maxNamed = 100

// actor is who does it in the journal.
const actor = "planner"

// Work is everything that a keeper needs to know, at one moment.
type Work struct {
	Now        time.Time
	Publishers []inventory.Publisher // those of kind manual
	Open       []Ticket
	Changes    []Change          // that wait for people now, by name
	Records    map[string]Change // what open items are about, by record id
}

// Storage is what the keeper needs of a store. Every method is one transaction.
type Storage interface {
	// TicketMark is a cheap summary of all that tickets depend on, and the database's time: while it stays the same, only time can change a ticket.
	TicketMark(ctx context.Context) (mark string, now time.Time, err error)
	// TicketWork reads everything.
	TicketWork(ctx context.Context) (Work, error)
	// SaveTicket writes a ticket if its version is still the one that was read (fault.Conflict), a new one (Number 0) with the next number, which it returns; its
	// journal entries, each sentence with the ticket's name before it; and its condition (a finding of each domain) in place of the former one.
	SaveTicket(ctx context.Context, t Ticket, p inventory.Publisher, entries []journal.Entry) (number int64, err error)
}

// Keeper opens tickets, reminds, and closes them. It is safe for concurrent use, and so are several keepers on one database.
type Keeper struct {
	storage Storage
	log     *slog.Logger

	mu   sync.Mutex // one at a time
	mark string
	due  time.Time
}

// NewKeeper makes a keeper.
func NewKeeper(s Storage, log *slog.Logger) *Keeper { return &Keeper{storage: s, log: log} }

// Tend does what is due. It costs one small question while nothing changed and no ticket is due.
func (k *Keeper) Tend(ctx context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	mark, now, err := k.storage.TicketMark(ctx)
	if err != nil || mark == k.mark && now.Before(k.due) {
		return err
	}
	w, err := k.storage.TicketWork(ctx)
	if err != nil {
		return err
	}
	due, wrote := w.Now.Add(fullEvery), false
	for _, p := range w.publishers() {
		t, changes := w.of(p.Name)
		next, events := Tend(t, p, changes, w.Records, w.Now)
		if len(events) > 0 {
			wrote = true
			if err := k.save(ctx, next, p, events); err != nil {
				return err
			}
		}
		if next == nil {
			continue
		}
		if at := next.Due(p); !at.IsZero() && at.Before(due) {
			due = at
		}
	}
	k.mark, k.due = mark, due
	if wrote {
		k.mark = "" // what was written changes the mark
	}
	return nil
}

// save writes a ticket and says so in the log. Where another control plane was faster, it has done the same.
func (k *Keeper) save(ctx context.Context, t *Ticket, p inventory.Publisher, events []Event) error {
	number, err := k.storage.SaveTicket(ctx, *t, p, t.entries(events))
	if fault.CodeOf(err) == fault.Conflict {
		return nil
	}
	if err != nil {
		return fmt.Errorf("save a ticket of the publisher %s: %w", p.Name, err)
	}
	for _, e := range events {
		level := slog.LevelInfo
		switch e.Step {
		case StepRemind:
			level = slog.LevelWarn
		case StepExpire:
			level = slog.LevelError
		}
		k.log.Log(ctx, level, Name(number)+" "+e.Why, "step", string(e.Step), "publisher", p.Name)
	}
	return nil
}

// entries are the events as the journal keeps them. A ticket of one domain stands in that domain's journal.
func (t *Ticket) entries(events []Event) []journal.Entry {
	domains := t.domains()
	detail, _ := json.Marshal(map[string]any{"publisher": t.Publisher, "domains": domains[:min(len(domains), maxNamed)], "revision": t.Revision}) // strings and numbers always marshal
	entries := make([]journal.Entry, len(events))
	for i, e := range events {
		entries[i] = journal.Entry{Kind: journal.Event, Actor: actor, Step: string(e.Step), Why: e.Why, OK: true, Detail: detail}
		if len(domains) == 1 {
			entries[i].Domain = domains[0]
		}
	}
	return entries
}

func (t *Ticket) domains() []string {
	if open := t.OpenDomains(); len(open) > 0 {
		return open
	}
	var domains []string
	for _, i := range t.Items {
		domains = append(domains, i.Domain)
	}
	return sortedOnce(domains)
}

// publishers are those that ask people now, and those that an open ticket is of, which ask nobody any more.
func (w Work) publishers() []inventory.Publisher {
	all := w.Publishers
	for _, t := range w.Open {
		known := false
		for _, p := range w.Publishers {
			known = known || p.Name == t.Publisher
		}
		if !known {
			all = append(all, inventory.Publisher{Name: t.Publisher, Kind: inventory.PublisherManual})
		}
	}
	return all
}

// of returns the open ticket of a publisher, nil when there is none, and its open changes.
func (w Work) of(publisher string) (t *Ticket, changes []Change) {
	for i := range w.Open {
		if w.Open[i].Publisher == publisher {
			t = &w.Open[i]
		}
	}
	for _, c := range w.Changes {
		if c.Publisher == publisher {
			changes = append(changes, c)
		}
	}
	return t, changes
}
