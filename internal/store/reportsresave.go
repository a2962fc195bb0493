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
// read), then by place (it is read differently now, and replaces what was read before). What is not counted is matched by place alone: it keeps its id, by which people name it, also when
// it is counted now, and nothing is written when it says the same. Everything else of the input is deleted.
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
		apart, err := t.apart(ctx, id)
		if err != nil {
			return err
		}
		var fresh []counted
		changed := false
		for i, old := range match(stored, documents) {
			d := &documents[i]
			var received report.ReceivedReport
			c := counted{ours: names[d.ours.hash], d: d}
			if old == nil {
				prior := apart[i]
				delete(apart, i)
				var same bool
				if received, same, err = t.sameHead(ctx, in, i, d, names, prior); err != nil {
					return err
				}
				if same {
					receipt.Reports = append(receipt.Reports, received)
					continue
				}
				changed = true
				if prior != 0 {
					if _, err := t.exec(ctx, `DELETE FROM reports WHERE id = $1`, prior); err != nil {
						return err
					}
				}
				c.trust = in.trust
				received, c.id, err = t.saveHead(ctx, in, i, d, names, prior)
			} else {
				changed = true
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
		for _, gone := range apart {
			changed = true
			if _, err := t.exec(ctx, `DELETE FROM reports WHERE id = $1`, gone); err != nil {
				return err
			}
		}
		if !changed {
			return nil
		}
		if err := t.saveContent(ctx, fresh); err != nil {
			return err
		}
		return t.sumUp(ctx, id)
	})
	return receipt, err
}

// apart returns the ids of what is stored of an input and not counted, by place.
func (t *tx) apart(ctx context.Context, input int64) (map[int]int64, error) {
	type placed struct {
		id  int64
		ord int
	}
	all, err := list(ctx, t, `SELECT id, ord FROM reports WHERE input = $1 AND state <> $2`+t.d.forUpdate, []any{input, report.Stored}, func(s scanner, p *placed) error { return s(&p.id, &p.ord) })
	out := make(map[int]int64, len(all))
	for _, p := range all {
		out[p.ord] = p.id
	}
	return out, err
}

// sameHead says whether a document that is not counted is stored already as it would be stored now.
func (t *tx) sameHead(ctx context.Context, in arrived, ord int, d *document, names map[hash16]int64, prior int64) (received report.ReceivedReport, same bool, err error) {
	received = d.received
	ours, first := names[d.ours.hash], int64(0)
	if received.State == report.Stored {
		known, err := t.row(ctx, `SELECT id FROM reports WHERE ident = $1`, []any{d.facts.Key[:]}, &first)
		if err != nil || !known {
			return received, false, err
		}
		received.State, received.ID = report.Duplicate, reportID(first)
	}
	if prior == 0 {
		return received, false, nil
	}
	v := d.values(in, ord, ours, received.State, first)
	args := append([]any{prior}, v[3:19]...)
	args = append(args, v[21], v[22])
	var id int64
	same, err = t.row(ctx, `SELECT id FROM reports WHERE id = $1 AND document = $2 AND state = $3 AND same_as = $4 AND problem = $5 AND type = $6 AND domain = $7 AND ours = $8 AND org = $9
		AND email = $10 AND report_id = $11 AND begins = $12 AND ends = $13 AND format = $14 AND policy = $15 AND errors = $16 AND facts = $17 AND n_rows = $18 AND messages = $19`, args, &id)
	return received, same, err
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
