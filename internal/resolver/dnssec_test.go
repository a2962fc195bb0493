package resolver_test

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/fakedns"
	"github.com/postseal/postseal/internal/resolver"
)

const signedZone = `$TTL 600
@ IN SOA ns1 hostmaster 1 86400 86400 864000 120
@ IN NS ns1
ns1 IN A 127.0.0.1
s IN TXT "v=DKIM1; p=signed"
forged IN TXT "v=DKIM1; p=honest"
`

// signZone signs a zone with BIND's tools and gives its key for a validating server to trust.
func signZone(t *testing.T, zone, text string) (signed, anchor string) {
	t.Helper()
	dir := t.TempDir()
	run := func(name string, args ...string) string {
		t.Helper()
		path, err := exec.LookPath(name)
		need(t, err == nil, name+" (Debian package bind9-utils or bind9-dnsutils)")
		cmd := exec.CommandContext(t.Context(), path, args...)
		var out, trouble bytes.Buffer
		cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &trouble
		if err := cmd.Run(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, trouble.String())
		}
		return strings.TrimSpace(out.String())
	}
	if err := os.WriteFile(filepath.Join(dir, "zone"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	key := run("dnssec-keygen", "-q", "-a", "ECDSAP256SHA256", "-f", "KSK", zone)
	run("dnssec-signzone", "-S", "-z", "-o", zone, "-f", "signed", "zone")
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	return read("signed"), read(key + ".key")
}

// runUnbound starts a validating recursive server and waits until it answers.
func runUnbound(t *testing.T, config, zone string) (addr string) {
	t.Helper()
	path, err := exec.LookPath("unbound")
	need(t, err == nil, "unbound (Debian package unbound)")
	dir, port := t.TempDir(), freePort(t)
	addr = net.JoinHostPort("127.0.0.1", port)
	file := filepath.Join(dir, "unbound.conf")
	head := "server:\n interface: 127.0.0.1\n port: " + port + "\n chroot: \"\"\n username: \"\"\n directory: \"" + dir + "\"\n pidfile: \"\"\n" +
		" use-syslog: no\n do-daemonize: no\n do-not-query-localhost: no\n local-zone: \"test.\" nodefault\n module-config: \"validator iterator\"\n"
	if err := os.WriteFile(file, []byte(head+config+"remote-control:\n control-enable: no\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, path, "-c", file)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		cancel()
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		if t.Failed() {
			t.Log(log.String())
		}
	})
	until(t, startTime, "unbound answers", func() bool {
		select {
		case <-ended:
			t.Fatal("unbound ended")
		default:
		}
		_, ok := serial(addr, dns.Fqdn(zone))
		return ok
	})
	return addr
}

// A real validating server: its AD bit comes through, wrong signatures are told from a server that is not there, and what it says is kept.
func TestCacheBehindUnbound(t *testing.T) {
	t.Parallel()
	_, err := exec.LookPath("named")
	need(t, err == nil, "named (Debian package bind9)")
	signed, anchor := signZone(t, "signed.test", signedZone)
	forged := strings.Replace(signed, "p=honest", "p=forged", 1)
	if forged == signed {
		t.Fatal("the record to forge is not in the signed zone")
	}
	port := freePort(t)
	authority := net.JoinHostPort("127.0.0.1", port)
	runNamed(t, "authority", authority, map[string]string{
		"signed.zone": forged, "plain.zone": signedZone, "example.test.zone": exampleZone,
		"named.conf": options("listen-on port "+port+" { 127.0.0.1; }; listen-on-v6 { none; }; recursion no; notify no;") + `
zone "example.test" { type primary; file "example.test.zone"; };
zone "signed.test" { type primary; file "signed.zone"; };
zone "plain.test" { type primary; file "plain.zone"; };`,
	})
	var key []string
	for line := range strings.Lines(anchor) {
		if !strings.HasPrefix(line, ";") {
			key = append(key, strings.Join(strings.Fields(line), " "))
		}
	}
	config := " trust-anchor: \"" + strings.Join(key, "") + "\"\n"
	for zone, to := range map[string]string{"signed.test": port, "plain.test": port, "dead.test": freePort(t)} {
		config += "stub-zone:\n name: " + zone + "\n stub-addr: 127.0.0.1@" + to + "\n"
	}
	unbound := runUnbound(t, config, "plain.test")
	c := newCache(t, resolver.NewRecursive(unbound, 2*fakedns.Patience), resolver.CacheConfig{Now: new(clock).now})
	for range 2 {
		for name, want := range map[string]bool{"s.signed.test": true, "s.plain.test": false} {
			txt, authentic, err := c.LookupTXTSecure(t.Context(), name)
			if err != nil || !slices.Equal(txt, []string{"v=DKIM1; p=signed"}) || authentic != want {
				t.Errorf("%s: %q, authentic %v, %v", name, txt, authentic, err)
			}
		}
		for name, want := range map[string]bool{"none.signed.test": true, "none.plain.test": false} {
			_, authentic, err := c.LookupTXTSecure(t.Context(), name)
			if !dnsError(t, err).IsNotFound || authentic != want {
				t.Errorf("%s: authentic %v, %v", name, authentic, err)
			}
		}
		txt, authentic, err := c.LookupTXTSecure(t.Context(), "forged.signed.test")
		if e := dnsError(t, err); len(txt) != 0 || authentic || !e.IsTemporary || !strings.Contains(e.Error(), "bogus") {
			t.Errorf("forged: %q, authentic %v, %v", txt, authentic, err)
		}
		if _, err := c.LookupTXT(t.Context(), "s.dead.test"); !dnsError(t, err).IsTemporary || strings.Contains(err.Error(), "bogus") {
			t.Errorf("dead: %v", err)
		}
	}
	if got := c.Stats(); got.Misses != 6 || got.Hits != 2 || got.NegativeHits != 2 || got.ErrorHits != 2 {
		t.Errorf("%+v", got)
	}
}
