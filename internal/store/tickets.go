package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/journal"
	"github.com/postseal/postseal/internal/lifecycle"
	"github.com/postseal/postseal/internal/ticket"
)

const (
	ticketColumns = `t.number, t.publisher, t.opened, t.revision, t.revised, t.reminded, t.reminders, t.expired, t.closed, t.why, t.note, t.note_by, t.note_at, t.version`
	// whoAsks is the publisher that a record is written through.
	whoAsks = `COALESCE(NULLIF(r.publisher, ''), d.publisher, '')`
	// changeTables joins what a change needs: its domain, its publisher and its signer.
	changeTables = ` FROM records r JOIN domains d ON d.name = r.domain JOIN publishers p ON p.name = ` + whoAsks + `
		LEFT JOIN assignments a ON a.id = r.assignment_id LEFT JOIN signers s ON s.id = a.signer_id LEFT JOIN keys k ON k.id = r.key_id`
	changeColumns = `r.id, ` + whoAsks + `, r.domain, r.purpose, COALESCE(s.name, ''), r.name, r.type, r.ttl, r.want, r.written, r.pending, r.agreed_since, COALESCE(k.compromised, 0)`
)

// TicketMark is a summary of all that tickets depend on: every change that is asked for, or asked for again, has a new time; every one that is not any more makes
// one less.
func (s *Store) TicketMark(ctx context.Context) (mark string, now time.Time, err error) {
	err = s.read(ctx, "look whether tickets change", func(t *tx) error {
		var open, newest, generation, tickets, versions int64
		for _, q := range []struct {
			query string
			into  []any
		}{
			{`SELECT COUNT(*), COALESCE(MAX(written_at), 0) FROM records WHERE pending = 1`, []any{&open, &newest}},
			{`SELECT generation FROM meta WHERE id = 1`, []any{&generation}},
			{`SELECT COUNT(*), CAST(COALESCE(SUM(version), 0) AS BIGINT) FROM tickets WHERE closed = 0`, []any{&tickets, &versions}},
		} {
			if _, err := t.row(ctx, q.query, nil, q.into...); err != nil {
				return err
			}
		}
		mark, now = fmt.Sprint(open, newest, generation, tickets, versions), t.now
		return nil
	})
	return mark, now, err
}

// TicketWork reads what a keeper of tickets needs.
func (s *Store) TicketWork(ctx context.Context) (w ticket.Work, err error) {
	err = s.read(ctx, "read the open tickets", func(t *tx) error {
		w = ticket.Work{Now: t.now, Records: map[string]ticket.Change{}}
		publishers, err := t.publishers(ctx)
		if err != nil {
			return err
		}
		for _, p := range publishers {
			if p.Kind == inventory.PublisherManual {
				w.Publishers = append(w.Publishers, p)
			}
		}
		if w.Changes, err = t.changes(ctx, `r.pending = 1`, false); err != nil {
			return err
		}
		if w.Open, err = t.tickets(ctx, `WHERE t.closed = 0 ORDER BY t.number`); err != nil || len(w.Open) == 0 {
			return err
		}
		records, err := t.changes(ctx, `r.id IN (SELECT i.record_id FROM ticket_items i JOIN tickets t ON t.number = i.ticket WHERE t.closed = 0 AND i.left_at = 0)`, false)
		for _, c := range records {
			w.Records[c.RecordID] = c
		}
		return err
	})
	return w, err
}

// changes reads records that are written through a publisher of kind manual, by name; with what was seen of them, if that is wanted.
func (t *tx) changes(ctx context.Context, where string, seen bool, args ...any) ([]ticket.Change, error) {
	last := `''`
	if seen {
		last = `r.last`
	}
	return list(ctx, t, `SELECT `+changeColumns+`, `+last+changeTables+` WHERE p.kind = 'manual' AND `+where+` ORDER BY r.name, r.type, r.id`, args,
		func(s scanner, c *ticket.Change) error {
			var agreed time.Time
			err := s(&c.RecordID, &c.Publisher, &c.Domain, &c.Purpose, &c.Signer, &c.Name, &c.Type, lasts(&c.TTL), &c.Want, &c.Written, truth(&c.Pending), at(&agreed), truth(&c.Stolen), fromJSON(&c.Last))
			c.Agreed = !agreed.IsZero()
			return err
		})
}

