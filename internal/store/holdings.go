package store

import (
	"context"
	"slices"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/lifecycle"
)

// holdings calls f for each holding that a query's rest selects, by key and server. When the agent's newest report spoke
// of a holding, the report's time and skew are those of the agent: so a report that changes nothing writes one row, not
// one for each key.
func (t *tx) holdings(ctx context.Context, rest string, arg any, f func(keyID string, h lifecycle.Holding)) error {
	return t.rows(ctx, `SELECT h.key_id, h.server_id, h.want, h.rank, h.acked, h.has, h.value, h.signing, h.signed, h.last_signed,
		h.canary_verified, h.canary_nonce, h.canary_problem, h.error,
		CASE WHEN h.spoken = 1 THEN COALESCE(a.reported, h.reported) ELSE h.reported END,
		CASE WHEN h.spoken = 1 THEN COALESCE(a.skew, h.skew) ELSE h.skew END, h.gone
		FROM holdings h LEFT JOIN agents a ON a.server_id = h.server_id `+rest+` ORDER BY h.key_id, h.server_id`, []any{arg},
		func(s scanner) error {
			var keyID string
			var h lifecycle.Holding
			err := s(&keyID, &h.ServerID, &h.Want, &h.Rank, &h.Acked, truth(&h.Has), &h.Value, truth(&h.Signing), &h.Signed, at(&h.LastSigned),
				at(&h.CanaryVerified), &h.CanaryNonce, &h.CanaryProblem, &h.Error, at(&h.Reported), lasts(&h.Skew), at(&h.Gone))
			if err == nil {
				f(keyID, h)
			}
			return err
		})
}

// wish is what the planner wants of one holder.
type wish struct {
	server string
	want   lifecycle.Want
	rank   int
}

// tell writes the wishes of a key's holders where they changed, and gives those a new version of their instructions. all = every
// holder gets one, whether its wishes changed or not. Facts are not touched, but for the acknowledgement of the former wish,
// which says nothing about the new one (invariant 2); a holder that the key does not name any more stays.
func (t *tx) tell(ctx context.Context, k lifecycle.Key, all bool) error {
	have := map[string]wish{}
	var told []string
	err := t.rows(ctx, `SELECT server_id, want, rank, gone FROM holdings WHERE key_id = $1`, []any{k.ID}, func(s scanner) error {
		var w wish
		var gone bool
		if err := s(&w.server, &w.want, &w.rank, truth(&gone)); err != nil {
			return err
		}
		have[w.server] = w
		if all && !gone {
			told = append(told, w.server)
		}
		return nil
	})
	if err != nil {
		return err
	}
	var changed []wish
	for _, h := range k.Holders {
		if w := (wish{h.ServerID, h.Want, h.Rank}); have[h.ServerID] != w {
			changed = append(changed, w)
			told = append(told, h.ServerID)
		}
	}
	slices.Sort(told)
	told = slices.Compact(told)
	versions, err := t.bump(ctx, told)
	if err != nil {
		return err
	}
	for _, w := range changed {
		// A server that is gone never holds a new key, whoever names it.
		n, err := t.exec(ctx, `INSERT INTO holdings (key_id, server_id, want, rank, want_version, acked, has, value, signing, signed, last_signed,
			canary_verified, canary_nonce, canary_problem, error, spoken, reported, skew, destroyed, gone)
			SELECT $1, s.id, $3, CAST($4 AS BIGINT), CAST($5 AS BIGINT), '', 0, '', 0, 0, 0, 0, '', '', '', 0, 0, 0, 0, s.decommissioned FROM signers s WHERE s.id = $2
			ON CONFLICT (key_id, server_id) DO UPDATE SET want = excluded.want, rank = excluded.rank, want_version = excluded.want_version, acked = ''`,
			k.ID, w.server, w.want, w.rank, versions[w.server])
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.Conflict, "there is no server %s that could hold key %s", w.server, k.ID)
		}
	}
	return nil
}

// bump gives servers a new version of their instructions and returns it. The servers are sorted.
func (t *tx) bump(ctx context.Context, servers []string) (map[string]int64, error) {
	versions := make(map[string]int64, len(servers))
	for _, server := range servers {
		var version int64
		ok, err := t.row(ctx, `UPDATE instructions SET version = version + 1 WHERE server_id = $1 RETURNING version`, []any{server}, &version)
		if err != nil {
			return nil, err
		}
		if ok {
			versions[server] = version
			t.woke |= instructionsNewer
		}
	}
	return versions, nil
}
