package store

import (
	"context"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
)

// Inventory returns the whole inventory at its present generation: publishers, signers and domains by name, assignments
// by domain.
func (s *Store) Inventory(ctx context.Context) (state inventory.State, err error) {
	err = s.read(ctx, "read the inventory", func(t *tx) error {
		state, err = t.inventory(ctx)
		return err
	})
	return state, err
}

// Generation returns the inventory's present generation, without reading the rest.
func (s *Store) Generation(ctx context.Context) (generation int64, err error) {
	err = s.read(ctx, "read the inventory's generation", func(t *tx) error {
		_, err := t.row(ctx, `SELECT generation FROM meta WHERE id = 1`, nil, &generation)
		return err
	})
	return generation, err
}

func (t *tx) inventory(ctx context.Context) (state inventory.State, err error) {
	if _, err := t.row(ctx, `SELECT generation, dns, probes FROM meta WHERE id = 1`, nil, &state.Generation, fromJSON(&state.DNS), fromJSON(&state.Probes)); err != nil {
		return state, err
	}
	if state.Publishers, err = t.publishers(ctx); err != nil {
		return state, err
	}
	if state.Signers, err = t.signers(ctx, ``); err != nil {
		return state, err
	}
	if state.Domains, err = t.domains(ctx, ``); err != nil {
		return state, err
	}
	if state.Assignments, err = t.assignments(ctx, ``); err != nil {
		return state, err
	}
	if state.Windows, err = t.windows(ctx); err != nil {
		return state, err
	}
	state.NeedApproval, err = t.approvalSteps(ctx)
	return state, err
}

func (t *tx) publishers(ctx context.Context) ([]inventory.Publisher, error) {
	return list(ctx, t, `SELECT name, kind, server, key_file, zone, contact, repair, credential, endpoint, account, resource_group, zone_id, file, program,
		host, remind_every, expires_after FROM publishers ORDER BY name`, nil,
		func(s scanner, p *inventory.Publisher) error {
			return s(&p.Name, &p.Kind, &p.Server, &p.KeyFile, &p.Zone, &p.Contact, truth(&p.Repair), &p.Credential, &p.Endpoint, &p.Account, &p.Group, &p.ZoneID, &p.File, &p.Program,
				&p.Host, lasts(&p.RemindEvery), lasts(&p.ExpiresAfter))
		})
}

func (t *tx) windows(ctx context.Context) ([]inventory.Window, error) {
	return list(ctx, t, `SELECT days, from_time, to_time, zone FROM windows ORDER BY position`, nil,
		func(s scanner, w *inventory.Window) error { return s(fromJSON(&w.Days), &w.From, &w.To, &w.Zone) })
}

func (t *tx) approvalSteps(ctx context.Context) ([]string, error) {
	return list(ctx, t, `SELECT step FROM approval_steps ORDER BY position`, nil, func(s scanner, step *string) error { return s(step) })
}

// newGeneration counts the inventory's generation up from what the caller has seen (-1 = whatever it is).
func (t *tx) newGeneration(ctx context.Context, expect int64) error {
	n, err := t.exec(ctx, `UPDATE meta SET generation = generation + 1 WHERE id = 1 AND (generation = $1 OR $1 < 0)`, expect)
	if err == nil && n == 0 {
		err = fault.New(fault.Conflict, "the inventory has changed since generation %d", expect).WithHint("look at the plan again, then apply again")
	}
	return err
}
