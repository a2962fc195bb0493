package store

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/audit"
	"github.com/postseal/postseal/internal/lifecycle"
)

// Source says who looks after a finding: what one has found, only it resolves.
type source string

const (
	fromLife   source = "life"   // looks at our records
	fromAudit  source = "audit"  // audits of the domain
	fromReport source = "report" // what receivers report
	fromPrimes source = "primes" // the comparison of all moduli
	// fromReceivers: what receivers refuse, by the logs of mail servers
	fromReceivers source = "receivers"
	fromProbe     source = "probe" // mail that was sent to be looked at
)

// Findings returns a page of open findings by domain, id and subject.
func (s *Store) Findings(ctx context.Context, f audit.FindingFilter) (open []audit.OpenFinding, err error) {
	where, args := []string{"1 = 1"}, []any{}
	add := func(condition string, values ...any) {
		for i := range values {
			condition = strings.Replace(condition, "?", fmt.Sprintf("$%d", len(args)+i+1), 1)
		}
		where, args = append(where, condition), append(args, values...)
	}
	if f.Domain != "" {
		add("f.domain = ?", f.Domain)
	}
	if f.ID != "" {
		add("f.id = ?", f.ID)
	}
	if f.Severity != "" {
		add("f.severity = ?", f.Severity)
	}
	if len(f.After) == 3 {
		add("(f.domain, f.id, f.subject) > (?, ?, ?)", f.After[0], f.After[1], f.After[2])
	}
	if len(f.Labels) > 0 {
		where = append(where, `f.domain IN (SELECT domain FROM domain_labels WHERE label IN (`+marks(len(args)+1, len(f.Labels))+`))`)
		for _, l := range f.Labels {
			args = append(args, l)
		}
	}
	err = s.read(ctx, "read findings", func(t *tx) error {
		muted := `EXISTS (SELECT 1 FROM mutes m WHERE m.domain = f.domain AND m.id = f.id AND (m.subject = '' OR m.subject = f.subject) AND m.until > ` + fmt.Sprint(micros(t.now)) + `)`
		if !f.Muted {
			muted = "NOT " + muted
		}
		// One that two look after is there twice; the page is a set of names, so that it is not cut between them.
		names := `SELECT DISTINCT f.domain, f.id, f.subject FROM findings f WHERE ` + strings.Join(where, " AND ") + ` AND ` + muted +
			fmt.Sprintf(` ORDER BY f.domain, f.id, f.subject LIMIT $%d`, len(args)+1)
		all, err := list(ctx, t, `SELECT domain, `+standingColumns+` FROM findings WHERE (domain, id, subject) IN (`+names+`) ORDER BY domain, id, subject, source`,
			append(args, f.Limit), func(s scanner, o *audit.OpenFinding) error {
				return s(append([]any{&o.Domain}, standingFields(&o.Standing)...)...)
			})
		if err != nil {
			return err
		}
		open = onceEach(all)
		return t.mutesOf(ctx, open)
	})
	return open, err
}

const standingColumns = `id, subject, severity, message, fix, seen, mend, since, last, times`

func standingFields(s *audit.Standing) []any {
	return []any{&s.ID, &s.Subject, &s.Severity, &s.Message, &s.Fix, fromJSON(&s.Seen), fromJSON(&s.Mend), at(&s.Since), at(&s.Last), &s.Times}
}

// onceEach makes one of the same finding from several sources: the newest words, and the earliest beginning.
func onceEach(all []audit.OpenFinding) []audit.OpenFinding {
	var out []audit.OpenFinding
	for _, f := range all {
		n := len(out) - 1
		if n < 0 || out[n].Domain != f.Domain || out[n].ID != f.ID || out[n].Subject != f.Subject {
			out = append(out, f)
			continue
		}
		since, times := out[n].Since, max(out[n].Times, f.Times)
		if f.Since.Before(since) {
			since = f.Since
		}
		if f.Last.After(out[n].Last) {
			out[n] = f
		}
		out[n].Since, out[n].Times = since, times
	}
	return out
}

