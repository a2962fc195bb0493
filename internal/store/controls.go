package store

import (
	"context"
	"fmt"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
)

// SetHold replaces the hold of its domain. fault.NotFound when there is no such domain.
func (s *Store) SetHold(ctx context.Context, h inventory.Hold) error {
	return s.write(ctx, "hold a domain", func(t *tx) error {
		if err := t.touchKnown(ctx, h.Domain); err != nil {
			return err
		}
		h.At = t.now
		if _, err := t.exec(ctx, `INSERT INTO holds (domain, until_at, reason, by_name, said_at) VALUES (`+marks(1, 5)+`)
			ON CONFLICT (domain) DO UPDATE SET until_at = excluded.until_at, reason = excluded.reason, by_name = excluded.by_name, said_at = excluded.said_at`,
			h.Domain, h.Until, h.Reason, h.By, h.At); err != nil {
			return err
		}
		return t.event(h.By, h.Domain, "", "hold", fmt.Sprintf("%s holds %s%s: %s", h.By, h.Domain, until(h.Until), h.Reason), h)
	})
}

// ReleaseHold ends the hold of a domain. fault.NotFound when there is none.
func (s *Store) ReleaseHold(ctx context.Context, domain, by string) error {
	return s.write(ctx, "release a domain", func(t *tx) error {
		if err := t.touch(ctx, domain); err != nil {
			return err
		}
		n, err := t.exec(ctx, `DELETE FROM holds WHERE domain = $1`, domain)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.NotFound, "%s is not on hold", domain)
		}
		return t.event(by, domain, "", "release", fmt.Sprintf("%s released %s", by, domain), nil)
	})
}

// SetFreeze replaces the freeze of everything.
func (s *Store) SetFreeze(ctx context.Context, f inventory.Freeze) error {
	return s.write(ctx, "freeze", func(t *tx) error {
		if err := t.touchAll(ctx); err != nil {
			return err
		}
		f.At = t.now
		if _, err := t.exec(ctx, `INSERT INTO freezes (id, until_at, reason, by_name, said_at) VALUES (1, `+marks(1, 4)+`)
			ON CONFLICT (id) DO UPDATE SET until_at = excluded.until_at, reason = excluded.reason, by_name = excluded.by_name, said_at = excluded.said_at`,
			f.Until, f.Reason, f.By, f.At); err != nil {
			return err
		}
		return t.event(f.By, "", "", "freeze", fmt.Sprintf("%s froze all changes%s: %s", f.By, until(f.Until), f.Reason), f)
	})
}

// LiftFreeze ends the freeze. fault.NotFound when there is none.
func (s *Store) LiftFreeze(ctx context.Context, by string) error {
	return s.write(ctx, "lift the freeze", func(t *tx) error {
		if err := t.touchAll(ctx); err != nil {
			return err
		}
		n, err := t.exec(ctx, `DELETE FROM freezes WHERE id = 1`)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.NotFound, "nothing is frozen")
		}
		return t.event(by, "", "", "thaw", by+" lifted the freeze", nil)
	})
}

// Freeze returns the freeze that stands, false when none does. One whose time is over stands no more.
func (s *Store) Freeze(ctx context.Context) (f inventory.Freeze, stands bool, err error) {
	err = s.read(ctx, "read the freeze", func(t *tx) error {
		all, err := t.freezes(ctx)
		if err != nil || len(all) == 0 {
			return err
		}
		f, stands = all[0], true
		return nil
	})
	return f, stands, err
}

func (t *tx) freezes(ctx context.Context) ([]inventory.Freeze, error) {
	return list(ctx, t, `SELECT until_at, reason, by_name, said_at FROM freezes WHERE until_at = 0 OR until_at > $1`, []any{t.now},
		func(s scanner, f *inventory.Freeze) error { return s(at(&f.Until), &f.Reason, &f.By, at(&f.At)) })
}

// Waive replaces the waiver of its domain and server. fault.NotFound when there is no such domain.
func (s *Store) Waive(ctx context.Context, w inventory.Waiver) error {
	return s.write(ctx, "waive a name server", func(t *tx) error {
		if err := t.touchKnown(ctx, w.Domain); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `INSERT INTO waivers (domain, server, until_at, by_name, reason) VALUES (`+marks(1, 5)+`)
			ON CONFLICT (domain, server) DO UPDATE SET until_at = excluded.until_at, by_name = excluded.by_name, reason = excluded.reason`,
			w.Domain, w.Server, w.Until, w.By, w.Reason); err != nil {
			return err
		}
		return t.event(w.By, w.Domain, "", "waive", fmt.Sprintf("%s lets %s be ignored while it does not answer%s: %s", w.By, w.Server, until(w.Until), w.Reason), w)
	})
}

// Approve adds an approval; adding it twice is no error. fault.NotFound when there is no such key.
func (s *Store) Approve(ctx context.Context, a inventory.Approval) error {
	return s.write(ctx, "approve a step", func(t *tx) error {
		domain, err := t.domainOfKey(ctx, a.KeyID)
		if err != nil {
			return err
		}
		if err := t.touch(ctx, domain); err != nil {
			return err
		}
		a.At = t.now
		n, err := t.exec(ctx, `INSERT INTO approvals (key_id, step, by_name, said_at) VALUES (`+marks(1, 4)+`) ON CONFLICT (key_id, step) DO NOTHING`,
			a.KeyID, a.Step, a.By, a.At)
		if err != nil || n == 0 {
			return err
		}
		return t.event(a.By, domain, a.KeyID, "approve", fmt.Sprintf("%s approved: %s", a.By, a.Step), a)
	})
}

// touchKnown makes a domain due now that must be in the inventory.
func (t *tx) touchKnown(ctx context.Context, domain string) error {
	if err := t.touch(ctx, domain); err != nil {
		return err
	}
	known, err := t.row(ctx, `SELECT 1 FROM domains WHERE name = $1`, []any{domain}, new(int64))
	if err == nil && !known {
		err = noDomain(domain)
	}
	return err
}

func (t *tx) domainOfKey(ctx context.Context, keyID string) (domain string, err error) {
	ok, err := t.row(ctx, `SELECT domain FROM keys WHERE id = $1`, []any{keyID}, &domain)
	if err == nil && !ok {
		err = fault.New(fault.NotFound, "there is no key %s", keyID)
	}
	return domain, err
}

// until is the end of a sentence about time.
func until(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return " until " + t.UTC().Format("2006-01-02 15:04 MST")
}
