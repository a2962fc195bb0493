package store

import (
	"context"

	"github.com/postseal/postseal/internal/report"
)

// Counting fills report.Ledger.
func (r *Reports) Counting(ctx context.Context) (c report.Counting, err error) {
	err = r.read(ctx, "read up to where reports were counted anew", func(t *tx) error {
		_, err := t.row(ctx, `SELECT generation, after FROM report_counting WHERE id = 1`, nil, &c.Generation, &c.After)
		return err
	})
	return c, err
}

// SetCounting fills report.Ledger.
func (r *Reports) SetCounting(ctx context.Context, c report.Counting) error {
	return r.write(ctx, "keep up to where reports were counted anew", func(t *tx) error {
		_, err := t.exec(ctx, `INSERT INTO report_counting (id, generation, after) VALUES (1, $1, $2) ON CONFLICT (id) DO UPDATE SET generation = excluded.generation, after = excluded.after`,
			c.Generation, c.After)
		return err
	})
}

// CountReports fills report.Answers.
func (r *Reports) CountReports(ctx context.Context, p report.Period) (n int, err error) {
	err = r.read(ctx, "count reports", func(t *tx) error {
		var w where
		if p.Domains != nil {
			if err := t.oursIn(ctx, &w, "ours", p.Domains); err != nil {
				return err
			}
		}
		w.days("day", p)
		_, err := t.row(ctx, `SELECT COUNT(DISTINCT report) FROM report_cells`+w.text(), w.args, &n)
		return err
	})
	return n, err
}
