package store

import (
	"cmp"
	"context"
	"maps"
	"slices"
)

// Roll-ups are sums of cells, and are so at any time: whoever changes cells takes them out before (tally, removed) and adds them afterwards, in one transaction, while the rows of their
// reports are locked or not visible to anybody else. What the transaction has moved is written at its end, in one order, so that transactions do not wait for each other
// in a circle, and not for long.

// sumKey is a row of report_daily.
type sumKey struct{ ours, day, sender, vouched int64 }

func (k sumKey) compare(o sumKey) int {
	return cmp.Or(cmp.Compare(k.ours, o.ours), cmp.Compare(k.day, o.day), cmp.Compare(k.sender, o.sender), cmp.Compare(k.vouched, o.vouched))
}

// figures are the columns of a roll-up.
type figures [6]int64

func figureColumns() []string {
	return []string{"messages", "both_pass", "only_dkim", "only_spf", "quarantine", "reject"}
}

// sign says whether cells are added to the roll-ups or taken out of them.
type sign int64

const (
	added   sign = 1
	removed sign = -1
)

// tally notes that the cells of reports, as they are now, are added or removed.
func (t *tx) tally(ctx context.Context, reports []int64, s sign) error {
	ids := make([]any, len(reports))
	for i, id := range reports {
		ids[i] = id
	}
	sum := func(when string) string {
		return ", CAST(SUM(CASE WHEN " + when + " THEN c.messages ELSE 0 END) AS BIGINT)"
	}
	return t.chunked(ctx, `SELECT c.ours, c.day, g.sender, c.vouched, CAST(SUM(c.messages) AS BIGINT)`+sum("g.dkim = 1 AND g.spf = 1")+sum("g.dkim = 1 AND g.spf = 0")+sum("g.dkim = 0 AND g.spf = 1")+
		sum("g.disposition = 'quarantine'")+sum("g.disposition = 'reject'")+` FROM report_cells c JOIN report_groups g ON g.id = c.grp WHERE c.report IN (%s) GROUP BY 1, 2, 3, 4`, ids,
		func(scan scanner) error {
			var k sumKey
			var f figures
			err := scan(&k.ours, &k.day, &k.sender, &k.vouched, &f[0], &f[1], &f[2], &f[3], &f[4], &f[5])
			moved := t.moved[k]
			for i := range f {
				moved[i] += int64(s) * f[i]
			}
			t.moved[k] = moved
			return err
		})
}

// settle writes what was moved into the roll-ups. All domains together come last: that is where everybody waits for everybody.
func (t *tx) settle(ctx context.Context) error {
	totals, together, all := make(map[sumKey]figures), make(map[sumKey]figures), make(map[sumKey]figures)
	for k, f := range t.moved {
		add(totals, sumKey{k.ours, k.day, 0, k.vouched}, f)
		add(together, sumKey{0, k.day, k.sender, k.vouched}, f)
		add(all, sumKey{0, k.day, 0, k.vouched}, f)
	}
	for _, w := range []struct {
		table string
		by    []string
		sums  map[sumKey]figures
	}{
		{"report_daily", []string{"ours", "day", "sender", "vouched"}, t.moved},
		{"report_totals", []string{"ours", "day", "vouched"}, totals},
		{"report_daily", []string{"ours", "day", "sender", "vouched"}, together},
		{"report_totals", []string{"ours", "day", "vouched"}, all},
	} {
		if err := t.move(ctx, w.table, w.by, w.sums); err != nil {
			return err
		}
	}
	return nil
}

func add(sums map[sumKey]figures, k sumKey, f figures) {
	sum := sums[k]
	for i := range f {
		sum[i] += f[i]
	}
	sums[k] = sum
}

// move adds figures to the rows of a roll-up, and deletes rows of which nothing is left.
func (t *tx) move(ctx context.Context, table string, by []string, sums map[sumKey]figures) error {
	type days struct{ first, last int64 }
	smaller := make(map[int64]days) // by domain: where rows may have become nothing
	var rows [][]any
	for _, k := range slices.SortedFunc(maps.Keys(sums), sumKey.compare) {
		f := sums[k]
		if f == (figures{}) {
			continue
		}
		row := []any{k.ours, k.day}
		if len(by) == 4 {
			row = append(row, k.sender)
		}
		row = append(row, k.vouched)
		for _, n := range f {
			row = append(row, n)
		}
		rows = append(rows, row)
		if f[0] < 0 {
			d, known := smaller[k.ours]
			if !known {
				d = days{k.day, k.day}
			}
			smaller[k.ours] = days{min(d.first, k.day), max(d.last, k.day)}
		}
	}
	again := " ON CONFLICT (" + by[0]
	for _, c := range by[1:] {
		again += ", " + c
	}
	again += ") DO UPDATE SET "
	for i, c := range figureColumns() {
		if i > 0 {
			again += ", "
		}
		again += c + " = " + table + "." + c + " + excluded." + c
	}
	if err := t.insert(ctx, table, append(slices.Clone(by), figureColumns()...), rows, again, nil); err != nil {
		return err
	}
	for _, ours := range slices.Sorted(maps.Keys(smaller)) {
		d := smaller[ours]
		if _, err := t.exec(ctx, `DELETE FROM `+table+` WHERE ours = $1 AND day BETWEEN $2 AND $3 AND messages = 0`, ours, d.first, d.last); err != nil {
			return err
		}
	}
	return nil
}
