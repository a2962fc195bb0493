package store

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/audit"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/lifecycle"
	"github.com/postseal/postseal/internal/probe"
)

// ProbePaths returns the paths of a signer that may be probed, by domain; domain "" means every one, at most limit. fault.NotFound when there is no such signer, or it does
// not sign for the domain.
func (s *Store) ProbePaths(ctx context.Context, signer string, service bool, domain string, limit int) (targets []probe.Target, err error) {
	err = s.read(ctx, "read the paths of "+signer, func(t *tx) error {
		targets, err = t.probePaths(ctx, signer, service, domain, limit)
		return err
	})
	return targets, err
}

func (t *tx) probePaths(ctx context.Context, signer string, service bool, domain string, limit int) (targets []probe.Target, err error) {
	kind := inventory.KindServer
	if service {
		kind = inventory.KindService
	}
	found, err := t.signers(ctx, `WHERE s.kind = $1 AND s.name = $2 AND s.decommissioned = 0`, kind, signer)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fault.New(fault.NotFound, "there is no %s %s in the inventory", kind, signer).WithHint("postseal %s list shows them", kind)
	}
	id := found[0].ID
	var ready int64
	if _, err := t.row(ctx, `SELECT probes FROM agents WHERE server_id = $1`, []any{id}, &ready); err != nil {
		return nil, err
	}
	// A probe through a server names no stream.
	domains, err := list(ctx, t, `SELECT DISTINCT domain FROM assignments WHERE ended = 0 AND ($1 = '' OR domain = $1) AND (stream = $4 OR $5 = 1)
		AND (signer_id = $2 OR signer_id IN (SELECT pool_id FROM signer_members WHERE server_id = $2)) ORDER BY domain LIMIT $3`, []any{domain, id, limit, inventory.DefaultStream, service},
		func(s scanner, d *string) error { return s(d) })
	if err != nil {
		return nil, err
	}
	if len(domains) == 0 && domain != "" {
		return nil, fault.New(fault.NotFound, "%s does not sign for %s", signer, domain).WithHint("postseal domain show %s says who does", domain)
	}
	for _, d := range domains {
		target := probe.Target{Path: probe.Path{Domain: d, SignerID: id, Signer: signer, Service: service}, Ready: ready == 1}
		if target.Selectors, err = t.selectorsOf(ctx, target.Path); err != nil {
			return nil, err
		}
		targets = append(targets, target)
	}
	return targets, nil
}

// DueProbes returns up to limit paths through servers whose agents can submit probes, that were not asked for since before, or since another key became the one that
// signs; the longest ago first. Servers of which perHour were asked for within the hour are left out, and so are paths with a probe
// that has not ended, unless it was asked for before the key that signs now did: it says nothing about this one, and may be lost.
func (s *Store) DueProbes(ctx context.Context, before time.Time, perHour, limit int) (due []probe.Target, err error) {
	err = s.read(ctx, "look for paths to probe", func(t *tx) error {
		due, err = list(ctx, t, `SELECT x.domain, x.server_id, x.name, CASE WHEN x.last > 0 AND x.last < x.newest THEN '`+string(probe.ByRotation)+`' ELSE '`+string(probe.BySchedule)+`' END,
			(SELECT COUNT(*) FROM probes p WHERE p.signer_id = x.server_id AND p.asked > $4) AS recent
			FROM (SELECT k.domain, h.server_id, s.name, MAX(k.signing) AS newest, COALESCE((SELECT MAX(p.asked) FROM probes p WHERE p.domain = k.domain AND p.signer_id = h.server_id), 0) AS last
				FROM holdings h JOIN keys k ON k.id = h.key_id JOIN assignments a ON a.id = k.assignment_id JOIN agents g ON g.server_id = h.server_id JOIN signers s ON s.id = h.server_id
				WHERE h.gone = 0 AND h.want = $1 AND h.signing = 1 AND k.state = $2 AND k.signing > 0 AND a.stream = $3 AND a.ended = 0 AND g.probes = 1 AND s.decommissioned = 0
				GROUP BY k.domain, h.server_id, s.name) x
			WHERE (x.last < $5 OR x.last < x.newest) AND (SELECT COUNT(*) FROM probes p WHERE p.signer_id = x.server_id AND p.asked > $4) < $6
				AND NOT EXISTS (SELECT 1 FROM probes p WHERE p.domain = x.domain AND p.signer_id = x.server_id AND p.ended = 0 AND p.asked >= x.newest)
			ORDER BY x.last, x.domain, x.server_id LIMIT $7`,
			[]any{lifecycle.WantSign, lifecycle.Active, inventory.DefaultStream, t.now.Add(-time.Hour), before, perHour, limit},
			func(s scanner, d *probe.Target) error {
				d.Ready = true
				return s(&d.Domain, &d.SignerID, &d.Signer, &d.Why, &d.Recent)
			})
		for i := range due {
			if err == nil {
				due[i].Selectors, err = t.selectorsOf(ctx, due[i].Path)
			}
		}
		return err
	})
	return due, err
}

