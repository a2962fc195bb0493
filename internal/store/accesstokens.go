package store

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/journal"
)

const accessTokenColumns = `a.id, a.user_name, a.note, a.secret_hash, a.created, a.created_by, a.expires, a.revoked, a.last_used`

// Credential returns a token and its user; fault.NotFound.
func (s *Store) Credential(ctx context.Context, tokenID string) (token access.Token, user access.User, err error) {
	err = s.read(ctx, "read a token", func(t *tx) error {
		ok, err := t.row(ctx, `SELECT `+accessTokenColumns+`, `+userColumns+` FROM access_tokens a JOIN users u ON u.name = a.user_name WHERE a.id = $1`,
			[]any{tokenID}, append(accessTokenInto(&token), userInto(&user)...)...)
		if err == nil && !ok {
			err = noAccessToken(tokenID)
		}
		return err
	})
	return token, user, err
}

// TouchToken sets LastUsed, and never back.
func (s *Store) TouchToken(ctx context.Context, tokenID string, at time.Time) error {
	return s.write(ctx, "note the use of a token", func(t *tx) error {
		_, err := t.exec(ctx, `UPDATE access_tokens SET last_used = $1 WHERE id = $2 AND last_used < $1`, at, tokenID)
		return err
	})
}

// AddToken stores a new token; fault.NotFound when its user does not exist.
func (s *Store) AddToken(ctx context.Context, a access.Token, e journal.Entry) error {
	return s.write(ctx, "store a token", func(t *tx) error {
		known, err := t.row(ctx, `SELECT 1 FROM users WHERE name = $1`, []any{a.User}, new(int64))
		if err != nil {
			return err
		}
		if !known {
			return fault.New(fault.NotFound, "there is no user %s", a.User)
		}
		n, err := t.exec(ctx, `INSERT INTO access_tokens (id, user_name, note, secret_hash, created, created_by, expires, revoked, last_used)
			VALUES (`+marks(1, 9)+`) ON CONFLICT (id) DO NOTHING`, a.ID, a.User, a.Note, hex.EncodeToString(a.SecretHash), a.Created, a.CreatedBy, a.Expires, a.Revoked, a.LastUsed)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.Conflict, "there is a token %s already", a.ID)
		}
		t.journal(e)
		return nil
	})
}

// AccessTokens returns every token of a user ("" = of all), newest first, revoked ones included.
func (s *Store) AccessTokens(ctx context.Context, user string) (tokens []access.Token, err error) {
	err = s.read(ctx, "read the tokens", func(t *tx) error {
		tokens, err = list(ctx, t, `SELECT `+accessTokenColumns+` FROM access_tokens a WHERE $1 = '' OR a.user_name = $1 ORDER BY a.created DESC, a.id`, []any{user},
			func(s scanner, a *access.Token) error { return s(accessTokenInto(a)...) })
		return err
	})
	return tokens, err
}

// RevokeToken sets Revoked to now when it is not set. fault.NotFound.
func (s *Store) RevokeToken(ctx context.Context, tokenID string, e journal.Entry) error {
	return s.write(ctx, "revoke a token", func(t *tx) error {
		n, err := t.exec(ctx, `UPDATE access_tokens SET revoked = $1 WHERE id = $2 AND revoked = 0`, t.now, tokenID)
		if err != nil {
			return err
		}
		if n > 0 {
			t.journal(e)
			return nil
		}
		known, err := t.row(ctx, `SELECT 1 FROM access_tokens WHERE id = $1`, []any{tokenID}, new(int64))
		if err == nil && !known {
			err = noAccessToken(tokenID)
		}
		return err
	})
}

func accessTokenInto(a *access.Token) []any {
	return []any{&a.ID, &a.User, &a.Note, fromHex(&a.SecretHash), at(&a.Created), &a.CreatedBy, at(&a.Expires), at(&a.Revoked), at(&a.LastUsed)}
}

func noAccessToken(id string) error {
	return fault.New(fault.NotFound, "there is no token %s", id)
}