// tickets reads tickets with their items.
func (t *tx) tickets(ctx context.Context, rest string, args ...any) ([]ticket.Ticket, error) {
	all, err := list(ctx, t, `SELECT `+ticketColumns+` FROM tickets t `+rest, args, func(s scanner, v *ticket.Ticket) error {
		return s(&v.Number, &v.Publisher, at(&v.Opened), &v.Revision, at(&v.Revised), at(&v.Reminded), &v.Reminders, at(&v.Expired), at(&v.Closed), &v.Why, &v.Note, &v.NoteBy, at(&v.NoteAt), &v.Version)
	})
	for n := range all {
		v := &all[n]
		if err == nil {
			v.Items, err = list(ctx, t, `SELECT record_id, domain, name, type, want, written, joined, left_at, ending FROM ticket_items WHERE ticket = $1 ORDER BY position`, []any{v.Number},
				func(s scanner, i *ticket.Item) error {
					return s(&i.RecordID, &i.Domain, &i.Name, &i.Type, &i.Want, &i.Written, at(&i.Joined), at(&i.Left), &i.Ending)
				})
		}
	}
	return all, err
}

// SaveTicket writes a ticket, its journal entries and its findings. fault.Conflict when it was changed meanwhile, or when there is an open one of its
// publisher already.
func (s *Store) SaveTicket(ctx context.Context, v ticket.Ticket, p inventory.Publisher, entries []journal.Entry) (number int64, err error) {
	err = s.write(ctx, "save a ticket", func(t *tx) error {
		number = v.Number
		if err := t.saveTicketRow(ctx, v, &number); err != nil {
			return err
		}
		if err := t.saveItems(ctx, number, v.Items); err != nil {
			return err
		}
		v.Number = number
		if err := t.saveCondition(ctx, v, p); err != nil {
			return err
		}
		for _, e := range entries {
			e.Why = v.Name() + ": " + e.Why
			t.journal(e)
		}
		return nil
	})
	return number, err
}

func (t *tx) saveTicketRow(ctx context.Context, v ticket.Ticket, number *int64) error {
	if v.Number == 0 {
		if _, err := t.row(ctx, `SELECT COALESCE(MAX(number), 0) + 1 FROM tickets`, nil, number); err != nil {
			return err
		}
		n, err := t.exec(ctx, `INSERT INTO tickets (number, publisher, opened, revision, revised, reminded, reminders, expired, closed, why, note, note_by, note_at, version)
			VALUES (`+marks(1, 13)+`, 1) ON CONFLICT DO NOTHING`,
			*number, v.Publisher, v.Opened, v.Revision, v.Revised, v.Reminded, v.Reminders, v.Expired, v.Closed, v.Why, v.Note, v.NoteBy, v.NoteAt)
		if err == nil && n == 0 {
			err = fault.New(fault.Conflict, "a ticket of the publisher %s was opened meanwhile", v.Publisher)
		}
		return err
	}
	n, err := t.exec(ctx, `UPDATE tickets SET revision = $1, revised = $2, reminded = $3, reminders = $4, expired = $5, closed = $6, why = $7, version = version + 1
		WHERE number = $8 AND version = $9 AND closed = 0`, v.Revision, v.Revised, v.Reminded, v.Reminders, v.Expired, v.Closed, v.Why, v.Number, v.Version)
	if err == nil && n == 0 {
		err = fault.New(fault.Conflict, "%s was changed meanwhile", v.Name())
	}
	return err
}

