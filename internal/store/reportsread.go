package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/postseal/postseal/dmarc"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/report"
)

const (
	// maxReportsRead is how many reports are read at once with their rows, and maxRowsRead how many rows those have together, if not one report has more.
	maxReportsRead = 500
	maxRowsRead    = 200_000
	// maxRowsPage is how many rows of a report are shown at once.
	maxRowsPage = 10_000
)

// ReportsToRead fills report.Ledger.
func (r *Reports) ReportsToRead(ctx context.Context, ours, after string, limit int) (out []report.WithRows, err error) {
	var from int64
	if after != "" {
		if from, err = idOf(after, reportPrefix); err != nil {
			return nil, err
		}
	}
	err = r.read(ctx, "read stored reports", func(t *tx) error {
		args := []any{from, report.Stored, report.Aggregate, min(max(limit, 1), maxReportsRead)}
		where := ""
		if ours != "" {
			args = append(args, nameHash(ours))
			where = ` AND r.ours = (SELECT id FROM report_names WHERE hash = $5)`
		}
		type head struct {
			report.WithRows
			id   int64
			rows int
		}
		heads, err := list(ctx, t, `SELECT r.id, r.trust, r.document, r.type, r.domain, n.name, r.org, r.email, r.report_id, r.begins, r.ends, r.format, r.policy, r.errors, r.messages, r.n_rows, r.ident
			FROM reports r JOIN report_names n ON n.id = r.ours WHERE r.id > $1 AND r.state = $2 AND r.type = $3 AND r.kept = 1`+where+` ORDER BY r.id LIMIT $4`, args,
			func(s scanner, h *head) error {
				f := &h.Facts
				var key []byte
				err := s(&h.id, &h.Trust, &f.Document, &f.Type, &f.Domain, &f.Ours, &f.Org, &f.Email, &f.ReportID, at(&f.Begin), at(&f.End), &f.Schema, asPolicy(&f.Policy), fromJSON(&f.Errors),
					&f.Messages, &h.rows, &key)
				copy(f.Key[:], key)
				f.Policy.Domain = cmp.Or(f.Policy.Domain, f.Domain)
				h.ID = reportID(h.id)
				return err
			})
		if err != nil {
			return err
		}
		shapes := make(map[int64]report.Shape)
		rows := 0
		for i := range heads {
			if rows += heads[i].rows; i > 0 && rows > maxRowsRead {
				break
			}
			if err := t.readRows(ctx, heads[i].id, &heads[i].Facts, shapes); err != nil {
				return err
			}
			out = append(out, heads[i].WithRows)
		}
		return nil
	})
	return out, err
}

func nameHash(name string) []byte {
	h := hashOf(cutText(name, maxReportText))
	return h[:]
}

// readRows reads all rows of a report and the shapes they need, which are kept in known.
func (t *tx) readRows(ctx context.Context, id int64, f *report.Facts, known map[int64]report.Shape) error {
	local := make(map[int64]int)
	var ids []int64
	err := t.parts(ctx, `SELECT packed FROM report_rows WHERE report = $1 ORDER BY part`, []any{id}, func(shape int64, source netip.Addr, count int64) {
		i, ok := local[shape]
		if !ok {
			i = len(ids)
			local[shape], ids = i, append(ids, shape)
		}
		f.Rows = append(f.Rows, report.Row{Shape: i, Source: source, Count: count})
	})
	if err != nil {
		return err
	}
	if err := t.shapes(ctx, ids, known); err != nil {
		return err
	}
	for _, id := range ids {
		f.Shapes = append(f.Shapes, known[id])
	}
	return nil
}

// parts unpacks the pieces that a query returns.
func (t *tx) parts(ctx context.Context, query string, args []any, each func(shape int64, source netip.Addr, count int64)) error {
	return t.rows(ctx, query, args, func(s scanner) error {
		var packed []byte
		if err := s(&packed); err != nil {
			return err
		}
		return unpackRows(packed, each)
	})
}

// shapes reads those shapes that are not known yet.
func (t *tx) shapes(ctx context.Context, ids []int64, known map[int64]report.Shape) error {
	var missing []any
	for _, id := range ids {
		if _, ok := known[id]; !ok {
			missing = append(missing, id)
		}
	}
	err := t.chunked(ctx, `SELECT id, hash, said FROM report_shapes WHERE id IN (%s)`, missing, func(s scanner) error {
		var id int64
		var hash []byte
		var said string
		if err := s(&id, &hash, &said); err != nil {
			return err
		}
		row, err := unpackShape(said)
		shape := report.Shape{Row: row}
		copy(shape.Hash[:], hash)
		known[id] = shape
		return err
	})
	for _, id := range ids {
		if _, ok := known[id]; err == nil && !ok {
			err = fmt.Errorf("rows refer to shape %d, which is not there", id)
		}
	}
	return err
}

// chunked runs a query with a list in place of its %s, as often as it takes.
func (t *tx) chunked(ctx context.Context, query string, list []any, f func(scanner) error) error {
	for len(list) > 0 {
		n := min(len(list), maxMarks)
		if err := t.rows(ctx, fmt.Sprintf(query, t.d.unnamed(1, n)), list[:n], f); err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}

// Rows fills report.Answers.
func (r *Reports) Rows(ctx context.Context, id string, from, limit int) (out []report.StoredRow, err error) {
	n, err := idOf(id, reportPrefix)
	if err != nil {
		return nil, err
	}
	from, limit = max(from, 0), min(max(limit, 1), maxRowsPage)
	err = r.read(ctx, "read the rows of a report", func(t *tx) error {
		ok, err := t.row(ctx, `SELECT id FROM reports WHERE id = $1`, []any{n}, new(int64))
		if err == nil && !ok {
			err = fault.New(fault.NotFound, "there is no report %s", id)
		}
		if err != nil {
			return err
		}
		var ids []int64
		at := from / rowsPerPart * rowsPerPart
		err = t.parts(ctx, `SELECT packed FROM report_rows WHERE report = $1 AND part BETWEEN $2 AND $3 ORDER BY part`, []any{n, from / rowsPerPart, (from + limit - 1) / rowsPerPart},
			func(shape int64, source netip.Addr, count int64) {
				if at >= from && at < from+limit {
					out = append(out, report.StoredRow{Source: source, Row: dmarc.Row{Count: count}})
					ids = append(ids, shape)
				}
				at++
			})
		known := make(map[int64]report.Shape)
		if err = errors.Join(err, t.shapes(ctx, ids, known)); err != nil {
			return err
		}
		for i := range out {
			row := known[ids[i]].Row
			row.Count = out[i].Count
			if out[i].Source.IsValid() {
				row.SourceIP = out[i].Source.String()
			}
			out[i].Row = row
		}
		return nil
	})
	return out, err
}
