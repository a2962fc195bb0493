package integration

import (
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/api/client"
)

// postgres is a PostgreSQL server of this test, on a Unix socket.
type postgres struct {
	t              *testing.T
	bin, dir, data string
	who            *syscall.Credential
}

func startPostgres(t *testing.T, dir string) *postgres {
	t.Helper()
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/pg_ctl")
	slices.Sort(found)
	found = append([]string{"pg_ctl"}, found...)
	pg := &postgres{t: t, bin: filepath.Dir(found[len(found)-1]), dir: filepath.Join(dir, "pg")}
	need(t, found[len(found)-1])
	pg.data = filepath.Join(pg.dir, "data")
	if err := os.MkdirAll(pg.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 { // PostgreSQL refuses to be run by root
		u, err := user.Lookup("postgres")
		if err != nil {
			t.Fatal(err)
		}
		uid, gid := must(strconv.Atoi(u.Uid)), must(strconv.Atoi(u.Gid))
		if err := os.Chown(pg.dir, uid, gid); err != nil {
			t.Fatal(err)
		}
		pg.who = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	pg.run("initdb", "-D", pg.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
	pg.run("pg_ctl", "-D", pg.data, "-w", "-l", filepath.Join(pg.dir, "log"),
		"-o", "-k "+pg.dir+" -c listen_addresses= -c fsync=off -c full_page_writes=off -c shared_buffers=32MB", "start")
	t.Cleanup(func() { pg.run("pg_ctl", "-D", pg.data, "-w", "-m", "immediate", "stop") })
	return pg
}

// run executes one of PostgreSQL's programs. Its output goes to a file: the server keeps the descriptors of the program that started it.
func (pg *postgres) run(program string, args ...string) {
	pg.t.Helper()
	cmd := exec.Command(filepath.Join(pg.bin, program), args...)
	cmd.Dir, cmd.Env = pg.dir, []string{"PATH=/usr/bin:/bin", "LC_ALL=C", "TMPDIR=" + os.TempDir()}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: pg.who}
	out, err := os.Create(filepath.Join(pg.dir, program+".out"))
	if err != nil {
		pg.t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(out.Name())
		pg.t.Fatalf("%s: %v\n%s", program, err, said)
	}
}

// crash ends the server as a crash does, and starts it again.
func (pg *postgres) crash() { pg.run("pg_ctl", "-D", pg.data, "-w", "-m", "immediate", "restart") }

func (pg *postgres) url() string {
	return "postgres:///postgres?" + url.Values{"host": {pg.dir}, "user": {"postgres"}, "sslmode": {"disable"}}.Encode()
}

// balancer passes TCP through to the first control plane that answers, as what stands before several of them does.
type balancer struct {
	net.Listener
	backends []string
}

func startBalancer(t *testing.T, backends ...string) *balancer {
	t.Helper()
	b := &balancer{must(net.Listen("tcp", "127.0.0.1:0")), backends}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := b.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { b.pass(conn) })
		}
	})
	t.Cleanup(func() {
		_ = b.Close()
		wg.Wait()
	})
	return b
}

func (b *balancer) pass(conn net.Conn) {
	defer conn.Close()
	for _, addr := range b.backends {
		behind, err := net.DialTimeout("tcp", addr, time.Second)
		if err != nil {
			continue
		}
		defer behind.Close()
		done := make(chan struct{}, 2)
		for _, pair := range [][2]net.Conn{{conn, behind}, {behind, conn}} {
			go func() {
				_, _ = io.Copy(pair[0], pair[1])
				done <- struct{}{}
			}()
		}
		<-done
		return
	}
}

