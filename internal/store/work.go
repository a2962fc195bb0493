package store

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/lifecycle"
)

// claimQuery takes due work that nobody has. Workers of other processes step over each other's rows instead of waiting.
func (d dialect) claimQuery() string {
	return `WITH due AS MATERIALIZED (
	  SELECT domain FROM work WHERE due_at > 0 AND due_at <= $1 AND lease_until <= $1 ORDER BY due_at, domain LIMIT $2` + d.skipLocked + `
	)
	UPDATE work SET lease_until = $3, worker = $4, fence = fence + 1
	WHERE domain IN (SELECT domain FROM due)
	RETURNING domain, revision, fence, due_at`
}

// Claim leases up to n domains that are due, oldest first.
func (s *Store) Claim(ctx context.Context, worker string, n int, lease time.Duration) (claimed []lifecycle.Work, err error) {
	type row struct {
		lifecycle.Work
		due int64
	}
	var all []row
	err = s.write(ctx, "claim due work", func(t *tx) error {
		all, err = list(ctx, t, s.d.claimQuery(), []any{t.now, n, t.now.Add(lease), worker}, func(s scanner, r *row) error {
			return s(&r.Domain, &r.Revision, &r.Fence, &r.due)
		})
		return err
	})
	slices.SortFunc(all, func(a, b row) int { return cmp.Or(cmp.Compare(a.due, b.due), cmp.Compare(a.Domain, b.Domain)) })
	for _, r := range all {
		claimed = append(claimed, r.Work)
	}
	return claimed, err
}

// Renew extends a lease; fault.Conflict when it was lost.
func (s *Store) Renew(ctx context.Context, w lifecycle.Work, lease time.Duration) error {
	return s.write(ctx, "renew a lease", func(t *tx) error {
		n, err := t.exec(ctx, `UPDATE work SET lease_until = $1 WHERE domain = $2 AND fence = $3 AND lease_until > $4`,
			t.now.Add(lease), w.Domain, w.Fence, t.now)
		if err == nil && n == 0 {
			err = lost(w)
		}
		return err
	})
}

// ReleaseLeases ends every lease at once. It is for a process that knows to be the only one on its database, when it starts:
// what leases there are belong to a process that died.
func (s *Store) ReleaseLeases(ctx context.Context) error {
	return s.write(ctx, "release leases", func(t *tx) error {
		for _, table := range []string{"work", "audits"} {
			if _, err := t.exec(ctx, `UPDATE `+table+` SET lease_until = 0, fence = fence + 1 WHERE lease_until > 0`); err != nil {
				return err
			}
		}
		return nil
	})
}

// Finish ends a lease. The domain is due again at due (zero = when something happens), or at once when its revision has
// changed since the claim: nothing that happened meanwhile is missed. fault.Conflict when the lease was lost.
func (s *Store) Finish(ctx context.Context, w lifecycle.Work, due time.Time) error {
	return s.write(ctx, "finish work", func(t *tx) error {
		n, err := t.exec(ctx, `UPDATE work SET lease_until = 0, worker = '', due_at = CASE WHEN revision = $1 THEN CAST($2 AS BIGINT) ELSE $3 END
			WHERE domain = $4 AND fence = $5 AND lease_until > $3`, w.Revision, due, t.now, w.Domain, w.Fence)
		if err != nil {
			return err
		}
		if n == 0 {
			return lost(w)
		}
		return nil
	})
}

// holdLease checks a lease and keeps it for the rest of the transaction. It is the first row that such a transaction
// touches; the order of all is: agents, work, keys, records, instructions, holdings, the journal.
func (t *tx) holdLease(ctx context.Context, w lifecycle.Work) error {
	var fence, until int64
	ok, err := t.row(ctx, `SELECT fence, lease_until FROM work WHERE domain = $1`+t.s.d.forUpdate, []any{w.Domain}, &fence, &until)
	if err != nil {
		return err
	}
	if !ok || fence != w.Fence || until <= micros(t.now) {
		return lost(w)
	}
	return nil
}

func lost(w lifecycle.Work) error {
	return fault.New(fault.Conflict, "the lease on %s was lost: another worker has it, or it ran out", w.Domain)
}

// touch makes domains due now. A worker that has one of them will see that its revision changed.
func (t *tx) touch(ctx context.Context, domains ...string) error {
	domains = slices.Clone(domains)
	slices.Sort(domains) // one order for all transactions, so that no two wait for each other
	for _, domain := range slices.Compact(domains) {
		n, err := t.exec(ctx, `UPDATE work SET revision = revision + 1,
			due_at = CASE WHEN due_at = 0 OR due_at > $1 THEN $1 ELSE due_at END WHERE domain = $2`, t.now, domain)
		if err != nil {
			return err
		}
		if n > 0 {
			t.woke |= workDue
		}
	}
	return nil
}

// touchAll makes every domain of the inventory due now.
func (t *tx) touchAll(ctx context.Context) error {
	_, err := t.exec(ctx, `UPDATE work SET revision = revision + 1,
		due_at = CASE WHEN due_at = 0 OR due_at > $1 THEN $1 ELSE due_at END WHERE domain IN (SELECT name FROM domains)`, t.now)
	t.woke |= workDue
	return err
}
