package store

import (
	"cmp"
	"context"
	"slices"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/journal"
	"github.com/postseal/postseal/internal/lifecycle"
)

// Begin writes an intent and returns its number; fault.Conflict when the lease was lost.
func (s *Store) Begin(ctx context.Context, w lifecycle.Work, intent journal.Entry) (seq int64, err error) {
	intent.Kind, intent.Domain, intent.Intent, intent.OK = journal.Intent, w.Domain, 0, false
	err = s.write(ctx, "write an intent", func(t *tx) error {
		if err := t.holdLease(ctx, w); err != nil {
			return err
		}
		t.journal(intent)
		if err := t.flushJournal(ctx); err != nil {
			return err
		}
		_, err := t.row(ctx, `SELECT seq FROM journal_head WHERE id = 1`, nil, &seq)
		return err
	})
	return seq, err
}

// Commit writes what a step changed; fault.Conflict when the lease was lost or a row changed meanwhile.
func (s *Store) Commit(ctx context.Context, w lifecycle.Work, c lifecycle.Commit) error {
	return s.write(ctx, "write what a step changed", func(t *tx) error {
		if err := t.holdLease(ctx, w); err != nil {
			return err
		}
		byID := func(a, b lifecycle.Key) int { return cmp.Compare(a.ID, b.ID) }
		for _, k := range slices.SortedFunc(slices.Values(c.Keys), byID) {
			if k.Domain != w.Domain {
				return otherDomain(w, "key "+k.ID)
			}
			if err := t.saveKey(ctx, k); err != nil {
				return err
			}
		}
		for _, r := range c.Records {
			if r.Domain != w.Domain {
				return otherDomain(w, "the record at "+r.Name)
			}
			if err := t.saveRecord(ctx, r); err != nil {
				return err
			}
		}
		if err := t.saveLifeFindings(ctx, w.Domain, c.Findings, c.Resolved); err != nil {
			return err
		}
		return t.outcome(ctx, w, c.Outcome)
	})
}

// outcome ends an intent, or writes the event of a step that had no effect outside.
func (t *tx) outcome(ctx context.Context, w lifecycle.Work, e journal.Entry) error {
	if e.Kind == "" {
		return nil
	}
	e.Domain = w.Domain
	if e.Kind == journal.Outcome {
		open, err := t.row(ctx, `SELECT 1 FROM journal WHERE seq = $1 AND domain = $2 AND domain <> '' AND kind = 'intent'`, []any{e.Intent, w.Domain}, new(int64))
		if err != nil {
			return err
		}
		ended, err := t.row(ctx, `SELECT 1 FROM journal WHERE intent = $1 AND intent > 0`, []any{e.Intent}, new(int64))
		if err != nil {
			return err
		}
		if !open || ended {
			return fault.New(fault.Conflict, "journal entry %d is no open intent of %s", e.Intent, w.Domain)
		}
	}
	t.journal(e)
	return nil
}

// OpenIntents returns the intents of a domain without an outcome, oldest first: a crash happened between.
func (s *Store) OpenIntents(ctx context.Context, domain string) (open []journal.Entry, err error) {
	err = s.read(ctx, "look for open intents", func(t *tx) error {
		open, err = list(ctx, t, `SELECT `+journalColumns+` FROM journal j WHERE domain = $1 AND kind = 'intent'
			AND NOT EXISTS (SELECT 1 FROM journal o WHERE o.intent = j.seq AND o.intent > 0) ORDER BY seq`, []any{domain}, scanEntry)
		return err
	})
	return open, err
}

func otherDomain(w lifecycle.Work, what string) error {
	return fault.New(fault.Invalid, "%s is not of %s, for which the lease is", what, w.Domain)
}
