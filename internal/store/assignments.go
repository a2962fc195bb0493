package store

import (
	"context"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
)

// RequestRotation sets RotateRequested = now and RotateBy on these assignments. fault.NotFound when one does not exist or
// has ended.
func (s *Store) RequestRotation(ctx context.Context, domain string, assignmentIDs []string, by string) error {
	return s.write(ctx, "ask for a rotation", func(t *tx) error {
		if err := t.touch(ctx, domain); err != nil {
			return err
		}
		for _, id := range assignmentIDs {
			n, err := t.exec(ctx, `UPDATE assignments SET rotate_requested = $1, rotate_by = $2 WHERE id = $3 AND domain = $4 AND ended = 0`, t.now, by, id, domain)
			if err != nil {
				return err
			}
			if n == 0 {
				return fault.New(fault.NotFound, "there is no assignment %s of %s", id, domain)
			}
		}
		return t.event(by, domain, "", "rotate", by+" asked for a rotation", map[string][]string{"assignments": assignmentIDs})
	})
}

// assignments reads the assignments that a query's rest selects, by domain.
func (t *tx) assignments(ctx context.Context, rest string, args ...any) ([]inventory.Assignment, error) {
	return list(ctx, t, `SELECT id, domain, signer_id, stream, class, bulk, no_key, subdomains, signing, algorithms, records, slots, through, standby, rotate_requested, rotate_by, ended, ended_by
		FROM assignments `+rest+` ORDER BY domain, stream, id`, args,
		func(s scanner, a *inventory.Assignment) error {
			return s(&a.ID, &a.Domain, &a.SignerID, &a.Stream, &a.Class, truth(&a.Bulk), &a.NoKey, fromJSON(&a.Subdomains), fromJSON(&a.Signing),
				fromJSON(&a.Algorithms), fromJSON(&a.Records), fromJSON(&a.Slots), &a.Through, truth(&a.Standby), at(&a.RotateRequested), &a.RotateBy, at(&a.Ended), &a.EndedBy)
		})
}

func (t *tx) saveAssignment(ctx context.Context, a inventory.Assignment) error {
	var texts [5]string
	for i, v := range []any{a.Subdomains, a.Signing, a.Algorithms, a.Records, a.Slots} {
		var err error
		if texts[i], err = toJSON(v); err != nil {
			return err
		}
	}
	_, err := t.exec(ctx, `INSERT INTO assignments (id, domain, signer_id, stream, class, bulk, no_key, subdomains, signing, algorithms, records, slots, through, standby,
		rotate_requested, rotate_by, ended, ended_by)
		VALUES (`+marks(1, 18)+`) ON CONFLICT (id) DO UPDATE SET domain = excluded.domain, signer_id = excluded.signer_id, stream = excluded.stream,
		class = excluded.class, bulk = excluded.bulk, no_key = excluded.no_key, subdomains = excluded.subdomains, signing = excluded.signing,
		algorithms = excluded.algorithms, records = excluded.records, slots = excluded.slots, through = excluded.through, standby = excluded.standby,
		rotate_requested = excluded.rotate_requested, rotate_by = excluded.rotate_by, ended = excluded.ended, ended_by = excluded.ended_by`,
		a.ID, a.Domain, a.SignerID, a.Stream, a.Class, a.Bulk, a.NoKey, texts[0], texts[1], texts[2], texts[3], texts[4], a.Through, a.Standby,
		a.RotateRequested, a.RotateBy, a.Ended, a.EndedBy)
	return err
}
