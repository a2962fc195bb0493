package store

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/journal"
	"github.com/postseal/postseal/internal/probe"
)

const probeColumns = `p.id, p.domain, p.signer_id, COALESCE(s.name, ''), p.service, p.token_hash, p.to_address, p.why, p.by_name, p.asked, p.wanted, p.state, p.submitted, p.reply,
	p.not_set_up, p.ended, p.mail, p.verdict, p.revision FROM probes p LEFT JOIN signers s ON s.id = p.signer_id`

func scanProbe(s scanner, p *probe.Probe) error {
	return s(&p.ID, &p.Domain, &p.SignerID, &p.Signer, truth(&p.Service), &p.TokenHash, &p.To, &p.Why, &p.By, at(&p.Asked), fromJSON(&p.Wanted), &p.State, at(&p.Submitted), &p.Reply,
		truth(&p.NotSetUp), at(&p.Ended), fromJSON(&p.Mail), fromJSON(&p.Verdict), &p.Revision)
}

// ProbeSettings returns what the inventory says of probes, and the database's time.
func (s *Store) ProbeSettings(ctx context.Context) (settings inventory.Probes, now time.Time, err error) {
	err = s.read(ctx, "read the settings of probes", func(t *tx) error {
		now = t.now
		_, err := t.row(ctx, `SELECT probes FROM meta WHERE id = 1`, nil, fromJSON(&settings))
		return err
	})
	return settings, now, err
}

// AddProbes stores new probes, tells the agents of their servers, and journals. fault.Conflict when more orders of one server would be open than an agent takes at a time.
func (s *Store) AddProbes(ctx context.Context, probes []probe.Probe, entries []journal.Entry) error {
	return s.write(ctx, "ask for probes", func(t *tx) error {
		var servers []string
		for _, p := range probes {
			wanted, err := toJSON(p.Wanted)
			if err != nil {
				return err
			}
			if _, err := t.exec(ctx, `INSERT INTO probes (id, domain, signer_id, service, token_hash, to_address, why, by_name, asked, wanted, state, submitted, reply, not_set_up, ended, mail, verdict, revision)
				VALUES (`+marks(1, 11)+`, 0, '', 0, 0, '', '', 1)`,
				p.ID, p.Domain, p.SignerID, p.Service, p.TokenHash, p.To, p.Why, p.By, p.Asked, wanted, p.State); err != nil {
				return err
			}
			if !p.Service {
				servers = append(servers, p.SignerID)
			}
		}
		slices.Sort(servers)
		servers = slices.Compact(servers)
		// The version's row makes those who ask the same server wait for each other, so it comes before counting.
		if _, err := t.bump(ctx, servers); err != nil {
			return err
		}
		for _, server := range servers {
			var open int64
			if _, err := t.row(ctx, `SELECT COUNT(*) FROM probes WHERE signer_id = $1 AND to_address <> ''`, []any{server}, &open); err != nil {
				return err
			}
			if open > agentapi.MaxProbes {
				return fault.New(fault.Conflict, "%d probes wait for the same agent, and it takes %d at a time", open, agentapi.MaxProbes).WithHint("wait until it has answered: postseal probe list")
			}
		}
		for _, e := range entries {
			t.journal(e)
		}
		return nil
	})
}

// orders are the probes that a server's agent should submit, the oldest first.
func (t *tx) orders(ctx context.Context, serverID string) ([]agentapi.ProbeOrder, error) {
	return list(ctx, t, `SELECT id, domain, to_address FROM probes WHERE signer_id = $1 AND to_address <> '' ORDER BY asked, id LIMIT $2`, []any{serverID, agentapi.MaxProbes},
		func(s scanner, o *agentapi.ProbeOrder) error { return s(&o.ID, &o.Domain, &o.To) })
}

// saveProbeAnswers takes over what an agent says of its orders. It speaks of its own server's probes only; of others nothing is kept.
func (t *tx) saveProbeAnswers(ctx context.Context, serverID string, answers []agentapi.ProbeReport) error {
	told := false
	for _, a := range answers {
		found, err := list(ctx, t, `SELECT `+probeColumns+` WHERE p.id = $1 AND p.signer_id = $2 AND p.service = 0`, []any{a.ID, serverID}, scanProbe)
		if err != nil {
			return err
		}
		for _, p := range found {
			if !p.Answer(a, t.now) {
				continue
			}
			told = true
			if err := t.updateProbe(ctx, p); err != nil {
				return err
			}
			open, resolved := p.Findings()
			if p.State == probe.Arrived {
				open, resolved = nil, nil // said when it arrived
			}
			if err := t.saveProbeFindings(ctx, p.Domain, open, resolved); err != nil {
				return err
			}
		}
	}
	if !told {
		return nil
	}
	_, err := t.bump(ctx, []string{serverID})
	return err
}

// ProbeOf returns the probe with this hash of a token, and what its path is expected to do now. fault.NotFound.
func (s *Store) ProbeOf(ctx context.Context, tokenHash string) (p probe.Probe, w probe.Wanted, err error) {
	err = s.read(ctx, "look for a probe", func(t *tx) error {
		found, err := list(ctx, t, `SELECT `+probeColumns+` WHERE p.token_hash = $1`, []any{tokenHash}, scanProbe)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return fault.New(fault.NotFound, "no probe has this address")
		}
		p = found[0]
		w.Path = p.Path
		if w.Selectors, err = t.selectorsOf(ctx, p.Path); err != nil {
			return err
		}
		w.Owners, err = t.selectorOwners(ctx, p.Domain)
		return err
	})
	return p, w, err
}

