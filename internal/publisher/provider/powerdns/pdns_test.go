package powerdns_test

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/publisher"
)

// pdns is a PowerDNS on loopback with an SQLite database and its API.
type pdns struct {
	dir string
	api string // base URL
	dns string // address that answers queries
}

// deadline is how long a test waits for a daemon.
const deadline = 20 * time.Second

const apiKey = "a-secret-of-the-tests-0123456789"

func startPowerDNS(t *testing.T, zones ...string) *pdns {
	t.Helper()
	for _, program := range []string{"pdns_server", "pdnsutil", "sqlite3"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("POSTSEAL_REQUIRE_INTEGRATION") == "1" {
				t.Fatalf("%s is missing (Debian packages pdns-server, pdns-backend-sqlite3, sqlite3)", program)
			}
			t.Skipf("%s is missing (Debian packages pdns-server, pdns-backend-sqlite3, sqlite3)", program)
		}
	}
	p := &pdns{dir: t.TempDir(), dns: freeAddr(t)}
	api := freeAddr(t)
	p.api = "http://" + api
	_, dnsPort, _ := net.SplitHostPort(p.dns)
	_, apiPort, _ := net.SplitHostPort(api)
	database := filepath.Join(p.dir, "pdns.db")
	conf := fmt.Sprintf(`launch=gsqlite3
gsqlite3-database=%s
local-address=127.0.0.1
local-port=%s
socket-dir=%s
daemon=no
guardian=no
api=yes
api-key=%s
webserver=yes
webserver-address=127.0.0.1
webserver-port=%s
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
zone-cache-refresh-interval=0
`, database, dnsPort, p.dir, apiKey, apiPort)
	if err := os.WriteFile(filepath.Join(p.dir, "pdns.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	schema, err := os.ReadFile("/usr/share/doc/pdns-backend-sqlite3/schema.sqlite3.sql")
	if err != nil {
		t.Fatal(err)
	}
	p.run(t, bytes.NewReader(schema), "sqlite3", database)
	for _, zone := range zones {
		p.util(t, "create-zone", zone, "ns.invalid")
	}
	p.start(t, zones[0])
	return p
}

func (p *pdns) start(t *testing.T, zone string) {
	t.Helper()
	log := new(bytes.Buffer)
	cmd := exec.Command("pdns_server", "--config-dir="+p.dir)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		cmd.Wait()
		close(exited)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-exited
		if t.Failed() {
			t.Log(log.String())
		}
	})
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for end := time.After(deadline); ; {
		if p.answers(zone) {
			return
		}
		select {
		case <-again.C:
			continue
		case <-exited:
		case <-end:
			cmd.Process.Kill()
			<-exited
		}
		t.Fatalf("pdns_server does not answer:\n%s", log)
	}
}

// answers says whether both DNS and the API do.
func (p *pdns) answers(zone string) bool {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(zone), dns.TypeSOA)
	r, _, err := (&dns.Client{Net: "tcp", Timeout: time.Second}).Exchange(m, p.dns)
	if err != nil || r.Rcode != dns.RcodeSuccess {
		return false
	}
	resp, err := http.Get(p.api + "/api")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return true
}

func (p *pdns) run(t *testing.T, stdin *bytes.Reader, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	if stdin != nil {
		cmd.Stdin = stdin
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

func (p *pdns) util(t *testing.T, args ...string) {
	t.Helper()
	p.run(t, nil, "pdnsutil", append([]string{"--config-dir=" + p.dir}, args...)...)
}

// plant adds a record as the administrator does on the machine itself.
func (p *pdns) plant(t *testing.T, zone, name, rrtype, content string) {
	t.Helper()
	p.util(t, "add-record", zone, name, rrtype, "60", content)
}

// txt asks the server by DNS.
func (p *pdns) txt(t *testing.T, name string) []string {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), dns.TypeTXT)
	r, _, err := (&dns.Client{Net: "tcp"}).Exchange(m, p.dns)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, rr := range r.Answer {
		if got, ok := publisher.FromRR("x", rr); ok && publisher.TypeOf(got) == publisher.TXT {
			out = append(out, publisher.ValueOf(got))
			if txt := rr.(*dns.TXT); len(strings.Join(txt.Txt, "")) > 255 && len(txt.Txt) < 2 {
				t.Errorf("a long value in one string")
			}
		}
	}
	return out
}

// freeAddr is a loopback address whose port is free for TCP and UDP at this moment.
func freeAddr(t *testing.T) string {
	t.Helper()
	for range 50 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		addr := l.Addr().String()
		p, err := net.ListenPacket("udp", addr)
		l.Close()
		if err == nil {
			p.Close()
			return addr
		}
	}
	t.Fatal("no free port")
	return ""
}
