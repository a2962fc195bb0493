package store

import (
	"context"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/audit"
	"github.com/postseal/postseal/internal/fleet"
	"github.com/postseal/postseal/internal/inventory"
)

const (
	// keepRefusals is how long hours with refusals are kept: long enough to see that last month's trouble is back.
	keepRefusals = 30 * 24 * time.Hour
	// maxServerRefusals is how many such hours are kept of one server; an agent has 2,000 at a time.
	maxServerRefusals = 10_000
	// maxFindingHours is how many of a domain's hours are looked at for its findings, the newest first.
	maxFindingHours = 5000
	// maxShownRefusals is how many a server is shown with, the newest first.
	maxShownRefusals = 50
)

// saveRefusals adds what an agent says to what is known, and looks at the findings of the domains that this concerns, as well as of those whose last refusal by this
// server has become too old since its report before.
func (t *tx) saveRefusals(ctx context.Context, serverID string, refusals []agentapi.Refusal, before time.Time) error {
	domains := map[string]bool{}
	ours := map[string]string{}
	for _, r := range refusals {
		name := text(r.Domain)
		domain, asked := ours[name]
		if !asked {
			var err error
			if domain, err = t.domainOver(ctx, name); err != nil {
				return err
			}
			ours[name] = domain
		}
		if domain != "" {
			domains[domain] = true
		}
		if _, err := t.exec(ctx, `INSERT INTO refusals (server_id, hour, domain, receiver, code, inventory, cause, permanent, messages, first, last, text) VALUES (`+marks(1, 12)+`)
			ON CONFLICT (server_id, hour, domain, receiver, code) DO UPDATE SET inventory = excluded.inventory, cause = excluded.cause, text = excluded.text,
			permanent = CASE WHEN excluded.permanent > refusals.permanent THEN excluded.permanent ELSE refusals.permanent END,
			messages = CASE WHEN excluded.messages > refusals.messages THEN excluded.messages ELSE refusals.messages END,
			first = CASE WHEN excluded.first < refusals.first THEN excluded.first ELSE refusals.first END,
			last = CASE WHEN excluded.last > refusals.last THEN excluded.last ELSE refusals.last END`,
			serverID, time.Unix(r.Hour, 0), name, r.Receiver, r.Code, domain, r.Cause, r.Permanent, r.Messages, time.Unix(r.First, 0), time.Unix(r.Last, 0), r.Text); err != nil {
			return err
		}
	}
	if len(refusals) > 0 {
		if err := t.trimRefusals(ctx, serverID); err != nil {
			return err
		}
	}
	if !before.IsZero() {
		if err := t.rows(ctx, `SELECT DISTINCT inventory FROM refusals WHERE server_id = $1 AND last > $2 AND last <= $3 AND inventory <> ''`,
			[]any{serverID, before.Add(-fleet.RefusalQuiet), t.now.Add(-fleet.RefusalQuiet)}, func(s scanner) error {
				var domain string
				err := s(&domain)
				domains[domain] = true
				return err
			}); err != nil {
			return err
		}
	}
	return t.refusalFindings(ctx, domains)
}

// trimRefusals drops what is too old or too much.
func (t *tx) trimRefusals(ctx context.Context, serverID string) error {
	_, err := t.exec(ctx, `DELETE FROM refusals WHERE server_id = $1 AND (hour < $2
		OR hour <= COALESCE((SELECT hour FROM refusals WHERE server_id = $1 ORDER BY hour DESC LIMIT 1 OFFSET $3), -1))`, serverID, t.now.Add(-keepRefusals), maxServerRefusals)
	return err
}

// domainOver returns the domain of the inventory at or above a name, the nearest; "" when there is none.
func (t *tx) domainOver(ctx context.Context, name string) (domain string, err error) {
	above := inventory.Above(name)
	if len(above) == 0 {
		return "", nil
	}
	args := make([]any, len(above))
	for i, a := range above {
		args[i] = a
	}
	_, err = t.row(ctx, `SELECT name FROM domains WHERE name IN (`+marks(1, len(above))+`) ORDER BY LENGTH(name) DESC LIMIT 1`, args, &domain)
	return domain, err
}

