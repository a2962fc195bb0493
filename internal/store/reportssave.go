package store

import (
	"context"
	"errors"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/report"
)

// arrived is an input on its way into the database.
type arrived struct {
	id    int64
	at    time.Time
	trust report.Trust
}

// Save fills report.Archive.
func (r *Reports) Save(ctx context.Context, a report.Arrival, hash [32]byte, facts []report.Facts) (receipt report.Receipt, err error) {
	octets, zipped, err := pack(a.Octets)
	if err != nil {
		return receipt, err
	}
	documents, err := newDocuments(facts)
	if err != nil {
		return receipt, err
	}
	err = r.write(ctx, "store a report", func(t *tx) error {
		receipt = report.Receipt{}
		in := arrived{at: a.At, trust: a.Trust}
		if in.at.IsZero() || in.at.After(t.now) {
			in.at = t.now
		}
		names, err := t.countedFor(ctx, documents)
		if err != nil {
			return err
		}
		isNew, err := t.row(ctx, `INSERT INTO report_inputs (arrived, way, place, name, sender, trust, verdict, hash, size, packed, reports, unread, foreigners, kept)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, 0, 0, 1) ON CONFLICT (hash) DO NOTHING RETURNING id`,
			[]any{in.at, a.Way, cutText(a.Place, maxInputText), cutText(a.Name, maxInputText), cutText(a.Sender, maxReportText), a.Trust, cutText(a.Verdict, maxInputText),
				hash[:], len(a.Octets), len(octets)}, &in.id)
		if err != nil {
			return err
		}
		if !isNew {
			receipt, err = t.again(ctx, a, hash)
			return err
		}
		if _, err := t.exec(ctx, `INSERT INTO report_octets (input, gzip, octets) VALUES ($1, $2, $3)`, in.id, zipped, octets); err != nil {
			return err
		}
		receipt.Input = inputID(in.id)
		var fresh []counted
		for i := range documents {
			received, id, err := t.saveHead(ctx, in, i, &documents[i], names, 0)
			if err != nil {
				return err
			}
			if received.State == report.Stored {
				fresh = append(fresh, counted{id, in.trust, names[documents[i].ours.hash], &documents[i]})
			}
			receipt.Reports = append(receipt.Reports, received)
		}
		if err := t.saveContent(ctx, fresh); err != nil {
			return err
		}
		return t.sumUp(ctx, in.id)
	})
	return receipt, err
}

// again answers for octets that are there already. A copy that is vouched for vouches for the first one.
func (t *tx) again(ctx context.Context, a report.Arrival, hash [32]byte) (receipt report.Receipt, err error) {
	receipt.Again = true
	var input int64
	var trust string
	ok, err := t.row(ctx, `SELECT id, trust FROM report_inputs WHERE hash = $1`, []any{hash[:]}, &input, &trust)
	if err != nil || !ok {
		return receipt, errors.Join(err, errGone(ok))
	}
	type known struct {
		report.ReceivedReport
		id, sameAs int64
	}
	all, err := list(ctx, t, `SELECT id, same_as, document, state, type, domain, org, report_id, begins, ends, n_rows, messages, problem FROM reports WHERE input = $1 ORDER BY ord`,
		[]any{input}, func(s scanner, k *known) error {
			return s(&k.id, &k.sameAs, &k.Document, &k.State, &k.Type, &k.Domain, &k.Org, &k.ReportID, at(&k.Begin), at(&k.End), &k.Rows, &k.Messages, &k.Problem)
		})
	if err != nil {
		return receipt, err
	}
	for _, k := range all {
		switch k.State {
		case report.Stored:
			k.ID = reportID(k.id)
		case report.Duplicate:
			k.ID, k.id = reportID(k.sameAs), k.sameAs
		}
		receipt.Reports = append(receipt.Reports, k.ReceivedReport)
		if k.ID != "" && a.Trust.Vouched() {
			if err := t.vouch(ctx, k.id, a.Trust); err != nil {
				return receipt, err
			}
		}
	}
	if a.Trust.Vouched() && !report.Trust(trust).Vouched() {
		_, err = t.exec(ctx, `UPDATE report_inputs SET trust = $2, verdict = $3 WHERE id = $1`, input, a.Trust, cutText(a.Verdict, maxInputText))
	}
	return receipt, err
}

// errGone is for what was there a moment ago and is deleted by somebody else: the caller may try again.
func errGone(ok bool) error {
	if ok {
		return nil
	}
	return fault.New(fault.Unavailable, "the same report is being deleted").WithHint("try again")
}

// vouch lets a stored report be counted with those that are vouched for.
func (t *tx) vouch(ctx context.Context, id int64, trust report.Trust) error {
	var had string
	ok, err := t.row(ctx, `SELECT trust FROM reports WHERE id = $1`+t.d.forUpdate, []any{id}, &had)
	if err != nil || !ok || report.Trust(had).Vouched() {
		return err
	}
	if err := t.tally(ctx, []int64{id}, removed); err != nil {
		return err
	}
	if _, err := t.exec(ctx, `UPDATE report_cells SET vouched = 1 WHERE report = $1`, id); err != nil {
		return err
	}
	if _, err := t.exec(ctx, `UPDATE reports SET trust = $2 WHERE id = $1`, id, trust); err != nil {
		return err
	}
	return t.tally(ctx, []int64{id}, added)
}

