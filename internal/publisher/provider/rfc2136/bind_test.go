package rfc2136_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// bind is a BIND on loopback with the zone example.org, which takes updates signed with the key postseal below _domainkey and
// at _dmarc, and any update signed with the key admin.
type bind struct {
	dir  string
	addr string

	mu     sync.Mutex
	cmd    *exec.Cmd
	exited chan struct{}
	log    string
}

// deadline is how long a test waits for a daemon.
const deadline = 20 * time.Second

const (
	secret      = "c2VjcmV0IG9mIHRoZSB0ZXN0cywgMzIgb2N0ZXRzIGw="
	otherSecret = "YW5vdGhlciBzZWNyZXQgb2YgdGhlIHRlc3RzLCAzMiA="
	adminSecret = "dGhlIGFkbWluaXN0cmF0b3IncyBzZWNyZXQgaGVyZSA="
)

func startBIND(t *testing.T) *bind {
	t.Helper()
	if _, err := exec.LookPath("named"); err != nil {
		if os.Getenv("POSTSEAL_REQUIRE_INTEGRATION") == "1" {
			t.Fatal("named is missing (Debian package bind9)")
		}
		t.Skip("named is missing (Debian package bind9)")
	}
	b := &bind{dir: t.TempDir(), addr: freeAddr(t)}
	host, port, _ := net.SplitHostPort(b.addr)
	b.write(t, "named.conf", fmt.Sprintf(`
options {
	directory "%[1]s"; pid-file "%[1]s/named.pid"; session-keyfile "%[1]s/session.key"; managed-keys-directory "%[1]s";
	lock-file none; listen-on port %[3]s { %[2]s; }; listen-on-v6 { none; }; recursion no; dnssec-validation no; notify no;
	allow-transfer { none; };
};
controls { };
key "postseal" { algorithm hmac-sha256; secret "%[4]s"; };
key "stranger" { algorithm hmac-sha256; secret "%[4]s"; };
key "admin" { algorithm hmac-sha256; secret "%[5]s"; };
zone "example.org" { type primary; file "example.org.db"; update-policy {
	grant admin zonesub ANY;
	%[6]s
}; };
zone "child.example.org" { type primary; file "child.db"; update-policy { grant admin zonesub ANY; }; };
zone "wild.example" { type primary; file "wild.db"; update-policy { grant postseal zonesub TXT CNAME; }; };
zone "static.example" { type primary; file "static.db"; };
`, b.dir, host, port, secret, adminSecret, documentedGrants(t, "example.org")))
	const head = "$TTL 300\n@ SOA ns.invalid. hostmaster.invalid. 1 3600 600 86400 300\n@ NS ns.invalid.\n"
	b.write(t, "example.org.db", head+"child NS ns.invalid.\n")
	b.write(t, "child.db", head)
	b.write(t, "wild.db", head+"* TXT \"v=spf1 -all\"\n")
	b.write(t, "static.db", head)
	b.start(t)
	t.Cleanup(func() {
		b.kill(t)
		if t.Failed() {
			t.Log(b.log)
		}
	})
	return b
}

func (b *bind) write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	return path
}

// keyFile writes a TSIG key as tsig-keygen does.
func (b *bind) keyFile(t *testing.T, name, secret string) string {
	t.Helper()
	return b.write(t, name+".key", fmt.Sprintf("key %q {\n\talgorithm hmac-sha256;\n\tsecret %q;\n};\n", name, secret))
}

// start runs named and waits until it answers over TCP.
func (b *bind) start(t *testing.T) {
	t.Helper()
	log, err := os.Create(filepath.Join(b.dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("named", "-g", "-c", filepath.Join(b.dir, "named.conf"), "-n", "1")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	log.Close()
	exited := make(chan struct{})
	go func() {
		cmd.Wait()
		close(exited)
	}()
	b.mu.Lock()
	b.cmd, b.exited = cmd, exited
	b.mu.Unlock()
	m := new(dns.Msg)
	m.SetQuestion("example.org.", dns.TypeSOA)
	client := &dns.Client{Net: "tcp", Timeout: time.Second}
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for end := time.After(deadline); ; {
		if r, _, err := client.Exchange(m, b.addr); err == nil && r.Rcode == dns.RcodeSuccess && r.Authoritative {
			return
		}
		select {
		case <-again.C:
			continue
		case <-exited:
		case <-end:
		}
		text, _ := os.ReadFile(filepath.Join(b.dir, "log"))
		t.Fatalf("named does not answer:\n%s", text)
	}
}

// kill ends named as a crash would.
func (b *bind) kill(t *testing.T) {
	t.Helper()
	b.mu.Lock()
	cmd, exited := b.cmd, b.exited
	b.cmd = nil
	b.mu.Unlock()
	if cmd == nil {
		return
	}
	cmd.Process.Kill()
	<-exited
	text, _ := os.ReadFile(filepath.Join(b.dir, "log"))
	b.log += string(text)
}

// plant adds a record as the administrator.
func (b *bind) plant(t *testing.T, zone, record string) {
	t.Helper()
	rr, err := dns.NewRR(record)
	if err != nil {
		t.Fatal(err)
	}
	m := new(dns.Msg)
	m.SetUpdate(dns.Fqdn(zone))
	m.Insert([]dns.RR{rr})
	m.SetTsig("admin.", dns.HmacSHA256, 300, time.Now().Unix())
	client := &dns.Client{Net: "tcp", TsigSecret: map[string]string{"admin.": adminSecret}}
	r, _, err := client.Exchange(m, b.addr)
	if err != nil || r.Rcode != dns.RcodeSuccess {
		t.Fatalf("plant %s: %v %v", record, err, r)
	}
}

// txt asks the server itself.
func (b *bind) txt(t *testing.T, name string) []string {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), dns.TypeTXT)
	r, _, err := (&dns.Client{Net: "tcp"}).Exchange(m, b.addr)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, rr := range r.Answer {
		if txt, ok := rr.(*dns.TXT); ok {
			out = append(out, strings.Join(txt.Txt, ""))
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

// documentedGrants are the grants that docs/bind.md calls all that Postseal needs, for another zone.
func documentedGrants(t *testing.T, zone string) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "docs", "bind.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, policy, found := strings.Cut(string(page), "update-policy {")
	policy, _, closed := strings.Cut(policy, "};")
	if !found || !closed || !strings.Contains(policy, "grant postseal ") {
		t.Fatal("docs/bind.md has no update-policy with grants")
	}
	return strings.ReplaceAll(policy, "example.com", zone)
}
