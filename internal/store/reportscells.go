package store

import (
	"context"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/report"
)

// counted is a stored report whose cells are to be stored.
type counted struct {
	id    int64
	trust report.Trust
	ours  int64 // report_names
	d     *document
}

// saveCells stores the cells of reports.
func (t *tx) saveCells(ctx context.Context, all []counted) error {
	var orgs, senders, groups []term
	for _, r := range all {
		orgs = append(orgs, r.d.org)
		for _, c := range r.d.cells {
			senders = append(senders, c.sender)
		}
	}
	if len(senders) == 0 {
		return nil
	}
	names, err := t.terms(ctx, nameTerms(), orgs)
	if err != nil {
		return err
	}
	known, err := t.terms(ctx, senderTerms(), senders)
	if err != nil {
		return err
	}
	for _, r := range all {
		for i := range r.d.cells {
			c := &r.d.cells[i]
			c.group.values[0] = known[c.sender.hash]
			groups = append(groups, c.group)
		}
	}
	ids, err := t.terms(ctx, groupTerms(), groups)
	if err != nil {
		return err
	}
	var rows [][]any
	var reports []int64
	for _, r := range all {
		reports = append(reports, r.id)
		for _, c := range r.d.cells {
			rows = append(rows, []any{r.ours, c.day, r.id, ids[c.group.hash], names[r.d.org.hash], r.trust.Vouched(), c.messages})
		}
	}
	if err := t.insert(ctx, "report_cells", []string{"ours", "day", "report", "grp", "org", "vouched", "messages"}, rows, "", nil); err != nil {
		return err
	}
	return t.tally(ctx, reports, added)
}

// ReplaceCells fills report.Ledger.
func (r *Reports) ReplaceCells(ctx context.Context, id, ours string, cells []report.Cell) error {
	n, err := idOf(id, reportPrefix)
	if err != nil {
		return err
	}
	if ours == "" {
		return fault.New(fault.Invalid, "a report that is counted is counted for a domain")
	}
	domain := nameTerm(cutText(ours, maxReportText))
	d := document{cells: newCells(cells)}
	return r.write(ctx, "attribute a report", func(t *tx) error {
		// Names come before reports, and reports before everything else, in every transaction: so none waits in a circle.
		names, err := t.terms(ctx, nameTerms(), []term{domain})
		if err != nil {
			return err
		}
		c := counted{id: n, ours: names[domain.hash], d: &d}
		var org string
		ok, err := t.row(ctx, `SELECT trust, org FROM reports WHERE id = $1 AND state = $2`+t.d.forUpdate, []any{n, report.Stored}, &c.trust, &org)
		if err != nil {
			return err
		}
		if !ok {
			return fault.New(fault.NotFound, "there is no stored report %s", id)
		}
		d.org = nameTerm(org)
		if same, err := t.sameCells(ctx, n, c.ours, d.cells); err != nil || same {
			return err
		}
		if err := t.removeCells(ctx, n); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `UPDATE reports SET ours = $2 WHERE id = $1`, n, c.ours); err != nil {
			return err
		}
		return t.saveCells(ctx, []counted{c})
	})
}

// removeCells deletes the cells of a report whose row is locked.
func (t *tx) removeCells(ctx context.Context, id int64) error {
	if err := t.tally(ctx, []int64{id}, removed); err != nil {
		return err
	}
	_, err := t.exec(ctx, `DELETE FROM report_cells WHERE report = $1`, id)
	return err
}

// sameCells reports whether these cells are stored already: most changes of an inventory change nothing about most reports.
func (t *tx) sameCells(ctx context.Context, id, ours int64, cells []cell) (bool, error) {
	type at struct {
		day   int64
		group hash16
	}
	want := make(map[at]int64, len(cells))
	for _, c := range cells {
		want[at{c.day, c.group.hash}] = c.messages
	}
	same := true
	err := t.rows(ctx, `SELECT c.day, g.hash, c.messages FROM report_cells c JOIN report_groups g ON g.id = c.grp WHERE c.report = $1`, []any{id}, func(s scanner) error {
		var k at
		var hash []byte
		var messages int64
		err := s(&k.day, &hash, &messages)
		copy(k.group[:], hash)
		if same = same && want[k] == messages; same {
			delete(want, k)
		}
		return err
	})
	if err != nil || !same || len(want) > 0 {
		return false, err
	}
	return t.row(ctx, `SELECT id FROM reports WHERE id = $1 AND ours = $2`, []any{id, ours}, new(int64))
}