// countedFor returns the ids of the domains that documents are counted for, or would be if they could be read.
func (t *tx) countedFor(ctx context.Context, documents []document) (map[hash16]int64, error) {
	var all []term
	for i := range documents {
		if documents[i].facts.Ours != "" {
			all = append(all, documents[i].ours)
		}
	}
	return t.terms(ctx, nameTerms(), all)
}

// saveHead stores what a document is, without its rows and cells. as is the id that it had before; 0 = it gets a new one.
func (t *tx) saveHead(ctx context.Context, in arrived, ord int, d *document, names map[hash16]int64, as int64) (received report.ReceivedReport, id int64, err error) {
	received = d.received
	insertReport, with := insertReport, func(values []any) []any { return values }
	if as != 0 {
		insertReport, with = insertReportAs, func(values []any) []any { return append(values, as) }
	}
	ours := names[d.ours.hash] // 0 when it is about no domain of ours
	if received.State != report.Stored {
		_, err = t.row(ctx, insertReport+` RETURNING id`, with(d.values(in, ord, ours, received.State, 0)), &id)
		return received, id, err
	}
	isNew, err := t.row(ctx, insertReport+` ON CONFLICT (ident) DO NOTHING RETURNING id`, with(d.values(in, ord, ours, report.Stored, 0)), &id)
	if err != nil || isNew {
		received.ID = reportID(id)
		return received, id, err
	}
	var first int64
	ok, err := t.row(ctx, `SELECT id FROM reports WHERE ident = $1`, []any{d.facts.Key[:]}, &first)
	if err == nil {
		err = errGone(ok)
	}
	if err == nil && in.trust.Vouched() {
		err = t.vouch(ctx, first, in.trust)
	}
	if err != nil {
		return received, 0, err
	}
	received.State, received.ID = report.Duplicate, reportID(first)
	_, err = t.row(ctx, insertReport+` RETURNING id`, with(d.values(in, ord, ours, report.Duplicate, first)), &id)
	return received, id, err
}

const (
	reportColumns = `input, ord, arrived, document, state, same_as, problem, type, domain, ours, org, email, report_id, begins, ends, format, policy, errors, facts, ident, trust, n_rows, messages, kept`
	reportMarks   = `$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24`
	insertReport  = `INSERT INTO reports (` + reportColumns + `) VALUES (` + reportMarks + `)`
	// insertReportAs is insertReport of one that was deleted a moment ago, with the id that it had.
	insertReportAs = `INSERT INTO reports (` + reportColumns + `, id) VALUES (` + reportMarks + `, $25)`
)

// values are those of insertReport.
func (d *document) values(in arrived, ord int, ours int64, state report.State, sameAs int64) []any {
	var ident any
	if state == report.Stored {
		ident = d.facts.Key[:]
	}
	r := &d.received
	return []any{in.id, ord, in.at, r.Document, state, sameAs, r.Problem, r.Type, r.Domain, ours, r.Org, d.email, r.ReportID, r.Begin, r.End, d.schema,
		d.policy, d.errors, d.json, ident, in.trust, r.Rows, r.Messages, state == report.Stored && r.Rows > 0}
}

// saveContent stores the rows and cells of reports that have none.
func (t *tx) saveContent(ctx context.Context, all []counted) error {
	var shapes []term
	for _, r := range all {
		shapes = append(shapes, r.d.shapes...)
	}
	known, err := t.terms(ctx, shapeTerms(), shapes)
	if err != nil {
		return err
	}
	var parts [][]any
	size := 0
	flush := func() error {
		err := t.insert(ctx, "report_rows", []string{"report", "part", "packed"}, parts, "", nil)
		parts, size = parts[:0], 0
		return err
	}
	for _, r := range all {
		ids := make([]int64, len(r.d.shapes))
		for i, s := range r.d.shapes {
			ids[i] = known[s.hash]
		}
		for i, part := range packRows(r.d.facts.Rows, ids) {
			parts = append(parts, []any{r.id, i, part})
			if size += len(part); size > maxPartsSize {
				if err := flush(); err != nil {
					return err
				}
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	return t.saveCells(ctx, all)
}

// maxPartsSize ends a statement that stores pieces of rows, in octets.
const maxPartsSize = 4 << 20

// sumUp notes what an input holds.
func (t *tx) sumUp(ctx context.Context, input int64) error {
	_, err := t.exec(ctx, `UPDATE report_inputs SET reports = (SELECT COUNT(*) FROM reports WHERE input = $1),
		unread = (SELECT COUNT(*) FROM reports WHERE input = $1 AND state = '`+string(report.Unread)+`'),
		foreigners = (SELECT COUNT(*) FROM reports WHERE input = $1 AND state = '`+string(report.Foreign)+`') WHERE id = $1`, input)
	return err
}
