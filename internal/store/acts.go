package store

import (
	"context"
	"fmt"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/lifecycle"
)

// EndKey sets a person's wish that a key leaves; its At is set here. When there is one already only an ordinary end may
// become a compromise; else fault.Conflict. fault.NotFound.
func (s *Store) EndKey(ctx context.Context, keyID string, end lifecycle.End) error {
	return s.write(ctx, "end a key", func(t *tx) error {
		domain, err := t.domainOfKey(ctx, keyID)
		if err != nil {
			return err
		}
		if err := t.touch(ctx, domain); err != nil {
			return err
		}
		// A planner that has not seen the wish must not write over what it means: the revision grows.
		n, err := t.exec(ctx, `UPDATE keys SET ask_by = $1, ask_reason = $2, asked_at = $3, compromised = $4, revision = revision + 1
			WHERE id = $5 AND (asked_at = 0 OR (compromised = 0 AND $4 = 1))`, end.By, end.Reason, t.now, end.Compromised, keyID)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.Conflict, "key %s was asked to leave already", keyID)
		}
		step, what := "revoke", "asked that the key leaves"
		if end.Compromised {
			step, what = "compromise", "declared the private key stolen"
		}
		return t.event(end.By, domain, keyID, step, fmt.Sprintf("%s %s: %s", end.By, what, end.Reason), nil)
	})
}

// CheckNow makes the work of a domain due now. fault.NotFound.
func (s *Store) CheckNow(ctx context.Context, domain string) error {
	return s.write(ctx, "make a domain due", func(t *tx) error {
		if err := t.touchKnown(ctx, domain); err != nil {
			return err
		}
		// A look that never was is due now; a planner that is at work on the older ones starts over.
		if _, err := t.exec(ctx, `UPDATE keys SET revision = revision + 1 WHERE domain = $1 AND state <> 'removed'`, domain); err != nil {
			return err
		}
		_, err := t.exec(ctx, `UPDATE records SET last = '{}', revision = revision + 1 WHERE domain = $1 AND gone = 0`, domain)
		return err
	})
}

// Decommission declares a server gone: it holds nothing any more, its certificates are refused and its join tokens
// revoked from now on. fault.NotFound; nothing happens when it is decommissioned already.
func (s *Store) Decommission(ctx context.Context, serverID, by, reason string) error {
	return s.write(ctx, "decommission a server", func(t *tx) error {
		server, err := t.server(ctx, serverID)
		if err != nil || !server.Decommissioned.IsZero() {
			return err
		}
		if err := t.newGeneration(ctx, -1); err != nil {
			return err
		}
		n, err := t.exec(ctx, `UPDATE signers SET decommissioned = $1, decommissioned_by = $2 WHERE id = $3 AND decommissioned = 0`, t.now, by, serverID)
		if err != nil || n == 0 {
			return err
		}
		if err := t.forgetRefusals(ctx, serverID); err != nil {
			return err
		}
		domains, err := t.forget(ctx, serverID)
		if err != nil {
			return err
		}
		for _, domain := range domains {
			if err := t.event(by, domain, "", "decommission", fmt.Sprintf("%s declared %s gone: %s", by, server.Name, reason), nil); err != nil {
				return err
			}
		}
		return t.event(by, "", "", "decommission", fmt.Sprintf("%s declared %s gone: %s", by, server.Name, reason), map[string]string{"server_id": serverID, "server": server.Name})
	})
}

// forget ends what a server had when it is declared gone, and returns the domains that this concerns.
func (t *tx) forget(ctx context.Context, serverID string) ([]string, error) {
	domains, err := list(ctx, t, `SELECT DISTINCT k.domain FROM holdings h JOIN keys k ON k.id = h.key_id WHERE h.server_id = $1 AND h.gone = 0
		UNION SELECT domain FROM assignments WHERE ended = 0 AND (signer_id = $1 OR signer_id IN (SELECT pool_id FROM signer_members WHERE server_id = $1))
		ORDER BY 1`, []any{serverID}, func(s scanner, domain *string) error { return s(domain) })
	if err != nil {
		return nil, err
	}
	if err := t.touch(ctx, domains...); err != nil {
		return nil, err
	}
	for _, statement := range []string{
		`UPDATE holdings SET gone = $1 WHERE server_id = $2 AND gone = 0`,
		`UPDATE certificates SET refused_from = $1 WHERE server_id = $2 AND (refused_from = 0 OR refused_from > $1)`,
		`UPDATE join_tokens SET revoked = $1 WHERE server_id = $2 AND revoked = 0`,
	} {
		if _, err := t.exec(ctx, statement, t.now, serverID); err != nil {
			return nil, err
		}
	}
	return domains, nil
}
