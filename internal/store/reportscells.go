package store

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/report"
)

// saveCells stores the cells of a report, without counting them.
func (t *tx) saveCells(ctx context.Context, id int64, trust report.Trust, ours, org term, cells []cell) error {
	if len(cells) == 0 {
		return nil
	}
	names, err := t.terms(ctx, nameTerms(), []term{ours, org})
	if err != nil {
		return err
	}
	var senders, groups []term
	for _, c := range cells {
		senders = append(senders, c.sender)
	}
	known, err := t.terms(ctx, senderTerms(), senders)
	if err != nil {
		return err
	}
	for i := range cells {
		cells[i].group.values[0] = known[cells[i].sender.hash]
		groups = append(groups, cells[i].group)
	}
	groupIDs, err := t.terms(ctx, groupTerms(), groups)
	if err != nil {
		return err
	}
	rows := make([][]any, len(cells))
	for i, c := range cells {
		rows[i] = []any{names[ours.hash], c.day, id, groupIDs[c.group.hash], names[org.hash], trust.Vouched(), c.messages}
	}
	return t.insert(ctx, "report_cells", []string{"ours", "day", "report", "grp", "org", "vouched", "messages"}, rows, "", nil)
}

// sign says whether cells are added to the roll-up or taken out of it.
type sign string

const (
	more sign = ""
	less sign = "-"
)

// rollUp is a table of sums of cells, and what they are summed up by besides domain and day.
type rollUp struct {
	table string
	by    []string // columns
	from  []string // what they are of cells c and groups g
}

func rollUps() []rollUp {
	return []rollUp{
		{"report_daily", []string{"sender", "vouched"}, []string{"g.sender", "c.vouched"}},
		{"report_totals", []string{"vouched"}, []string{"c.vouched"}},
	}
}

// add is the statement that adds cells of reports, whose ids take the place of %s, to the sums of their domains, or to those of all domains together, or takes them out.
func (u rollUp) add(s sign, together bool) string {
	ours := "c.ours"
	if together {
		ours = "0"
	}
	sum := func(when string) string {
		return fmt.Sprintf("%sSUM(CASE WHEN %s THEN c.messages ELSE 0 END)", s, when)
	}
	by := strings.Join(u.by, ", ")
	positions := "1, 2, 3, 4"[:len("1, 2")+len(", 3")*len(u.by)]
	text := `INSERT INTO ` + u.table + ` (ours, day, ` + by + `, messages, both_pass, only_dkim, only_spf, quarantine, reject)
		SELECT ` + ours + `, c.day, ` + strings.Join(u.from, ", ") + `, ` + string(s) + `SUM(c.messages), ` + sum("g.dkim = 1 AND g.spf = 1") + `, ` + sum("g.dkim = 1 AND g.spf = 0") + `, ` +
		sum("g.dkim = 0 AND g.spf = 1") + `, ` + sum("g.disposition = 'quarantine'") + `, ` + sum("g.disposition = 'reject'") + `
		FROM report_cells c JOIN report_groups g ON g.id = c.grp WHERE c.report IN (%s)
		GROUP BY ` + positions + ` ORDER BY ` + positions + ` ON CONFLICT (ours, day, ` + by + `) DO UPDATE SET `
	for i, c := range []string{"messages", "both_pass", "only_dkim", "only_spf", "quarantine", "reject"} {
		if i > 0 {
			text += ", "
		}
		text += c + " = " + u.table + "." + c + " + excluded." + c
	}
	return text
}

