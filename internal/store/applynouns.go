package store

import (
	"context"
	"fmt"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
)

// stepInventory is the step of the journal's events about the inventory.
const stepInventory = "inventory"

// said journals one difference. before and after are nil where there is none.
func (a *applying) said(domain, noun, name, action string, before, after any) error {
	detail := map[string]any{"noun": noun, "name": name, "action": action}
	if before != nil {
		detail["before"] = before
	}
	if after != nil {
		detail["after"] = after
	}
	if len(written(detail)) > maxDetail {
		delete(detail, "before")
		delete(detail, "after")
	}
	return a.event(a.by, domain, "", stepInventory, fmt.Sprintf("%s %s: %s", noun, name, action), detail)
}

func (a *applying) saidOf(domain, noun, name string, added bool, before, after any) error {
	if added {
		return a.said(domain, noun, name, "added", nil, after)
	}
	return a.said(domain, noun, name, "changed", before, after)
}

func (a *applying) publisher(ctx context.Context, c change[inventory.Publisher], now inventory.State) error {
	p := c.after
	if _, err := a.exec(ctx, `INSERT INTO publishers (name, kind, server, key_file, zone, contact, repair, credential, endpoint, account, resource_group,
		zone_id, file, program, host, remind_every, expires_after) VALUES (`+marks(1, 17)+`)
		ON CONFLICT (name) DO UPDATE SET kind = excluded.kind, server = excluded.server, key_file = excluded.key_file, zone = excluded.zone,
		contact = excluded.contact, repair = excluded.repair, credential = excluded.credential, endpoint = excluded.endpoint, account = excluded.account,
		resource_group = excluded.resource_group, zone_id = excluded.zone_id, file = excluded.file, program = excluded.program,
		host = excluded.host, remind_every = excluded.remind_every, expires_after = excluded.expires_after`,
		p.Name, p.Kind, p.Server, p.KeyFile, p.Zone, p.Contact, p.Repair, p.Credential, p.Endpoint, p.Account, p.Group, p.ZoneID, p.File, p.Program,
		p.Host, p.RemindEvery, p.ExpiresAfter); err != nil {
		return err
	}
	if p.Kind == inventory.PublisherBuiltin {
		if err := a.addZone(ctx, p.Zone); err != nil {
			return err
		}
	}
	for _, d := range now.Domains {
		if d.Publisher == p.Name {
			a.domains[d.Name] = true
		}
	}
	// What it does with changes of others is no matter of who carries changes out, nor is where its secret lies.
	before := c.before
	before.Repair, before.KeyFile, before.Credential = p.Repair, p.KeyFile, p.Credential
	if !c.added && !before.AsksAs(p) {
		a.rewired[p.Name] = true
	}
	return a.saidOf("", "publisher", p.Name, c.added, c.before, c.after)
}

func (a *applying) dropPublisher(ctx context.Context, p inventory.Publisher) error {
	if err := a.leaveReportRecords(ctx, p.Name); err != nil {
		return err
	}
	if _, err := a.exec(ctx, `DELETE FROM publishers WHERE name = $1`, p.Name); err != nil {
		return err
	}
	return a.said("", "publisher", p.Name, "removed", p, nil)
}

func (a *applying) signer(ctx context.Context, c change[inventory.Signer]) error {
	if !c.added && c.before.Kind != c.after.Kind {
		return fault.New(fault.Conflict, "%s is a %s and cannot become a %s", c.before.Name, c.before.Kind, c.after.Kind)
	}
	if err := a.saveSigner(ctx, c.after); err != nil {
		return err
	}
	return a.saidOf("", string(c.after.Kind), c.after.Name, c.added, c.before, c.after)
}

func (a *applying) members(ctx context.Context, c change[inventory.Signer]) error {
	if c.after.Kind == inventory.KindPool {
		if err := a.saveMembers(ctx, c.after); err != nil {
			return err
		}
		for _, server := range append(c.before.Members, c.after.Members...) {
			a.servers[server] = true
		}
	}
	// Its name, label and members appear in reasons and selectors of every domain that it signs for.
	return a.rows(ctx, `SELECT DISTINCT domain FROM assignments WHERE signer_id = $1`, []any{c.after.ID}, func(s scanner) error {
		var domain string
		err := s(&domain)
		a.domains[domain] = true
		return err
	})
}

func (a *applying) dropSignerToo(ctx context.Context, v inventory.Signer) error {
	if err := a.dropSigner(ctx, v); err != nil {
		return err
	}
	return a.said("", string(v.Kind), v.Name, "removed", v, nil)
}

// newlyGone ends what servers had that are decommissioned by this change.
func (a *applying) newlyGone(ctx context.Context, changed []change[inventory.Signer]) error {
	for _, c := range changed {
		if c.after.Kind != inventory.KindServer || c.after.Decommissioned.IsZero() || !c.before.Decommissioned.IsZero() {
			continue
		}
		domains, err := a.forget(ctx, c.after.ID)
		if err != nil {
			return err
		}
		for _, d := range domains {
			a.domains[d] = true
		}
	}
	return nil
}

