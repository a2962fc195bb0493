package store

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/fleet"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/lifecycle"
	"github.com/postseal/postseal/internal/probe"
	"github.com/postseal/postseal/internal/ticket"
)

// Options say which database to open.
type Options struct {
	// Database is a URL "postgres://…", or the data directory in which the SQLite file lies; the directory is made with
	// mode 0700 when it does not exist.
	Database string
	// Clock gives the time that SQLite has none of its own for; nil = time.Now. PostgreSQL's own clock is used there.
	Clock func() time.Time
	// Logger gets what nobody else can be told, such as a lost connection for hints; nil = nothing is logged.
	Logger *slog.Logger
}

// Store is every capability's storage. Its methods are safe for concurrent use; each is one transaction; errors carry
// fault codes, fault.Unavailable when the database does not answer.
type Store struct {
	d      dialect
	writer *sql.DB // SQLite: the only connection that writes
	reader *sql.DB // PostgreSQL: the same pool as writer
	clock  func() time.Time
	logger *slog.Logger
	hints  hints

	mu       sync.Mutex
	latest   time.Time // the latest time given out by this process
	markedAt time.Time // when this process last kept the time in the database, by its own clock
}

// The capabilities whose storage this is. The API's and the name server's are edges; the server ties those.
var (
	_ lifecycle.Storage = (*Store)(nil)
	_ fleet.Storage     = (*Store)(nil)
	_ access.Storage    = (*Store)(nil)
	_ ticket.Storage    = (*Store)(nil)
	_ probe.Storage     = (*Store)(nil)
)

// dialect is what the two databases do differently.
type dialect struct {
	name string
	// now is an expression for the database's time in microseconds; "0" = use the injected clock.
	now string
	// forUpdate and skipLocked end a SELECT whose rows are about to be written. SQLite has one writer and needs neither.
	forUpdate, skipLocked string
	// notify says whether transactions send hints to other processes.
	notify bool
}

func (d dialect) sqlite() bool { return d.name == "sqlite" }

// Open opens the database, brings its schema up to date and, the first time, gives the installation its id. A schema
// newer than this program is refused with fault.Conflict.
func Open(ctx context.Context, o Options) (*Store, error) {
	s := &Store{clock: o.Clock, logger: o.Logger}
	if s.clock == nil {
		s.clock = time.Now
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	open := s.openSQLite
	if isPostgres(o.Database) {
		open = s.openPostgres
	} else if strings.Contains(o.Database, "://") {
		return nil, fault.New(fault.Invalid, "the database %q is neither a directory nor postgres://…", o.Database)
	}
	if err := open(ctx, o.Database); err != nil {
		s.Close()
		return nil, err
	}
	if err := s.prepare(ctx); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

func isPostgres(database string) bool {
	return strings.HasPrefix(database, "postgres://") || strings.HasPrefix(database, "postgresql://")
}

// prepare migrates and makes the rows that there is exactly one of.
func (s *Store) prepare(ctx context.Context) error {
	if err := s.migrate(ctx); err != nil {
		return err
	}
	for _, statement := range []struct {
		text string
		args []any
	}{
		{`INSERT INTO meta (id, installation, epoch, generation, clock_high, dns) VALUES (1, $1, 1, 0, 0, '{}') ON CONFLICT (id) DO NOTHING`,
			[]any{inventory.NewID("inst")}},
		{`INSERT INTO journal_head (id, seq, said_at, hash) VALUES (1, 0, 0, '') ON CONFLICT (id) DO NOTHING`, nil},
	} {
		if _, err := s.writer.ExecContext(ctx, statement.text, statement.args...); err != nil {
			return fmt.Errorf("prepare the database: %w", reachable(err))
		}
	}
	return nil
}

// Close ends all connections. Transactions under way fail.
func (s *Store) Close() error { return closeBoth(s.writer, s.reader) }

func closeBoth(writer, reader *sql.DB) error {
	var err error
	if writer != nil {
		err = writer.Close()
	}
	if reader != nil && reader != writer {
		if e := reader.Close(); err == nil {
			err = e
		}
	}
	return err
}