// saveFindings folds what was found of a domain into what stands, and remembers what changed. covered says which findings could have been made.
func (t *tx) saveFindings(ctx context.Context, domain string, by source, found []audit.Finding, covered func(id, subject string) bool) error {
	before, err := list(ctx, t, `SELECT `+standingColumns+` FROM findings WHERE domain = $1 AND source = $2`, []any{domain, by},
		func(s scanner, f *audit.Standing) error { return s(standingFields(f)...) })
	if err != nil || len(before)+len(found) == 0 {
		return err
	}
	after, events := audit.Fold(before, found, covered, t.now)
	for _, f := range after {
		if !f.Last.Equal(t.now) {
			continue // as it was
		}
		seen, err := toJSON(f.Seen)
		if err != nil {
			return err
		}
		mend, err := toJSON(f.Mend)
		if err != nil {
			return err
		}
		if _, err := t.exec(ctx, `INSERT INTO findings (domain, source, `+standingColumns+`) VALUES (`+marks(1, 12)+`)
			ON CONFLICT (domain, source, id, subject) DO UPDATE SET severity = excluded.severity, message = excluded.message, fix = excluded.fix, seen = excluded.seen,
			mend = excluded.mend, last = excluded.last, times = excluded.times`,
			domain, by, f.ID, f.Subject, f.Severity, f.Message, f.Fix, seen, mend, f.Since, f.Last, f.Times); err != nil {
			return err
		}
	}
	for _, e := range events {
		if e.Change != audit.Resolved {
			continue
		}
		if _, err := t.exec(ctx, `DELETE FROM findings WHERE domain = $1 AND source = $2 AND id = $3 AND subject = $4`, domain, by, e.ID, e.Subject); err != nil {
			return err
		}
		if by == fromLife {
			// Where an audit found the same, it is older evidence now: another one tells.
			if _, err := t.exec(ctx, `UPDATE audits SET due_at = $1 WHERE domain = $2 AND due_at > $1
				AND EXISTS (SELECT 1 FROM findings f WHERE f.domain = $2 AND f.source = $3 AND f.id = $4 AND f.subject = $5)`, t.now, domain, fromAudit, e.ID, e.Subject); err != nil {
				return err
			}
		}
	}
	return t.saveEvents(ctx, domain, by, events)
}

// saveLifeFindings does so for what one look at our records shows: what it resolves is named.
func (t *tx) saveLifeFindings(ctx context.Context, domain string, open, resolved []lifecycle.Finding) error {
	var found []audit.Finding
	for _, f := range open {
		found = append(found, audit.Finding{ID: f.ID, Severity: audit.Severity(f.Severity), Subject: f.Subject, Message: f.Message, Fix: f.Fix})
	}
	if len(open)+len(resolved) == 0 {
		return nil
	}
	return t.saveFindings(ctx, domain, fromLife, found, func(id, subject string) bool {
		return slices.ContainsFunc(resolved, func(f lifecycle.Finding) bool { return f.ID == id && f.Subject == subject })
	})
}

// SaveReportFindings does so for what the reports of a domain mean. covered says which ids could have been found: those alone are resolved.
func (s *Store) SaveReportFindings(ctx context.Context, domain string, found []audit.Finding, covered func(id string) bool) error {
	return s.write(ctx, "keep what reports mean", func(t *tx) error {
		return t.saveFindings(ctx, domain, fromReport, found, func(id, _ string) bool { return covered(id) })
	})
}

// keepEvents is how long changes of findings are remembered: two years tell whether something comes back every year.
const keepEvents = 2 * 366 * 24 * time.Hour

// FindingEvents returns a page of what changed, newest first.
func (s *Store) FindingEvents(ctx context.Context, f audit.EventFilter) (events []audit.FindingEvent, err error) {
	where, args := []string{"($1 = '' OR e.domain = $1)", "($2 = '' OR e.id = $2)"}, []any{f.Domain, f.ID}
	if !f.Before.At.IsZero() {
		where, args = append(where, `(e.at, e.domain, e.ord) < ($3, $4, $5)`), append(args, f.Before.At, f.Before.Domain, f.Before.Ord)
	}
	if len(f.Labels) > 0 {
		where = append(where, `e.domain IN (SELECT domain FROM domain_labels WHERE label IN (`+marks(len(args)+1, len(f.Labels))+`))`)
		for _, l := range f.Labels {
			args = append(args, l)
		}
	}
	args = append(args, f.Limit)
	err = s.read(ctx, "read what changed about findings", func(t *tx) error {
		events, err = list(ctx, t, `SELECT e.domain, e.at, e.ord, e.id, e.subject, e.severity, e.message, e.change FROM finding_events e WHERE `+strings.Join(where, " AND ")+
			fmt.Sprintf(` ORDER BY e.at DESC, e.domain DESC, e.ord DESC LIMIT $%d`, len(args)), args,
			func(s scanner, e *audit.FindingEvent) error {
				return s(&e.Domain, at(&e.At), &e.Ord, &e.ID, &e.Subject, &e.Severity, &e.Message, &e.Change)
			})
		return err
	})
	return events, err
}

func (t *tx) saveEvents(ctx context.Context, domain string, by source, events []audit.Event) error {
	if len(events) == 0 {
		return nil
	}
	var last int64
	if _, err := t.row(ctx, `SELECT COALESCE(MAX(ord), 0) FROM finding_events WHERE domain = $1 AND at = $2`, []any{domain, t.now}, &last); err != nil {
		return err
	}
	slices.SortStableFunc(events, func(a, b audit.Event) int { return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Subject, b.Subject)) })
	for i, e := range events {
		if _, err := t.exec(ctx, `INSERT INTO finding_events (domain, at, ord, source, id, subject, severity, message, change) VALUES (`+marks(1, 9)+`)`,
			domain, t.now, last+int64(i)+1, by, e.ID, e.Subject, e.Severity, e.Message, e.Change); err != nil {
			return err
		}
	}
	_, err := t.exec(ctx, `DELETE FROM finding_events WHERE domain = $1 AND at < $2`, domain, t.now.Add(-keepEvents))
	return err
}
