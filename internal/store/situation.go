package store

import (
	"context"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/lifecycle"
)

// Situation reads everything about a domain. fault.NotFound when it is not in the inventory.
func (s *Store) Situation(ctx context.Context, domain string) (got lifecycle.Situation, err error) {
	err = s.read(ctx, "read the situation of "+domain, func(t *tx) error {
		got, err = t.situation(ctx, domain)
		return err
	})
	return got, err
}

func (t *tx) situation(ctx context.Context, domain string) (got lifecycle.Situation, err error) {
	got.Now = t.now
	domains, err := t.domains(ctx, `WHERE d.name = $1`, domain)
	if err != nil {
		return got, err
	}
	if len(domains) == 0 {
		return got, noDomain(domain)
	}
	got.Domain = domains[0]
	if _, err := t.row(ctx, `SELECT repair FROM publishers WHERE name = $1`, []any{got.Domain.Publisher}, truth(&got.Repair)); err != nil {
		return got, err
	}
	if got.Through, err = t.throughOf(ctx, domain); err != nil {
		return got, err
	}
	if got.ReportsTo, err = t.reportsTo(ctx, got.Domain); err != nil {
		return got, err
	}
	if got.Domain.Policy.Gate == inventory.GateProbe {
		if got.Probed, err = t.probed(ctx, domain); err != nil {
			return got, err
		}
		if got.Unprobed, err = t.unprobed(ctx, domain); err != nil {
			return got, err
		}
	}
	if got.Keys, err = t.keysOf(ctx, domain); err != nil {
		return got, err
	}
	if got.Records, err = t.recordsOf(ctx, domain); err != nil {
		return got, err
	}
	if got.Assignments, err = t.assignmentsOf(ctx, domain, got.Keys, got.Records); err != nil {
		return got, err
	}
	if got.Signers, err = t.signersOf(ctx, domain); err != nil {
		return got, err
	}
	if got.Controls, err = t.controlsOf(ctx, domain); err != nil {
		return got, err
	}
	got.Controls.NeedApproval = inventory.State{NeedApproval: got.Controls.NeedApproval}.NeedApprovalOf(got.Domain)
	return got, nil
}

// throughOf reads the zones that slots of a domain lead to, by publisher.
func (t *tx) throughOf(ctx context.Context, domain string) (map[string]string, error) {
	var zones map[string]string
	err := t.rows(ctx, `SELECT name, zone FROM publishers WHERE name IN (SELECT through FROM assignments WHERE domain = $1 AND through <> '')`, []any{domain}, func(s scanner) error {
		var name, zone string
		if err := s(&name, &zone); err != nil {
			return err
		}
		if zones == nil {
			zones = make(map[string]string)
		}
		zones[name] = zone
		return nil
	})
	return zones, err
}

// reportsTo reads which domains of ours take DMARC reports about a domain, by host.
func (t *tx) reportsTo(ctx context.Context, d inventory.Domain) (map[string]inventory.Destination, error) {
	hosts := inventory.ReportHosts(d)
	if len(hosts) == 0 {
		return nil, nil
	}
	var names []any
	for _, host := range hosts {
		for _, name := range inventory.Above(host) {
			names = append(names, name)
		}
	}
	type owner struct {
		domain    inventory.Domain
		publisher inventory.Publisher
	}
	owners := make(map[string]owner)
	err := t.rows(ctx, `SELECT d.name, d.mode, COALESCE(p.name, ''), COALESCE(p.zone, ''), COALESCE(p.repair, 0) FROM domains d LEFT JOIN publishers p ON p.name = d.publisher
		WHERE d.name IN (`+marks(1, len(names))+`)`, names, func(s scanner) error {
		var o owner
		err := s(&o.domain.Name, &o.domain.Mode, &o.publisher.Name, &o.publisher.Zone, truth(&o.publisher.Repair))
		owners[o.domain.Name] = o
		return err
	})
	if err != nil {
		return nil, err
	}
	return inventory.Destinations(d, func(name string) (inventory.Domain, inventory.Publisher, bool) {
		o, ok := owners[name]
		return o.domain, o.publisher, ok
	}), nil
}

// assignmentsOf reads a domain's assignments: those that stand, and ended ones that still have something.
func (t *tx) assignmentsOf(ctx context.Context, domain string, keys []lifecycle.Key, records []lifecycle.Record) ([]inventory.Assignment, error) {
	has := map[string]bool{}
	for _, k := range keys {
		has[k.AssignmentID] = true
	}
	for _, r := range records {
		has[r.AssignmentID] = true
	}
	all, err := t.assignments(ctx, `WHERE domain = $1`, domain)
	var kept []inventory.Assignment
	for _, a := range all {
		if a.Ended.IsZero() || has[a.ID] {
			kept = append(kept, a)
		}
	}
	return kept, err
}

// signersOf reads the signers of a domain's assignments, the members of those that are pools, and all holders.
func (t *tx) signersOf(ctx context.Context, domain string) (map[string]inventory.Signer, error) {
	all, err := t.signers(ctx, `WHERE s.id IN (SELECT signer_id FROM assignments WHERE domain = $1
		UNION SELECT m.server_id FROM signer_members m JOIN assignments a ON a.signer_id = m.pool_id WHERE a.domain = $1
		UNION SELECT h.server_id FROM holdings h JOIN keys k ON k.id = h.key_id WHERE k.domain = $1)`, domain)
	byID := make(map[string]inventory.Signer, len(all))
	for _, s := range all {
		byID[s.ID] = s
	}
	return byID, err
}

// controlsOf reads what operators said about a domain.
func (t *tx) controlsOf(ctx context.Context, domain string) (c inventory.Controls, err error) {
	c.Holds, err = list(ctx, t, `SELECT domain, until_at, reason, by_name, said_at FROM holds WHERE domain = $1`, []any{domain},
		func(s scanner, h *inventory.Hold) error {
			return s(&h.Domain, at(&h.Until), &h.Reason, &h.By, at(&h.At))
		})
	if err != nil {
		return c, err
	}
	if c.Freezes, err = t.freezes(ctx); err != nil {
		return c, err
	}
	c.Waivers, err = list(ctx, t, `SELECT domain, server, until_at, by_name, reason FROM waivers WHERE domain = $1 AND until_at > $2 ORDER BY server`,
		[]any{domain, t.now}, func(s scanner, w *inventory.Waiver) error {
			return s(&w.Domain, &w.Server, at(&w.Until), &w.By, &w.Reason)
		})
	if err != nil {
		return c, err
	}
	c.Approvals, err = list(ctx, t, `SELECT p.key_id, p.step, p.by_name, p.said_at FROM approvals p JOIN keys k ON k.id = p.key_id
		WHERE k.domain = $1 ORDER BY p.key_id, p.step`, []any{domain},
		func(s scanner, a *inventory.Approval) error { return s(&a.KeyID, &a.Step, &a.By, at(&a.At)) })
	if err != nil {
		return c, err
	}
	if c.Windows, err = t.windows(ctx); err != nil {
		return c, err
	}
	c.NeedApproval, err = t.approvalSteps(ctx)
	return c, err
}

func noDomain(name string) error {
	return fault.New(fault.NotFound, "there is no domain %s in the inventory", name).WithHint("add it to fleet.yaml and apply that")
}
