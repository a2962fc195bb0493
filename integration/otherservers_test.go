package integration

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// The zones that each name server of TestRotationOnEachServer holds.
const (
	knotZone = "knot.example"
	pdnsZone = "pdns.example"
)

// TestRotationOnEachServer takes a key through its whole life, to the removal of its record, on BIND, Knot and PowerDNS: TSIG-signed updates to the first
// two, the HTTP API of the third. Mail is signed all the time and verified at arrival.
func TestRotationOnEachServer(t *testing.T) {
	t.Parallel()
	o := newOrganisation(t)
	knot, knotKey := startKnot(t, o.dir)
	pdns, pdnsAPI, pdnsKey := startPowerDNS(t, o.dir)
	unbound := startUnbound(t, o.dir, map[string]string{zone: o.bind.resolver(), knotZone: knot, pdnsZone: pdns})
	o.lookThrough(unbound)
	text := strings.NewReplacer(
		fmt.Sprintf("resolvers: [%q]", o.bind.resolver()), fmt.Sprintf("resolvers: [%q], authorities: {%s: [%q], %s: [%q]}", unbound, knotZone, knot, pdnsZone, pdns),
		"publishers:\n", fmt.Sprintf("publishers:\n  knot: {rfc2136: {server: %q, key_file: %q, zone: %s}}\n  pdns: {powerdns: {endpoint: %q, credential: %q}}\n", knot, knotKey, knotZone, pdnsAPI, "file:"+pdnsKey),
	).Replace(o.fleet(fmt.Sprintf(`  whole.%s: {mode: managed, publisher: bind, policy: {retention: 4s}, signers: [{server: mx1}]}
  %s: {mode: managed, publisher: knot, policy: {retention: 4s}, signers: [{server: mx1}]}
  %s: {mode: managed, publisher: pdns, policy: {retention: 4s}, signers: [{server: mx1}]}
`, zone, knotZone, pdnsZone)))
	o.apply(text)
	c := o.api()
	for name, s := range map[string]struct{ domain, server string }{
		"BIND": {"whole." + zone, o.bind.resolver()}, "Knot": {knotZone, knot}, "PowerDNS": {pdnsZone, pdns},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := o.in(t)
			send := func(number int, want string) {
				t.Helper()
				eventually(t, "mail is signed with "+want, func() bool {
					body := fmt.Sprintf("%s %d %d", name, number, len(o.sink.messages()))
					if err := post(o.servers[0], "a@"+s.domain, body); err != nil {
						t.Fatal(err)
					}
					m := o.sink.arrived(t, body)
					if !m.pass && m.selector != "" {
						t.Errorf("%s: %s %s", body, m.selector, m.detail)
					}
					return m.selector == want
				})
			}
			first := activeKey(t, c, s.domain, "mx1")
			send(1, first)
			at := func(selector string) string { return txtAt(s.server, selector+"._domainkey."+s.domain) }
			if have := at(first); !strings.HasPrefix(have, "v=DKIM1;") {
				t.Fatalf("%s shows %q for the first key", name, have)
			}
			o.postseal("rotate", s.domain, "--signer", "mx1")
			second := activeKey(t, c, s.domain, "mx1", first)
			send(2, second)
			eventually(t, "the old record is emptied", func() bool { return at(first) == "v=DKIM1; p=" || at(first) == "" })
			eventually(t, "the old record is gone", func() bool { return at(first) == "" })
			if have := at(second); !strings.HasPrefix(have, "v=DKIM1;") {
				t.Errorf("%s shows %q for the key in use", name, have)
			}
			send(3, second)
			states := map[string]bool{}
			for _, e := range journal(t, c, 0) {
				if e.Domain == s.domain && e.OK {
					states[e.Step] = true
				}
			}
			for _, step := range []string{"generate", "publish", "activate", "retire", "revoke", "remove"} {
				if !states[step] {
					t.Errorf("the journal has no %s of %s: %v", step, s.domain, states)
				}
			}
		})
	}
}

