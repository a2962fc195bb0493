package store

import (
	"context"
	"fmt"
	"time"

	"github.com/postseal/postseal/internal/report"
)

// A batch is small enough that whoever stores a report meanwhile does not notice the wait: some ten milliseconds.
const (
	// pruneOctets, pruneReports and pruneInputs are how many are looked at in one batch.
	pruneOctets  = 200
	pruneReports = 200
	pruneInputs  = 100
	// pruneRows and pruneSize end a batch earlier when what was chosen is large.
	pruneRows = 1_000_000
	pruneSize = 64 << 20
	// pruneTerms is how many unused terms of each kind.
	pruneTerms = 1000
)

// Prune fills report.Upkeep. Its ages count from the arrival: that is our own time, and not a stranger's word.
func (r *Reports) Prune(ctx context.Context, c report.Cutoffs) (p report.Pruned, err error) {
	// What is needed no longer than something else goes with it.
	c.Rows = later(c.Rows, c.All)
	c.Octets = later(c.Octets, c.All)
	err = r.write(ctx, "delete old reports", func(t *tx) error {
		p = report.Pruned{}
		for _, cutoff := range []*time.Time{&c.Octets, &c.Rows, &c.All} {
			if cutoff.After(t.now) {
				*cutoff = t.now
			}
		}
		for _, step := range []func(context.Context, report.Cutoffs, *report.Pruned) error{t.pruneOctets, t.pruneRows, t.pruneInputs, t.prunePostmaster, t.pruneTerms} {
			if err := step(ctx, c, &p); err != nil {
				return err
			}
		}
		return nil
	})
	return p, err
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// pick returns the ids of the oldest things that a query finds, as long as their sizes are not above a sum. One is always taken.
func (t *tx) pick(ctx context.Context, query string, most int64, args ...any) (ids []any, err error) {
	var sum int64
	err = t.rows(ctx, query+t.d.skipLocked, args, func(s scanner) error {
		var id, size int64
		err := s(&id, &size)
		if sum += size; sum <= most || len(ids) == 0 {
			ids = append(ids, id)
		}
		return err
	})
	return ids, err
}

// of runs statements with a list of ids in place of their %s.
func (t *tx) of(ctx context.Context, ids []any, statements ...string) error {
	if len(ids) == 0 {
		return nil
	}
	for _, s := range statements {
		if _, err := t.exec(ctx, fmt.Sprintf(s, t.d.unnamed(1, len(ids))), ids...); err != nil {
			return err
		}
	}
	return nil
}

func (t *tx) pruneOctets(ctx context.Context, c report.Cutoffs, p *report.Pruned) error {
	ids, err := t.pick(ctx, fmt.Sprintf(`SELECT id, packed FROM report_inputs WHERE kept = 1 AND arrived < $1 ORDER BY arrived LIMIT %d`, pruneOctets), pruneSize, c.Octets)
	if err != nil {
		return err
	}
	p.Octets, p.More = len(ids), p.More || len(ids) > 0
	return t.of(ctx, ids, `DELETE FROM report_octets WHERE input IN (%s)`, `UPDATE report_inputs SET kept = 0, packed = 0 WHERE id IN (%s)`)
}

func (t *tx) pruneRows(ctx context.Context, c report.Cutoffs, p *report.Pruned) error {
	ids, err := t.pick(ctx, fmt.Sprintf(`SELECT id, n_rows FROM reports WHERE kept = 1 AND arrived < $1 ORDER BY arrived LIMIT %d`, pruneReports), pruneRows, c.Rows)
	if err != nil {
		return err
	}
	p.Rows, p.More = len(ids), p.More || len(ids) > 0
	return t.of(ctx, ids, `DELETE FROM report_rows WHERE report IN (%s)`, `UPDATE reports SET kept = 0 WHERE id IN (%s)`)
}

// pruneInputs deletes inputs of which only the roll-ups are left.
func (t *tx) pruneInputs(ctx context.Context, c report.Cutoffs, p *report.Pruned) error {
	inputs, err := t.pick(ctx, fmt.Sprintf(`SELECT id, reports FROM report_inputs WHERE kept = 0 AND arrived < $1 ORDER BY arrived LIMIT %d`, pruneInputs), pruneReports, c.All)
	if err != nil || len(inputs) == 0 {
		return err
	}
	p.More = true
	var reports []int64
	var ids []any
	busy := make(map[int64]bool) // inputs of which something is left
	if err := t.rows(ctx, fmt.Sprintf(`SELECT id, input, kept FROM reports WHERE input IN (%s) ORDER BY id`, t.d.unnamed(1, len(inputs)))+t.d.forUpdate, inputs, func(s scanner) error {
		var id, input int64
		var kept bool
		err := s(&id, &input, truth(&kept))
		if kept {
			busy[input] = true // its rows go first, in batches of their own
		}
		reports, ids = append(reports, id), append(ids, id)
		return err
	}); err != nil {
		return err
	}
	if len(busy) > 0 {
		return nil
	}
	if err := t.tally(ctx, reports, removed); err != nil {
		return err
	}
	for len(ids) > 0 {
		n := min(len(ids), maxMarks)
		if err := t.of(ctx, ids[:n], `DELETE FROM report_cells WHERE report IN (%s)`, `DELETE FROM reports WHERE id IN (%s)`); err != nil {
			return err
		}
		ids = ids[n:]
	}
	p.Inputs, p.Reports = len(inputs), len(reports)
	return t.of(ctx, inputs, `DELETE FROM report_inputs WHERE id IN (%s)`)
}

// pruneTerms deletes terms that nothing needs: everything that arrived before the cutoff is gone, and they were not used since (see reportsdictionary.go).
func (t *tx) pruneTerms(ctx context.Context, c report.Cutoffs, p *report.Pruned) error {
	for _, step := range []struct {
		remains string // finds what arrived before and is still there
		cutoff  time.Time
		tables  []dictionary
	}{
		{`SELECT id FROM reports WHERE kept = 1 AND arrived < $1 LIMIT 1`, c.Rows, []dictionary{shapeTerms()}},
		{`SELECT id FROM report_inputs WHERE kept IN (0, 1) AND arrived < $1 LIMIT 1`, c.All, []dictionary{groupTerms(), senderTerms(), nameTerms()}},
	} {
		if step.cutoff.IsZero() {
			continue
		}
		left, err := t.row(ctx, step.remains, []any{step.cutoff}, new(int64))
		if err != nil {
			return err
		}
		if left {
			continue
		}
		for _, d := range step.tables {
			n, err := t.exec(ctx, fmt.Sprintf(`DELETE FROM %s WHERE id IN (SELECT id FROM %s WHERE used < $1 LIMIT %d)`, d.table, d.table, pruneTerms), step.cutoff)
			if err != nil {
				return err
			}
			p.Unused, p.More = p.Unused+int(n), p.More || n > 0
		}
	}
	return nil
}
