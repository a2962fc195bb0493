package zonefile_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/publisher"
	"github.com/postseal/postseal/internal/publisher/programs"
	"github.com/postseal/postseal/internal/publisher/provider/zonefile"
)

// deadline is how long a test waits for a daemon.
const deadline = 20 * time.Second

func need(t *testing.T, program, pkg string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		if os.Getenv("POSTSEAL_REQUIRE_INTEGRATION") == "1" {
			t.Fatalf("%s is missing (Debian package %s)", program, pkg)
		}
		t.Skipf("%s is missing (Debian package %s)", program, pkg)
	}
}

// run starts a daemon in the foreground until the test ends.
func run(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	var log bytes.Buffer
	cmd := exec.Command(name, args...)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { _ = cmd.Wait(); close(exited) }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-exited
		if t.Failed() {
			t.Logf("%s: %s", name, log.String()[max(0, log.Len()-3000):])
		}
	})
	return cmd
}

// until asks for TXT records until they are these.
func until(t *testing.T, addr, name string, want ...string) {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(name, dns.TypeTXT)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var last string
	for end := time.After(deadline); ; {
		r, _, err := (&dns.Client{Net: "tcp", Timeout: time.Second}).Exchange(m, addr)
		last = fmt.Sprint(r, err)
		if err == nil && (r.Rcode == dns.RcodeSuccess || r.Rcode == dns.RcodeNameError) {
			var got []string
			for _, rr := range r.Answer {
				if txt, ok := rr.(*dns.TXT); ok {
					got = append(got, strings.Join(txt.Txt, ""))
				}
			}
			if fmt.Sprint(got) == fmt.Sprint(want) {
				return
			}
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("%s does not answer %q for %s: %s", addr, want, name, last)
		}
	}
}

// Real name servers load what was written, through a program that tells them to.
func TestRealServers(t *testing.T) {
	long := "v=DKIM1; k=rsa; p=" + strings.Repeat("M", 700)
	tests := map[string]func(t *testing.T, dir, file, host, port string) (program string){
		"BIND": func(t *testing.T, dir, file, host, port string) string {
			need(t, "named", "bind9")
			conf := filepath.Join(dir, "named.conf")
			writeFile(t, conf, 0o644, fmt.Sprintf(`options { directory %[1]q; pid-file none; session-keyfile none; lock-file none; managed-keys-directory %[1]q; listen-on port %[3]s { %[2]s; };
	listen-on-v6 { none; }; recursion no; dnssec-validation no; notify no; };
controls { };
zone "example.org" { type primary; file %[4]q; };
`, dir, host, port, file))
			return fmt.Sprintf("kill -HUP %d", run(t, "named", "-g", "-c", conf, "-n", "1").Process.Pid)
		},
		"Knot": func(t *testing.T, dir, file, host, port string) string {
			need(t, "knotd", "knot")
			conf, socket := filepath.Join(dir, "knot.conf"), filepath.Join(dir, "knot.sock")
			writeFile(t, conf, 0o644, fmt.Sprintf(`server:
    rundir: %[1]q
    listen: %[2]s@%[3]s
control:
    listen: %[4]q
database:
    storage: %[1]q
zone:
  - domain: example.org
    file: %[5]q
`, dir, host, port, socket, file))
			run(t, "knotd", "-c", conf)
			return fmt.Sprintf("knotc -s %s zone-reload \"$1\"", socket)
		},
	}
	for name, start := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, err := os.MkdirTemp("", "zf") // a socket's path must be short
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { os.RemoveAll(dir) })
			file := filepath.Join(dir, "example.org.zone")
			writeFile(t, file, 0o644, strings.Replace(people, "$ORIGIN sub", "sub.example.org. NS ns1\n$ORIGIN x", 1))
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			host, port, _ := net.SplitHostPort(l.Addr().String())
			l.Close()
			script := start(t, dir, file, host, port)
			scripts := t.TempDir()
			if err := os.Chmod(scripts, 0o755); err != nil {
				t.Fatal(err)
			}
			writeFile(t, filepath.Join(scripts, "load"), 0o755, "#!/bin/sh\n"+script+"\n")
			addr := net.JoinHostPort(host, port)
			until(t, addr, "news._domainkey.example.org.", "v=DKIM1; k=rsa; p=QUJD")
			p := open(t, zonefile.Config{File: file, Program: "load", Dir: programs.In(scripts)})
			for _, c := range []struct {
				expect, want string
			}{{"", long}, {long, "v=DKIM1; p="}, {"v=DKIM1; p=", ""}} {
				if outcome, err := p.Set(t.Context(), "example.org", change("s1._domainkey", "TXT", c.expect, c.want)); err != nil || outcome != publisher.Done {
					t.Fatalf("%q, %v", outcome, err)
				}
				if c.want == "" {
					until(t, addr, "s1._domainkey.example.org.")
				} else {
					until(t, addr, "s1._domainkey.example.org.", c.want)
				}
			}
			until(t, addr, "news._domainkey.example.org.", "v=DKIM1; k=rsa; p=QUJD")
		})
	}
}

func writeFile(t *testing.T, path string, mode os.FileMode, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}
