package store

import (
	"context"
	"encoding/hex"
	"net/netip"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/fleet"
	"github.com/postseal/postseal/internal/journal"
)

const joinTokenColumns = `j.id, j.secret_hash, j.server_id, COALESCE(s.name, ''), j.pool_id, j.max_uses, j.uses, j.network, j.created, j.created_by,
	j.expires, j.revoked, j.used_at, j.used_key FROM join_tokens j LEFT JOIN signers s ON s.id = j.server_id`

// AddJoinToken stores a new token. fault.NotFound when its server is not in the inventory.
func (s *Store) AddJoinToken(ctx context.Context, j fleet.JoinToken, e journal.Entry) error {
	return s.write(ctx, "store a join token", func(t *tx) error {
		if j.ServerID != "" {
			if _, err := t.server(ctx, j.ServerID); err != nil {
				return err
			}
		}
		network := ""
		if j.Network.IsValid() {
			network = j.Network.String()
		}
		n, err := t.exec(ctx, `INSERT INTO join_tokens (id, secret_hash, server_id, pool_id, max_uses, uses, network, created, created_by, expires, revoked, used_at, used_key)
			VALUES (`+marks(1, 13)+`) ON CONFLICT (id) DO NOTHING`, j.ID, hex.EncodeToString(j.SecretHash), j.ServerID, j.PoolID, j.MaxUses, j.Uses, network,
			j.Created, j.CreatedBy, j.Expires, j.Revoked, j.UsedAt, hex.EncodeToString(j.UsedKey))
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.Conflict, "there is a join token %s already", j.ID)
		}
		t.journal(e)
		return nil
	})
}

// JoinToken returns one token; fault.NotFound.
func (s *Store) JoinToken(ctx context.Context, id string) (token fleet.JoinToken, err error) {
	err = s.read(ctx, "read a join token", func(t *tx) error {
		found, err := list(ctx, t, `SELECT `+joinTokenColumns+` WHERE j.id = $1`, []any{id}, scanJoinToken)
		if err == nil && len(found) == 0 {
			err = noJoinToken(id)
		}
		if err == nil {
			token = found[0]
		}
		return err
	})
	return token, err
}

// JoinTokens returns all tokens, newest first, used, revoked and expired ones included.
func (s *Store) JoinTokens(ctx context.Context) (tokens []fleet.JoinToken, err error) {
	err = s.read(ctx, "read the join tokens", func(t *tx) error {
		tokens, err = list(ctx, t, `SELECT `+joinTokenColumns+` ORDER BY j.created DESC, j.id`, nil, scanJoinToken)
		return err
	})
	return tokens, err
}

// RevokeJoinToken sets Revoked to the present time when it is not set yet. fault.NotFound.
func (s *Store) RevokeJoinToken(ctx context.Context, id string, e journal.Entry) error {
	return s.write(ctx, "revoke a join token", func(t *tx) error {
		n, err := t.exec(ctx, `UPDATE join_tokens SET revoked = $1 WHERE id = $2 AND revoked = 0`, t.now, id)
		if err != nil {
			return err
		}
		if n > 0 {
			t.journal(e)
			return nil
		}
		known, err := t.row(ctx, `SELECT 1 FROM join_tokens WHERE id = $1`, []any{id}, new(int64))
		if err == nil && !known {
			err = noJoinToken(id)
		}
		return err
	})
}

func scanJoinToken(s scanner, j *fleet.JoinToken) error {
	return s(&j.ID, fromHex(&j.SecretHash), &j.ServerID, &j.Server, &j.PoolID, &j.MaxUses, &j.Uses, asText(func(v string) (err error) {
		if v != "" {
			j.Network, err = netip.ParsePrefix(v)
		}
		return err
	}), at(&j.Created), &j.CreatedBy, at(&j.Expires), at(&j.Revoked), at(&j.UsedAt), fromHex(&j.UsedKey))
}

func noJoinToken(id string) error {
	return fault.New(fault.NotFound, "there is no join token %s", id)
}
