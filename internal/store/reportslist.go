package store

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/report"
)

const (
	// maxReportsPage is how many documents or inputs a list has at most.
	maxReportsPage = 1000
	// maxDetailsPage is how many documents are read with all that they say, which may be megabytes each.
	maxDetailsPage = 200
	// maxNamed is how many domains a question names; who asks about more asks about all, or in pieces.
	maxNamed = 20_000
)

// where collects the conditions of a query.
type where struct {
	conditions []string
	args       []any
}

// add adds a condition whose %s are marks for these arguments.
func (w *where) add(condition string, args ...any) {
	var m []any
	for _, a := range args {
		w.args = append(w.args, a)
		m = append(m, fmt.Sprintf("$%d", len(w.args)))
	}
	w.conditions = append(w.conditions, fmt.Sprintf(condition, m...))
}

// in adds a condition that a column has one of some numbers, which are written out because there may be more than a statement has arguments.
func (w *where) in(column string, ids []int64) {
	var b strings.Builder
	for i, id := range ids {
		if i > 0 {
			b.WriteString(",")
		}
		fmt.Fprintf(&b, "%d", id)
	}
	if len(ids) == 0 {
		b.WriteString("-1") // nothing has it
	}
	w.conditions = append(w.conditions, column+" IN ("+b.String()+")")
}

func (w *where) text() string {
	if len(w.conditions) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(w.conditions, " AND ")
}

// named returns the ids of names that are known.
func (t *tx) named(ctx context.Context, names []string) (map[int64]string, error) {
	if len(names) > maxNamed {
		return nil, fault.New(fault.Invalid, "the question names more than %d domains", maxNamed)
	}
	known := make(map[int64]string, len(names))
	hashes := make([]any, len(names))
	for i, name := range names {
		hashes[i] = nameHash(name)
	}
	err := t.chunked(ctx, `SELECT id, name FROM report_names WHERE hash IN (%s)`, hashes, func(s scanner) error {
		var id int64
		var name string
		err := s(&id, &name)
		known[id] = name
		return err
	})
	return known, err
}

// oursIn adds the condition on the domains that a question names; nil = all.
func (t *tx) oursIn(ctx context.Context, w *where, column string, domains []string) error {
	if domains == nil {
		return nil
	}
	known, err := t.named(ctx, domains)
	ids := make([]int64, 0, len(known))
	for id := range known {
		ids = append(ids, id)
	}
	w.in(column, ids)
	return err
}

const (
	listedColumns = `r.id, r.input, r.document, r.state, r.same_as, r.problem, r.type, r.domain, COALESCE(n.name, ''), r.org, r.report_id, r.begins, r.ends, r.trust, r.n_rows, r.messages, r.arrived, COALESCE(i.way, ''), COALESCE(i.place, '')`
	detailColumns = listedColumns + `, r.email, r.format, r.policy, r.errors, r.facts, r.kept`
	fromReports   = ` FROM reports r LEFT JOIN report_names n ON n.id = r.ours LEFT JOIN report_inputs i ON i.id = r.input`
)

func scanListed(s scanner, l *report.Listed) error { return scanMore(s, l) }

// scanMore reads listedColumns, and what comes after them.
func scanMore(s scanner, l *report.Listed, more ...any) error {
	var id, input, sameAs int64
	err := s(append([]any{&id, &input, &l.Document, &l.State, &sameAs, &l.Problem, &l.Type, &l.Domain, &l.Ours, &l.Org, &l.ReportID, at(&l.Begin), at(&l.End), &l.Trust, &l.Rows, &l.Messages,
		at(&l.Arrived), &l.Way, &l.Place}, more...)...)
	l.ID, l.Input = reportID(id), inputID(input)
	if sameAs != 0 {
		l.SameAs = reportID(sameAs)
	}
	return err
}

func scanDetail(s scanner, d *report.Detail) error {
	var facts string
	err := scanMore(s, &d.Listed, &d.Email, &d.Schema, asPolicy(&d.Policy), fromJSON(&d.Errors), &facts, truth(&d.RowsKept))
	if d.Type == report.Aggregate {
		d.Policy.Domain = cmp.Or(d.Policy.Domain, d.Domain)
	}
	switch {
	case err != nil || facts == "":
	case d.Type == report.Failure:
		d.Failure = new(report.FailureReport)
		err = fromJSON(d.Failure)(facts)
	case d.Type == report.TLS:
		d.TLS = new(report.TLSReport)
		err = fromJSON(d.TLS)(facts)
	}
	return err
}

// Reports fills report.Answers.
func (r *Reports) Reports(ctx context.Context, f report.ReportFilter) (out []report.Listed, err error) {
	err = r.read(ctx, "list reports", func(t *tx) error {
		out, err = chosen(ctx, t, f, listedColumns, scanListed)
		return err
	})
	return out, err
}

// Details fills report.Answers.
func (r *Reports) Details(ctx context.Context, f report.ReportFilter) (out []report.Detail, err error) {
	f.Limit = min(f.Limit, maxDetailsPage)
	err = r.read(ctx, "read reports", func(t *tx) error {
		out, err = chosen(ctx, t, f, detailColumns, scanDetail)
		return err
	})
	return out, err
}

