package store

import (
	"context"
	"time"

	"github.com/postseal/postseal/internal/lifecycle"
)

// OpenFinding is a finding and since when it has been open.
type OpenFinding struct {
	lifecycle.Finding
	Since time.Time
}

// Findings returns the open findings of a domain ("" = of all), errors first, then by domain, id and subject.
func (s *Store) Findings(ctx context.Context, domain string) (open []OpenFinding, err error) {
	err = s.read(ctx, "read findings", func(t *tx) error {
		open, err = list(ctx, t, `SELECT id, severity, domain, subject, message, fix, since FROM findings WHERE $1 = '' OR domain = $1
			ORDER BY CASE severity WHEN 'error' THEN 0 WHEN 'warning' THEN 1 ELSE 2 END, domain, id, subject`, []any{domain},
			func(s scanner, f *OpenFinding) error {
				return s(&f.ID, &f.Severity, &f.Domain, &f.Subject, &f.Message, &f.Fix, at(&f.Since))
			})
		return err
	})
	return open, err
}

// saveFindings opens findings or keeps them open, and closes those that no longer hold.
func (t *tx) saveFindings(ctx context.Context, domain string, open, resolved []lifecycle.Finding) error {
	for _, f := range open {
		if _, err := t.exec(ctx, `INSERT INTO findings (id, domain, subject, severity, message, fix, since) VALUES (`+marks(1, 7)+`)
			ON CONFLICT (domain, id, subject) DO UPDATE SET severity = excluded.severity, message = excluded.message, fix = excluded.fix`,
			f.ID, domain, f.Subject, f.Severity, f.Message, f.Fix, t.now); err != nil {
			return err
		}
	}
	for _, f := range resolved {
		if _, err := t.exec(ctx, `DELETE FROM findings WHERE domain = $1 AND id = $2 AND subject = $3`, domain, f.ID, f.Subject); err != nil {
			return err
		}
	}
	return nil
}
