package store

import (
	"context"
	"database/sql"
	"embed"
	"log/slog"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/report"
)

const (
	// ReportsFile is the name of the SQLite database of reports in the data directory. It is a file of its own so that a large report does not keep the loop that rotates keys
	// waiting, and so that it can be left out of a backup, or lost, without harm to the keys.
	ReportsFile = "reports.db"
	// reportsVersions is the table in which the versions of the schema are kept.
	reportsVersions = "report_schema_version"
	// reportsConns is how many connections one process has to PostgreSQL for reports; a server allows a hundred by default, and the rest of the process has its own.
	reportsConns = 8
)

//go:embed migrations/reports/*.sql
var reportMigrations embed.FS

// Reports is where reports are stored: on SQLite a file of its own beside the other one, on PostgreSQL tables in the same database. Its methods are safe for concurrent use, by
// several processes on PostgreSQL; each is one transaction; errors carry fault codes, fault.Unavailable when the database does not answer.
type Reports struct {
	d      dialect
	writer *sql.DB // SQLite: the only connection that writes
	reader *sql.DB // PostgreSQL: the same pool as writer
	clock  func() time.Time
}

var (
	_ report.Archive = (*Reports)(nil)
	_ report.Ledger  = (*Reports)(nil)
	_ report.Answers = (*Reports)(nil)
	_ report.Upkeep  = (*Reports)(nil)
)

// OpenReports opens the storage of reports and brings its schema up to date. A schema newer than this program is refused with fault.Conflict.
func OpenReports(ctx context.Context, o Options) (*Reports, error) {
	r := &Reports{clock: o.Clock}
	if r.clock == nil {
		r.clock = time.Now
	}
	logger := o.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	var err error
	switch {
	case isPostgres(o.Database):
		r.d = postgresDialect()
		r.writer, err = openPostgres(ctx, o.Database, reportsConns)
		r.reader = r.writer
	case strings.Contains(o.Database, "://"):
		return nil, fault.New(fault.Invalid, "the database %q is neither a directory nor postgres://…", o.Database)
	default:
		r.d = sqliteDialect()
		r.writer, r.reader, err = openSQLite(ctx, o.Database, ReportsFile)
	}
	if err == nil {
		err = migrate(ctx, r.writer, r.d, reportMigrations, "migrations/reports", reportsVersions, logger)
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// Close ends all connections. Transactions under way fail.
func (r *Reports) Close() error { return closeBoth(r.writer, r.reader) }

// write runs f in a transaction that writes. f may run more than once.
func (r *Reports) write(ctx context.Context, what string, f func(*tx) error) error {
	var err error
	for range maxAttempts {
		if err = r.once(ctx, r.writer, nil, func(t *tx) error {
			if err := f(t); err != nil {
				return err
			}
			return t.settle(ctx)
		}); err == nil || !repeatable(err) && !overtaken(err) {
			break
		}
	}
	return named(what, err)
}

// read runs f in a transaction that sees one moment and writes nothing.
func (r *Reports) read(ctx context.Context, what string, f func(*tx) error) error {
	return named(what, r.once(ctx, r.reader, r.d.snapshot(), f))
}

func (r *Reports) once(ctx context.Context, db *sql.DB, options *sql.TxOptions, f func(*tx) error) error {
	raw, err := db.BeginTx(ctx, options)
	if err != nil {
		return err
	}
	defer raw.Rollback() // no effect after Commit
	if err := f(&tx{Tx: raw, d: r.d, now: r.clock().UTC(), moved: make(map[sumKey]figures)}); err != nil {
		return err
	}
	return raw.Commit()
}
