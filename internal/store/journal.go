package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/journal"
)

// maxDetail bounds the JSON of one entry, in octets: the old and the new value of the largest record set, or the
// difference of one noun.
const maxDetail = 256 << 10

const journalColumns = `seq, said_at, kind, actor, domain, key_id, step, why, intent, ok, detail, prev, hash`

// JournalFilter selects entries of the journal.
type JournalFilter struct {
	Domain string
	KeyID  string
	Actor  string
	// After and Before are exclusive bounds on Seq; 0 = none.
	After, Before int64
	Limit         int  // > 0
	Ascending     bool // oldest first; what a check of the chain reads
}

// Journal writes one event. Seq, At, Prev and Hash are given by the store.
func (s *Store) Journal(ctx context.Context, e journal.Entry) error {
	return s.write(ctx, "write to the journal", func(t *tx) error {
		t.journal(e)
		return nil
	})
}

// Entries returns entries of the journal, newest first unless the filter says otherwise.
func (s *Store) Entries(ctx context.Context, f JournalFilter) (entries []journal.Entry, err error) {
	var where []string
	var args []any
	only := func(column, comparison string, value any) {
		args = append(args, value)
		where = append(where, fmt.Sprintf("%s %s $%d", column, comparison, len(args)))
	}
	if f.Domain != "" {
		// Said twice so that the index on entries that have a domain is known to do.
		only("domain", "=", f.Domain)
		where = append(where, "domain <> ''")
	}
	if f.KeyID != "" {
		only("key_id", "=", f.KeyID)
		where = append(where, "key_id <> ''")
	}
	if f.Actor != "" {
		only("actor", "=", f.Actor)
	}
	if f.After > 0 {
		only("seq", ">", f.After)
	}
	if f.Before > 0 {
		only("seq", "<", f.Before)
	}
	query := `SELECT ` + journalColumns + ` FROM journal`
	if len(where) > 0 {
		query += ` WHERE ` + strings.Join(where, " AND ")
	}
	query += ` ORDER BY seq`
	if !f.Ascending {
		query += ` DESC`
	}
	args = append(args, f.Limit)
	query += fmt.Sprintf(` LIMIT $%d`, len(args))
	err = s.read(ctx, "read the journal", func(t *tx) error {
		entries, err = list(ctx, t, query, args, scanEntry)
		return err
	})
	return entries, err
}

// journal keeps an entry to be written when the transaction ends.
func (t *tx) journal(e journal.Entry) { t.entries = append(t.entries, e) }

// event keeps an event with what it is about.
func (t *tx) event(actor, domain, keyID, step, why string, detail any) error {
	e := journal.Entry{Kind: journal.Event, Actor: actor, Domain: domain, KeyID: keyID, Step: step, Why: why, OK: true}
	if detail != nil {
		raw, err := json.Marshal(detail)
		if err != nil {
			return fmt.Errorf("describe %s: %w", step, err)
		}
		e.Detail = raw
	}
	t.journal(e)
	return nil
}

// flushJournal seals and writes the entries of this transaction after the newest one. Others wait for the end of the
// chain until this transaction ends.
func (t *tx) flushJournal(ctx context.Context) error {
	if len(t.entries) == 0 {
		return nil
	}
	var last journal.Entry
	if _, err := t.row(ctx, `SELECT seq, said_at, hash FROM journal_head WHERE id = 1`+t.s.d.forUpdate, nil, &last.Seq, at(&last.At), &last.Hash); err != nil {
		return err
	}
	for i := range t.entries {
		e := &t.entries[i]
		if err := tidy(e); err != nil {
			return err
		}
		e.Seq, e.At = last.Seq+1, t.now
		if e.At.Before(last.At) {
			e.At = last.At
		}
		if err := journal.Seal(last.Hash, e); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `INSERT INTO journal (`+journalColumns+`) VALUES (`+marks(1, 13)+`)`,
			e.Seq, e.At, e.Kind, e.Actor, e.Domain, e.KeyID, e.Step, e.Why, e.Intent, e.OK, string(e.Detail), e.Prev, e.Hash); err != nil {
			return err
		}
		last = *e
	}
	t.entries = nil
	_, err := t.exec(ctx, `UPDATE journal_head SET seq = $1, said_at = $2, hash = $3 WHERE id = 1`, last.Seq, last.At, last.Hash)
	return err
}

// tidy makes an entry into what the columns keep, before it is sealed, so that it reads back with the same hash.
func tidy(e *journal.Entry) error {
	for _, s := range []*string{&e.Actor, &e.Domain, &e.KeyID, &e.Step, &e.Why} {
		*s = text(*s)
	}
	if len(e.Detail) > maxDetail {
		return fault.New(fault.Invalid, "a journal entry of step %q has %d octets of detail, more than %d", e.Step, len(e.Detail), maxDetail)
	}
	if len(e.Detail) == 0 {
		e.Detail = nil
		return nil
	}
	compact, err := json.Marshal(e.Detail)
	if err != nil {
		return fmt.Errorf("the detail of a journal entry of step %q: %w", e.Step, err)
	}
	e.Detail = json.RawMessage(text(string(compact)))
	return nil
}

func scanEntry(s scanner, e *journal.Entry) error {
	return s(&e.Seq, at(&e.At), &e.Kind, &e.Actor, &e.Domain, &e.KeyID, &e.Step, &e.Why, &e.Intent, truth(&e.OK),
		asText(func(s string) error {
			if e.Detail = nil; s != "" {
				e.Detail = json.RawMessage(s)
			}
			return nil
		}), &e.Prev, &e.Hash)
}