func (a *applying) domain(ctx context.Context, c change[inventory.Domain]) error {
	if err := a.saveDomain(ctx, c.after); err != nil {
		return err
	}
	a.domains[c.name] = true
	if !c.added && c.before.Publisher != c.after.Publisher {
		a.moved[c.name] = true
	}
	if !c.added && (c.before.NoKey != c.after.NoKey || c.before.Mode != c.after.Mode || c.before.Subdomains != c.after.Subdomains ||
		written(c.before.Signing) != written(c.after.Signing)) {
		if err := a.tellSigners(ctx, `SELECT signer_id FROM assignments WHERE domain = $1`, c.name); err != nil {
			return err
		}
	}
	return a.saidOf(c.name, "domain", c.name, c.added, c.before, c.after)
}

func (a *applying) dropDomainToo(ctx context.Context, d inventory.Domain) error {
	if err := a.dropDomain(ctx, d); err != nil {
		return err
	}
	return a.said(d.Name, "domain", d.Name, "removed", d, nil)
}

func (a *applying) assignment(ctx context.Context, c change[inventory.Assignment]) error {
	if !c.added && (c.before.Domain != c.after.Domain || c.before.SignerID != c.after.SignerID || c.before.Class != c.after.Class) {
		return fault.New(fault.Conflict, "assignment %s cannot move to another domain, signer or class", c.name).WithHint("end it and add another one")
	}
	if err := a.saveAssignment(ctx, c.after); err != nil {
		return err
	}
	a.domains[c.after.Domain] = true
	if c.added || c.before.Stream != c.after.Stream || c.before.Bulk != c.after.Bulk || c.before.NoKey != c.after.NoKey ||
		written(c.before.Subdomains) != written(c.after.Subdomains) || written(c.before.Signing) != written(c.after.Signing) || c.before.Ended.IsZero() != c.after.Ended.IsZero() {
		if err := a.tellSigners(ctx, `SELECT id FROM signers WHERE id = $1`, c.after.SignerID); err != nil {
			return err
		}
	}
	return a.saidOf(c.after.Domain, "assignment of", a.names[c.after.SignerID]+" for "+c.after.Domain, c.added, c.before, c.after)
}

func (a *applying) dropAssignment(ctx context.Context, v inventory.Assignment) error {
	stands, err := a.row(ctx, `SELECT 1 FROM keys WHERE assignment_id = $1 AND state <> 'removed' LIMIT 1`, []any{v.ID}, new(int64))
	if err != nil {
		return err
	}
	if stands {
		return fault.New(fault.Conflict, "assignment %s of %s still has keys", v.ID, v.Domain).WithHint("end it: then its keys go through retirement")
	}
	if err := a.tellSigners(ctx, `SELECT id FROM signers WHERE id = $1`, v.SignerID); err != nil {
		return err
	}
	if _, err := a.exec(ctx, `DELETE FROM assignments WHERE id = $1`, v.ID); err != nil {
		return err
	}
	a.domains[v.Domain] = true
	return a.said(v.Domain, "assignment of", a.names[v.SignerID]+" for "+v.Domain, "removed", v, nil)
}

// tellSigners notes the servers behind the signers that a query finds.
func (a *applying) tellSigners(ctx context.Context, query, arg string) error {
	return a.rows(ctx, `SELECT id FROM signers WHERE kind = 'server' AND id IN (`+query+`)
		UNION SELECT server_id FROM signer_members WHERE pool_id IN (`+query+`)`, []any{arg}, func(s scanner) error {
		var server string
		err := s(&server)
		a.servers[server] = true
		return err
	})
}

// settings saves what concerns every domain.
func (a *applying) settings(ctx context.Context, now, next inventory.State) error {
	if written(now.DNS) != written(next.DNS) {
		dns, err := toJSON(next.DNS)
		if err != nil {
			return err
		}
		if _, err := a.exec(ctx, `UPDATE meta SET dns = $1 WHERE id = 1`, dns); err != nil {
			return err
		}
		a.everything = true
		if err := a.said("", "dns", "servers", "changed", now.DNS, next.DNS); err != nil {
			return err
		}
	}
	if now.Probes != next.Probes {
		probes, err := toJSON(next.Probes)
		if err != nil {
			return err
		}
		if _, err := a.exec(ctx, `UPDATE meta SET probes = $1 WHERE id = 1`, probes); err != nil {
			return err
		}
		if err := a.said("", "probes", "probes", "changed", now.Probes, next.Probes); err != nil {
			return err
		}
	}
	if written(now.Windows) != written(next.Windows) {
		if _, err := a.exec(ctx, `DELETE FROM windows`); err != nil {
			return err
		}
		for i, w := range next.Windows {
			days, err := toJSON(w.Days)
			if err != nil {
				return err
			}
			if _, err := a.exec(ctx, `INSERT INTO windows (position, days, from_time, to_time, zone) VALUES (`+marks(1, 5)+`)`, i, days, w.From, w.To, w.Zone); err != nil {
				return err
			}
		}
		a.everything = true
		if err := a.said("", "change", "windows", "changed", now.Windows, next.Windows); err != nil {
			return err
		}
	}
	if written(now.NeedApproval) != written(next.NeedApproval) {
		if _, err := a.exec(ctx, `DELETE FROM approval_steps`); err != nil {
			return err
		}
		for i, step := range next.NeedApproval {
			if _, err := a.exec(ctx, `INSERT INTO approval_steps (position, step) VALUES ($1, $2)`, i, step); err != nil {
				return err
			}
		}
		a.everything = true
		return a.said("", "steps that need", "approval", "changed", now.NeedApproval, next.NeedApproval)
	}
	return nil
}
