package store

import (
	"context"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/audit"
	"github.com/postseal/postseal/internal/fault"
)

// firstAudit is how long a new domain waits for its first audit: what Postseal publishes for it should stand by then.
const firstAudit = 2 * time.Minute

// sharedPrime is the id of what the comparison of moduli finds.
const sharedPrime = "DKIM-K11"

// AuditWork is an audit that is due, leased to one worker.
type AuditWork struct {
	Domain string
	Fence  int64
}

// ClaimAudits leases up to n audits that are due, the longest overdue first.
func (s *Store) ClaimAudits(ctx context.Context, n int, lease time.Duration) (claimed []AuditWork, err error) {
	err = s.write(ctx, "claim due audits", func(t *tx) error {
		claimed, err = list(ctx, t, `WITH due AS MATERIALIZED (
			  SELECT domain FROM audits WHERE due_at > 0 AND due_at <= $1 AND lease_until <= $1 ORDER BY due_at, domain LIMIT $2`+s.d.skipLocked+`
			)
			UPDATE audits SET lease_until = $3, fence = fence + 1 WHERE domain IN (SELECT domain FROM due) RETURNING domain, fence`,
			[]any{t.now, n, t.now.Add(lease)}, func(s scanner, w *AuditWork) error { return s(&w.Domain, &w.Fence) })
		return err
	})
	return claimed, err
}

// SaveAudit keeps what an audit found and when the next one is due. fault.Conflict when the lease was lost: another worker has audited meanwhile.
func (s *Store) SaveAudit(ctx context.Context, w AuditWork, r audit.Report, next time.Time) error {
	return s.write(ctx, "keep what an audit found", func(t *tx) error {
		selectors, err := toJSON(r.Selectors)
		if err != nil {
			return err
		}
		unchecked, err := toJSON(r.NotChecked)
		if err != nil {
			return err
		}
		n, err := t.exec(ctx, `UPDATE audits SET due_at = $1, lease_until = 0, at = $2, selectors = $3, not_checked = $4 WHERE domain = $5 AND fence = $6 AND lease_until > $2`,
			next, t.now, selectors, unchecked, w.Domain, w.Fence)
		if err == nil && n == 0 {
			err = fault.New(fault.Conflict, "the lease on the audit of %s was lost: it took too long", w.Domain)
		}
		if err != nil {
			return err
		}
		if err := t.saveFindings(ctx, w.Domain, fromAudit, r.Findings, r.Covers); err != nil {
			return err
		}
		// Those of a server that has fallen silent end here.
		if err := t.refusalFindings(ctx, map[string]bool{w.Domain: true}); err != nil {
			return err
		}
		return t.saveAuditKeys(ctx, r)
	})
}

// saveAuditKeys replaces the keys of a domain. Where another key stands now, or none, what was found about the former one does not hold any more.
func (t *tx) saveAuditKeys(ctx context.Context, r audit.Report) error {
	was := make(map[string]string) // fingerprints by name
	if err := t.rows(ctx, `SELECT name, fingerprint FROM audit_keys WHERE domain = $1`, []any{r.Domain}, func(s scanner) error {
		var name, fingerprint string
		err := s(&name, &fingerprint)
		was[name] = fingerprint
		return err
	}); err != nil {
		return err
	}
	replaced := make(map[string]bool)
	for _, k := range r.Keys {
		former, known := was[k.Name]
		delete(was, k.Name)
		if former == k.Fingerprint {
			continue
		}
		replaced[k.Name] = known
		modulus, compared := "", true
		if k.Modulus != nil {
			modulus, compared = base64.StdEncoding.EncodeToString(k.Modulus.Bytes()), false
		}
		if _, err := t.exec(ctx, `INSERT INTO audit_keys (domain, name, fingerprint, service, modulus, compared) VALUES (`+marks(1, 6)+`)
			ON CONFLICT (domain, name) DO UPDATE SET fingerprint = excluded.fingerprint, service = excluded.service, modulus = excluded.modulus, compared = excluded.compared`,
			r.Domain, k.Name, k.Fingerprint, k.Service, modulus, compared); err != nil {
			return err
		}
	}
	for name := range was {
		if !r.Covers(sharedPrime, name) {
			continue // nobody could look: it stands as far as is known
		}
		replaced[name] = true
		if _, err := t.exec(ctx, `DELETE FROM audit_keys WHERE domain = $1 AND name = $2`, r.Domain, name); err != nil {
			return err
		}
	}
	return t.saveFindings(ctx, r.Domain, fromPrimes, nil, func(_, subject string) bool { return replaced[subject] })
}

