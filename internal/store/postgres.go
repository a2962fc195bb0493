package store

import (
	"context"
	"crypto/x509"
	"database/sql"
	"errors"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/postseal/postseal/internal/fault"
)

const (
	// postgresConns of one process: a server allows a hundred by default, and several processes share it.
	postgresConns = 16
	// postgresIdle closes connections that a quiet process does not need.
	postgresIdle = 5 * time.Minute
	// postgresLock bounds waiting for a row that another transaction holds; ours are short, so more is a stuck session.
	postgresLock = "10s"
	// postgresOrphan ends transactions whose process went away without closing its connection.
	postgresOrphan = "60s"
)

func (s *Store) openPostgres(ctx context.Context, database string) (err error) {
	s.d = postgresDialect()
	s.writer, err = openPostgres(ctx, database, postgresConns)
	s.reader = s.writer
	return err
}

func postgresDialect() dialect {
	return dialect{
		name: "postgres", now: "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)",
		forUpdate: " FOR UPDATE", skipLocked: " FOR UPDATE SKIP LOCKED", notify: true,
	}
}

// openPostgres opens a pool of so many connections, which is to be closed even after an error.
func openPostgres(ctx context.Context, database string, conns int) (*sql.DB, error) {
	config, err := pgx.ParseConfig(database)
	if err != nil {
		// The cause repeats the URL, which may hold a password.
		return nil, fault.New(fault.Invalid, "the database URL cannot be read").WithHint("write postgres://user@host:port/name?sslmode=verify-full")
	}
	for name, value := range map[string]string{
		"application_name": "postseal", "lock_timeout": postgresLock, "idle_in_transaction_session_timeout": postgresOrphan,
	} {
		if _, set := config.RuntimeParams[name]; !set {
			config.RuntimeParams[name] = value
		}
	}
	pool := stdlib.OpenDB(*config)
	pool.SetMaxOpenConns(conns)
	pool.SetMaxIdleConns(conns)
	pool.SetConnMaxIdleTime(postgresIdle)
	err = pool.PingContext(ctx)
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		return pool, fault.Wrap(fault.Unavailable, err, "the database at %s does not answer: %s", places(config), connectCause(err)).
			WithHint("check host, port and user of --database, and that PostgreSQL runs and lets this machine in (pg_hba.conf)")
	}
	return pool, reachable(err)
}

// places are the hosts and ports that a database URL names, without user and password.
func places(config *pgx.ConnConfig) string {
	out := []string{net.JoinHostPort(config.Host, strconv.Itoa(int(config.Port)))}
	for _, f := range config.Fallbacks {
		if at := net.JoinHostPort(f.Host, strconv.Itoa(int(f.Port))); !slices.Contains(out, at) {
			out = append(out, at)
		}
	}
	return strings.Join(out, ", ")
}

// connectCause says why there is no connection, in the words of the innermost error that has some; the driver's own repeat the connection's parameters.
func connectCause(err error) string {
	var server *pgconn.PgError
	var dns *net.DNSError
	var number syscall.Errno
	var network net.Error
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	switch {
	case errors.As(err, &server):
		return server.Message
	case errors.As(err, &dns):
		return "the name " + dns.Name + " cannot be resolved"
	case errors.As(err, &number):
		return number.Error()
	case errors.As(err, &unknown):
		return "its certificate is signed by an unknown authority"
	case errors.As(err, &name):
		return "its certificate is for another name"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &network) && network.Timeout():
		return "no answer in time"
	}
	return "it ended the connection, or does not speak PostgreSQL (with TLS)"
}

// postgresUnreachable says what keeps PostgreSQL from answering, "" when it is something else.
func postgresUnreachable(err error) string {
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		return "the database does not answer"
	}
	var e *pgconn.PgError
	if errors.As(err, &e) {
		switch {
		case e.Code[:2] == "08", e.Code == "57P01", e.Code == "57P02", e.Code == "57P03":
			return "the database is stopping or starting"
		case e.Code[:2] == "53":
			return "the database is out of connections, memory or disk"
		case e.Code == "55P03", repeatable(err):
			return "the database is too busy with the same rows"
		case e.Code == "25006":
			return "the database is read-only"
		}
		return ""
	}
	var network net.Error
	if errors.As(err, &network) || pgconn.SafeToRetry(err) {
		return "the connection to the database broke"
	}
	return ""
}

// repeatable reports whether PostgreSQL gave a transaction up for the sake of another one; nothing of it happened.
func repeatable(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == "40001" || e.Code == "40P01")
}

// overtaken reports whether another transaction stored what this one had found missing a moment before; when it looks again, it finds it.
func overtaken(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == "23505"
}

// snapshot makes a transaction read one moment.
func (d dialect) snapshot() *sql.TxOptions {
	if d.sqlite() {
		return &sql.TxOptions{ReadOnly: true} // SQLite's readers always see one moment
	}
	return &sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead}
}
