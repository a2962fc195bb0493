package store

import (
	"context"
	"database/sql"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"modernc.org/sqlite" // registers the driver "sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/postseal/postseal/internal/fault"
)

const (
	// SQLiteFile is the name of the database in the data directory.
	SQLiteFile = "postseal.db"
	// sqliteBusy is how long a connection waits for a lock: longer than any transaction of ours takes, so that only a
	// foreign program that keeps the file locked is ever noticed.
	sqliteBusy = 10 * time.Second
	// sqliteReaders is how many transactions read side by side; each may hold some megabytes of page cache.
	sqliteReaders = 8
)

func (s *Store) openSQLite(ctx context.Context, dir string) (err error) {
	s.d = sqliteDialect()
	s.writer, s.reader, err = openSQLite(ctx, dir, SQLiteFile)
	return err
}

func sqliteDialect() dialect { return dialect{name: "sqlite", now: "0"} }

// openSQLite opens one connection that writes and a pool that cannot. Both are to be closed even after an error.
func openSQLite(ctx context.Context, dir, name string) (writer, reader *sql.DB, err error) {
	if dir == "" {
		return nil, nil, fault.New(fault.Invalid, "no data directory is named")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, fault.Wrap(fault.Invalid, err, "the data directory %s cannot be made", dir)
	}
	path := filepath.Join(dir, name)
	// SQLite gives its other files the mode of this one.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, nil, fault.Wrap(fault.Denied, err, "the database %s may not be written", path).WithHint("run serve as the user that owns it")
	case err != nil:
		return nil, nil, fault.Wrap(fault.Invalid, err, "the database %s cannot be opened", path)
	}
	if err := f.Close(); err != nil {
		return nil, nil, err
	}
	// synchronous=FULL: an intent must be on the disk before its effect (DESIGN.md §4, invariant 7), and a report before its sender may forget it.
	if writer, err = sql.Open("sqlite", sqliteDSN(path, "journal_mode(WAL)", "synchronous(FULL)")); err != nil {
		return nil, nil, err
	}
	writer.SetMaxOpenConns(1)
	if reader, err = sql.Open("sqlite", sqliteDSN(path, "query_only(1)")); err != nil {
		return writer, nil, err
	}
	reader.SetMaxOpenConns(sqliteReaders)
	reader.SetMaxIdleConns(sqliteReaders)
	return writer, reader, reachable(writer.PingContext(ctx))
}

func sqliteDSN(path string, pragmas ...string) string {
	q := url.Values{"_txlock": {"immediate"}} // only writing transactions take the lock when they begin
	for _, p := range append(pragmas, "busy_timeout("+strconv.FormatInt(sqliteBusy.Milliseconds(), 10)+")", "foreign_keys(1)") {
		q.Add("_pragma", p)
	}
	return (&url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath(), RawQuery: q.Encode()}).String()
}

// sqliteUnreachable says what keeps SQLite from answering, "" when it is something else.
func sqliteUnreachable(err error) string {
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return ""
	}
	switch e.Code() & 0xff { // the rest of an extended code is detail
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return "the database is locked by another program"
	case sqlite3.SQLITE_FULL:
		return "the disk of the database is full"
	case sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY:
		return "the file of the database cannot be used"
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return "the file of the database is damaged"
	}
	return ""
}