// saveItems writes the items that are new, and those that left: a large ticket is saved often, and little of it changes.
func (t *tx) saveItems(ctx context.Context, number int64, items []ticket.Item) error {
	stored := map[int]bool{} // by position: is it open?
	if err := t.rows(ctx, `SELECT position, left_at FROM ticket_items WHERE ticket = $1`, []any{number}, func(s scanner) error {
		var position int
		var left time.Time
		err := s(&position, at(&left))
		stored[position] = left.IsZero()
		return err
	}); err != nil {
		return err
	}
	for n, i := range items {
		var err error
		switch open, there := stored[n]; {
		case !there:
			_, err = t.exec(ctx, `INSERT INTO ticket_items (ticket, position, record_id, domain, name, type, want, written, joined, left_at, ending) VALUES (`+marks(1, 11)+`)`,
				number, n, i.RecordID, i.Domain, i.Name, i.Type, i.Want, i.Written, i.Joined, i.Left, i.Ending)
		case open && !i.Open():
			_, err = t.exec(ctx, `UPDATE ticket_items SET left_at = $1, ending = $2 WHERE ticket = $3 AND position = $4`, i.Left, i.Ending, number, n)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// saveCondition makes a ticket's condition a finding of each of its domains, and takes the former one back.
func (t *tx) saveCondition(ctx context.Context, v ticket.Ticket, p inventory.Publisher) error {
	before, err := list(ctx, t, `SELECT id, domain FROM findings WHERE subject = $1 AND id IN ('`+ticket.WaitsFinding+`', '`+ticket.ExpiredFinding+`')`, []any{v.Name()},
		func(s scanner, f *lifecycle.Finding) error { return s(&f.ID, &f.Domain) })
	if err != nil {
		return err
	}
	c, stands := v.Condition(p)
	now := map[string]bool{}
	for _, d := range c.Domains {
		now[d] = stands
		f := lifecycle.Finding{ID: c.ID, Severity: c.Severity, Domain: d, Subject: v.Name(), Message: c.Message, Fix: c.Fix}
		if err := t.saveLifeFindings(ctx, d, []lifecycle.Finding{f}, nil); err != nil {
			return err
		}
	}
	for _, f := range before {
		if f.ID == c.ID && now[f.Domain] {
			continue
		}
		f.Subject = v.Name()
		if err := t.saveLifeFindings(ctx, f.Domain, nil, []lifecycle.Finding{f}); err != nil {
			return err
		}
	}
	return nil
}

// TicketFilter selects tickets.
type TicketFilter struct {
	Closed bool     // closed ones too, newest first
	Labels []string // with a change of a domain with at least one of these, and only those changes; empty = all
	Limit  int      // > 0
}

// Tickets returns tickets, newest first.
func (s *Store) Tickets(ctx context.Context, f TicketFilter) (all []ticket.Ticket, err error) {
	where, args := `WHERE 1 = 1`, []any{f.Limit}
	if !f.Closed {
		where = `WHERE t.closed = 0`
	}
	if len(f.Labels) > 0 {
		where += ` AND EXISTS (SELECT 1 FROM ticket_items i JOIN domain_labels l ON l.domain = i.domain WHERE i.ticket = t.number AND l.label IN (` + marks(2, len(f.Labels)) + `))`
		for _, l := range f.Labels {
			args = append(args, l)
		}
	}
	err = s.read(ctx, "read tickets", func(t *tx) error {
		if all, err = t.tickets(ctx, where+` ORDER BY t.number DESC LIMIT $1`, args...); err != nil {
			return err
		}
		return t.onlyLabelled(ctx, all, f.Labels)
	})
	return all, err
}

// onlyLabelled leaves out the items of domains that have none of the labels.
func (t *tx) onlyLabelled(ctx context.Context, all []ticket.Ticket, labels []string) error {
	if len(labels) == 0 {
		return nil
	}
	args := make([]any, len(labels))
	for i, l := range labels {
		args[i] = l
	}
	seen := map[string]bool{}
	err := t.rows(ctx, `SELECT DISTINCT domain FROM domain_labels WHERE label IN (`+marks(1, len(labels))+`)`, args, func(s scanner) error {
		var domain string
		err := s(&domain)
		seen[domain] = true
		return err
	})
	for n := range all {
		var items []ticket.Item
		for _, i := range all[n].Items {
			if seen[i.Domain] {
				items = append(items, i)
			}
		}
		all[n].Items = items
	}
	return err
}

// Ticket returns one ticket, and the changes that it waits for with what was seen of them, by name. fault.NotFound: there is none, or none with a change of a domain with one of
// the labels (empty = all).
func (s *Store) Ticket(ctx context.Context, number int64, labels []string) (v ticket.Ticket, changes []ticket.Change, err error) {
	err = s.read(ctx, "read a ticket", func(t *tx) error {
		found, err := t.tickets(ctx, `WHERE t.number = $1`, number)
		if err == nil {
			err = t.onlyLabelled(ctx, found, labels)
		}
		if err != nil {
			return err
		}
		if len(found) == 0 || len(found[0].Items) == 0 {
			return fault.New(fault.NotFound, "there is no ticket %s", ticket.Name(number)).WithHint("postseal ticket list --all shows them")
		}
		v = found[0]
		open := map[string]string{}
		for _, i := range v.OpenItems() {
			open[i.RecordID] = i.Want
		}
		all, err := t.changes(ctx, `r.id IN (SELECT i.record_id FROM ticket_items i WHERE i.ticket = $1 AND i.left_at = 0)`, true, number)
		for _, c := range all {
			// One that waits no more has been seen, and leaves the ticket as soon as its keeper comes by: nobody is to be asked for it until then.
			if want, there := open[c.RecordID]; there && c.Want == want && c.Pending {
				changes = append(changes, c)
			}
		}
		return err
	})
	return v, changes, err
}

// NoteTicket keeps a person's words with a ticket, in place of the former ones (event "ticket-note"). fault.NotFound.
func (s *Store) NoteTicket(ctx context.Context, number int64, note, by string) error {
	return s.write(ctx, "note something at a ticket", func(t *tx) error {
		n, err := t.exec(ctx, `UPDATE tickets SET note = $1, note_by = $2, note_at = $3, version = version + 1 WHERE number = $4`, strings.TrimSpace(note), by, t.now, number)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.NotFound, "there is no ticket %s", ticket.Name(number)).WithHint("postseal ticket list --all shows them")
		}
		return t.event(by, "", "", string(ticket.StepNote), fmt.Sprintf("%s: %s", ticket.Name(number), note), nil)
	})
}
