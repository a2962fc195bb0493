package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/lifecycle"
)

// DomainFilter selects a page of domains.
type DomainFilter struct {
	After  string   // names after this one, exclusive; "" = from the start
	Limit  int      // at most so many; > 0
	Labels []string // with at least one of these; empty = all
	Signer string   // signer id that has an assignment of it which has not ended; "" = all
}

// Domains returns a page of domains by name.
func (s *Store) Domains(ctx context.Context, f DomainFilter) (page []inventory.Domain, err error) {
	where, args := []string{"d.name > $1"}, []any{f.After}
	if len(f.Labels) > 0 {
		where = append(where, `d.name IN (SELECT domain FROM domain_labels WHERE label IN (`+marks(len(args)+1, len(f.Labels))+`))`)
		for _, l := range f.Labels {
			args = append(args, l)
		}
	}
	if f.Signer != "" {
		args = append(args, f.Signer)
		where = append(where, fmt.Sprintf(`d.name IN (SELECT domain FROM assignments WHERE signer_id = $%d AND ended = 0)`, len(args)))
	}
	args = append(args, f.Limit)
	// A page is a set of names, because the labels are read for the same set.
	rest := fmt.Sprintf(`WHERE d.name IN (SELECT d.name FROM domains d WHERE %s ORDER BY d.name LIMIT $%d)`, strings.Join(where, " AND "), len(args))
	err = s.read(ctx, "read domains", func(t *tx) error {
		page, err = t.domains(ctx, rest, args...)
		return err
	})
	return page, err
}

// Domain returns one domain; fault.NotFound.
func (s *Store) Domain(ctx context.Context, name string) (d inventory.Domain, err error) {
	err = s.read(ctx, "read a domain", func(t *tx) error {
		found, err := t.domains(ctx, `WHERE d.name = $1`, name)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return noDomain(name)
		}
		d = found[0]
		return nil
	})
	return d, err
}

// domains reads the domains that a query's rest selects, by name.
func (t *tx) domains(ctx context.Context, rest string, args ...any) ([]inventory.Domain, error) {
	all, err := list(ctx, t, `SELECT d.name, d.mode, COALESCE(d.publisher, ''), d.no_key, d.subdomains, d.signing, d.dmarc, d.policy FROM domains d `+rest+` ORDER BY d.name`, args,
		func(s scanner, d *inventory.Domain) error {
			d.Policy.AuditEvery = inventory.DefaultAuditEvery // of domains that were written before there were audits
			return s(&d.Name, &d.Mode, &d.Publisher, &d.NoKey, truth(&d.Subdomains), fromJSON(&d.Signing), &d.DMARC, fromJSON(&d.Policy))
		})
	if err != nil {
		return nil, err
	}
	index := make(map[string]int, len(all))
	for i := range all {
		index[all[i].Name] = i
	}
	err = t.rows(ctx, `SELECT l.domain, l.label FROM domain_labels l JOIN domains d ON d.name = l.domain `+rest+` ORDER BY l.domain, l.position`, args,
		func(s scanner) error {
			var domain, label string
			if err := s(&domain, &label); err != nil {
				return err
			}
			if i, ok := index[domain]; ok {
				all[i].Labels = append(all[i].Labels, label)
			}
			return nil
		})
	return all, err
}

func (t *tx) saveDomain(ctx context.Context, d inventory.Domain) error {
	policy, err := toJSON(d.Policy)
	if err != nil {
		return err
	}
	signing, err := toJSON(d.Signing)
	if err != nil {
		return err
	}
	if _, err := t.exec(ctx, `INSERT INTO domains (name, mode, publisher, no_key, subdomains, signing, dmarc, policy) VALUES ($1, $2, NULLIF($3, ''), `+marks(4, 5)+`)
		ON CONFLICT (name) DO UPDATE SET mode = excluded.mode, publisher = excluded.publisher, no_key = excluded.no_key, subdomains = excluded.subdomains,
		signing = excluded.signing, dmarc = excluded.dmarc, policy = excluded.policy`,
		d.Name, d.Mode, d.Publisher, d.NoKey, d.Subdomains, signing, d.DMARC, policy); err != nil {
		return err
	}
	if _, err := t.exec(ctx, `DELETE FROM domain_labels WHERE domain = $1`, d.Name); err != nil {
		return err
	}
	for i, label := range d.Labels {
		if _, err := t.exec(ctx, `INSERT INTO domain_labels (domain, label, position) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`, d.Name, label, i); err != nil {
			return err
		}
	}
	_, err = t.exec(ctx, `INSERT INTO work (domain, due_at, revision, lease_until, worker, fence) VALUES ($1, $2, 1, 0, '', 0) ON CONFLICT (domain) DO NOTHING`,
		d.Name, t.now)
	if err != nil {
		return err
	}
	_, err = t.exec(ctx, `INSERT INTO audits (domain, due_at, lease_until, fence, at, selectors, not_checked) VALUES ($1, $2, 0, 0, 0, '[]', '[]')
		ON CONFLICT (domain) DO NOTHING`, d.Name, t.now.Add(firstAudit))
	t.woke |= workDue
	return err
}

// dropDomain takes a domain out of which nothing stands in DNS any more. Its work row stays, never due; so do its keys'
// history and the selectors that were bound.
func (t *tx) dropDomain(ctx context.Context, d inventory.Domain) error {
	stands, err := t.row(ctx, `SELECT 1 WHERE EXISTS (SELECT 1 FROM keys WHERE domain = $1 AND state <> $2)
		OR EXISTS (SELECT 1 FROM records WHERE domain = $1 AND key_id = '' AND written <> '')`, []any{d.Name, lifecycle.Removed}, new(int64))
	if err != nil {
		return err
	}
	if stands {
		return fault.New(fault.Conflict, "%s still has keys or records that stand in DNS", d.Name).
			WithHint("end its assignments first; the domain can go when its last key is removed")
	}
	for _, statement := range []string{
		`DELETE FROM assignments WHERE domain = $1`, `DELETE FROM domain_labels WHERE domain = $1`, `DELETE FROM holds WHERE domain = $1`,
		`DELETE FROM waivers WHERE domain = $1`, `DELETE FROM findings WHERE domain = $1`, `DELETE FROM mutes WHERE domain = $1`,
		`DELETE FROM audits WHERE domain = $1`, `DELETE FROM audit_keys WHERE domain = $1`, `DELETE FROM records WHERE domain = $1 AND key_id = ''`,
		`UPDATE refusals SET inventory = '' WHERE inventory = $1`, `DELETE FROM domains WHERE name = $1`, `UPDATE work SET due_at = 0, revision = revision + 1 WHERE domain = $1`,
	} {
		if _, err := t.exec(ctx, statement, d.Name); err != nil {
			return err
		}
	}
	return nil
}
