package integration

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const zone = "example.com"

// The primary and its secondary listen on the two loopback addresses that every machine has and on one port, so that
// they are found by NS records. (BIND listens only on addresses that an interface has.)
const (
	primaryAddr   = "127.0.0.1"
	secondaryAddr = "::1"
	delegateAddr  = "127.0.0.2" // where sub.example.com is delegated to; nobody listens there unless a test starts somebody
)

// bind is a primary that takes signed updates, and a secondary.
type bind struct {
	t                  *testing.T
	dir, port, keyFile string
	personKey          string // a person's, who may write anything
	primary, secondary *process
	control            string
}

func startBIND(t *testing.T, dir string) *bind {
	t.Helper()
	need(t, "named", "rndc")
	b := &bind{t: t, dir: filepath.Join(dir, "bind"), port: freePort(t, primaryAddr, secondaryAddr)}
	b.control = freePort(t, secondaryAddr)
	for _, d := range []string{"primary", "secondary"} {
		if err := os.MkdirAll(filepath.Join(b.dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	b.keyFile = filepath.Join(b.dir, "tsig.key")
	write(t, b.keyFile, tsigKey("postseal"))
	b.personKey = filepath.Join(b.dir, "person.key")
	write(t, b.personKey, tsigKey("person"))
	if err := os.Chmod(b.keyFile, 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(b.dir, "rndc.key"), tsigKey("rndc"))
	write(t, filepath.Join(b.dir, "primary", "zone.db"), fmt.Sprintf(`$TTL 2
@ IN SOA ns1 hostmaster 1 3600 600 86400 1
@ IN NS ns1
@ IN NS ns2
@ IN MX 10 mail
ns1 IN A %s
ns2 IN AAAA %s
mail IN A 127.0.0.1
sub IN NS ns3
ns3 IN A %s
taken._domainkey IN TXT "somebody else's"
`, primaryAddr, secondaryAddr, delegateAddr))
	b.configure("primary", fmt.Sprintf(`type primary; file "zone.db"; notify explicit; also-notify { %s port %s; };
	allow-transfer { any; }; %s`, secondaryAddr, b.port, updatePolicy(t, zone, "whole."+zone, slotted, prepared, waiting)))
	b.configure("secondary", b.secondaryZone(true))
	answers := func(addr string) {
		eventually(t, addr+" answers for the zone", func() bool { return b.ask(addr, zone, dns.TypeSOA) != nil })
	}
	b.primary = b.named("primary")
	answers(primaryAddr) // a secondary that meets no primary tries again after a minute
	b.secondary = b.named("secondary")
	answers(secondaryAddr)
	return b
}

// updatePolicy grants Postseal what docs/bind.md says that it needs for these domains and no more, and a person everything.
func updatePolicy(t *testing.T, domains ...string) string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "docs", "bind.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, policy, found := strings.Cut(string(page), "update-policy {")
	policy, _, closed := strings.Cut(policy, "};")
	if !found || !closed || !strings.Contains(policy, "grant postseal ") {
		t.Fatal("docs/bind.md has no update-policy with grants")
	}
	all := "update-policy { grant person zonesub ANY; "
	for _, d := range domains {
		all += strings.ReplaceAll(policy, "example.com", d)
	}
	return all + " };"
}

func tsigKey(name string) string {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret)
	return fmt.Sprintf("key %q { algorithm hmac-sha256; secret %q; };\n", name, base64.StdEncoding.EncodeToString(secret))
}

func (b *bind) secondaryZone(prompt bool) string {
	notify := "none"
	if prompt {
		notify = "any"
	}
	return fmt.Sprintf(`type secondary; file "zone.db"; primaries { %s port %s; }; allow-notify { %s; }; masterfile-format text;
	min-refresh-time 3600;`, primaryAddr, b.port, notify)
}

func (b *bind) configure(role, zoneOptions string) {
	addr := map[string]string{"primary": primaryAddr, "secondary": secondaryAddr}[role]
	controls := "controls { };"
	listen := fmt.Sprintf("listen-on port %s { %s; }; listen-on-v6 { none; };", b.port, addr)
	if role == "secondary" {
		listen = fmt.Sprintf("listen-on { none; }; listen-on-v6 port %s { %s; };", b.port, addr)
		controls = fmt.Sprintf(`include "%s/rndc.key"; controls { inet %s port %s allow { any; } keys { "rndc"; }; };`, b.dir, addr, b.control)
	}
	write(b.t, filepath.Join(b.dir, role, "named.conf"), fmt.Sprintf(`
include %q;
include %q;
%s
options { directory "%s/%s"; %s pid-file "named.pid"; session-keyfile "session.key";
	managed-keys-directory "."; recursion no; dnssec-validation no; minimal-responses yes; };
logging { channel err { stderr; severity info; }; category default { err; }; category queries { quiet; }; channel quiet { null; }; };
zone "%s" { %s };
`, b.keyFile, b.personKey, controls, b.dir, role, listen, zone, zoneOptions))
}

func (b *bind) named(role string) *process {
	return start(b.t, "named", "-f", "-L", filepath.Join(b.dir, role, "named.log"), "-n", "1", "-c", filepath.Join(b.dir, role, "named.conf"))
}

// lag makes the secondary deaf to notifications: it keeps what it has until catchUp.
func (b *bind) lag() {
	b.configure("secondary", b.secondaryZone(false))
	b.rndc("reconfig")
}

func (b *bind) catchUp() {
	b.configure("secondary", b.secondaryZone(true))
	b.rndc("reconfig")
	b.rndc("retransfer", zone)
}

func (b *bind) rndc(args ...string) {
	b.t.Helper()
	run(b.t, "rndc", append([]string{"-k", filepath.Join(b.dir, "rndc.key"), "-s", secondaryAddr, "-p", b.control}, args...)...)
}

// ask queries one server; nil when it does not answer well.
func (b *bind) ask(addr, name string, qtype uint16) *dns.Msg {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), qtype)
	client := dns.Client{Net: "tcp", Timeout: 2 * time.Second}
	reply, _, err := client.Exchange(m, net.JoinHostPort(addr, b.port))
	if err != nil || reply.Rcode != dns.RcodeSuccess && reply.Rcode != dns.RcodeNameError {
		return nil
	}
	return reply
}

// txt returns the TXT value at a name on one server; "" when there is none.
func (b *bind) txt(addr, name string) string {
	reply := b.ask(addr, name, dns.TypeTXT)
	if reply == nil {
		return ""
	}
	for _, rr := range reply.Answer {
		if txt, ok := rr.(*dns.TXT); ok {
			value := ""
			for s := range slices.Values(txt.Txt) {
				value += s
			}
			return value
		}
	}
	return ""
}

// resolver is the address of the primary, for verifiers.
func (b *bind) resolver() string { return net.JoinHostPort(primaryAddr, b.port) }