// refusalFindings makes the findings of domains what their refusals say.
func (t *tx) refusalFindings(ctx context.Context, domains map[string]bool) error {
	for domain := range domains {
		episodes, err := t.episodes(ctx, domain)
		if err != nil {
			return err
		}
		var found []audit.Finding
		for _, e := range episodes {
			if t.now.Sub(e.Last) >= fleet.RefusalQuiet {
				continue
			}
			found = append(found, audit.Finding{ID: fleet.RefusalFinding, Severity: audit.Severity(e.Severity()), Subject: e.Subject(e.server), Message: e.Message(e.server), Fix: e.Fix(e.server)})
		}
		if err := t.saveFindings(ctx, domain, fromReceivers, found, func(string, string) bool { return true }); err != nil {
			return err
		}
	}
	return nil
}

// episode is a Refused with the name of its server.
type episode struct {
	fleet.Refused
	server string
}

// episodes sums up the newest hours of a domain, by server, receiver and code, back to the first pause.
func (t *tx) episodes(ctx context.Context, domain string) (all []*episode, err error) {
	type name struct{ server, receiver, code string }
	by := map[name]*episode{}
	over := map[name]bool{}
	err = t.rows(ctx, `SELECT s.name, r.receiver, r.code, r.cause, r.permanent, r.messages, r.first, r.last, r.text FROM refusals r JOIN signers s ON s.id = r.server_id
		WHERE r.inventory = $1 ORDER BY r.last DESC, r.domain LIMIT $2`, []any{domain, maxFindingHours}, func(s scanner) error {
		h := episode{Refused: fleet.Refused{Domain: domain}}
		if err := s(&h.server, &h.Receiver, &h.Code, &h.Cause, truth(&h.Permanent), &h.Messages, at(&h.First), at(&h.Last), &h.Text); err != nil {
			return err
		}
		n := name{h.server, h.Receiver, h.Code}
		e := by[n]
		switch {
		case over[n]:
		case e == nil:
			by[n] = &h
			all = append(all, &h)
		case e.First.Sub(h.Last) > fleet.RefusalQuiet:
			over[n] = true
		default:
			e.Messages += h.Messages
			e.Permanent = e.Permanent || h.Permanent
			if h.First.Before(e.First) {
				e.First = h.First
			}
		}
		return nil
	})
	return all, err
}

// forgetRefusals drops what a server that is gone was refused.
func (t *tx) forgetRefusals(ctx context.Context, serverID string) error {
	concerned, err := list(ctx, t, `SELECT DISTINCT inventory FROM refusals WHERE server_id = $1 AND inventory <> ''`, []any{serverID}, func(s scanner, d *string) error { return s(d) })
	if err != nil {
		return err
	}
	if _, err := t.exec(ctx, `DELETE FROM refusals WHERE server_id = $1`, serverID); err != nil {
		return err
	}
	domains := map[string]bool{}
	for _, d := range concerned {
		domains[d] = true
	}
	return t.refusalFindings(ctx, domains)
}

// refused reads what the servers were refused lately, by server, the newest first: of domains with one of the labels, or of all names where there are no labels.
func (t *tx) refused(ctx context.Context, labels []string) (map[string][]fleet.Refused, error) {
	out := map[string][]fleet.Refused{}
	limited, args := "", []any{t.now.Add(-fleet.RefusalQuiet)}
	if len(labels) > 0 {
		limited = ` AND inventory IN (SELECT domain FROM domain_labels WHERE label IN (` + marks(len(args)+1, len(labels)) + `))`
		for _, l := range labels {
			args = append(args, l)
		}
	}
	err := t.rows(ctx, `SELECT server_id, domain, receiver, code, MAX(cause), MAX(permanent), SUM(messages), MIN(first), MAX(last), MAX(text) FROM refusals WHERE last > $1`+limited+`
		GROUP BY server_id, domain, receiver, code ORDER BY MAX(last) DESC, domain, receiver, code`, args, func(s scanner) error {
		var id string
		var r fleet.Refused
		if err := s(&id, &r.Domain, &r.Receiver, &r.Code, &r.Cause, truth(&r.Permanent), &r.Messages, at(&r.First), at(&r.Last), &r.Text); err != nil {
			return err
		}
		if len(out[id]) < maxShownRefusals {
			out[id] = append(out[id], r)
		}
		return nil
	})
	return out, err
}
