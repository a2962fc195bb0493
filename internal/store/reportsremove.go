package store

import (
	"context"

	"github.com/postseal/postseal/internal/fault"
)

// RemoveInput deletes an input with all that was stored and counted of it, in one transaction, and whatever arrived elsewhere as a duplicate of a report in it: the report is gone, whichever
// way it came. The same octets may arrive again after that, and count. fault.NotFound when there is none.
func (r *Reports) RemoveInput(ctx context.Context, input string) error {
	id, err := idOf(input, inputPrefix)
	if err != nil {
		return err
	}
	number := func(s scanner, n *int64) error { return s(n) }
	return r.write(ctx, "remove reports", func(t *tx) error {
		ok, err := t.row(ctx, `SELECT id FROM report_inputs WHERE id = $1`+t.d.forUpdate, []any{id}, new(int64))
		if err != nil {
			return err
		}
		if !ok {
			return fault.New(fault.NotFound, "there is no input %s", input)
		}
		reports, err := list(ctx, t, `SELECT id FROM reports WHERE input = $1 ORDER BY id`+t.d.forUpdate, []any{id}, number)
		if err != nil {
			return err
		}
		if err := t.tally(ctx, reports, removed); err != nil {
			return err
		}
		inputs := []any{id}
		for len(reports) > 0 {
			ids := make([]any, min(len(reports), maxMarks))
			for i := range ids {
				ids[i] = reports[i]
			}
			reports = reports[len(ids):]
			if err := t.rows(ctx, `SELECT DISTINCT input FROM reports WHERE same_as IN (`+t.d.unnamed(1, len(ids))+`)`, ids, func(s scanner) error {
				var other int64
				err := s(&other)
				inputs = append(inputs, other)
				return err
			}); err != nil {
				return err
			}
			if err := t.of(ctx, ids, `DELETE FROM report_rows WHERE report IN (%s)`, `DELETE FROM report_cells WHERE report IN (%s)`, `DELETE FROM reports WHERE same_as IN (%s)`, `DELETE FROM reports WHERE id IN (%s)`); err != nil {
				return err
			}
		}
		for len(inputs) > 0 { // those in which something else is stay
			ids := inputs[:min(len(inputs), maxMarks)]
			inputs = inputs[len(ids):]
			const empty = ` AND NOT EXISTS (SELECT 1 FROM reports r WHERE r.input = `
			if err := t.of(ctx, ids, `DELETE FROM report_octets WHERE input IN (%s)`+empty+`report_octets.input)`, `DELETE FROM report_inputs WHERE id IN (%s)`+empty+`report_inputs.id)`); err != nil {
				return err
			}
		}
		return nil
	})
}
