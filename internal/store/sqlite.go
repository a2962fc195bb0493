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

// openSQLite opens one connection that writes and a pool that cannot.
func (s *Store) openSQLite(ctx context.Context, dir string) error {
	s.d = dialect{name: "sqlite", now: "0"}
	if dir == "" {
		return fault.New(fault.Invalid, "no data directory is named")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fault.Wrap(fault.Invalid, err, "the data directory %s cannot be made", dir)
	}
	path := filepath.Join(dir, SQLiteFile)
	// SQLite gives its other files the mode of this one.
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fault.Wrap(fault.Denied, err, "the database %s may not be written", path).WithHint("run serve as the user that owns it")
	case err != nil:
		return fault.Wrap(fault.Invalid, err, "the database %s cannot be opened", path)
	}
	if err := f.Close(); err != nil {
		return err
	}
	// synchronous=FULL: an intent must be on the disk before its effect (DESIGN.md §4, invariant 7).
	if s.writer, err = sql.Open("sqlite", sqliteDSN(path, "journal_mode(WAL)", "synchronous(FULL)")); err != nil {
		return err
	}
	s.writer.SetMaxOpenConns(1)
	if s.reader, err = sql.Open("sqlite", sqliteDSN(path, "query_only(1)")); err != nil {
		return err
	}
	s.reader.SetMaxOpenConns(sqliteReaders)
	s.reader.SetMaxIdleConns(sqliteReaders)
	return reachable(s.writer.PingContext(ctx))
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
