package store

import (
	"context"
	"fmt"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
)

// Signers returns every signer, by name, decommissioned ones included.
func (s *Store) Signers(ctx context.Context) (all []inventory.Signer, err error) {
	err = s.read(ctx, "read the signers", func(t *tx) error {
		all, err = t.signers(ctx, ``)
		return err
	})
	return all, err
}

// Server returns one server by its durable id, also a decommissioned one; fault.NotFound.
func (s *Store) Server(ctx context.Context, id string) (server inventory.Signer, err error) {
	err = s.read(ctx, "read a server", func(t *tx) error {
		server, err = t.server(ctx, id)
		return err
	})
	return server, err
}

func (t *tx) server(ctx context.Context, id string) (inventory.Signer, error) {
	found, err := t.signers(ctx, `WHERE s.kind = 'server' AND s.id = $1`, id)
	if err != nil {
		return inventory.Signer{}, err
	}
	if len(found) == 0 {
		return inventory.Signer{}, fault.New(fault.NotFound, "there is no server %s in the inventory", id)
	}
	return found[0], nil
}

// signers reads the signers that a query's rest selects, by name.
func (t *tx) signers(ctx context.Context, rest string, args ...any) ([]inventory.Signer, error) {
	all, err := list(ctx, t, `SELECT s.id, s.kind, s.name, s.label, s.service, s.sends_from, s.decommissioned, s.decommissioned_by FROM signers s `+rest+` ORDER BY s.name, s.id`, args,
		func(s scanner, v *inventory.Signer) error {
			return s(&v.ID, &v.Kind, &v.Name, &v.Label, &v.Service, fromJSON(&v.SendsFrom), at(&v.Decommissioned), &v.DecommissionedBy)
		})
	if err != nil {
		return nil, err
	}
	index := make(map[string]int, len(all))
	for i := range all {
		index[all[i].ID] = i
	}
	err = t.rows(ctx, `SELECT m.pool_id, m.server_id FROM signer_members m JOIN signers s ON s.id = m.pool_id `+rest+` ORDER BY m.pool_id, m.position`, args,
		func(s scanner) error {
			var pool, server string
			if err := s(&pool, &server); err != nil {
				return err
			}
			if i, ok := index[pool]; ok {
				all[i].Members = append(all[i].Members, server)
			}
			return nil
		})
	return all, err
}

func (t *tx) saveSigner(ctx context.Context, v inventory.Signer) error {
	from, err := toJSON(v.SendsFrom)
	if err != nil {
		return err
	}
	if _, err := t.exec(ctx, `INSERT INTO signers (id, kind, name, label, service, sends_from, decommissioned, decommissioned_by) VALUES (`+marks(1, 8)+`)
		ON CONFLICT (id) DO UPDATE SET kind = excluded.kind, name = excluded.name, label = excluded.label, service = excluded.service, sends_from = excluded.sends_from,
		decommissioned = excluded.decommissioned, decommissioned_by = excluded.decommissioned_by`,
		v.ID, v.Kind, v.Name, v.Label, v.Service, from, v.Decommissioned, v.DecommissionedBy); err != nil {
		return err
	}
	if v.Kind != inventory.KindServer {
		return nil
	}
	if _, err := t.exec(ctx, `INSERT INTO instructions (server_id, version) VALUES ($1, 1) ON CONFLICT (server_id) DO NOTHING`, v.ID); err != nil {
		return err
	}
	_, err = t.exec(ctx, `INSERT INTO agents (server_id, reported, applied, skew, software) VALUES ($1, 0, 0, 0, '') ON CONFLICT (server_id) DO NOTHING`, v.ID)
	return err
}

// saveMembers comes after every signer was saved: members are signers too.
func (t *tx) saveMembers(ctx context.Context, v inventory.Signer) error {
	if _, err := t.exec(ctx, `DELETE FROM signer_members WHERE pool_id = $1`, v.ID); err != nil {
		return err
	}
	for i, member := range v.Members {
		if _, err := t.exec(ctx, `INSERT INTO signer_members (pool_id, server_id, position) VALUES ($1, $2, $3)`, v.ID, member, i); err != nil {
			return err
		}
	}
	return nil
}

// dropSigner takes a signer out that never held anything.
func (t *tx) dropSigner(ctx context.Context, v inventory.Signer) error {
	used, err := t.row(ctx, `SELECT 1 WHERE EXISTS (SELECT 1 FROM holdings WHERE server_id = $1) OR EXISTS (SELECT 1 FROM certificates WHERE server_id = $1)`,
		[]any{v.ID}, new(int64))
	if err != nil {
		return err
	}
	if used {
		return fault.New(fault.Conflict, "%s %s has keys or an agent", v.Kind, v.Name).WithHint("decommission it instead: then its keys go through retirement")
	}
	for _, table := range []string{"signer_members WHERE pool_id", "signer_members WHERE server_id", "instructions WHERE server_id", "agents WHERE server_id",
		"unsigned WHERE server_id", "refusals WHERE server_id", "join_tokens WHERE server_id", "signers WHERE id"} {
		if _, err := t.exec(ctx, fmt.Sprintf(`DELETE FROM %s = $1`, table), v.ID); err != nil {
			return err
		}
	}
	return nil
}
