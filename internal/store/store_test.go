package store

import (
	"sync"
	"testing"
	"time"
)

// fakeClock is the clock of SQLite in tests. PostgreSQL's own clock cannot be turned; there the tests wait for nothing
// and age rows instead (see later).
type fakeClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *fakeClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *fakeClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// database opens stores on one and the same empty database.
type database struct {
	options func() Options
	clock   *fakeClock // nil = the database's own
}

func (db *database) open(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.Context(), db.options())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// later lets time pass: on SQLite by its clock, on PostgreSQL by raising the highest time that was kept.
func (db *database) later(t *testing.T, s *Store, d time.Duration) {
	t.Helper()
	if db.clock != nil {
		db.clock.advance(d)
		return
	}
	now, err := s.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.writer.ExecContext(t.Context(), `UPDATE meta SET clock_high = $1 WHERE id = 1`, micros(now.Add(d))); err != nil {
		t.Fatal(err)
	}
}

func TestSQLite(t *testing.T) {
	suite(t, func(t *testing.T) *database {
		dir := t.TempDir()
		clock := &fakeClock{now: time.Date(2026, 11, 23, 12, 0, 0, 123456789, time.UTC)}
		return &database{clock: clock, options: func() Options { return Options{Database: dir, Clock: clock.Now} }}
	})
}

func TestPostgres(t *testing.T) {
	server := startPostgres(t)
	suite(t, func(t *testing.T) *database {
		url := server.database(t)
		return &database{options: func() Options { return Options{Database: url} }}
	})
}

// suite is what every database must do. Each case gets an empty one.
func suite(t *testing.T, empty func(t *testing.T) *database) {
	for _, group := range []map[string]func(*testing.T, *database){
		workCases, keyCases, reportCases, journalCases, inventoryCases, peopleCases, zoneCases, timeCases, scaleCases, togetherCases, lifeCases, ticketCases, refusalCases, probeCases,
	} {
		for name, f := range group {
			t.Run(name, func(t *testing.T) { f(t, empty(t)) })
		}
	}
}

// must is for calls whose failure ends a test.
func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func get[T any](t testing.TB) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		must(t, err)
		return v
	}
}
