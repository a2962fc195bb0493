package store

import (
	"context"
	"embed"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"

	"github.com/postseal/postseal/internal/fault"
)

//go:embed migrations/*.sql
var migrations embed.FS

// migrate brings the schema up to date. Several processes may do so at once: PostgreSQL lets one go first, SQLite's
// second one finds nothing left to do.
func (s *Store) migrate(ctx context.Context) error {
	files, err := fs.Sub(migrations, "migrations")
	if err != nil {
		return err
	}
	dialect, options := goose.DialectSQLite3, []goose.ProviderOption{goose.WithDisableGlobalRegistry(true), goose.WithSlog(s.logger)}
	if !s.d.sqlite() {
		dialect, files = goose.DialectPostgres, bytewise{files}
		locker, err := lock.NewPostgresSessionLocker()
		if err != nil {
			return err
		}
		options = append(options, goose.WithSessionLocker(locker))
	}
	provider, err := goose.NewProvider(dialect, s.writer, files, options...)
	if err != nil {
		return fmt.Errorf("read the migrations: %w", err)
	}
	have, want, err := provider.GetVersions(ctx)
	if err != nil {
		return fmt.Errorf("read the version of the database: %w", reachable(err))
	}
	if have > want {
		return fault.New(fault.Conflict, "the database has version %d, and this program knows versions up to %d", have, want).
			WithHint("run the newer program that made it; there is no way back but restoring a backup")
	}
	if have == want {
		return nil
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("bring the database from version %d to %d: %w", have, want, reachable(err))
	}
	return nil
}

// bytewise makes PostgreSQL compare text as SQLite does, octet by octet, whatever language the database was made with.
type bytewise struct{ fs.FS }

func (b bytewise) Open(name string) (fs.File, error) {
	f, err := b.FS.Open(name)
	if err != nil || !strings.HasSuffix(name, ".sql") {
		return f, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(f)
	if err != nil {
		return nil, err
	}
	return sqlText{strings.NewReader(strings.ReplaceAll(string(raw), " TEXT ", ` TEXT COLLATE "C" `)), info}, nil
}

// sqlText is a file whose text was changed on the way.
type sqlText struct {
	*strings.Reader
	info fs.FileInfo
}

func (f sqlText) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f sqlText) Close() error               { return nil }
