package store

import (
	"context"
	"fmt"

	"github.com/postseal/postseal/internal/report"
)

// Counting fills report.Ledger.
func (r *Reports) Counting(ctx context.Context) (c report.Counting, err error) {
	err = r.read(ctx, "read up to where reports were counted anew", func(t *tx) error {
		_, err := t.row(ctx, `SELECT roll, reader, step, after FROM report_counting WHERE id = 1`, nil, &c.Roll, &c.Reader, &c.Step, &c.After)
		return err
	})
	return c, err
}

// SetCounting fills report.Ledger.
func (r *Reports) SetCounting(ctx context.Context, c report.Counting) error {
	return r.write(ctx, "keep up to where reports were counted anew", func(t *tx) error {
		_, err := t.exec(ctx, `INSERT INTO report_counting (id, roll, reader, step, after) VALUES (1, $1, $2, $3, $4)
			ON CONFLICT (id) DO UPDATE SET roll = excluded.roll, reader = excluded.reader, step = excluded.step, after = excluded.after`,
			c.Roll, c.Reader, c.Step, c.After)
		return err
	})
}

// CountReports fills report.Answers. Reports are counted whose time meets that of the question.
func (r *Reports) CountReports(ctx context.Context, p report.Period) (vouched, others int, err error) {
	err = r.read(ctx, "count reports", func(t *tx) error {
		var w where
		if err := t.oursIn(ctx, &w, "ours", p.Domains); err != nil {
			return err
		}
		w.add("type = %s", report.Aggregate)
		w.add("state = %s", report.Stored)
		if !p.Since.IsZero() {
			w.add("ends >= %s", p.Since)
		}
		if !p.Until.IsZero() {
			w.add("begins < %s", p.Until)
		}
		w.args = append(w.args, report.Verified, report.Given)
		n := len(w.args)
		all := 0
		_, err := t.row(ctx, fmt.Sprintf(`SELECT COUNT(*), COALESCE(SUM(CASE WHEN trust IN ($%d, $%d) THEN 1 ELSE 0 END), 0) FROM reports`, n-1, n)+w.text(), w.args, &all, &vouched)
		others = all - vouched
		return err
	})
	return vouched, others, err
}