// Alike returns the keys of other domains that are the same as one of these, by domain, as reports without anything else.
func (s *Store) Alike(ctx context.Context, domain string, keys []audit.FoundKey) (reports []audit.Report, err error) {
	var fingerprints []string
	for _, k := range keys {
		fingerprints = append(fingerprints, k.Fingerprint)
	}
	err = s.read(ctx, "look for equal keys", func(t *tx) error {
		at := make(map[string]int)
		return t.chunks(ctx, `SELECT domain, name, fingerprint, service FROM audit_keys WHERE fingerprint IN (%s) ORDER BY domain, name`, fingerprints, func(s scanner) error {
			var d string
			var k audit.FoundKey
			if err := s(&d, &k.Name, &k.Fingerprint, truth(&k.Service)); err != nil || d == domain {
				return err
			}
			i, known := at[d]
			if !known {
				i = len(reports)
				at[d], reports = i, append(reports, audit.Report{Domain: d})
			}
			reports[i].Keys = append(reports[i].Keys, k)
			return nil
		})
	})
	return reports, err
}

// AuditNow makes the audit of a domain due (no event). fault.NotFound.
func (s *Store) AuditNow(ctx context.Context, domain string) error {
	return s.write(ctx, "make an audit due", func(t *tx) error {
		n, err := t.exec(ctx, `UPDATE audits SET due_at = $1 WHERE domain = $2`, t.now, domain)
		if err == nil && n == 0 {
			err = noDomain(domain)
		}
		return err
	})
}

// Audits returns a page of what is known of audits.
func (s *Store) Audits(ctx context.Context, f audit.SummaryFilter) (page []audit.Summary, err error) {
	where, args := []string{"a.domain > $1", "($2 = '' OR a.domain = $2)"}, []any{f.After, f.Domain}
	if len(f.Labels) > 0 {
		where = append(where, `a.domain IN (SELECT domain FROM domain_labels WHERE label IN (`+marks(len(args)+1, len(f.Labels))+`))`)
		for _, l := range f.Labels {
			args = append(args, l)
		}
	}
	args = append(args, f.Limit)
	err = s.read(ctx, "read audits", func(t *tx) error {
		page, err = list(ctx, t, `SELECT a.domain, a.at, a.due_at, a.selectors, a.not_checked FROM audits a WHERE `+strings.Join(where, " AND ")+
			fmt.Sprintf(` ORDER BY a.domain LIMIT $%d`, len(args)), args, func(s scanner, a *audit.Summary) error {
			return s(&a.Domain, at(&a.At), at(&a.Due), fromJSON(&a.Selectors), fromJSON(&a.NotChecked))
		})
		if err != nil {
			return err
		}
		return t.countFindings(ctx, page)
	})
	return page, err
}

// countFindings counts the open findings of each summary's domain, and works its score out.
func (t *tx) countFindings(ctx context.Context, page []audit.Summary) error {
	var domains []string
	index := make(map[string]int)
	for i, a := range page {
		domains, index[a.Domain] = append(domains, a.Domain), i
	}
	open := make([][]audit.Finding, len(page))
	err := t.eachOpen(ctx, domains, func(domain string, f audit.Finding, muted bool) {
		open[index[domain]] = append(open[index[domain]], f)
		page[index[domain]].Counts.Add(f.Severity, muted)
	})
	for i := range page {
		if a := &page[i]; !a.At.IsZero() {
			a.Score = audit.Report{Domain: a.Domain, Selectors: a.Selectors, Findings: open[i], NotChecked: a.NotChecked}.Score()
		}
	}
	return err
}