// count adds the cells of reports, as they are in the database, to the roll-ups, or takes them out. Whoever changes cells takes them out before and adds them afterwards, in one
// transaction; so a roll-up is always the sum of the cells. The rows of the reports are locked, or not visible to anybody else.
func (t *tx) count(ctx context.Context, reports []int64, s sign) error {
	for chunk := range slices.Chunk(reports, maxMarks) {
		args := make([]any, len(chunk))
		for i, id := range chunk {
			args[i] = id
		}
		// All domains together come last: that is where everybody waits for everybody, so that it is not for long.
		for _, together := range []bool{false, true} {
			for _, u := range rollUps() {
				if err := t.of(ctx, args, u.add(s, together)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// span is a domain and the days of some cells.
type span struct{ ours, first, last int64 }

func (t *tx) spans(ctx context.Context, reports []int64) (all []span, err error) {
	for chunk := range slices.Chunk(reports, maxMarks) {
		args := make([]any, len(chunk))
		for i, id := range chunk {
			args[i] = id
		}
		some, err := list(ctx, t, `SELECT ours, MIN(day), MAX(day) FROM report_cells WHERE report IN (`+marks(1, len(chunk))+`) GROUP BY ours ORDER BY ours`, args,
			func(s scanner, p *span) error { return s(&p.ours, &p.first, &p.last) })
		if err != nil {
			return nil, err
		}
		all = append(all, some...)
	}
	return all, nil
}

// sweep deletes what cells that were taken out have left of the roll-up: nothing. No cell has no messages.
func (t *tx) sweep(ctx context.Context, spans []span) error {
	if len(spans) == 0 {
		return nil
	}
	together := span{0, spans[0].first, spans[0].last}
	for _, p := range spans {
		together.first, together.last = min(together.first, p.first), max(together.last, p.last)
	}
	for _, p := range append(spans, together) {
		for _, u := range rollUps() {
			if _, err := t.exec(ctx, `DELETE FROM `+u.table+` WHERE ours = $1 AND day BETWEEN $2 AND $3 AND messages = 0`, p.ours, p.first, p.last); err != nil {
				return err
			}
		}
	}
	return nil
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
	fresh := newCells(cells)
	return r.write(ctx, "attribute a report", func(t *tx) error {
		var trust report.Trust
		var org string
		ok, err := t.row(ctx, `SELECT trust, org FROM reports WHERE id = $1 AND state = $2`+t.d.forUpdate, []any{n, report.Stored}, &trust, &org)
		if err != nil {
			return err
		}
		if !ok {
			return fault.New(fault.NotFound, "there is no stored report %s", id)
		}
		domain := nameTerm(cutText(ours, maxReportText))
		if same, err := t.sameCells(ctx, n, domain, fresh); err != nil || same {
			return err
		}
		return t.replaceCells(ctx, n, trust, domain, nameTerm(org), fresh)
	})
}

// sameCells reports whether these cells are stored already: most changes of an inventory change nothing about most reports.
func (t *tx) sameCells(ctx context.Context, id int64, ours term, cells []cell) (bool, error) {
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
	return t.row(ctx, `SELECT r.id FROM reports r JOIN report_names n ON n.id = r.ours WHERE r.id = $1 AND n.hash = $2`, []any{id, ours.hash[:]}, new(int64))
}

// replaceCells sets what is counted of a stored report whose row is locked.
func (t *tx) replaceCells(ctx context.Context, id int64, trust report.Trust, ours, org term, cells []cell) error {
	reports := []int64{id}
	spans, err := t.spans(ctx, reports)
	if err != nil {
		return err
	}
	if err := t.count(ctx, reports, less); err != nil {
		return err
	}
	if _, err := t.exec(ctx, `DELETE FROM report_cells WHERE report = $1`, id); err != nil {
		return err
	}
	names, err := t.terms(ctx, nameTerms(), []term{ours})
	if err != nil {
		return err
	}
	if _, err := t.exec(ctx, `UPDATE reports SET ours = $2 WHERE id = $1`, id, names[ours.hash]); err != nil {
		return err
	}
	if err := t.saveCells(ctx, id, trust, ours, org, cells); err != nil {
		return err
	}
	if err := t.count(ctx, reports, more); err != nil {
		return err
	}
	return t.sweep(ctx, spans)
}
