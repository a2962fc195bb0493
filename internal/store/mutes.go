package store

import (
	"context"
	"fmt"

	"github.com/postseal/postseal/internal/audit"
	"github.com/postseal/postseal/internal/fault"
)

// Mute mutes an open finding, or replaces its mute (event "mute"). At is set by the store. fault.NotFound: no such finding is open.
func (s *Store) Mute(ctx context.Context, m audit.Mute) error {
	return s.write(ctx, "mute a finding", func(t *tx) error {
		open, err := t.row(ctx, `SELECT 1 FROM findings WHERE domain = $1 AND id = $2 AND ($3 = '' OR subject = $3) LIMIT 1`, []any{m.Domain, m.ID, m.Subject}, new(int64))
		switch {
		case err != nil:
			return err
		case !open:
			return fault.New(fault.NotFound, "no such finding is open: %s of %s%s", m.ID, m.Domain, about(m.Subject)).WithHint("postseal finding list %s", m.Domain)
		case !m.Until.After(t.now) || m.Until.Sub(t.now) > audit.MaxMute:
			return fault.New(fault.Invalid, "a finding is muted for %d days at most, and until a time that is still to come", audit.MaxMute/(24*60*60*1e9))
		}
		// What ended long ago is in the journal.
		if _, err := t.exec(ctx, `DELETE FROM mutes WHERE domain = $1 AND until <= $2`, m.Domain, t.now); err != nil {
			return err
		}
		if _, err := t.exec(ctx, `INSERT INTO mutes (domain, id, subject, actor, reason, at, until) VALUES (`+marks(1, 7)+`)
			ON CONFLICT (domain, id, subject) DO UPDATE SET actor = excluded.actor, reason = excluded.reason, at = excluded.at, until = excluded.until`,
			m.Domain, m.ID, m.Subject, m.By, m.Reason, t.now, m.Until); err != nil {
			return err
		}
		return t.event(m.By, m.Domain, "", "mute", fmt.Sprintf("%s muted %s%s: %s", m.By, m.ID, about(m.Subject), m.Reason),
			map[string]any{"id": m.ID, "subject": m.Subject, "until": m.Until})
	})
}

// Unmute shows a finding again (event "unmute"). fault.NotFound: it is not muted.
func (s *Store) Unmute(ctx context.Context, m audit.Mute) error {
	return s.write(ctx, "unmute a finding", func(t *tx) error {
		n, err := t.exec(ctx, `DELETE FROM mutes WHERE domain = $1 AND id = $2 AND subject = $3 AND until > $4`, m.Domain, m.ID, m.Subject, t.now)
		if err == nil && n == 0 {
			err = fault.New(fault.NotFound, "%s of %s is not muted%s", m.ID, m.Domain, about(m.Subject)).WithHint("postseal finding list --muted %s", m.Domain)
		}
		if err != nil {
			return err
		}
		return t.event(m.By, m.Domain, "", "unmute", fmt.Sprintf("%s shows %s%s again", m.By, m.ID, about(m.Subject)), map[string]any{"id": m.ID, "subject": m.Subject})
	})
}

func about(subject string) string {
	if subject == "" {
		return ""
	}
	return " about " + subject
}

// mutesOf says of each finding who muted it.
func (t *tx) mutesOf(ctx context.Context, open []audit.OpenFinding) error {
	var domains []string
	for _, f := range open {
		if n := len(domains); n == 0 || domains[n-1] != f.Domain {
			domains = append(domains, f.Domain)
		}
	}
	byDomain := make(map[string][]audit.Mute)
	mutes, err := t.mutes(ctx, domains)
	if err != nil {
		return err
	}
	for _, m := range mutes {
		byDomain[m.Domain] = append(byDomain[m.Domain], m)
	}
	for i := range open {
		f := &open[i]
		for _, m := range byDomain[f.Domain] {
			if m.Covers(f.ID, f.Subject, t.now) {
				f.Muted = m
				break
			}
		}
	}
	return nil
}

// Mutes returns the mutes of domains that have not ended.
func (s *Store) Mutes(ctx context.Context, domains []string) (mutes []audit.Mute, err error) {
	err = s.read(ctx, "read what is muted", func(t *tx) error {
		mutes, err = t.mutes(ctx, domains)
		return err
	})
	return mutes, err
}

// mutes reads the mutes of domains; of those of one id, the ones of a subject come before the one of all.
func (t *tx) mutes(ctx context.Context, domains []string) (mutes []audit.Mute, err error) {
	err = t.chunks(ctx, `SELECT domain, id, subject, actor, reason, at, until FROM mutes WHERE domain IN (%s) AND until > `+fmt.Sprint(micros(t.now))+` ORDER BY domain, id, subject DESC`, domains,
		func(s scanner) error {
			var m audit.Mute
			err := s(&m.Domain, &m.ID, &m.Subject, &m.By, &m.Reason, at(&m.At), at(&m.Until))
			mutes = append(mutes, m)
			return err
		})
	return mutes, err
}