// TestTwoControlPlanes: two control planes on one PostgreSQL, behind a balancer. Each in turn is killed in the middle of a rotation and the other
// carries it through; then the database crashes. Mail verifies all the time.
func TestTwoControlPlanes(t *testing.T) {
	t.Parallel()
	o, second, pg := newReplicated(t)
	c := map[*organisation]*client.Client{o: o.api(), second: second.api()}
	first := map[string]string{"mx1": activeKey(t, c[o], zone, "mx1"), "mx2": activeKey(t, c[second], zone, "mx2")}
	mail := startTraffic(t, 150*time.Millisecond, o.servers...)
	eventually(t, "mail of both servers arrives", func() bool { return len(o.sink.messages()) > 20 })

	last := map[string]string{}
	for _, x := range []struct {
		server         string
		killed, stands *organisation
	}{{"mx1", o, second}, {"mx2", second, o}} {
		x.killed.postseal("rotate", zone, "--signer", x.server)
		eventually(t, "a successor of "+x.server+"'s key is published", func() bool {
			r := newest(c[x.stands], zone, x.server)
			return r.Selector != first[x.server] && r.State == "published"
		})
		x.killed.serve.kill()
		last[x.server] = activeKey(t, c[x.stands], zone, x.server, first[x.server])
		eventually(t, x.server+" signs with its new key", func() bool { return slices.Contains(o.sink.selectors(x.server), last[x.server]) })
		x.killed.startServe()
		eventually(t, "the one that was killed answers again", func() bool { return len(rows(c[x.killed], zone)) > 0 })
	}

	pg.crash()
	eventually(t, "a rotation can be asked for again", func() bool {
		_, err := o.try("rotate", zone, "--signer", "mx1")
		return err == nil
	})
	third := activeKey(t, c[second], zone, "mx1", first["mx1"], last["mx1"])
	eventually(t, "mx1 signs with the key that was made after the crash", func() bool { return slices.Contains(o.sink.selectors("mx1"), third) })
	if !o.serve.running() || !second.serve.running() {
		t.Error("a control plane ended because of the crash of its database")
	}

	o.settle(mail)
	for _, failure := range o.sink.again() {
		t.Errorf("at the end: %s", failure)
	}
	for name, want := range map[string][]string{"mx1": {first["mx1"], last["mx1"], third}, "mx2": {first["mx2"], last["mx2"]}} {
		if got := o.sink.selectors(name); !slices.Equal(got, want) {
			t.Errorf("%s signed with %v, expected %v", name, got, want)
		}
	}
	open := map[int64]string{}
	for _, e := range journal(t, c[o], 0) {
		switch e.Kind {
		case "intent":
			open[e.Seq] = e.Step + ": " + e.Why
		case "outcome":
			delete(open, e.Intent)
		}
	}
	if len(open) > 1 { // one may be under way now
		t.Errorf("intents without an outcome: %v", open)
	}
	t.Logf("%d messages, 0 failed; mx1 %s, %s, %s; mx2 %s, %s", len(o.sink.messages()), first["mx1"], last["mx1"], third, first["mx2"], last["mx2"])
}

// newReplicated starts an organisation whose control plane is two processes on one database. Each has its own data directory and the same
// certificate authority, as docs/operations.md says. Agents know only the balancer.
func newReplicated(t *testing.T) (one, other *organisation, pg *postgres) {
	t.Helper()
	dir := sandbox(t)
	pg = startPostgres(t, dir)
	free := func() string { return net.JoinHostPort("127.0.0.1", freePort(t, "127.0.0.1")) }
	one = &organisation{t: t, dir: dir, data: filepath.Join(dir, "one"), agents: map[string]*process{}, agentConfigs: map[string]string{}, milters: map[string]string{},
		serveExtra: []string{"--database", pg.url()}, listen: free()}
	one.bind = startBIND(t, dir)
	one.sink = startSink(t, one.bind.resolver)
	one.startServe()

	second := *one
	other = &second
	other.data, other.listen = filepath.Join(dir, "other"), free()
	if err := os.Mkdir(other.data, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ca.sealed", "ca.sealing-key"} {
		if err := os.WriteFile(filepath.Join(other.data, name), must(os.ReadFile(filepath.Join(one.data, name))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	other.startServe()
	one.apply(strings.Replace(one.fleet(""), "retention: 40s", "retention: 10m", 1))

	agents := *one
	agents.listen = startBalancer(t, one.listen, other.listen).Addr().String()
	for _, name := range []string{"mx1", "mx2"} {
		agents.join(name)
		agents.startAgent(name)
		one.servers = append(one.servers, startPostfix(t, dir, name, "inet:"+one.milters[name], one.sink.addr()))
	}
	other.servers = one.servers
	return one, other, pg
}
