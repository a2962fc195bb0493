package store

import (
	"context"
	"time"

	"github.com/postseal/postseal/internal/fleet"
	"github.com/postseal/postseal/internal/inventory"
)

// Agent is what is known of a server's agent.
type Agent struct {
	Server inventory.Signer
	// Joined is when its newest certificate by token was issued; zero = never joined.
	Joined time.Time
	// CertificateEnds is when its newest certificate ends; zero = it has none that is accepted.
	CertificateEnds time.Time
	Reported        time.Time // last report; zero = never
	Applied         int64     // instruction version in force on it
	Latest          int64     // present instruction version
	Skew            time.Duration
	Software        string
	Keys            int               // holdings that are neither destroyed nor gone
	Unsigned        map[string]uint64 // messages not signed, by reason
	Refused         []fleet.Refused   // what receivers refused in the last fleet.RefusalQuiet, the newest first; not all when there is much
}

// Agents returns what is known of the agent of each server, by server name, decommissioned ones included. Of refusals it has those of domains with one of the labels; without
// any label all, also those of names that are not ours.
func (s *Store) Agents(ctx context.Context, labels ...string) (agents []Agent, err error) {
	err = s.read(ctx, "read the agents", func(t *tx) error {
		agents, err = t.agents(ctx, labels)
		return err
	})
	return agents, err
}

func (t *tx) agents(ctx context.Context, labels []string) ([]Agent, error) {
	servers, err := t.signers(ctx, `WHERE s.kind = 'server'`)
	if err != nil {
		return nil, err
	}
	unsigned, err := t.unsigned(ctx, "")
	if err != nil {
		return nil, err
	}
	refused, err := t.refused(ctx, labels)
	if err != nil {
		return nil, err
	}
	agents := make([]Agent, len(servers))
	index := make(map[string]*Agent, len(servers))
	for i, server := range servers {
		agents[i] = Agent{Server: server, Unsigned: unsigned[server.ID], Refused: refused[server.ID]}
		index[server.ID] = &agents[i]
	}
	err = t.rows(ctx, `SELECT a.server_id, a.reported, a.applied, a.skew, a.software, i.version,
		(SELECT COUNT(*) FROM holdings h WHERE h.server_id = a.server_id AND h.gone = 0 AND h.destroyed = 0),
		COALESCE((SELECT MAX(c.issued) FROM certificates c WHERE c.server_id = a.server_id AND c.token_id <> ''), 0),
		COALESCE((SELECT MAX(c.not_after) FROM certificates c WHERE c.server_id = a.server_id AND c.not_after > $1 AND (c.refused_from = 0 OR c.refused_from > $1)), 0)
		FROM agents a JOIN instructions i ON i.server_id = a.server_id`, []any{t.now}, func(s scanner) error {
		var id string
		var v Agent
		if err := s(&id, at(&v.Reported), &v.Applied, lasts(&v.Skew), &v.Software, &v.Latest, &v.Keys, at(&v.Joined), at(&v.CertificateEnds)); err != nil {
			return err
		}
		if a, ok := index[id]; ok {
			v.Server, v.Unsigned, v.Refused = a.Server, a.Unsigned, a.Refused
			*a = v
		}
		return nil
	})
	return agents, err
}

// unsigned reads the counters of one server, or of all when it is "".
func (t *tx) unsigned(ctx context.Context, serverID string) (map[string]map[string]uint64, error) {
	counts := map[string]map[string]uint64{}
	err := t.rows(ctx, `SELECT server_id, reason, messages FROM unsigned WHERE $1 = '' OR server_id = $1`, []any{serverID}, func(s scanner) error {
		var id, reason string
		var n uint64
		if err := s(&id, &reason, &n); err != nil {
			return err
		}
		if counts[id] == nil {
			counts[id] = map[string]uint64{}
		}
		counts[id][reason] = n
		return nil
	})
	return counts, err
}
