package server

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/publisher/programs"
	"github.com/postseal/postseal/internal/publisher/provider/builtin"
	"github.com/postseal/postseal/internal/services"
)

// The lines of fleet.yaml in docs/dns-providers.md are read, and each opens a publisher whose limits are those of the table there.
func TestDocumentedPublishers(t *testing.T) {
	page, err := os.ReadFile("../../docs/dns-providers.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(blocks) < 12 {
		t.Fatalf("%d blocks of fleet.yaml", len(blocks))
	}
	catalogue, err := services.Load()
	if err != nil {
		t.Fatal(err)
	}
	programDir := t.TempDir()
	if err := os.Chmod(programDir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"my-dns", "bind-reload"} {
		if err := os.WriteFile(filepath.Join(programDir, name), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	ways := kinds(builtin.NewMemory(), programs.In(programDir), slog.New(slog.DiscardHandler))
	for _, b := range blocks {
		fleet, err := inventory.ParseFleet("dns-providers.md", []byte(b[1]), catalogue)
		if err != nil {
			t.Errorf("%s%v", b[1], err)
			continue
		}
		for _, c := range fleet.Publishers {
			if ways[c.Kind] == nil {
				t.Errorf("%s: the kind %s is not wired", c.Name, c.Kind)
				continue
			}
			p, err := ways[c.Kind](c)
			if err != nil {
				t.Errorf("%s: %v", c.Name, err)
				continue
			}
			row := regexp.MustCompile("(?m)^\\| `" + string(c.Kind) + "` .*$").FindString(string(page))
			caps := p.Capabilities()
			most := "64,000"
			if caps.MaxTXT > 0 {
				most = strings.Replace(fmt.Sprintf("%d,%03d", caps.MaxTXT/1000, caps.MaxTXT%1000), "0,", "", 1)
			}
			if !strings.Contains(row, "| "+most+" |") {
				t.Errorf("%s: the table does not say %s octets: %s", c.Kind, most, row)
			}
			for _, ttl := range []time.Duration{caps.MinTTL, caps.MaxTTL} {
				says := fmt.Sprintf("%.0f s", ttl.Seconds())
				switch {
				case ttl >= 48*time.Hour:
					says = fmt.Sprintf("%.0f d", ttl.Hours()/24)
				case ttl >= time.Hour:
					says = fmt.Sprintf("%.0f h", ttl.Hours())
				case ttl == 0:
					says = "any"
				}
				if !strings.Contains(row, says) {
					t.Errorf("%s: the table does not say %q: %s", c.Kind, says, row)
				}
			}
		}
	}
}

// A wish of fleet.yaml gets into a zone of PowerDNS through its API, by the loop of a running control plane, and is seen in DNS.
func TestPublishesThroughPowerDNS(t *testing.T) {
	answers, api := startPowerDNS(t, "example.com")
	data := t.TempDir()
	key := filepath.Join(data, "pdns.key")
	if err := os.WriteFile(key, []byte("key-of-the-tests\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	fleet := filepath.Join(data, "fleet.yaml")
	value := "v=DKIM1; k=rsa; p=" + strings.Repeat("M", 736)
	text := fmt.Sprintf(`policy: {test_mode: true, min_wait: 1s, ttl: 2s, retention: 2s, tombstone: 1s}
dns: {resolvers: [%q], authorities: {example.com: [%q]}}
publishers: {pdns: {powerdns: {endpoint: %q, credential: "file:%s"}}}
domains:
  example.com:
    mode: managed
    publisher: pdns
    signers: [{service: google-workspace, selector: google, txt: %q}]
`, answers, answers, api, key, value)
	if err := os.WriteFile(fleet, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, Config{Data: data, Fleet: fleet, Poll: 100 * time.Millisecond})
	defer s.stop(t)
	m := new(dns.Msg)
	m.SetQuestion("google._domainkey.example.com.", dns.TypeTXT)
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for end := time.After(30 * time.Second); ; {
		r, _, err := (&dns.Client{Net: "tcp", Timeout: time.Second}).Exchange(m, answers)
		if err == nil && len(r.Answer) == 1 && strings.Join(r.Answer[0].(*dns.TXT).Txt, "") == value {
			return
		}
		select {
		case <-again.C:
		case <-end:
			page, err := s.client(t).Status(t.Context(), "example.com")
			t.Fatalf("it is not published: %v, %v\n%+v, %v", r, err, page, err)
		}
	}
}

// startPowerDNS runs a PowerDNS on loopback with an empty zone; it returns the address that answers queries and the base URL of the API.
func startPowerDNS(t *testing.T, zone string) (answers, api string) {
	t.Helper()
	for _, program := range []string{"pdns_server", "pdnsutil", "sqlite3"} {
		if _, err := exec.LookPath(program); err != nil {
			if os.Getenv("POSTSEAL_REQUIRE_INTEGRATION") == "1" {
				t.Fatalf("%s is missing (Debian packages pdns-server, pdns-backend-sqlite3, sqlite3)", program)
			}
			t.Skipf("%s is missing (Debian packages pdns-server, pdns-backend-sqlite3, sqlite3)", program)
		}
	}
	dir := t.TempDir()
	free := func() string {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		return l.Addr().String()
	}
	answers = free()
	web := free()
	_, dnsPort, _ := net.SplitHostPort(answers)
	_, webPort, _ := net.SplitHostPort(web)
	database := filepath.Join(dir, "pdns.db")
	conf := fmt.Sprintf("launch=gsqlite3\ngsqlite3-database=%s\nlocal-address=127.0.0.1\nlocal-port=%s\nsocket-dir=%s\ndaemon=no\nguardian=no\napi=yes\napi-key=key-of-the-tests\n"+
		"webserver=yes\nwebserver-address=127.0.0.1\nwebserver-port=%s\ncache-ttl=0\nquery-cache-ttl=0\nnegquery-cache-ttl=0\nzone-cache-refresh-interval=0\n", database, dnsPort, dir, webPort)
	if err := os.WriteFile(filepath.Join(dir, "pdns.conf"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	schema, err := os.ReadFile("/usr/share/doc/pdns-backend-sqlite3/schema.sqlite3.sql")
	if err != nil {
		t.Fatal(err)
	}
	make := exec.Command("sqlite3", database)
	make.Stdin = bytes.NewReader(schema)
	for _, cmd := range []*exec.Cmd{make, exec.Command("pdnsutil", "--config-dir="+dir, "create-zone", zone, "ns1."+zone)} {
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
		}
	}
	log := new(bytes.Buffer)
	cmd := exec.Command("pdns_server", "--config-dir="+dir)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for end := time.After(20 * time.Second); ; {
		c, err := net.Dial("tcp", web)
		if err == nil {
			c.Close()
			if c, err = net.Dial("tcp", answers); err == nil {
				c.Close()
				return answers, "http://" + web
			}
		}
		select {
		case <-again.C:
		case <-end:
			t.Fatal("pdns_server does not answer")
		}
	}
}
