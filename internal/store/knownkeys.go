package store

import (
	"context"

	"github.com/postseal/postseal/internal/report"
)

// KnownKeys returns every managed key that there ever was, with the time in which its selector was its own: reports are about the past.
func (s *Store) KnownKeys(ctx context.Context) (keys []report.KnownKey, err error) {
	err = s.read(ctx, "read the keys that reports may name", func(t *tx) error {
		keys, err = list(ctx, t, `SELECT b.key_id, b.domain, b.selector, a.signer_id, b.from_at, b.until_at
			FROM bindings b JOIN keys k ON k.id = b.key_id JOIN assignments a ON a.id = k.assignment_id ORDER BY b.domain, b.selector, b.from_at`, nil,
			func(s scanner, k *report.KnownKey) error {
				return s(&k.ID, &k.Domain, &k.Selector, &k.SignerID, at(&k.From), at(&k.Until))
			})
		return err
	})
	return keys, err
}

// KeysVersion grows with every change of what KnownKeys returns.
func (s *Store) KeysVersion(ctx context.Context) (version int64, err error) {
	err = s.read(ctx, "see whether keys changed", func(t *tx) error {
		_, err := t.row(ctx, `SELECT COUNT(*) + COUNT(CASE WHEN until_at > 0 THEN 1 END) FROM bindings`, nil, &version)
		return err
	})
	return version, err
}
