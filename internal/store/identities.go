package store

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/fleet"
	"github.com/postseal/postseal/internal/journal"
)

const identityColumns = `serial, server_id, key_hash, certificate, token_id, issued, not_after, first_used, refused_from FROM certificates`

// Enrol records the first certificate of a joining agent and the use of its token: the token's Uses must still be
// expectUses (fault.Conflict) and grows by one, its UsedKey becomes id.KeyHash, and every other certificate of the server
// is refused from now on.
func (s *Store) Enrol(ctx context.Context, tokenID string, expectUses int, id fleet.Identity, e journal.Entry) error {
	return s.write(ctx, "enrol an agent", func(t *tx) error {
		n, err := t.exec(ctx, `UPDATE join_tokens SET uses = uses + 1, used_at = $1, used_key = $2 WHERE id = $3 AND uses = $4`,
			t.now, hex.EncodeToString(id.KeyHash), tokenID, expectUses)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.Conflict, "join token %s was used meanwhile", tokenID)
		}
		if _, err := t.exec(ctx, `UPDATE certificates SET refused_from = $1 WHERE server_id = $2 AND (refused_from = 0 OR refused_from > $1)`, t.now, id.ServerID); err != nil {
			return err
		}
		return t.addIdentity(ctx, id, e)
	})
}

// AddIdentity records a renewed certificate. Older ones go on until FirstUse.
func (s *Store) AddIdentity(ctx context.Context, id fleet.Identity, e journal.Entry) error {
	return s.write(ctx, "record a certificate", func(t *tx) error { return t.addIdentity(ctx, id, e) })
}

func (t *tx) addIdentity(ctx context.Context, id fleet.Identity, e journal.Entry) error {
	if _, err := t.server(ctx, id.ServerID); err != nil {
		return err
	}
	n, err := t.exec(ctx, `INSERT INTO certificates (serial, server_id, key_hash, certificate, token_id, issued, not_after, first_used, refused_from)
		VALUES (`+marks(1, 9)+`) ON CONFLICT (serial) DO NOTHING`, id.Serial, id.ServerID, hex.EncodeToString(id.KeyHash),
		base64.StdEncoding.EncodeToString(id.Certificate), id.TokenID, id.Issued, id.NotAfter, id.FirstUsed, id.RefusedFrom)
	if err != nil {
		return err
	}
	if n == 0 {
		return fault.New(fault.Conflict, "there is a certificate %s already", id.Serial)
	}
	t.journal(e)
	return nil
}

// Identity returns one certificate by its serial; fault.NotFound.
func (s *Store) Identity(ctx context.Context, serial string) (fleet.Identity, error) {
	return s.identity(ctx, `WHERE serial = $1`, serial)
}

// IdentityByKey returns the newest certificate of a server for an identity key; fault.NotFound.
func (s *Store) IdentityByKey(ctx context.Context, serverID string, keyHash []byte) (fleet.Identity, error) {
	return s.identity(ctx, `WHERE server_id = $1 AND key_hash = $2 ORDER BY issued DESC, serial LIMIT 1`, serverID, hex.EncodeToString(keyHash))
}

func (s *Store) identity(ctx context.Context, rest string, args ...any) (id fleet.Identity, err error) {
	err = s.read(ctx, "read a certificate", func(t *tx) error {
		ok, err := t.row(ctx, `SELECT `+identityColumns+` `+rest, args, &id.Serial, &id.ServerID, fromHex(&id.KeyHash), fromBase64(&id.Certificate), &id.TokenID,
			at(&id.Issued), at(&id.NotAfter), at(&id.FirstUsed), at(&id.RefusedFrom))
		if err == nil && !ok {
			err = noCertificate()
		}
		return err
	})
	return id, err
}

// FirstUse notes that an agent has its certificate; every one of the same server that was issued before is refused after
// grace. Repeating it changes nothing.
func (s *Store) FirstUse(ctx context.Context, serial string, grace time.Duration) error {
	return s.write(ctx, "note the use of a certificate", func(t *tx) error {
		var server string
		var issued, used time.Time
		ok, err := t.row(ctx, `SELECT server_id, issued, first_used FROM certificates WHERE serial = $1`+t.s.d.forUpdate, []any{serial}, &server, at(&issued), at(&used))
		if err != nil {
			return err
		}
		if !ok {
			return noCertificate()
		}
		if !used.IsZero() {
			return nil
		}
		if _, err := t.exec(ctx, `UPDATE certificates SET first_used = $1 WHERE serial = $2`, t.now, serial); err != nil {
			return err
		}
		_, err = t.exec(ctx, `UPDATE certificates SET refused_from = $1 WHERE server_id = $2 AND issued < $3 AND (refused_from = 0 OR refused_from > $1)`,
			t.now.Add(grace), server, issued)
		return err
	})
}

func noCertificate() error {
	return fault.New(fault.NotFound, "the certificate is not one that this installation issued")
}
