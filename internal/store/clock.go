package store

import (
	"context"
	"fmt"
	"time"

	"github.com/postseal/postseal/internal/fleet"
)

// markEvery is how old the time kept in a PostgreSQL database may be. Keeping it in every transaction would make all of
// them wait for one row; so after a step back of the database's clock another process may see time stand still up to so
// much before what it saw. The journal's times never do. SQLite has one writer and keeps it in every transaction.
const markEvery = time.Second

// Now is the database's time, which never runs backwards: when its clock steps back, time stands still until the clock
// has caught up.
func (s *Store) Now(ctx context.Context) (now time.Time, err error) {
	err = s.read(ctx, "ask for the time", func(t *tx) error {
		now = t.now
		return nil
	})
	return now, err
}

// Installation returns the id and epoch of this installation; they are made with the database.
func (s *Store) Installation(ctx context.Context) (i fleet.Installation, err error) {
	err = s.read(ctx, "read the installation", func(t *tx) error {
		_, err := t.row(ctx, `SELECT installation, epoch FROM meta WHERE id = 1`, nil, &i.ID, &i.Epoch)
		return err
	})
	return i, err
}

// time reads the clock and the highest time that was kept.
func (t *tx) time(ctx context.Context, keep bool) (time.Time, error) {
	var high, now int64
	ok, err := t.row(ctx, `SELECT clock_high, `+t.s.d.now+` FROM meta WHERE id = 1`, nil, &high, &now)
	if err != nil {
		return time.Time{}, err
	}
	if !ok {
		return time.Time{}, fmt.Errorf("the database has no row in meta")
	}
	if t.s.d.sqlite() {
		now = t.s.clock().UnixMicro()
	}
	given := t.s.notBefore(fromMicros(max(now, high)))
	if keep && t.s.d.sqlite() && micros(given) > high {
		_, err = t.exec(ctx, `UPDATE meta SET clock_high = $1 WHERE id = 1`, given)
	}
	return given, err
}

// notBefore keeps time from running backwards within this process.
func (s *Store) notBefore(now time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Before(s.latest) {
		return s.latest
	}
	s.latest = now
	return now
}

// markTime keeps PostgreSQL's time in the database once in a while, in a transaction of its own.
func (s *Store) markTime(ctx context.Context) error {
	if s.d.sqlite() {
		return nil
	}
	s.mu.Lock()
	due := time.Since(s.markedAt) >= markEvery
	s.mu.Unlock()
	if !due {
		return nil
	}
	if _, err := s.writer.ExecContext(ctx, `UPDATE meta SET clock_high = `+s.d.now+` WHERE id = 1 AND clock_high < `+s.d.now); err != nil {
		return fmt.Errorf("keep the time: %w", err)
	}
	s.mu.Lock()
	s.markedAt = time.Now()
	s.mu.Unlock()
	return nil
}
