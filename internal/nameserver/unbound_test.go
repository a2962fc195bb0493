package nameserver_test

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

	"github.com/postseal/postseal/internal/nameserver"
	"github.com/postseal/postseal/internal/publisher/provider/builtin"
)

// startUnbound starts a strict recursive server that gets example.org from the given server, and returns its address.
func startUnbound(t *testing.T, authority string) string {
	t.Helper()
	path, err := exec.LookPath("unbound")
	if err != nil {
		if os.Getenv("POSTSEAL_REQUIRE_INTEGRATION") == "1" {
			t.Fatal("unbound is missing (Debian package unbound)")
		}
		t.Skip("unbound is missing (Debian package unbound)")
	}
	dir := t.TempDir()
	probe, err := net.Listen("tcp", "127.0.113.53:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := probe.Addr().String()
	probe.Close()
	host, port, _ := net.SplitHostPort(addr)
	config := filepath.Join(dir, "unbound.conf")
	text := fmt.Sprintf(`server:
	interface: %s
	port: %s
	access-control: 127.0.0.0/8 allow
	chroot: ""
	username: ""
	directory: "%s"
	pidfile: ""
	use-syslog: no
	logfile: ""
	do-daemonize: no
	do-not-query-localhost: no
	module-config: "iterator"
	qname-minimisation: yes
	qname-minimisation-strict: yes
	harden-below-nxdomain: yes
	cache-max-negative-ttl: 3600
remote-control:
	control-enable: no
stub-zone:
	name: "example.org"
	stub-addr: %s
`, host, port, dir, strings.Replace(authority, ":", "@", 1))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	cmd := exec.Command(path, "-c", config)
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-exited
		if t.Failed() {
			t.Log(log.String())
		}
	})
	m := new(dns.Msg)
	m.SetQuestion("example.org.", dns.TypeSOA)
	client := &dns.Client{Net: "tcp", Timeout: time.Second}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(deadline); ; {
		if r, _, err := client.Exchange(m, addr); err == nil && r.Rcode == dns.RcodeSuccess {
			return addr
		}
		select {
		case <-tick.C:
		case <-exited:
			t.Fatal("unbound does not start")
		case <-end:
			t.Fatal("unbound does not answer")
		}
	}
}

// A recursive server that minimises names and believes that nothing is below an NXDOMAIN gets everything right through us.
func TestThroughUnbound(t *testing.T) {
	m := builtin.NewMemory("example.org")
	long := "v=DKIM1; k=rsa; p=" + strings.Repeat("M", 3000)
	put(t, m, "example.org", "a.b.c._domainkey.example.org", "TXT", nil, []string{"deep"})
	put(t, m, "example.org", "long._domainkey.example.org", "TXT", nil, []string{long})
	put(t, m, "example.org", "alias._domainkey.example.org", "CNAME", nil, []string{"long._domainkey.example.org"})
	s := start(t, nameserver.Config{Source: m, NegativeTTL: 77 * time.Second})
	unbound := startUnbound(t, s.Addr())
	tests := []struct {
		name  string
		rcode int
		txt   string
	}{
		{"b.c._domainkey.example.org", dns.RcodeSuccess, ""}, // before anything is known about the names below
		{"_domainkey.example.org", dns.RcodeSuccess, ""},
		{"a.b.c._domainkey.example.org", dns.RcodeSuccess, "deep"},
		{"x.a.b.c._domainkey.example.org", dns.RcodeNameError, ""},
		{"none._domainkey.example.org", dns.RcodeNameError, ""},
		{"Long._DomainKey.example.org", dns.RcodeSuccess, long},
		{"alias._domainkey.example.org", dns.RcodeSuccess, long},
	}
	for _, tt := range tests {
		q := new(dns.Msg)
		q.SetQuestion(tt.name+".", dns.TypeTXT)
		r, _, err := (&dns.Client{Net: "tcp", Timeout: deadline}).Exchange(q, unbound)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, rr := range r.Answer {
			if txt, ok := rr.(*dns.TXT); ok {
				got += strings.Join(txt.Txt, "")
			}
		}
		if r.Rcode != tt.rcode || got != tt.txt {
			t.Errorf("%s: %s, %d octets; want %s, %d", tt.name, dns.RcodeToString[r.Rcode], len(got), dns.RcodeToString[tt.rcode], len(tt.txt))
		}
		if soa, ok := first(r.Ns).(*dns.SOA); r.Rcode == dns.RcodeNameError && (!ok || soa.Hdr.Ttl > 77 || soa.Minttl != 77) {
			t.Errorf("%s: the negative answer carries %v", tt.name, r.Ns)
		}
	}
}
