package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/journal"
)

// maxAttempts is how often a transaction is begun that PostgreSQL gives up for another one's sake; two that meet twice
// in a row are rare, four times are trouble.
const maxAttempts = 5

// maxMarks bounds the arguments of one query; PostgreSQL takes 65,535 and SQLite 32,766.
const maxMarks = 1000

// tx is one transaction. A function that gets one may run more than once and keeps nothing from a failed run.
type tx struct {
	*sql.Tx
	s   *Store // nil in those of Reports
	d   dialect
	now time.Time // the database's, the same during the whole transaction; of Reports the process's

	entries []journal.Entry // written at the end, so that the end of the chain is held for a moment only
	woke    topic           // whom to wake when it is committed

	moved map[sumKey]figures // what a transaction of Reports adds to the roll-ups
}

// write runs f in a transaction that writes. what names it in errors.
func (s *Store) write(ctx context.Context, what string, f func(*tx) error) error {
	var err error
	for range maxAttempts {
		if err = s.writeOnce(ctx, f); err == nil || !repeatable(err) {
			break
		}
	}
	return named(what, err)
}

func (s *Store) writeOnce(ctx context.Context, f func(*tx) error) error {
	if err := s.markTime(ctx); err != nil {
		return err
	}
	raw, err := s.writer.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer raw.Rollback() // no effect after Commit
	t := &tx{Tx: raw, s: s, d: s.d}
	if t.now, err = t.time(ctx, true); err != nil {
		return err
	}
	if err := f(t); err != nil {
		return err
	}
	if err := t.flushJournal(ctx); err != nil {
		return err
	}
	if err := t.hint(ctx); err != nil {
		return err
	}
	if err := raw.Commit(); err != nil {
		return err
	}
	s.hints.wake(t.woke)
	return nil
}

// read runs f in a transaction that sees one moment and writes nothing.
func (s *Store) read(ctx context.Context, what string, f func(*tx) error) error {
	return named(what, s.readOnce(ctx, f))
}

func (s *Store) readOnce(ctx context.Context, f func(*tx) error) error {
	raw, err := s.reader.BeginTx(ctx, s.d.snapshot())
	if err != nil {
		return err
	}
	defer raw.Rollback()
	t := &tx{Tx: raw, s: s, d: s.d}
	if t.now, err = t.time(ctx, false); err != nil {
		return err
	}
	return f(t)
}

// named says what failed. A fault's own sentence is complete and stays as it is.
func named(what string, err error) error {
	if err == nil {
		return nil
	}
	err = reachable(err)
	var f *fault.Error
	if errors.As(err, &f) {
		return err
	}
	return fmt.Errorf("%s: %w", what, err)
}

// reachable turns the trouble of a database that does not answer into fault.Unavailable.
func reachable(err error) error {
	var f *fault.Error
	if err == nil || errors.As(err, &f) || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	what := sqliteUnreachable(err)
	if what == "" {
		what = postgresUnreachable(err)
	}
	if what == "" && (errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, io.ErrUnexpectedEOF)) {
		what = "the connection to the database broke"
	}
	if what == "" {
		return err
	}
	return fault.Wrap(fault.Unavailable, err, "%s", what).WithHint("look at the database; what was asked can be asked again")
}

// exec runs a statement and returns how many rows it touched.
func (t *tx) exec(ctx context.Context, statement string, args ...any) (int64, error) {
	result, err := t.ExecContext(ctx, statement, columns(args)...)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", firstLine(statement), err)
	}
	return result.RowsAffected()
}

// row scans the only row of a query; ok is false when there is none.
func (t *tx) row(ctx context.Context, query string, args []any, into ...any) (ok bool, err error) {
	switch err := t.QueryRowContext(ctx, query, columns(args)...).Scan(into...); {
	case errors.Is(err, sql.ErrNoRows):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("%s: %w", firstLine(query), err)
	}
	return true, nil
}

// scanner reads the columns of one row.
type scanner func(into ...any) error

// rows calls f for every row of a query. f does not use the transaction: its only connection is busy with the rows.
func (t *tx) rows(ctx context.Context, query string, args []any, f func(scanner) error) error {
	rows, err := t.QueryContext(ctx, query, columns(args)...)
	if err != nil {
		return fmt.Errorf("%s: %w", firstLine(query), err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := f(rows.Scan); err != nil {
			return fmt.Errorf("%s: %w", firstLine(query), err)
		}
	}
	return rows.Err()
}

// list collects the rows of a query.
func list[T any](ctx context.Context, t *tx, query string, args []any, scan func(scanner, *T) error) ([]T, error) {
	var all []T
	err := t.rows(ctx, query, args, func(s scanner) error {
		var v T
		if err := scan(s, &v); err != nil {
			return err
		}
		all = append(all, v)
		return nil
	})
	return all, err
}

// chunks runs a query with a list of ids in place of its %s, as often as it takes.
func (t *tx) chunks(ctx context.Context, query string, ids []string, f func(scanner) error) error {
	for chunk := range slices.Chunk(ids, maxMarks) {
		args := make([]any, len(chunk))
		for i, id := range chunk {
			args[i] = id
		}
		if err := t.rows(ctx, fmt.Sprintf(query, marks(1, len(chunk))), args, f); err != nil {
			return err
		}
	}
	return nil
}

func firstLine(statement string) string {
	const shown = 60 // octets: enough to find the statement
	statement = strings.Join(strings.Fields(statement), " ")
	if len(statement) > shown {
		statement = statement[:shown] + "…"
	}
	return statement
}
