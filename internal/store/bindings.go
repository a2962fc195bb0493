package store

import (
	"context"
	"slices"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/lifecycle"
)

// bind ties a selector to a new key, if it was never tied to another one, or is a slot that is free.
func (t *tx) bind(ctx context.Context, k lifecycle.Key) error {
	slot, err := t.isSlot(ctx, k)
	if err != nil {
		return err
	}
	var other string
	used, err := t.row(ctx, `SELECT key_id FROM bindings WHERE domain = $1 AND selector = $2 ORDER BY until_at LIMIT 1`, []any{k.Domain, k.Selector}, &other)
	if err != nil {
		return err
	}
	if used && !slot {
		return fault.New(fault.Conflict, "selector %s of %s was bound to key %s; it is never bound again", k.Selector, k.Domain, other)
	}
	busy, err := t.row(ctx, `SELECT key_id FROM bindings WHERE domain = $1 AND selector = $2 AND until_at = 0`, []any{k.Domain, k.Selector}, &other)
	if err != nil {
		return err
	}
	if busy {
		return fault.New(fault.Conflict, "slot %s of %s still carries key %s", k.Selector, k.Domain, other)
	}
	_, err = t.exec(ctx, `INSERT INTO bindings (domain, selector, key_id, from_at, until_at, slot) VALUES (`+marks(1, 6)+`)`,
		k.Domain, k.Selector, k.ID, t.now, time.Time{}, slot)
	return err
}

// unbind ends the binding of a key whose record is gone.
func (t *tx) unbind(ctx context.Context, k lifecycle.Key) error {
	if k.State != lifecycle.Removed {
		return nil
	}
	_, err := t.exec(ctx, `UPDATE bindings SET until_at = $1 WHERE key_id = $2 AND until_at = 0`, t.now, k.ID)
	return err
}

// isSlot reports whether the key's assignment declares its selector for use by turns.
func (t *tx) isSlot(ctx context.Context, k lifecycle.Key) (bool, error) {
	var slots []string
	_, err := t.row(ctx, `SELECT slots FROM assignments WHERE id = $1 AND domain = $2`, []any{k.AssignmentID, k.Domain}, fromJSON(&slots))
	return slices.Contains(slots, k.Selector), err
}