// SaveProbe writes a probe whose revision is still the one that was read, folds what it shows into the findings of its domain, journals, and makes the work of a domain
// due whose keys wait for probes.
func (s *Store) SaveProbe(ctx context.Context, p probe.Probe, open, resolved []probe.Finding, e *journal.Entry) error {
	return s.write(ctx, "save a probe", func(t *tx) error {
		var policy inventory.Policy
		known, err := t.row(ctx, `SELECT policy FROM domains WHERE name = $1`, []any{p.Domain}, fromJSON(&policy))
		if err != nil {
			return err
		}
		if policy.Gate == inventory.GateProbe {
			if err := t.touch(ctx, p.Domain); err != nil {
				return err
			}
		}
		var told string
		if _, err := t.row(ctx, `SELECT to_address FROM probes WHERE id = $1`, []any{p.ID}, &told); err != nil {
			return err
		}
		if err := t.updateProbe(ctx, p); err != nil {
			return err
		}
		if told != p.To {
			if _, err := t.bump(ctx, []string{p.SignerID}); err != nil {
				return err
			}
		}
		if known {
			if err := t.saveProbeFindings(ctx, p.Domain, open, resolved); err != nil {
				return err
			}
		}
		if e != nil {
			t.journal(*e)
		}
		return nil
	})
}

func (t *tx) updateProbe(ctx context.Context, p probe.Probe) error {
	var mail, verdict string
	var err error
	if p.Mail != nil {
		if mail, err = toJSON(p.Mail); err != nil {
			return err
		}
	}
	if p.Verdict != nil {
		if verdict, err = toJSON(p.Verdict); err != nil {
			return err
		}
	}
	n, err := t.exec(ctx, `UPDATE probes SET state = $1, submitted = $2, reply = $3, not_set_up = $4, ended = $5, to_address = $6, mail = $7, verdict = $8, revision = revision + 1
		WHERE id = $9 AND revision = $10`, p.State, p.Submitted, p.Reply, p.NotSetUp, p.Ended, p.To, mail, verdict, p.ID, p.Revision)
	if err == nil && n == 0 {
		err = fault.New(fault.Conflict, "probe %s changed meanwhile", p.ID)
	}
	return err
}

// OverdueProbes returns up to limit probes that have not ended and whose deadline is past, the oldest first.
func (s *Store) OverdueProbes(ctx context.Context, limit int) (over []probe.Probe, err error) {
	err = s.read(ctx, "read overdue probes", func(t *tx) error {
		over, err = list(ctx, t, `SELECT `+probeColumns+` WHERE p.ended = 0 AND ((p.service = 1 AND p.asked < $1) OR (p.service = 0 AND p.state = 'asked' AND p.asked < $2)
			OR (p.service = 0 AND p.state = 'submitted' AND p.submitted < $3)) ORDER BY p.asked, p.id LIMIT $4`,
			[]any{t.now.Add(-probe.SendWithin), t.now.Add(-probe.TakeWithin), t.now.Add(-probe.ArriveWithin), limit}, scanProbe)
		return err
	})
	return over, err
}

// ForgetProbes deletes probes that ended before a time, and those of the schedule that ended before another.
func (s *Store) ForgetProbes(ctx context.Context, before, scheduled time.Time) error {
	const old = ` FROM probes WHERE ended > 0 AND (ended < $1 OR ended < $2 AND why = '` + string(probe.BySchedule) + `')`
	some := false
	if err := s.read(ctx, "look for old probes", func(t *tx) (err error) {
		some, err = t.row(ctx, `SELECT 1`+old+` LIMIT 1`, []any{before, scheduled}, new(int64))
		return err
	}); err != nil || !some {
		return err
	}
	return s.write(ctx, "forget old probes", func(t *tx) error {
		_, err := t.exec(ctx, `DELETE`+old, before, scheduled)
		return err
	})
}

// ProbeFilter selects probes.
type ProbeFilter struct {
	Domain string
	Signer string // name of a server or service
	State  probe.State
	Newest bool     // only the newest of each path
	Labels []string // of domains with at least one of these; empty = all
	Limit  int      // > 0
}

// Probes returns probes, newest first.
func (s *Store) Probes(ctx context.Context, f ProbeFilter) (all []probe.Probe, err error) {
	where, args := []string{`($1 = '' OR p.domain = $1)`, `($2 = '' OR s.name = $2)`, `($3 = '' OR p.state = $3)`}, []any{f.Domain, f.Signer, f.State, f.Limit}
	if f.Newest {
		where = append(where, `NOT EXISTS (SELECT 1 FROM probes q WHERE q.domain = p.domain AND q.signer_id = p.signer_id AND (q.asked, q.id) > (p.asked, p.id))`)
	}
	if len(f.Labels) > 0 {
		where = append(where, `p.domain IN (SELECT domain FROM domain_labels WHERE label IN (`+marks(len(args)+1, len(f.Labels))+`))`)
		for _, l := range f.Labels {
			args = append(args, l)
		}
	}
	err = s.read(ctx, "read probes", func(t *tx) error {
		all, err = list(ctx, t, `SELECT `+probeColumns+` WHERE `+strings.Join(where, " AND ")+` ORDER BY p.asked DESC, p.id DESC LIMIT $4`, args, scanProbe)
		return err
	})
	return all, err
}

// Probe returns one probe; fault.NotFound.
func (s *Store) Probe(ctx context.Context, id string) (p probe.Probe, err error) {
	err = s.read(ctx, "read a probe", func(t *tx) error {
		found, err := list(ctx, t, `SELECT `+probeColumns+` WHERE p.id = $1`, []any{id}, scanProbe)
		if err == nil && len(found) == 0 {
			err = fault.New(fault.NotFound, "there is no probe %s", fmt.Sprintf("%.40s", id)).WithHint("postseal probe list shows them")
		}
		if err == nil {
			p = found[0]
		}
		return err
	})
	return p, err
}