// eachOpen goes through the ids and severities of the open findings of domains, each once, and says whether it is muted.
func (t *tx) eachOpen(ctx context.Context, domains []string, tell func(domain string, f audit.Finding, muted bool)) error {
	return t.chunks(ctx, `SELECT f.domain, f.id, MIN(f.severity), MAX(CASE WHEN m.until > `+fmt.Sprint(micros(t.now))+` THEN 1 ELSE 0 END)
		FROM findings f LEFT JOIN mutes m ON m.domain = f.domain AND m.id = f.id AND (m.subject = '' OR m.subject = f.subject)
		WHERE f.domain IN (%s) GROUP BY f.domain, f.id, f.subject`, domains, func(s scanner) error {
		var domain string
		var f audit.Finding
		var muted bool
		err := s(&domain, &f.ID, &f.Severity, truth(&muted))
		if err == nil {
			tell(domain, f, muted)
		}
		return err
	})
}

// FindingCounts counts the open findings of domains, each once; a domain without any is missing.
func (s *Store) FindingCounts(ctx context.Context, domains []string) (counts map[string]audit.Counts, err error) {
	counts = make(map[string]audit.Counts)
	err = s.read(ctx, "count findings", func(t *tx) error {
		return t.eachOpen(ctx, domains, func(domain string, f audit.Finding, muted bool) {
			c := counts[domain]
			c.Add(f.Severity, muted)
			counts[domain] = c
		})
	})
	return counts, err
}

// StoredKey is a key that an audit found, with its domain.
type StoredKey struct {
	Domain string
	audit.FoundKey
}

// NewModuli returns up to n keys whose moduli have not been compared with all others.
func (s *Store) NewModuli(ctx context.Context, n int) (keys []StoredKey, err error) {
	err = s.read(ctx, "read new moduli", func(t *tx) error {
		keys, err = list(ctx, t, `SELECT domain, name, fingerprint, service, modulus FROM audit_keys WHERE compared = 0 ORDER BY domain, name LIMIT $1`, []any{n}, scanStoredKey)
		return err
	})
	return keys, err
}

// Moduli returns up to n keys that have been compared, after the given domain and name.
func (s *Store) Moduli(ctx context.Context, domain, name string, n int) (keys []StoredKey, err error) {
	err = s.read(ctx, "read moduli", func(t *tx) error {
		keys, err = list(ctx, t, `SELECT domain, name, fingerprint, service, modulus FROM audit_keys WHERE compared = 1 AND modulus <> '' AND (domain, name) > ($1, $2)
			ORDER BY domain, name LIMIT $3`, []any{domain, name, n}, scanStoredKey)
		return err
	})
	return keys, err
}

func scanStoredKey(s scanner, k *StoredKey) error {
	var modulus []byte
	err := s(&k.Domain, &k.Name, &k.Fingerprint, truth(&k.Service), fromBase64(&modulus))
	k.Modulus = new(big.Int).SetBytes(modulus)
	return err
}

// SaveCompared notes that these keys were compared with all others, and the findings that came of it, by domain. A key that was replaced meanwhile
// will be compared anew.
func (s *Store) SaveCompared(ctx context.Context, keys []StoredKey, found map[string][]audit.Finding) error {
	return s.write(ctx, "keep what the comparison of moduli found", func(t *tx) error {
		for _, k := range keys {
			if _, err := t.exec(ctx, `UPDATE audit_keys SET compared = 1 WHERE domain = $1 AND name = $2 AND fingerprint = $3`, k.Domain, k.Name, k.Fingerprint); err != nil {
				return err
			}
		}
		for domain, findings := range found {
			if err := t.saveFindings(ctx, domain, fromPrimes, findings, func(string, string) bool { return false }); err != nil {
				return err
			}
		}
		return nil
	})
}
