package store

import (
	"context"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/fleet"
)

// InstructionVersions returns the present instruction version of each of these servers; unknown ones are missing.
func (s *Store) InstructionVersions(ctx context.Context, serverIDs []string) (map[string]int64, error) {
	versions := make(map[string]int64, len(serverIDs))
	err := s.read(ctx, "read the versions of instructions", func(t *tx) error {
		return t.chunks(ctx, `SELECT server_id, version FROM instructions WHERE server_id IN (%s)`, serverIDs, func(s scanner) error {
			var id string
			var version int64
			err := s(&id, &version)
			versions[id] = version
			return err
		})
	})
	return versions, err
}

// Instructions composes Version and Assignments for one server from the holdings, sorted by domain, stream and selector,
// one entry for each domain and stream. Keys that the holder has reported as destroyed are left out, and an assignment that
// has ended is left out with its last key. Only an assignment that stands, of a domain that is managed, asks for deferring
// mail without a key. fault.NotFound when there is no such server.
func (s *Store) Instructions(ctx context.Context, serverID string) (told agentapi.Instructions, err error) {
	err = s.read(ctx, "compose instructions", func(t *tx) error {
		told, err = t.instructionsFor(ctx, serverID)
		return err
	})
	return told, err
}

func (t *tx) instructionsFor(ctx context.Context, serverID string) (told agentapi.Instructions, err error) {
	ok, err := t.row(ctx, `SELECT version FROM instructions WHERE server_id = $1`, []any{serverID}, &told.Version)
	if err != nil {
		return told, err
	}
	if !ok {
		return told, fault.New(fault.NotFound, "there is no server %s in the inventory", serverID)
	}
	keys := map[string][]agentapi.Key{}
	err = t.rows(ctx, `SELECT k.assignment_id, k.id, k.selector, k.algorithm, h.want, h.rank, k.value, k.canary
		FROM holdings h JOIN keys k ON k.id = h.key_id WHERE h.server_id = $1 AND h.gone = 0 AND h.destroyed = 0`,
		[]any{serverID}, func(s scanner) error {
			var assignment string
			var k agentapi.Key
			err := s(&assignment, &k.ID, &k.Selector, &k.Algorithm, &k.Want, &k.Rank, &k.Record, &k.Canary)
			keys[assignment] = append(keys[assignment], k)
			return err
		})
	if err != nil {
		return told, err
	}
	all, err := list(ctx, t, `SELECT a.id, a.domain, a.stream, a.bulk, a.no_key, a.subdomains, a.signing, a.ended, d.mode, d.no_key, d.subdomains, d.signing,
		CASE WHEN a.signer_id = $1 THEN 1 ELSE 0 END,
		CASE WHEN EXISTS (SELECT 1 FROM signer_members m WHERE m.pool_id = a.signer_id AND m.server_id = $1) THEN 1 ELSE 0 END
		FROM assignments a JOIN domains d ON d.name = a.domain
		WHERE a.class = 'managed' AND a.id IN (SELECT id FROM assignments WHERE signer_id = $1
		UNION SELECT p.id FROM assignments p JOIN signer_members m ON m.pool_id = p.signer_id WHERE m.server_id = $1
		UNION SELECT k.assignment_id FROM holdings h JOIN keys k ON k.id = h.key_id WHERE h.server_id = $1 AND h.gone = 0 AND h.destroyed = 0)`,
		[]any{serverID}, func(s scanner, p *permission) error {
			d := &p.domain
			err := s(&p.ID, &p.Domain, &p.Stream, truth(&p.Bulk), &p.NoKey, fromJSON(&p.Subdomains), fromJSON(&p.Signing), at(&p.Ended),
				&d.Mode, &d.NoKey, truth(&d.Subdomains), fromJSON(&d.Signing), truth(&p.own), truth(&p.member))
			p.keys = keys[p.ID]
			return err
		})
	if err != nil {
		return told, err
	}
	told.Assignments = compose(all)
	told.Probes, err = t.orders(ctx, serverID)
	return told, err
}

// ReportedKeys says, of the keys that a report names, which exist and whether this server holds them. A key that does not
// exist (any more) is missing in the answer.
func (s *Store) ReportedKeys(ctx context.Context, serverID string, keyIDs []string) (map[string]fleet.ReportedKey, error) {
	known := make(map[string]fleet.ReportedKey, len(keyIDs))
	err := s.read(ctx, "look for reported keys", func(t *tx) error {
		if err := t.chunks(ctx, `SELECT id, domain, selector, value, canary FROM keys WHERE id IN (%s)`, keyIDs, func(s scanner) error {
			var id string
			var k fleet.ReportedKey
			err := s(&id, &k.Domain, &k.Selector, &k.Record, &k.Canary)
			known[id] = k
			return err
		}); err != nil {
			return err
		}
		return t.rows(ctx, `SELECT key_id, canary_nonce, canary_verified FROM holdings WHERE server_id = $1 AND gone = 0`, []any{serverID}, func(s scanner) error {
			var id, nonce string
			var verified time.Time
			if err := s(&id, &nonce, at(&verified)); err != nil {
				return err
			}
			if k, named := known[id]; named {
				k.Held = true
				k.CanaryVerified = k.Canary != "" && nonce == k.Canary && !verified.IsZero()
				known[id] = k
			}
			return nil
		})
	})
	return known, err
}