// chosen lists the documents that a filter chooses.
func chosen[T any](ctx context.Context, t *tx, f report.ReportFilter, columns string, scan func(scanner, *T) error) ([]T, error) {
	var w where
	if f.After != "" {
		id, err := idOf(f.After, reportPrefix)
		if err != nil {
			return nil, err
		}
		w.add("r.id < %s", id)
	}
	if f.Input != "" {
		id, err := idOf(f.Input, inputPrefix)
		if err != nil {
			return nil, err
		}
		w.add("r.input = %s", id)
	}
	if f.With != "" {
		id, err := idOf(f.With, inputPrefix)
		if err != nil {
			return nil, err
		}
		w.add("(r.input = %s OR r.same_as IN (SELECT id FROM reports WHERE input = %s))", id, id)
	}
	if f.About != "" {
		w.add("r.domain = %s", f.About)
	}
	if f.Org != "" {
		w.add("r.org = %s", f.Org)
	}
	if f.Type != "" {
		w.add("r.type = %s", f.Type)
	}
	if f.State != "" {
		w.add("r.state = %s", f.State)
	}
	if !f.Since.IsZero() {
		w.add("r.ends >= %s", f.Since)
	}
	if !f.Until.IsZero() {
		w.add("r.begins < %s", f.Until)
	}
	if err := t.oursIn(ctx, &w, "r.ours", f.Domains); err != nil {
		return nil, err
	}
	args := append(w.args, min(max(f.Limit, 1), maxReportsPage))
	return list(ctx, t, `SELECT `+columns+fromReports+w.text()+fmt.Sprintf(` ORDER BY r.id DESC LIMIT $%d`, len(args)), args, scan)
}

// Report fills report.Answers.
func (r *Reports) Report(ctx context.Context, id string) (d report.Detail, err error) {
	n, err := idOf(id, reportPrefix)
	if err != nil {
		return d, err
	}
	err = r.read(ctx, "read a report", func(t *tx) error {
		found, err := list(ctx, t, `SELECT `+detailColumns+fromReports+` WHERE r.id = $1`, []any{n}, scanDetail)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return fault.New(fault.NotFound, "there is no report %s", id)
		}
		d = found[0]
		d.Cells, err = list(ctx, t, `SELECT c.day, c.messages, `+groupColumns+` FROM report_cells c JOIN report_groups g ON g.id = c.grp JOIN report_senders s ON s.id = g.sender
			WHERE c.report = $1 ORDER BY c.day, c.messages DESC, c.grp`, []any{n}, func(s scanner, c *report.Cell) error {
			var day int64
			err := s(append([]any{&day, &c.Messages}, groupInto(c)...)...)
			c.Day = fromDay(day)
			return err
		})
		return err
	})
	return d, err
}

// groupColumns are what groupInto reads, of report_groups g and report_senders s.
const groupColumns = `g.header_from, g.signing_domain, g.selector, g.result, g.cause, g.key_id, g.dkim, g.spf, g.disposition, g.reason,
	s.signer_kind, s.signer_id, s.signer_name, s.how, s.source_kind, s.source_id, s.source_name`

func groupInto(c *report.Cell) []any {
	return []any{&c.HeaderFrom, &c.SigningDomain, &c.Selector, &c.Result, &c.Cause, &c.KeyID, truth(&c.DKIM), truth(&c.SPF), &c.Disposition, &c.Reason,
		&c.Signer.Kind, &c.Signer.ID, &c.Signer.Name, &c.How, &c.Source.Kind, &c.Source.ID, &c.Source.Name}
}

// Inputs fills report.Answers.
func (r *Reports) Inputs(ctx context.Context, f report.InputFilter) (out []report.Input, err error) {
	var w where
	if f.After != "" {
		id, err := idOf(f.After, inputPrefix)
		if err != nil {
			return nil, err
		}
		w.add("id < %s", id)
	}
	if f.ID != "" {
		id, err := idOf(f.ID, inputPrefix)
		if err != nil {
			return nil, err
		}
		w.add("id = %s", id)
	}
	if f.Problems {
		w.add("unread + foreigners > 0")
	}
	if f.Kept {
		w.add("kept = 1")
	}
	args := append(w.args, min(max(f.Limit, 1), maxReportsPage))
	err = r.read(ctx, "list inputs", func(t *tx) error {
		out, err = list(ctx, t, `SELECT id, arrived, way, place, name, sender, trust, verdict, size, kept, reports, unread, foreigners FROM report_inputs`+w.text()+
			fmt.Sprintf(` ORDER BY id DESC LIMIT $%d`, len(args)), args, func(s scanner, i *report.Input) error {
			var id int64
			err := s(&id, at(&i.Arrived), &i.Way, &i.Place, &i.Name, &i.Sender, &i.Trust, &i.Verdict, &i.Size, truth(&i.Kept), &i.Reports, &i.Unread, &i.Foreign)
			i.ID = inputID(id)
			return err
		})
		return err
	})
	return out, err
}
