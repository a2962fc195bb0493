package store

import (
	"context"
	"fmt"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/lifecycle"
)

// AdoptRecord lets Postseal change what stands at a record's name now: one that others made, or that they changed. seen is what the person was shown; the newest
// look must show exactly that on every server that answers. The old value is journalled (event "adopt"). fault.NotFound: no such record; fault.Conflict:
// something else stands there by now, or nobody has looked.
func (s *Store) AdoptRecord(ctx context.Context, id, seen, by, reason string) error {
	return s.write(ctx, "adopt a record", func(t *tx) error {
		r, err := t.recordByID(ctx, id)
		if err != nil {
			return err
		}
		if err := r.Adoptable(seen); err != nil {
			return err
		}
		if err := t.touch(ctx, r.Domain); err != nil {
			return err
		}
		// A planner that has not seen the word must not write over it: the revisions grow.
		if _, err := t.exec(ctx, `UPDATE records SET written = $1, adopted = $2, condition = '', revision = revision + 1 WHERE id = $3`, seen, by, id); err != nil {
			return err
		}
		if r.KeyID != "" {
			if _, err := t.exec(ctx, `UPDATE keys SET revision = revision + 1 WHERE id = $1`, r.KeyID); err != nil {
				return err
			}
		}
		return t.event(by, r.Domain, r.KeyID, "adopt", fmt.Sprintf("%s let Postseal change what stands at %s (%q): %s", by, r.Name, seen, reason),
			map[string]string{"name": r.Name, "type": r.Type, "old": seen})
	})
}

// DisownRecord gives a record back: it stays in DNS as it is, and Postseal changes it no more unless somebody lets it (event "disown"). fault.NotFound: no such
// record; fault.Conflict: it is a managed key's, or not ours.
func (s *Store) DisownRecord(ctx context.Context, id, by, reason string) error {
	return s.write(ctx, "give a record back", func(t *tx) error {
		r, err := t.recordByID(ctx, id)
		switch {
		case err != nil:
			return err
		case r.KeyID != "":
			return fault.New(fault.Conflict, "%s is the record of a key that Postseal manages", r.Name).WithHint("revoke the key, or set the domain's mode to observed")
		case r.Written == "":
			return fault.New(fault.Conflict, "what stands at %s is not Postseal's", r.Name)
		}
		if err := t.touch(ctx, r.Domain); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `UPDATE records SET written = '', adopted = '', pending = 0, condition = '', revision = revision + 1 WHERE id = $1`, id); err != nil {
			return err
		}
		return t.event(by, r.Domain, "", "disown", fmt.Sprintf("%s gave %s back: %s", by, r.Name, reason), map[string]string{"name": r.Name, "type": r.Type, "value": r.Written})
	})
}

// recordByID reads a record that is not gone.
func (t *tx) recordByID(ctx context.Context, id string) (lifecycle.Record, error) {
	found, err := list(ctx, t, `SELECT `+recordColumns+` FROM records r WHERE r.id = $1 AND r.gone = 0`, []any{id}, scanRecord)
	switch {
	case err != nil:
		return lifecycle.Record{}, err
	case len(found) == 0:
		return lifecycle.Record{}, fault.New(fault.NotFound, "there is no such record")
	}
	return found[0], nil
}
