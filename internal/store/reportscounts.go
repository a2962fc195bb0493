package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/report"
)

// maxCounts is how many sums one question gets: three years of days for some hundred senders.
const maxCounts = 200_000

// days adds the condition on the days of a period.
func (w *where) days(column string, p report.Period) {
	if !p.Since.IsZero() {
		w.add(column+" >= %s", dayOf(p.Since))
	}
	if !p.Until.IsZero() {
		w.add(column+" <= %s", dayOf(p.Until.Add(-time.Microsecond)))
	}
}

// Counts fills report.Answers.
func (r *Reports) Counts(ctx context.Context, p report.Period, by report.Grouping) (out []report.Count, err error) {
	err = r.read(ctx, "sum up reports", func(t *tx) error {
		var w where
		switch {
		case p.Domains != nil:
			if err := t.oursIn(ctx, &w, "ours", p.Domains); err != nil {
				return err
			}
		case by.Domain:
			w.add("ours > 0")
		default:
			w.add("ours = 0")
		}
		w.days("day", p)
		table := "report_totals"
		if by.Sender {
			table = "report_daily"
		}
		columns, groups := []string{"0", "0", "0", "vouched"}, []string{"vouched"}
		for i, g := range []struct {
			on   bool
			name string
		}{{by.Day, "day"}, {by.Domain, "ours"}, {by.Sender, "sender"}} {
			if g.on {
				columns[i] = g.name
				groups = append(groups, g.name)
			}
		}
		for _, c := range []string{"messages", "both_pass", "only_dkim", "only_spf", "quarantine", "reject"} {
			columns = append(columns, "CAST(SUM("+c+") AS BIGINT)")
		}
		var domains, senders []int64
		all, err := list(ctx, t, `SELECT `+strings.Join(columns, ", ")+` FROM `+table+w.text()+` GROUP BY `+strings.Join(groups, ", ")+` ORDER BY 1, 2, 3, 4`+
			fmt.Sprintf(` LIMIT %d`, maxCounts+1), w.args, func(s scanner, c *report.Count) error {
			var day, ours, sender int64
			err := s(&day, &ours, &sender, truth(&c.Vouched), &c.Messages, &c.BothPass, &c.OnlyDKIM, &c.OnlySPF, &c.Quarantine, &c.Reject)
			if by.Day {
				c.Day = fromDay(day)
			}
			domains, senders = append(domains, ours), append(senders, sender)
			return err
		})
		if err != nil {
			return err
		}
		if len(all) > maxCounts {
			return fault.New(fault.Invalid, "the answer has more than %d lines", maxCounts).WithHint("ask about a shorter time or fewer domains")
		}
		names := map[int64]string{}
		if by.Domain {
			if names, err = t.names(ctx, domains); err != nil {
				return err
			}
		}
		known := map[int64]report.Count{}
		if by.Sender {
			if known, err = t.senders(ctx, senders); err != nil {
				return err
			}
		}
		for i := range all {
			s := known[senders[i]]
			all[i].Domain, all[i].Signer, all[i].How, all[i].Source = names[domains[i]], s.Signer, s.How, s.Source
		}
		out = all
		return nil
	})
	return out, err
}

// distinct are the different ones of some ids, as arguments.
func distinct(ids []int64) (out []any) {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	for _, id := range slices.Compact(ids) {
		out = append(out, id)
	}
	return out
}

func (t *tx) names(ctx context.Context, ids []int64) (map[int64]string, error) {
	names := make(map[int64]string)
	err := t.chunked(ctx, `SELECT id, name FROM report_names WHERE id IN (%s)`, distinct(ids), func(s scanner) error {
		var id int64
		var name string
		err := s(&id, &name)
		names[id] = name
		return err
	})
	return names, err
}

// senders reads whom messages are attributed to; nothing else of the counts is set.
func (t *tx) senders(ctx context.Context, ids []int64) (map[int64]report.Count, error) {
	known := make(map[int64]report.Count)
	err := t.chunked(ctx, `SELECT id, signer_kind, signer_id, signer_name, how, source_kind, source_id, source_name FROM report_senders WHERE id IN (%s)`, distinct(ids), func(s scanner) error {
		var id int64
		var c report.Count
		err := s(&id, &c.Signer.Kind, &c.Signer.ID, &c.Signer.Name, &c.How, &c.Source.Kind, &c.Source.ID, &c.Source.Name)
		known[id] = c
		return err
	})
	return known, err
}