// selectorsOf reads which selectors sign for a path now: of a server those that it says it signs with, and newer ones that it was told to; of a service those in its records.
func (t *tx) selectorsOf(ctx context.Context, p probe.Path) ([]string, error) {
	if p.Service {
		all, err := t.assignments(ctx, `WHERE domain = $1 AND signer_id = $2 AND ended = 0`, p.Domain, p.SignerID)
		var selectors []string
		for _, a := range all {
			for _, r := range a.Records {
				selectors = append(selectors, r.Selector)
			}
		}
		slices.Sort(selectors)
		return slices.Compact(selectors), err
	}
	type holding struct {
		selector, family string
		signing          bool
		rank             int
	}
	all, err := list(ctx, t, `SELECT k.selector, k.algorithm, h.signing, h.rank FROM holdings h JOIN keys k ON k.id = h.key_id JOIN assignments a ON a.id = k.assignment_id
		WHERE h.server_id = $1 AND h.gone = 0 AND h.want = $2 AND k.domain = $3 AND a.stream = $4 ORDER BY k.selector`, []any{p.SignerID, lifecycle.WantSign, p.Domain, inventory.DefaultStream},
		func(s scanner, h *holding) error {
			err := s(&h.selector, &h.family, truth(&h.signing), &h.rank)
			if strings.HasPrefix(h.family, "rsa") {
				h.family = "rsa"
			}
			return err
		})
	best := map[string]int{}
	for _, h := range all {
		if h.signing {
			best[h.family] = max(best[h.family], h.rank)
		}
	}
	var selectors []string
	for _, h := range all {
		if top, some := best[h.family]; h.signing || !some || h.rank > top {
			selectors = append(selectors, h.selector)
		}
	}
	return selectors, err
}

// selectorOwners reads whose key each selector of a domain is.
func (t *tx) selectorOwners(ctx context.Context, domain string) (map[string]string, error) {
	owners := map[string]string{}
	err := t.rows(ctx, `SELECT k.selector, s.name FROM keys k JOIN assignments a ON a.id = k.assignment_id JOIN signers s ON s.id = a.signer_id WHERE k.domain = $1 ORDER BY k.created`, []any{domain},
		func(s scanner) error {
			var selector, name string
			err := s(&selector, &name)
			owners[selector] = name
			return err
		})
	if err != nil {
		return nil, err
	}
	err = t.rows(ctx, `SELECT a.records, s.name FROM assignments a JOIN signers s ON s.id = a.signer_id WHERE a.domain = $1 AND a.ended = 0 AND a.class <> $2`, []any{domain, inventory.ClassManaged},
		func(s scanner) error {
			var records []inventory.ServiceRecord
			var name string
			err := s(fromJSON(&records), &name)
			for _, r := range records {
				owners[r.Selector] = name
			}
			return err
		})
	return owners, err
}

// probed reads the selectors that good probes of a domain arrived with, by server.
func (t *tx) probed(ctx context.Context, domain string) (map[string][]string, error) {
	by := map[string][]string{}
	err := t.rows(ctx, `SELECT signer_id, verdict FROM probes WHERE domain = $1 AND service = 0 AND state = $2 ORDER BY asked`, []any{domain, probe.Arrived}, func(s scanner) error {
		var server string
		var v probe.Verdict
		if err := s(&server, fromJSON(&v)); err != nil {
			return err
		}
		for _, selector := range v.Proven {
			if v.Good && !slices.Contains(by[server], selector) {
				by[server] = append(by[server], selector)
			}
		}
		return nil
	})
	return by, err
}

// unprobed reads why no good probe of a domain comes through its servers, by server, where that is known: the agent is not set up for them, or the last one went wrong.
func (t *tx) unprobed(ctx context.Context, domain string) (map[string]string, error) {
	by := map[string]string{}
	err := t.rows(ctx, `SELECT `+probeColumns+` WHERE p.domain = $1 AND p.service = 0 AND p.ended > 0
		AND NOT EXISTS (SELECT 1 FROM probes q WHERE q.domain = p.domain AND q.signer_id = p.signer_id AND (q.asked, q.id) > (p.asked, p.id))`, []any{domain}, func(s scanner) error {
		var p probe.Probe
		err := scanProbe(s, &p)
		if text := p.Trouble(); text != "" {
			by[p.SignerID] = text
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	err = t.rows(ctx, `SELECT server_id FROM agents WHERE reported > 0 AND probes = 0
		AND server_id IN (SELECT h.server_id FROM holdings h JOIN keys k ON k.id = h.key_id WHERE k.domain = $1 AND h.gone = 0)`, []any{domain}, func(s scanner) error {
		var server string
		err := s(&server)
		by[server] = "its agent is not set up for probes: agent.yaml has no probe section"
		return err
	})
	return by, err
}

// saveProbeFindings folds what probes show into the findings of a domain: what they resolve is named.
func (t *tx) saveProbeFindings(ctx context.Context, domain string, open, resolved []probe.Finding) error {
	if len(open)+len(resolved) == 0 {
		return nil
	}
	var found []audit.Finding
	for _, f := range open {
		found = append(found, audit.Finding{ID: f.ID, Severity: audit.Severity(f.Severity), Subject: f.Subject, Message: f.Message, Fix: f.Fix})
	}
	return t.saveFindings(ctx, domain, fromProbe, found, func(id, subject string) bool {
		return slices.ContainsFunc(resolved, func(f probe.Finding) bool { return f.ID == id && f.Subject == subject })
	})
}
