package store

import (
	"context"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/lifecycle"
)

// removedShown is how long a removed key stays part of its domain's situation: longer than any sane TTL, so that a slot's
// last key is seen while caches may remember it, and people see what became of it.
const removedShown = 90 * 24 * time.Hour

const keyColumns = `k.id, k.domain, k.assignment_id, k.selector, k.algorithm, k.state, k.value, k.created, k.propagated, k.proven,
	k.activated, k.signing, k.retired, k.stopped, k.revoked, k.removed, k.demoted, k.rotate_after, k.end_reason,
	k.ask_by, k.ask_reason, k.asked_at, k.compromised, k.canary, k.canary_asked, k.revision`

// keysOf reads the keys of a domain that still matter, with their records and holders, oldest first.
func (t *tx) keysOf(ctx context.Context, domain string) ([]lifecycle.Key, error) {
	keys, err := list(ctx, t, `SELECT `+keyColumns+`, `+recordColumns+` FROM keys k JOIN records r ON r.key_id = k.id AND r.key_id <> ''
		WHERE k.domain = $1 AND (k.state <> $2 OR k.removed > $3 OR k.removed + r.positive_ttl > $4 OR EXISTS (
			SELECT 1 FROM holdings h WHERE h.key_id = k.id AND h.destroyed = 0 AND h.gone = 0))
		ORDER BY k.created, k.id`, []any{domain, lifecycle.Removed, t.now.Add(-removedShown), t.now}, scanKey)
	if err != nil {
		return nil, err
	}
	index := make(map[string]int, len(keys))
	for i := range keys {
		index[keys[i].ID] = i
	}
	err = t.holdings(ctx, `JOIN keys k ON k.id = h.key_id WHERE k.domain = $1`, domain, func(keyID string, h lifecycle.Holding) {
		if i, ok := index[keyID]; ok {
			keys[i].Holders = append(keys[i].Holders, h)
		}
	})
	return keys, err
}

func scanKey(s scanner, k *lifecycle.Key) error {
	var end lifecycle.End
	into := []any{&k.ID, &k.Domain, &k.AssignmentID, &k.Selector, &k.Algorithm, &k.State, &k.Value, at(&k.Created), at(&k.Propagated), at(&k.Proven),
		at(&k.Activated), at(&k.Signing), at(&k.Retired), at(&k.Stopped), at(&k.Revoked), at(&k.Removed), at(&k.Demoted), at(&k.RotateAfter), &k.EndReason,
		&end.By, &end.Reason, at(&end.At), truth(&end.Compromised), &k.Canary, at(&k.CanaryAsked), &k.Revision}
	if err := s(append(into, recordInto(&k.Record)...)...); err != nil {
		return err
	}
	if !end.At.IsZero() {
		k.End = &end
	}
	return nil
}

// saveKey writes what the planner owns of a key; its holders hear of it where that concerns them.
func (t *tx) saveKey(ctx context.Context, k lifecycle.Key) error {
	if k.Revision == 0 {
		return t.addKey(ctx, k)
	}
	var canary string
	ok, err := t.row(ctx, `SELECT canary FROM keys WHERE id = $1 AND revision = $2`+t.s.d.forUpdate, []any{k.ID, k.Revision}, &canary)
	if err != nil {
		return err
	}
	if !ok {
		return fault.New(fault.Conflict, "key %s changed meanwhile", k.ID)
	}
	// value belongs to the reports, ask_* and compromised to people.
	if _, err := t.exec(ctx, `UPDATE keys SET state = $1, propagated = $2, proven = $3, activated = $4, signing = $5, retired = $6, stopped = $7,
		revoked = $8, removed = $9, demoted = $10, rotate_after = $11, end_reason = $12, canary = $13, canary_asked = $14, revision = revision + 1
		WHERE id = $15`,
		k.State, k.Propagated, k.Proven, k.Activated, k.Signing, k.Retired, k.Stopped, k.Revoked, k.Removed, k.Demoted, k.RotateAfter, k.EndReason,
		k.Canary, k.CanaryAsked, k.ID); err != nil {
		return err
	}
	if err := t.updateRecord(ctx, k.Record, `key_id`, k.ID); err != nil {
		return err
	}
	if err := t.unbind(ctx, k); err != nil {
		return err
	}
	return t.tell(ctx, k, k.Canary != canary)
}

func (t *tx) addKey(ctx context.Context, k lifecycle.Key) error {
	n, err := t.exec(ctx, `INSERT INTO keys (id, domain, assignment_id, selector, algorithm, state, value, created, propagated, proven, activated,
		signing, retired, stopped, revoked, removed, demoted, rotate_after, end_reason, ask_by, ask_reason, asked_at, compromised,
		canary, canary_asked, revision)
		VALUES (`+marks(1, 19)+`, '', '', 0, 0, `+marks(20, 2)+`, 1) ON CONFLICT (id) DO NOTHING`,
		k.ID, k.Domain, k.AssignmentID, k.Selector, k.Algorithm, k.State, k.Value, k.Created, k.Propagated, k.Proven, k.Activated,
		k.Signing, k.Retired, k.Stopped, k.Revoked, k.Removed, k.Demoted, k.RotateAfter, k.EndReason, k.Canary, k.CanaryAsked)
	if err != nil {
		return err
	}
	if n == 0 {
		return fault.New(fault.Conflict, "there is a key %s already", k.ID)
	}
	if err := t.bind(ctx, k); err != nil {
		return err
	}
	k.Record.Domain, k.Record.KeyID = k.Domain, k.ID
	if err := t.addRecord(ctx, k.Record); err != nil {
		return err
	}
	return t.tell(ctx, k, true)
}

// SelectorUsed reports whether a selector was ever bound for a domain.
func (s *Store) SelectorUsed(ctx context.Context, domain, selector string) (used bool, err error) {
	err = s.read(ctx, "look for a selector", func(t *tx) error {
		used, err = t.row(ctx, `SELECT 1 FROM bindings WHERE domain = $1 AND selector = $2 LIMIT 1`, []any{domain, selector}, new(int64))
		return err
	})
	return used, err
}