// startKnot starts a primary that takes updates signed with a TSIG key. It returns its address and the key's file in BIND's format.
func startKnot(t *testing.T, dir string) (addr, keyFile string) {
	t.Helper()
	need(t, "knotd")
	dir = filepath.Join(dir, "knot")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	port := freePort(t, "127.0.0.1")
	key := tsigKey("postseal")
	keyFile = filepath.Join(dir, "tsig.key")
	write(t, keyFile, key)
	if err := os.Chmod(keyFile, 0o600); err != nil {
		t.Fatal(err)
	}
	secret := strings.Split(key, `secret "`)[1]
	secret = secret[:strings.Index(secret, `"`)]
	write(t, filepath.Join(dir, "zone.db"), "$TTL 2\n@ SOA ns1 hostmaster 1 3600 600 86400 1\n@ NS ns1\nns1 A 127.0.0.1\n")
	conf := filepath.Join(dir, "knot.conf")
	write(t, conf, fmt.Sprintf(`server:
    rundir: %[1]q
    listen: 127.0.0.1@%[2]s
control:
    listen: %[3]q
database:
    storage: %[1]q
key:
  - id: postseal
    algorithm: hmac-sha256
    secret: %[4]s
acl:
  - id: updates
    key: postseal
    action: update
    update-type: [TXT, CNAME]
zone:
  - domain: %[5]s
    file: %[6]q
    acl: updates
`, dir, port, filepath.Join(dir, "ctl"), secret, knotZone, filepath.Join(dir, "zone.db")))
	start(t, "knotd", "-c", conf)
	addr = net.JoinHostPort("127.0.0.1", port)
	answersFor(t, addr, knotZone)
	return addr, keyFile
}

// startPowerDNS starts a primary with its HTTP API. It returns its address, the API's base URL and the file with the API's key.
func startPowerDNS(t *testing.T, dir string) (addr, api, keyFile string) {
	t.Helper()
	need(t, "pdns_server", "pdnsutil", "sqlite3")
	dir = filepath.Join(dir, "pdns")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	port, apiPort := freePort(t, "127.0.0.1"), freePort(t, "127.0.0.1")
	keyFile = filepath.Join(dir, "api.key")
	write(t, keyFile, "key-of-the-tests\n")
	if err := os.Chmod(keyFile, 0o600); err != nil {
		t.Fatal(err)
	}
	database := filepath.Join(dir, "pdns.db")
	write(t, filepath.Join(dir, "pdns.conf"), fmt.Sprintf(`launch=gsqlite3
gsqlite3-database=%s
local-address=127.0.0.1
local-port=%s
socket-dir=%s
daemon=no
guardian=no
api=yes
api-key=key-of-the-tests
webserver=yes
webserver-address=127.0.0.1
webserver-port=%s
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
zone-cache-refresh-interval=0
default-soa-content=ns.invalid hostmaster.invalid 0 3600 600 86400 1
`, database, port, dir, apiPort))
	run(t, "sh", "-c", fmt.Sprintf("sqlite3 %s < /usr/share/doc/pdns-backend-sqlite3/schema.sqlite3.sql", database))
	run(t, "pdnsutil", "--config-dir="+dir, "create-zone", pdnsZone, "ns.invalid")
	start(t, "pdns_server", "--config-dir="+dir)
	addr = net.JoinHostPort("127.0.0.1", port)
	answersFor(t, addr, pdnsZone)
	return addr, "http://127.0.0.1:" + apiPort, keyFile
}

func answersFor(t *testing.T, addr, zone string) {
	t.Helper()
	eventually(t, addr+" answers for "+zone, func() bool {
		m := new(dns.Msg)
		m.SetQuestion(dns.Fqdn(zone), dns.TypeSOA)
		reply, _, err := new(dns.Client).Exchange(m, addr)
		return err == nil && len(reply.Answer) == 1
	})
}
