package store

import (
	"context"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/report"
)

// had is a document of an input as it was stored before.
type had struct {
	id    int64
	ord   int
	trust report.Trust
	key   string
}

// Resave fills report.Archive.
//
// A document that is counted has one row with its key, whichever input it came in. So a new reading of an input is matched with what is stored of it: by key first (the same was
// read), then by place (it is read differently now, and replaces what was read before). Everything else of the input is deleted and stored anew.
func (r *Reports) Resave(ctx context.Context, input string, facts []report.Facts) (receipt report.Receipt, err error) {
	id, err := idOf(input, inputPrefix)
	if err != nil {
		return receipt, err
	}
	documents, err := newDocuments(facts)
	if err != nil {
		return receipt, err
	}
	err = r.write(ctx, "store a report that was read again", func(t *tx) error {
		receipt = report.Receipt{Input: input}
		in := arrived{id: id}
		names, err := t.countedFor(ctx, documents)
		if err != nil {
			return err
		}
		ok, err := t.row(ctx, `SELECT arrived, trust FROM report_inputs WHERE id = $1`+t.d.forUpdate, []any{id}, at(&in.at), &in.trust)
		if err != nil {
			return err
		}
		if !ok {
			return fault.New(fault.NotFound, "there is no input %s", input)
		}
		stored, err := list(ctx, t, `SELECT id, ord, trust, ident FROM reports WHERE input = $1 AND state = $2 ORDER BY ord`+t.d.forUpdate, []any{id, report.Stored},
			func(s scanner, h *had) error {
				var key []byte
				err := s(&h.id, &h.ord, &h.trust, &key)
				h.key = string(key)
				return err
			})
		if err != nil {
			return err
		}
		if _, err := t.exec(ctx, `DELETE FROM reports WHERE input = $1 AND state <> $2`, id, report.Stored); err != nil {
			return err
		}
		var fresh []counted
		for i, old := range match(stored, documents) {
			d := &documents[i]
			var received report.ReceivedReport
			c := counted{ours: names[d.ours.hash], d: d}
			if old == nil {
				c.trust = in.trust
				received, c.id, err = t.saveHead(ctx, in, i, d, names)
			} else {
				c.id, c.trust = old.id, old.trust
				received, err = t.replaceHead(ctx, in, i, old, &c)
			}
			if err != nil {
				return err
			}
			if received.State == report.Stored && c.d != nil {
				fresh = append(fresh, c)
			}
			receipt.Reports = append(receipt.Reports, received)
		}
		if err := t.saveContent(ctx, fresh); err != nil {
			return err
		}
		return t.sumUp(ctx, id)
	})
	return receipt, err
}

// match finds for each document what it is of those stored, nil = nothing.
func match(stored []had, documents []document) []*had {
	out := make([]*had, len(documents))
	taken := make(map[int64]bool)
	for i := range documents {
		for j := range stored {
			if h := &stored[j]; !taken[h.id] && documents[i].received.State == report.Stored && h.key == string(documents[i].facts.Key[:]) {
				out[i], taken[h.id] = h, true
				break
			}
		}
	}
	for i := range documents {
		for j := range stored {
			if h := &stored[j]; out[i] == nil && !taken[h.id] && h.ord == i {
				out[i], taken[h.id] = h, true
			}
		}
	}
	return out
}

// replaceHead puts a document in the place of one that is counted, and deletes the rows and cells of that. A new reading that cannot be counted does not replace one that is: the older
// program knew better, or the domain left the inventory since. c has no document then.
func (t *tx) replaceHead(ctx context.Context, in arrived, ord int, old *had, c *counted) (received report.ReceivedReport, err error) {
	d := c.d
	keep := d.received.State != report.Stored
	if !keep && old.key != string(d.facts.Key[:]) {
		// It may be one now that came in another input.
		var other int64
		if keep, err = t.row(ctx, `SELECT id FROM reports WHERE ident = $1`, []any{d.facts.Key[:]}, &other); err != nil {
			return received, err
		}
	}
	if keep {
		c.d = nil
		_, err := t.row(ctx, `SELECT document, state, type, domain, org, report_id, begins, ends, n_rows, messages FROM reports WHERE id = $1`, []any{old.id},
			&received.Document, &received.State, &received.Type, &received.Domain, &received.Org, &received.ReportID, at(&received.Begin), at(&received.End), &received.Rows, &received.Messages)
		received.ID = reportID(old.id)
		return received, err
	}
	received = d.received
	received.ID = reportID(old.id)
	v := d.values(in, ord, c.ours, report.Stored, 0)
	if _, err := t.exec(ctx, `UPDATE reports SET ord = $2, document = $3, type = $4, domain = $5, ours = $6, org = $7, email = $8, report_id = $9, begins = $10, ends = $11, format = $12,
		policy = $13, errors = $14, facts = $15, ident = $16, n_rows = $17, messages = $18, kept = $19 WHERE id = $1`,
		old.id, ord, v[3], v[7], v[8], v[9], v[10], v[11], v[12], v[13], v[14], v[15], v[16], v[17], v[18], v[19], v[21], v[22], v[23]); err != nil {
		return received, err
	}
	if _, err := t.exec(ctx, `DELETE FROM report_rows WHERE report = $1`, old.id); err != nil {
		return received, err
	}
	return received, t.removeCells(ctx, old.id)
}
