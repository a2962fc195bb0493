package store

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/fault"
)

// postgresServer is a PostgreSQL of this test: a Unix socket in a temporary directory and nothing on the network.
type postgresServer struct {
	socket   string
	admin    *sql.DB
	count    atomic.Int64
	start    func()
	stop     func() // ends all connections, and keeps what was committed
	migrated sync.Once
	template string // a database that has the tables
}

// startPostgres starts one and stops it when the test ends.
func startPostgres(t testing.TB) *postgresServer {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/pg_ctl")
	if len(found) == 0 {
		if os.Getenv("POSTSEAL_REQUIRE_INTEGRATION") == "1" {
			t.Fatal("PostgreSQL is not installed (Debian: postgresql), and POSTSEAL_REQUIRE_INTEGRATION=1")
		}
		t.Skip("PostgreSQL is not installed (Debian: postgresql)")
	}
	slices.Sort(found)
	bin := filepath.Dir(found[len(found)-1])
	// Not t.TempDir: every folder above the data must be open to user postgres, and a socket's path is short.
	dir, err := os.MkdirTemp("/tmp", "postseal-pg")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	run := postgresRunner(t, dir)
	data := filepath.Join(dir, "data")
	run(filepath.Join(bin, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
	s := &postgresServer{socket: dir}
	s.start = func() {
		run(filepath.Join(bin, "pg_ctl"), "-D", data, "-w", "-l", filepath.Join(dir, "log"),
			"-o", "-k "+dir+" -c listen_addresses= -c fsync=off -c synchronous_commit=off -c full_page_writes=off -c shared_buffers=32MB", "start")
	}
	s.stop = func() { run(filepath.Join(bin, "pg_ctl"), "-D", data, "-w", "-m", "fast", "stop") }
	s.start()
	t.Cleanup(func() { s.stop() })
	s.admin, err = sql.Open("pgx", s.url("postgres"))
	must(t, err)
	t.Cleanup(func() { s.admin.Close() })
	return s
}

// TestPostgresGoesAway stops the database under a running process and starts it again.
func TestPostgresGoesAway(t *testing.T) {
	server := startPostgres(t)
	url := server.database(t)
	s, err := Open(t.Context(), Options{Database: url})
	must(t, err)
	defer s.Close()
	must(t, s.SaveInventory(t.Context(), "ann", 0, smallFleet()))
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	server.stop()
	for _, err := range []error{s.CheckNow(ctx, testDomain), s.CheckNow(ctx, testDomain), s.SetHold(ctx, hold("away"))} {
		if fault.CodeOf(err) != fault.Unavailable {
			t.Errorf("while the database is away: %v", err)
		}
	}
	server.start()
	deadline := time.Now().Add(30 * time.Second)
	for err = s.CheckNow(ctx, testDomain); err != nil; err = s.CheckNow(ctx, testDomain) {
		if fault.CodeOf(err) != fault.Unavailable || time.Now().After(deadline) {
			t.Fatalf("after it came back: %v", err)
		}
	}
	// The connection for hints is made again: another process is heard.
	other, err := Open(ctx, Options{Database: url})
	must(t, err)
	defer other.Close()
	changed := s.Changed(ctx)
	withKey(t, other, newKey("key_1", "as_1", "a", "srv_1"))
	select {
	case <-changed:
	case <-time.After(30 * time.Second):
		t.Error("nobody said that instructions changed")
	}
	stop()
	must(t, <-ended)
}

// postgresRunner runs programs as user postgres when we are root, which PostgreSQL refuses to be run by.
func postgresRunner(t testing.TB, dir string) func(program string, args ...string) {
	var who *syscall.Credential
	if os.Getuid() == 0 {
		u, err := user.Lookup("postgres")
		must(t, err)
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		must(t, err)
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		must(t, err)
		must(t, os.Chown(dir, int(uid), int(gid)))
		who = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	return func(program string, args ...string) {
		t.Helper()
		cmd := exec.Command(program, args...)
		cmd.Dir, cmd.Env = dir, []string{"PATH=/usr/bin:/bin", "LC_ALL=C"}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: who}
		// Into a file: the server keeps the descriptors of the program that started it.
		out, err := os.Create(filepath.Join(dir, filepath.Base(program)+".out"))
		must(t, err)
		defer out.Close()
		cmd.Stdout, cmd.Stderr = out, out
		if err := cmd.Run(); err != nil {
			said, _ := os.ReadFile(out.Name())
			t.Fatalf("%s: %v\n%s", program, err, said)
		}
	}
}

func (s *postgresServer) url(name string) string {
	q := url.Values{"host": {s.socket}, "user": {"postgres"}, "sslmode": {"disable"}}
	return "postgres:///" + name + "?" + q.Encode()
}

// empty makes an empty database and returns its URL.
func (s *postgresServer) empty(t testing.TB) string {
	t.Helper()
	return s.create(t, "template0")
}

// database makes a database that has the tables already, which takes a copy instead of every migration.
func (s *postgresServer) database(t testing.TB) string {
	t.Helper()
	s.migrated.Do(func() {
		url := s.empty(t)
		store, err := Open(t.Context(), Options{Database: url})
		must(t, err)
		must(t, store.Close())
		reports, err := OpenReports(t.Context(), Options{Database: url})
		must(t, err)
		must(t, reports.Close())
		s.template = fmt.Sprintf("t%d", s.count.Load())
	})
	return s.create(t, s.template)
}

func (s *postgresServer) create(t testing.TB, template string) string {
	t.Helper()
	name := fmt.Sprintf("t%d", s.count.Add(1))
	_, err := s.admin.ExecContext(t.Context(), "CREATE DATABASE "+name+" TEMPLATE "+template)
	must(t, err)
	return s.url(name)
}
