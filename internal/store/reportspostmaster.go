package store

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/report"
	"github.com/postseal/postseal/internal/serviceclient/postmaster"
)

const (
	// maxPostmasterDays is how many days one question gets: three years of a domain and nine names below it.
	maxPostmasterDays = 11_000
	// prunePostmasterDays is how many days go in one batch.
	prunePostmasterDays = 1000
)

// SavePostmaster stores what became of asking Postmaster Tools about a domain, and the days that they gave, which replace what was there of them.
func (r *Reports) SavePostmaster(ctx context.Context, a postmaster.Asked, days []postmaster.Day) error {
	return r.write(ctx, "store the figures of Postmaster Tools", func(t *tx) error {
		for _, d := range days {
			errors, err := toJSON(d.Errors)
			if err != nil {
				return err
			}
			if _, err := t.exec(ctx, `INSERT INTO report_postmaster (domain, day, dkim, spf, dmarc, spam, reputation, errors, fetched) VALUES (`+marks(1, 9)+`)
				ON CONFLICT (domain, day) DO UPDATE SET dkim = excluded.dkim, spf = excluded.spf, dmarc = excluded.dmarc, spam = excluded.spam, reputation = excluded.reputation,
				errors = excluded.errors, fetched = excluded.fetched`,
				a.Domain, dayOf(d.Date), d.DKIM, d.SPF, d.DMARC, d.Spam, cutText(d.Reputation, maxReportText), errors, a.At); err != nil {
				return err
			}
		}
		_, err := t.exec(ctx, `INSERT INTO report_postmaster_asked (domain, asked, since, until, problem, hint) VALUES (`+marks(1, 6)+`)
			ON CONFLICT (domain) DO UPDATE SET asked = excluded.asked, since = excluded.since, until = excluded.until, problem = excluded.problem, hint = excluded.hint`,
			a.Domain, a.At, dayOf(a.Since), dayOf(a.Until), cutText(a.Problem, maxInputText), cutText(a.Hint, maxInputText))
		return err
	})
}

// PostmasterAsked returns what became of asking, by domain; the account comes first.
func (r *Reports) PostmasterAsked(ctx context.Context) (all []postmaster.Asked, err error) {
	err = r.read(ctx, "read what became of asking Postmaster Tools", func(t *tx) error {
		all, err = list(ctx, t, `SELECT domain, asked, since, until, problem, hint FROM report_postmaster_asked ORDER BY domain`, nil, func(s scanner, a *postmaster.Asked) error {
			var since, until int64
			err := s(&a.Domain, at(&a.At), &since, &until, &a.Problem, &a.Hint)
			if until > 0 {
				a.Since, a.Until = fromDay(since), fromDay(until)
			}
			return err
		})
		return err
	})
	return all, err
}

// PostmasterDays returns the stored days of a domain of Postmaster Tools and of those below it, by domain and date.
func (r *Reports) PostmasterDays(ctx context.Context, domain string, since, until time.Time) (all []postmaster.Day, err error) {
	err = r.read(ctx, "read the figures of Postmaster Tools", func(t *tx) error {
		var w where
		w.add(`(domain = %s OR domain LIKE %s ESCAPE '\')`, domain, "%."+strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(domain))
		w.days("day", report.Period{Since: since, Until: until})
		all, err = list(ctx, t, `SELECT domain, day, dkim, spf, dmarc, spam, reputation, errors, fetched FROM report_postmaster`+w.text()+
			fmt.Sprintf(` ORDER BY domain, day LIMIT %d`, maxPostmasterDays+1), w.args, func(s scanner, d *postmaster.Day) error {
			var day int64
			err := s(&d.Domain, &day, &d.DKIM, &d.SPF, &d.DMARC, &d.Spam, &d.Reputation, fromJSON(&d.Errors), at(&d.Fetched))
			d.Date = fromDay(day)
			return err
		})
		return err
	})
	if err == nil && len(all) > maxPostmasterDays {
		return nil, fault.New(fault.Invalid, "there are figures of more than %d days", maxPostmasterDays).WithHint("ask about a shorter time")
	}
	return all, err
}

// PostmasterDomains returns the domains of Postmaster Tools of which days since a time are stored.
func (r *Reports) PostmasterDomains(ctx context.Context, since time.Time) (names []string, err error) {
	err = r.read(ctx, "read whose figures Postmaster Tools have", func(t *tx) error {
		names, err = list(ctx, t, `SELECT DISTINCT domain FROM report_postmaster WHERE day >= $1 ORDER BY domain`, []any{dayOf(since)}, func(s scanner, name *string) error { return s(name) })
		return err
	})
	return names, err
}

// prunePostmaster deletes days as old as roll-ups that go, and what became of asking for what was not asked for since.
func (t *tx) prunePostmaster(ctx context.Context, c report.Cutoffs, p *report.Pruned) error {
	if c.All.IsZero() {
		return nil
	}
	n, err := t.exec(ctx, fmt.Sprintf(`DELETE FROM report_postmaster WHERE (domain, day) IN (SELECT domain, day FROM report_postmaster WHERE day < $1 LIMIT %d)`, prunePostmasterDays), dayOf(c.All))
	if err != nil {
		return err
	}
	p.Days, p.More = int(n), p.More || n > 0
	_, err = t.exec(ctx, `DELETE FROM report_postmaster_asked WHERE asked < $1`, c.All)
	return err
}