// Groups fills report.Answers.
func (r *Reports) Groups(ctx context.Context, p report.Period, daily bool) (out []report.Group, err error) {
	err = r.read(ctx, "gather what reports say", func(t *tx) error {
		var w where
		if err := t.oursIn(ctx, &w, "ours", p.Domains); err != nil {
			return err
		}
		w.days("day", p)
		by := "ours, grp, org, vouched"
		if daily {
			by += ", day"
		}
		var groups, orgs, domains []int64
		out, err = list(ctx, t, `SELECT ours, grp, org, vouched, CAST(SUM(messages) AS BIGINT), COUNT(DISTINCT report), MIN(day), MAX(day) FROM report_cells`+w.text()+
			` GROUP BY `+by+fmt.Sprintf(` ORDER BY 5 DESC, 1, 2, 3, 4, 7 LIMIT %d`, report.MaxGroups), w.args, func(s scanner, g *report.Group) error {
			var ours, group, org, first, last int64
			err := s(&ours, &group, &org, truth(&g.Vouched), &g.Messages, &g.Reports, &first, &last)
			g.First, g.Last = fromDay(first), fromDay(last)
			groups, orgs, domains = append(groups, group), append(orgs, org), append(domains, ours)
			return err
		})
		if err != nil {
			return err
		}
		names, err := t.names(ctx, append(slices.Clone(domains), orgs...))
		if err != nil {
			return err
		}
		known := make(map[int64]report.Cell)
		if err := t.chunked(ctx, `SELECT g.id, `+groupColumns+` FROM report_groups g JOIN report_senders s ON s.id = g.sender WHERE g.id IN (%s)`, distinct(groups), func(s scanner) error {
			var id int64
			var c report.Cell
			err := s(append([]any{&id}, groupInto(&c)...)...)
			known[id] = c
			return err
		}); err != nil {
			return err
		}
		reporters := make(map[string]string)
		for i := range out {
			c, g := known[groups[i]], &out[i]
			g.Domain, g.Org = names[domains[i]], names[orgs[i]]
			if _, ok := reporters[g.Org]; !ok {
				reporters[g.Org] = report.ReporterOf(g.Org)
			}
			g.Reporter = reporters[g.Org]
			g.HeaderFrom, g.SigningDomain, g.Selector, g.Result, g.Cause = c.HeaderFrom, c.SigningDomain, c.Selector, c.Result, c.Cause
			g.Signer, g.How, g.KeyID, g.Source, g.DKIM, g.SPF, g.Disposition, g.Reason = c.Signer, c.How, c.KeyID, c.Source, c.DKIM, c.SPF, c.Disposition, c.Reason
		}
		return nil
	})
	return out, err
}

// LastPassed fills report.Answers.
func (r *Reports) LastPassed(ctx context.Context, domain string, selectors, own []string, since time.Time) (out map[string]time.Time, err error) {
	err = r.read(ctx, "look when selectors were last seen", func(t *tx) error {
		out = make(map[string]time.Time)
		// What a key of a domain signs is reported for that domain, one below it, or the one whose policy covers it.
		args := []any{domain, "%." + strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(domain)}
		for _, above, more := strings.Cut(domain, "."); more && len(args) < maxMarks; _, above, more = strings.Cut(above, ".") {
			args = append(args, above)
		}
		names, err := list(ctx, t, `SELECT id FROM report_names WHERE name = $1 OR name LIKE $2 ESCAPE '\' OR name IN ('', `+marks(3, max(1, len(args)-2))+`)`,
			append(args, []any{""}[:max(0, 3-len(args))]...), func(s scanner, id *int64) error { return s(id) })
		if err != nil {
			return err
		}
		groups := make(map[int64]string)
		var ids []int64
		wanted, ours := make([]any, len(selectors)), make(map[string]bool, len(own))
		for i, s := range selectors {
			wanted[i] = s
		}
		for _, id := range own {
			ours[id] = true
		}
		for chunk := range slices.Chunk(wanted, maxMarks) {
			if err := t.rows(ctx, `SELECT g.id, g.selector, s.source_id FROM report_groups g JOIN report_senders s ON s.id = g.sender
				WHERE g.signing_domain = $1 AND g.result = 'pass' AND g.selector IN (`+marks(2, len(chunk))+`)`, append([]any{domain}, chunk...), func(s scanner) error {
				var id int64
				var selector, source string
				err := s(&id, &selector, &source)
				if ours[source] {
					groups[id], ids = selector, append(ids, id)
				}
				return err
			}); err != nil {
				return err
			}
		}
		if len(ids) == 0 || len(names) == 0 {
			return nil
		}
		var w where
		w.in("c.ours", names)
		w.in("c.grp", ids)
		w.add("c.vouched = 1")
		w.days("c.day", report.Period{Since: since})
		// Nothing was seen later than it was reported, whatever a report says of itself.
		return t.rows(ctx, `SELECT c.grp, MAX(CASE WHEN r.ends < r.arrived THEN r.ends ELSE r.arrived END) FROM report_cells c JOIN reports r ON r.id = c.report`+w.text()+` GROUP BY c.grp`,
			w.args, func(s scanner) error {
				var id int64
				var last time.Time
				err := s(&id, at(&last))
				if selector := groups[id]; last.After(out[selector]) {
					out[selector] = last
				}
				return err
			})
	})
	return out, err
}
