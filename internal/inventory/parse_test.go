package inventory

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/services"
)

// loadOnce keeps the tables quick: reading the catalogue takes longer than reading a fleet.
var loadOnce = sync.OnceValues(services.Load)

func catalogue(t testing.TB) *services.Catalogue {
	t.Helper()
	c, err := loadOnce()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func parseFile(t *testing.T, name string) Fleet {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := ParseFleet(name, data, catalogue(t))
	if err != nil {
		t.Fatalf("%v", err)
	}
	return f
}

// counter makes ids that count upwards.
func counter() func(string) string {
	n := 0
	return func(prefix string) string {
		n++
		return prefix + string(rune('0'+n/10)) + string(rune('0'+n%10))
	}
}

func TestParseExample(t *testing.T) {
	f := parseFile(t, "../../packaging/fleet.example.yaml")
	if len(f.Warnings) > 0 {
		t.Errorf("the example should be without a blemish: %v", f.Warnings)
	}
	com, net, org := f.Domains[0], f.Domains[1], f.Domains[2]
	if com.Name != "example.com" || com.Mode != Managed || com.NoKey != NoKeyPass || com.Publisher != "bind" ||
		!slices.Equal(com.Labels, []string{"customer-a"}) || !reflect.DeepEqual(com.Policy, DefaultPolicy()) {
		t.Errorf("example.com: %+v", com.Domain)
	}
	day := 24 * time.Hour
	if net.Policy.RotateEvery != 90*day || net.Policy.Retention != 30*day || net.NoKey != NoKeyTempfail ||
		!slices.Equal(net.Policy.NeedApproval, []string{"activate"}) {
		t.Errorf("example.net: %+v", net.Domain)
	}
	if org.Mode != Observed || org.Signers[0].Class != ClassDelegated {
		t.Errorf("example.org: %+v", org)
	}
	if fortnight := 14 * 24 * time.Hour; !com.Subdomains || com.Signers[1].NoKey != NoKeyTempfail || com.Signers[1].Signing.Expires() != fortnight {
		t.Errorf("how example.com signs: %+v, %+v", com.Domain, com.Signers[1])
	}
	com.Signers[1].NoKey, com.Signers[1].Signing = "", Signing{}
	want := []FleetSigner{
		{Server: "mx1", Stream: "default", Class: ClassManaged, Algorithms: []string{"rsa2048"}},
		{Server: "mx2", Stream: "transactional", Class: ClassManaged, Algorithms: []string{"rsa2048", "ed25519"}},
		{Pool: "web", Stream: "default", Class: ClassManaged, Algorithms: []string{"rsa2048"}},
		{Service: "google-workspace", Stream: "default", Class: ClassForeign, Records: []ServiceRecord{
			{"google", "TXT", "v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA"}}},
		{Service: "sendgrid", Stream: "marketing", Class: ClassDelegated, Records: []ServiceRecord{
			{"s1", "CNAME", "s1.domainkey.u123456.wl123.sendgrid.net"}, {"s2", "CNAME", "s2.domainkey.u123456.wl123.sendgrid.net"}}},
	}
	if !reflect.DeepEqual(com.Signers, want) {
		t.Errorf("signers of example.com:\n%+v\nwant\n%+v", com.Signers, want)
	}
	if !reflect.DeepEqual(f.Servers[:2], []FleetServer{{Name: "mx1", Label: "mx1"}, {Name: "mx2", Label: "berlin"}}) {
		t.Errorf("servers: %+v", f.Servers)
	}
	if w := f.Windows[0]; !slices.Equal(w.Days, []time.Weekday{time.Saturday, time.Sunday}) || w.From != "22:00" || w.Zone != "Europe/Berlin" {
		t.Errorf("window: %+v", w)
	}
	if f.Publishers[0] != (Publisher{Name: "bind", Kind: PublisherRFC2136, Server: "192.0.2.1:53", KeyFile: "/etc/postseal/tsig.key"}) {
		t.Errorf("publisher: %+v", f.Publishers[0])
	}
}

func TestParseGuide(t *testing.T) {
	f := parseFile(t, "testdata/guide.yaml")
	next, _, err := Apply(State{}, f, ApplyOptions{Now: time.Unix(1, 0), NewID: counter()})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, r := range WantedRecords(next.Domains[0], next.Assignments) {
		lines = append(lines, r.Name+" "+r.Type+` "`+r.Value+`"`)
	}
	want := []string{
		`google._domainkey.example.com TXT "v=DKIM1; k=rsa; p=GOOGLE_PUBLIC_KEY"`,
		`sendgrid._domainkey.example.com TXT "v=DKIM1; k=rsa; p=SENDGRID_PUBLIC_KEY"`,
		`_dmarc.example.com TXT "v=DMARC1; p=none; rua=mailto:dmarc@example.com; ruf=mailto:dmarc@example.com"`,
	}
	if !slices.Equal(lines, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(lines, "\n"), strings.Join(want, "\n"))
	}
	var about []string
	for _, w := range f.Warnings {
		about = append(about, w.String())
	}
	if all := strings.Join(about, "\n"); !strings.Contains(all, "guide.yaml:11:14: p=GOOGLE_PUBLIC_KEY of the selector google is not a public key") {
		t.Errorf("warnings:\n%s", all)
	}
}

// Every example in the documentation is a fleet of its own.
func TestParseDocumentation(t *testing.T) {
	text, err := os.ReadFile("../../docs/fleet-yaml.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(text), "```yaml\n")[1:]
	if len(blocks) < 8 {
		t.Fatalf("only %d examples were found", len(blocks))
	}
	for _, block := range blocks {
		block, _, _ = strings.Cut(block, "```")
		if _, err := ParseFleet("example", []byte(block), catalogue(t)); err != nil {
			t.Errorf("%v\nin\n%s", err, block)
		}
	}
	f := fleetOf(t, strings.Split(blocks[0], "```")[0]+"domains: {example.com: {mode: observed}}\n")
	if !reflect.DeepEqual(f.Domains[0].Policy, DefaultPolicy()) {
		t.Errorf("the documented defaults are %+v", f.Domains[0].Policy)
	}
}

func TestFleetSurvivesJSON(t *testing.T) {
	f := parseFile(t, "../../packaging/fleet.example.yaml")
	data, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	var back Fleet
	if err := json.Unmarshal(data, &back); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(f, back) {
		t.Errorf("got  %+v\nwant %+v", back, f)
	}
	if bad, _ := back.Check(catalogue(t)); len(bad) > 0 {
		t.Error(bad)
	}
}

// A fleet for tables: what is added below it stands in the lines after the 9th.
const base = `publishers:
  hand: {manual: {contact: dns@example.com}}
  sub: {builtin: {zone: _domainkey.example.com}}
  bind: {rfc2136: {server: "192.0.2.1:53", key_file: /etc/tsig, zone: example.com}}
servers: {mx1: {}, mx2: {}}
pools: {web: {members: [mx1, mx2]}}
domains:
  example.com:
    publisher: hand
`

func TestParseProblems(t *testing.T) {
	for _, tc := range []struct {
		name string
		text string
		want []string // each "line:column: text" and nothing else
	}{
		{"empty", "", []string{"1:1: the file is empty"}},
		{"only a comment", "# nothing\n", []string{"1:1: the file is empty"}},
		{"not a mapping", "- a\n", []string{"1:1: the file must hold keys and values, not a list"}},
		{"not YAML", "servers: {mx1: {}\n", []string{"1:10: "}},
		{"a tab", "servers:\n\tmx1: {}\n", []string{"2:1: "}},
		{"two documents", "servers: {}\n---\nservers: {}\n", []string{"3:1: a second document"}},
		{"not UTF-8", "servers:\n  mx1: {label: \"ab\xff\"}\n", []string{"2:19: the file is not UTF-8"}},
		{"nested", "x-a: " + strings.Repeat("[", 30) + strings.Repeat("]", 30), []string{"1:26: brackets"}},

		{"unknown key", "server: {}\n", []string{`1:1: unknown key "server": did you mean "servers"?`}},
		{"unknown keys, all of them", base + "    signer: []\n    no_kei: pass\n", []string{
			`10:5: unknown key "signer": did you mean "signers"?`, `11:5: unknown key "no_kei": did you mean "no_key"?`}},
		{"unknown key that resembles nothing", "policy: {colour: red}\n", []string{`1:10: unknown key "colour": one of audit_every, check_every, `}},
		{"duplicate key", "servers: {mx1: {}}\nservers: {mx2: {}}\n", []string{`2:1: the key "servers" appears twice: first in line 1`}},
		{"duplicate domain", base + "  example.com:\n    publisher: hand\n", []string{`10:3: the key "example.com" appears twice`}},
		{"the same domain in another form", base + "  EXAMPLE.com.:\n    publisher: hand\n", []string{"10:3: the domain example.com appears twice"}},
		{"wrong types", "policy: [a]\nservers: x\nwindows: {a: b}\npools: {web: {members: mx1}}\n", []string{
			"1:9: policy must hold keys and values, not a list", "2:10: servers must hold keys and values, not text",
			"3:10: windows must be a list, not a mapping", `4:9: the pool "web" has no members`, "4:24: members must be a list, not text"}},
		{"merge", "x-a: &a {mode: observed}\ndomains:\n  example.com:\n    <<: *a\n    mode: observed\n", []string{"4:5: merging"}},
		{"an alias of nothing", "servers: *a\n", []string{"1:10: nothing is anchored as &a"}},
		{"an alias of itself", "servers: &a *a\n", []string{"1:13: "}},
		{"a tag", "servers: !!map {}\n", []string{"1:10: the tag !!map"}},
		{"a key that is a list", "servers: {[a]: {}}\n", []string{"1:"}},

		{"durations", "policy: {retention: 30, ttl: 1x, rotate_every: 1h30d, tombstone: -3d, min_wait: [1], check_every: 1000y}\n", []string{
			`1:21: retention: "30" has no unit; write 30s, 30m, 30h or 30d`, `1:30: ttl: "1x" is not a duration`,
			`1:48: rotate_every: "1h30d" is not a duration`, `1:66: tombstone: "-3d" is not a duration`,
			"1:81: min_wait must be text, not a list", `1:99: check_every: "1000y" is not a duration`}},
		{"too short", "policy: {retention: 13d}\n", []string{"1:21: retention is 13d, less than 14d: mail may wait"}},
		{"too short once, not for each domain", "policy: {retention: 13d}\ndomains:\n  a.example: {mode: observed}\n  b.example: {mode: observed}\n",
			[]string{"1:21: retention is 13d"}},
		{"too short in a domain", base + "    policy: {retention: 1d, min_wait: 1m}\n", []string{"10:25: retention is 1d", "10:39: min_wait is 1m, less than 15m"}},
		{"other numbers", "policy: {ttl: 2d, jitter_percent: 51, rotate_every: 0, test_mode: yes}\n", []string{
			"1:15: ttl is 2d; whole seconds", "1:35: jitter_percent is 51", "1:53: rotate_every is 0, less than 1d", "1:67: test_mode must be true or false, not text"}},
		{"approvals", "policy: {need_approval: [activat, generate]}\n", []string{
			`1:26: unknown step "activat": did you mean "activate"?`, `1:35: unknown step "generate": one of activate, publish`}},

		{"dns", "dns: {resolvers: [ns.example.com, 192.0.2.1], authorities: {example.com: [\"1\"], x..y: []}, authority_port: 0}\n", []string{
			`1:19: "ns.example.com" is not an address`, `1:75: "1" is not an address`, `1:81: the zone "x..y" has two dots`, `1:108: "0" is not a port`}},
		{"how servers show themselves", "servers:\n  mx1: {helo: mx1..example.com, addresses: [here, 0.0.0.0, \"fe80::1%eth0\"]}\ndns: {views: [x], block_lists: [x..y]}\n", []string{
			`2:15: helo "mx1..example.com" has two dots`, `2:45: "here" is no address`, `2:51: "0.0.0.0" is no address`, `2:60: "fe80::1%eth0" is no address`, `3:15: "x" is not an address`, `3:33: the block list "x..y" has two dots`}},
		{"windows", "windows:\n  - {days: [sa], from: \"22:00\", to: \"04:00\"}\n  - {from: \"9\", to: \"10:00\"}\n  - {from: \"09:00\", to: \"10:00\", zone: Mars}\n  - {from: \"09:00\", to: \"09:00\"}\n", []string{
			`2:13: unknown day "sa": did you mean "sat"?`, `3:12: "9" is not a time of day`, `4:40: "Mars" is not a time zone`, "5:5: from and to are the same"}},
		{"publishers", "publishers:\n  a: {}\n  b: {rfc2136: {}}\n  c: {builtin: {}}\n  d: {manual: {}}\n  e: {manual: {contact: x}, builtin: {zone: x}}\n  f: {rfc2136: {server: \"::1:x\", key_file: tsig}}\n  F!: {manual: {contact: x}}\n  g: {rfc: {}}\n", []string{
			`2:3: the publisher "a" does not say how`, `3:3: the publisher "b" does not say which server`, `4:3: the publisher "c" does not say which zone`,
			`5:3: the publisher "d" does not say whom`, `6:3: the publisher "e" is both manual and builtin`, `7:25: "::1:x" is not an address`, `7:44: the path "tsig"`,
			`8:3: the publisher's name "F!"`, `9:3: the publisher "g" does not say how`, `9:7: unknown key "rfc"`}},
		{"how people are asked", `publishers:
  a: {manual: {contact: x, host: ovhh}}
  b: {manual: {contact: x, remind_every: 30m}}
  c: {manual: {contact: x, remind_every: soon, expires_after: 1h}}
  d: {manual: {contact: x, remind_every: 3d, expires_after: 2d}}
  e: {manual: {contact: x, expires_after: 400d, owner: y}}
  f: {exec: {program: dns, remind_every: 1d}}
`, []string{
			`2:34: no click steps are known for the DNS host "ovhh": did you mean "ovh"?`, `3:42: remind_every must be from 1h to 365d, not 30m`,
			`4:42: remind_every: "soon" is not a duration`, `4:63: expires_after must be from 1d to 365d, not 1h`,
			`6:43: expires_after must be from 1d to 365d`, `6:49: unknown key "owner"`, `7:28: unknown key "remind_every"`}},
		{"publishers of APIs", `publishers:
  a: {cloudflare: {}}
  b: {cloudflare: {credential: "SECRET"}}
  c: {powerdns: {endpoint: "http://192.0.2.1:8081", credential: "env:KEY"}}
  d: {webhook: {endpoint: "ftp://x"}}
  e: {exec: {program: ../sh}}
  f: {zonefile: {file: zone}}
  g: {google: {credential: "systemd:google"}, }
  h: {gandi: {credential: "file:relative", server: x}}
`, []string{
			`2:3: the publisher "a" does not say where the credential is`, `3:32: the credential is named by its place`, `4:28: the credential would go to 192.0.2.1:8081 in clear`,
			`5:27: "ftp://x" is not the address of an API`, `6:23: the program "../sh"`, `7:3: the publisher "f" does not say which zone`, `7:24: the path "zone"`,
			`8:3: the publisher "g" does not say which project`, `9:27: the credential is named by its place`, `9:44: unknown key "server"`}},
		{"servers and pools", "servers: {mx_1: {}, mx2: {label: a.b}, mx3: {label: " + strings.Repeat("x", 60) + "}}\npools: {mx2: {members: [mx3]}, empty: {}, p: {members: [mx4, mx3, mx3]}}\n", []string{
			`1:11: the server's name "mx_1"`, `1:34: the label "a.b" may not hold a dot`, `1:53: the label "xx`,
			`2:9: "mx2" is already the name of a server`, `2:32: the pool "empty" has no members`, `2:57: unknown server "mx4": did you mean "mx`, "2:67: mx3 is named twice"}},

		{"domain words", base + "    mode: manged\n    no_key: fail\n    labels: [A]\n    dmarc: v=dmarc1; p=none\n", []string{
			`10:11: unknown mode "manged": did you mean "managed"?`, `11:13: unknown word for no_key "fail"`, `12:14: the label "A"`, "13:12: the DMARC policy must begin"}},
		{"dmarc", base + "    dmarc: v=DMARC12; p=none\n", []string{"10:12: a semicolon is wanted"}},
		{"domain names", "domains: {com: {mode: observed}, a..b: {mode: observed}, \"-a.b\": {mode: observed}, \"a b.c\": {mode: observed}}\n", []string{
			`1:11: the domain "com" has only one part`, `1:34: the domain "a..b" has two dots`, `1:58: the domain "-a.b" has a part`, `1:84: the domain "a b.c" `}},
		{"no publisher", "domains:\n  example.com: {}\n", []string{"2:3: example.com is managed and has no publisher: write publisher: NAME, or mode: observed"}},
		{"unknown publisher", "publishers: {bind: {manual: {contact: x}}}\ndomains: {example.com: {publisher: bint}}\n", []string{`2:36: unknown publisher "bint": did you mean "bind"?`}},
		{"a publisher of another zone", "publishers: {own: {builtin: {zone: _domainkey.example.net}}}\ndomains: {example.com: {publisher: own}}\n",
			[]string{"2:36: the publisher own writes to _domainkey.example.net; _domainkey.example.com is not in that zone"}},
		{"a publisher of _domainkey only", strings.Replace(base, "publisher: hand", "publisher: sub", 1) + "    dmarc: v=DMARC1; p=none\n",
			[]string{"9:16: the publisher sub writes to _domainkey.example.com; _dmarc.example.com is not"}},

		{"nobody signs", base + "    signers: [{}]\n", []string{"10:15: it is not said who signs"}},
		{"two sign", base + "    signers: [{server: mx1, pool: web}]\n", []string{"10:15: one signer cannot be server and pool at once"}},
		{"unknown signers", base + "    signers: [{server: mx3}, {pool: wbe}, {service: google-workspce, selector: a, txt: v=DKIM1}]\n", []string{
			`10:24: unknown server "mx3": did you mean "mx1"?`, `10:37: unknown pool "wbe": did you mean "web"?`, `10:53: unknown service "google-workspce": did you mean google-workspace`}},
		{"the same signer twice", base + "    signers: [{server: mx1}, {server: mx1}, {server: mx1, stream: bulk}]\n", []string{"10:30: mx1 signs for example.com twice on the stream default"}},
		{"algorithms", base + "    signers: [{server: mx1, algorithms: [rsa1024, ed25519, ed25519]}]\n", []string{
			`10:42: unknown algorithm "rsa1024": one of ed25519, rsa2048`, "10:60: ed25519 is named twice"}},
		{"two RSA sizes", base + "    signers: [{server: mx1, algorithms: [rsa2048, ed25519, rsa4096]}]\n", []string{
			"10:60: rsa2048 and rsa4096 are both RSA, and a signer uses one RSA key: keep one of them"}},
		{"signing", base + "    signing:\n      headers: [Sender, \"X Y\", sender, 'Ä', \"a:b\", \"\", X-A]\n      oversign: [Received, ARC-Seal, dkim-signature, Return-Path, Authentication-Results, x-a]\n" +
			"      canonicalization: relaxed/simpel\n      expire: 6d\n    subdomains: yes please\n", []string{
			`11:25: "X Y" is not the name of a header field (RFC 5322 §2.2)`, "11:32: sender is named twice", `11:40: "Ä" is not the name`, `11:45: "a:b" is not`,
			`11:52: "" is not`, "11:56: X-A is in oversign as well: name it in oversign only", "12:18: Received cannot be signed", "12:28: ARC-Seal cannot be signed",
			"12:38: dkim-signature cannot be signed", "12:54: Return-Path cannot be signed", "12:67: Authentication-Results cannot be signed",
			`13:25: unknown canonicalization "relaxed/simpel": did you mean "relaxed/simple"?`,
			"14:15: expire is 6d, less than 7d: mail waits 5d in queues and is verified after that: write expire: 0", "15:17: subdomains must be true or false, not text"}},
		{"signing of a signer", base + "    signing: {oversign: [From, Subject, Date, To, Content-Type, X-A], expire: 14d}\n    signers:\n" +
			"      - {server: mx1, signing: {headers: [x-a], expire: 366d}, no_key: fail}\n" +
			"      - {server: mx2, signing: {oversign: [Cc, x-b], headers: [X-B]}, subdomains: 1}\n", []string{
			"12:43: x-a is in oversign as well", "12:57: expire is 366d, more than 365d", "12:72: unknown word for no_key \"fail\"",
			"13:64: X-B is in oversign as well", "13:83: subdomains must be true or false, not a number"}},
		{"signing with lists that say nothing", base + "    signing: {headers: [], oversign: }\n", []string{
			"10:24: the list names no header field: leave it out for the default", "10:37: the list names no header field"}},
		{"signing in words that are not there", base + "    signing: {body: relaxed, expire: 8, oversing: [To]}\n", []string{
			`10:15: unknown key "body"`, `10:38: expire: "8" has no unit`, `10:41: unknown key "oversing": did you mean "oversign"?`}},
		{"too many fields", base + "    signing: {headers: [" + manyFields(40) + "]}\n    signers: [{server: mx1, signing: {oversign: [" + strings.ReplaceAll(manyFields(25), "X-", "Y-") + "]}}]\n", []string{
			"11:49: headers and oversign name 65 fields; at most 64 are taken"}},
		{"a service signs as it likes", base + "    signers:\n      - {service: google, txt: {a: v=DKIM1}, no_key: pass}\n      - {service: sendgrid, txt: {b: v=DKIM1}, subdomains: false}\n" +
			"      - {service: mailjet, txt: {c: v=DKIM1}, signing: {expire: 14d}}\n", []string{
			"11:9: no_key, subdomains and signing are for servers and pools: google-workspace", "12:9: no_key, subdomains", "13:9: no_key, subdomains"}},
		{"slots", base + "    signers: [{server: mx1, slots: [a]}, {server: mx2, slots: [b, B]}]\n", []string{
			"10:37: 1 slots are not enough", "10:67: the selector b of example.com is used twice"}},
		{"a standby in too few slots", base + "    signers: [{server: mx1, standby: true, slots: [a, b]}, {server: mx2, algorithms: [rsa2048, ed25519], slots: [c, d, e, f, g], standby: yes}]\n", []string{
			"10:38: 2 slots are not enough for a standby key: each algorithm needs one in use, one that stands by", "10:139: standby must be true or false, not text"}},
		{"a standby in too few slots for two algorithms", base + "    signers: [{server: mx2, algorithms: [rsa2048, ed25519], slots: [c, d, e, f, g], standby: true}]\n", []string{"10:94: 5 slots are not enough for a standby key"}},
		{"a standby of a service", base + "    signers: [{service: google, txt: {a: v=DKIM1}, standby: true}]\n", []string{"10:61: standby keys are for servers and pools: google-workspace makes its own keys"}},
		{"a standby for each", base + "    signers: [{server: mx1, standby: [rsa2048]}, {server: mx2, standbye: true}]\n", []string{"10:38: standby must be true or false, not a list", `10:64: unknown key "standbye": did you mean "standby"?`}},
		{"slots that lead nowhere", through("{names: [a, b, c], through: owm}"), []string{`6:64: unknown publisher "owm": did you mean "own"?`}},
		{"slots that lead to a zone of others", through("{names: [a, b, c], through: hand}"), []string{"6:64: slots can lead into a zone of the built-in name server only, and hand writes elsewhere"}},
		{"slots without names", through("{through: own}"), []string{"6:46: it is not said which slots lead to own"}},
		{"slots in words that are not there", through("{selectors: [a, b, c], through: own}"), []string{`6:37: unknown key "selectors"`, "6:68: it is not said which slots"}},
		{"slots with dots and of great length", through("{names: [a.b, " + strings.Repeat("c", 63) + ", d], through: own}"), []string{"6:45: a slot that leads to another zone is one label: a.b has a dot"}},
		{"a server has no records", base + "    signers: [{server: mx1, selector: a, txt: x, cname: y}]\n", []string{
			"10:39: selector is for services", "10:47: txt is for services", "10:57: cname is for services"}},
		{"a service has no algorithms", base + "    signers: [{service: google, algorithms: [rsa2048], selector: a, txt: v=DKIM1}]\n", []string{"10:15: algorithms and slots are for servers"}},
		{"records without selector", base + "    signers: [{service: google, txt: v=DKIM1}]\n", []string{"10:38: the selector of this record is missing: Google Workspace uses google"}},
		{"a selector without records", base + "    signers: [{service: google, selector: google}]\n", []string{"10:43: the selector google has no record"}},
		{"both kinds", base + "    signers: [{service: sendgrid, txt: {a: v=DKIM1}, cname: {b: c.example.net}}]\n", []string{"10:61: one entry has either"}},
		{"a selector twice", base + "    signers:\n      - {service: google, selector: google, txt: v=DKIM1}\n      - {service: sendgrid, txt: {Google: v=DKIM1}}\n", []string{"12:35: the selector google of example.com is used twice"}},
		{"TXT and CNAME", base + "    signers:\n      - {service: google, selector: google, txt: v=DKIM1}\n      - {service: sendgrid, cname: {google: a.example.net}}\n", []string{"12:37: google._domainkey.example.com has both a TXT and a CNAME record"}},
		{"selectors", base + "    signers: [{service: sendgrid, cname: {a..b: a.example.net, ä: nohost, \"c d\": e.f., g: g._domainkey.example.com}}]\n", []string{
			`10:43: the selector "a..b" has two dots`, `10:67: the target "nohost" has only one part`, `10:75: the selector "c d"`, "10:91: g._domainkey.example.com points to itself"}},
		{"values", base + "    signers: [{service: google, txt: {a: \"\", b: \"x\\ny\", c: [1], d: }}]\n", []string{
			"10:42: the record of the selector a is empty", "10:49: the record of the selector b holds line breaks", "10:60: txt must be text, not a list", "10:67: txt has no value"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := ParseFleet("f", []byte(tc.text), catalogue(t))
			var ps Problems
			if !errors.As(err, &ps) {
				t.Fatalf("err = %v, want problems", err)
			}
			if fault.CodeOf(err) != fault.Invalid {
				t.Errorf("code = %s", fault.CodeOf(err))
			}
			if message, _ := fault.Show(err); message != err.Error() {
				t.Errorf("a person would see %q", message)
			}
			var got []string
			for _, p := range ps {
				got = append(got, strings.TrimPrefix(p.String(), "f:"))
			}
			for i, want := range tc.want {
				if i >= len(got) || !strings.HasPrefix(got[i], want) {
					t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
				}
			}
			if len(got) > len(tc.want) {
				t.Errorf("more than wanted:\n%s", strings.Join(got[len(tc.want):], "\n"))
			}
		})
	}
}

// manyFields is a list of so many names.
func manyFields(n int) string {
	var names []string
	for i := range n {
		names = append(names, fmt.Sprintf("X-%d", i))
	}
	return strings.Join(names, ", ")
}

func TestParseTakes(t *testing.T) {
	for _, tc := range []struct {
		name  string
		text  string
		check func(Fleet) bool
	}{
		{"a mark of byte order", "\ufeffservers: {mx1: {}}\r\n", func(f Fleet) bool { return f.Servers[0].Name == "mx1" }},
		{"sections with nothing below", "servers:\npools:\ndomains:\n", func(f Fleet) bool { return len(f.Servers) == 0 }},
		{"U-labels", "domains: {Bücher.example.: {mode: observed}}", func(f Fleet) bool { return f.Domains[0].Name == "xn--bcher-kva.example" }},
		{"a selector of digits", base + "    signers: [{service: google, selector: 20260101, txt: v=DKIM1}]", func(f Fleet) bool {
			return f.Domains[0].Signers[0].Records[0].Selector == "20260101"
		}},
		{"an alias of a service", base + "    signers: [{service: gsuite, txt: {google: v=DKIM1}}]", func(f Fleet) bool {
			return f.Domains[0].Signers[0].Service == "google-workspace"
		}},
		{"a service of our own", base + "    signers: [{service: newsletter-machine, custom: true, txt: {nl: v=DKIM1}}]", func(f Fleet) bool {
			return f.Domains[0].Signers[0].Name() == "newsletter-machine" && f.Domains[0].Signers[0].Kind() == KindService
		}},
		{"targets with a dot at the end", base + "    signers: [{service: sendgrid, cname: {s1: S1.domainkey.u1.wl1.sendgrid.net.}}]", func(f Fleet) bool {
			return f.Domains[0].Signers[0].Records[0].Value == "s1.domainkey.u1.wl1.sendgrid.net"
		}},
		{"a folded value", base + "    signers:\n      - service: google\n        txt:\n          google: >\n            v=DKIM1; k=rsa;\n            p=AAAA\n", func(f Fleet) bool {
			return f.Domains[0].Signers[0].Records[0].Value == "v=DKIM1; k=rsa; p=AAAA"
		}},
		{"anchors and aliases", "x-signers: &both [{server: mx1}, {server: mx2}]\n" + base + "    signers: *both\n  example.net:\n    publisher: hand\n    signers: *both\n", func(f Fleet) bool {
			return len(f.Domains[0].Signers) == 2 && len(f.Domains[1].Signers) == 2
		}},
		{"short waits in test mode", "policy: {test_mode: true, retention: 2s, min_wait: 100ms, tombstone: 0, rotate_every: 5s, ttl: 1s, check_every: 1s}\ndomains: {a.example: {mode: observed}}", func(f Fleet) bool {
			return f.Domains[0].Policy.MinWait == 100*time.Millisecond && f.Domains[0].Policy.TestMode
		}},
		{"the policy below the domains", "domains: {a.example: {mode: observed}}\npolicy: {retention: 3w}\n", func(f Fleet) bool {
			return f.Domains[0].Policy.Retention == 21*24*time.Hour
		}},
		{"addresses without a port", "dns: {resolvers: [192.0.2.53, \"2001:db8::53\"], authorities: {Example.com: [\"127.0.0.1:5301\"]}, authority_port: 5353}", func(f Fleet) bool {
			return slices.Equal(f.DNS.Resolvers, []string{"192.0.2.53:53", "[2001:db8::53]:53"}) && f.DNS.Authorities["example.com"][0] == "127.0.0.1:5301" && f.DNS.AuthorityPort == "5353"
		}},
		{"a name server by name", "publishers: {bind: {rfc2136: {server: ns1.example.com, key_file: /k, repair: true}}}", func(f Fleet) bool {
			return f.Publishers[0].Server == "ns1.example.com:53" && f.Publishers[0].Repair
		}},
		{"publishers of APIs", `publishers:
  a: {azure: {credential: "systemd:azure", subscription: s, resource_group: g, zone: Example.com}}
  b: {powerdns: {endpoint: "http://[::1]:8081", credential: "env:PDNS"}}
  c: {zonefile: {file: /zones/a, zone: example.org, program: reload}}
  d: {cloudflare: {credential: "file:/k", zone_id: z}}
`, func(f Fleet) bool {
			return f.Publishers[0] == Publisher{Name: "a", Kind: PublisherAzure, Credential: "systemd:azure", Account: "s", Group: "g", Zone: "example.com"} &&
				f.Publishers[1].Endpoint == "http://[::1]:8081" && f.Publishers[2].Program == "reload" && f.Publishers[3].ZoneID == "z"
		}},
		{"a server's full name", "servers: {MX1.example.com: {}}", func(f Fleet) bool {
			return f.Servers[0].Name == "mx1.example.com" && f.Servers[0].Label == "mx1-example-com"
		}},
		{"how servers show themselves", "servers: {mx1: {helo: MX1.example.com, addresses: [192.0.2.1, \"2001:DB8:0::1\", \"::ffff:192.0.2.2\"]}, mx2: {addresses: [192.0.2.1]}}\ndns: {views: [192.0.2.99], block_lists: [List.example.net]}", func(f Fleet) bool {
			return f.Servers[0].HELO == "mx1.example.com" && slices.Equal(f.Servers[0].Addresses, []string{"192.0.2.1", "2001:db8::1", "192.0.2.2"}) && len(f.Warnings) == 1 &&
				slices.Equal(f.DNS.Views, []string{"192.0.2.99:53"}) && slices.Equal(f.DNS.BlockLists, []string{"list.example.net"})
		}},
		{"windows by full names", "windows: [{days: [Saturday], from: 22:00, to: 24:00}]", func(f Fleet) bool {
			return f.Windows[0].Days[0] == time.Saturday && f.Windows[0].From == "22:00"
		}},
		{"as many fields as may be, and From", base + "    signing: {headers: [From, " + manyFields(63) + "], expire: 7d}", func(f Fleet) bool {
			return len(f.Domains[0].Signing.Headers) == 64 && f.Domains[0].Signing.Expires() == 7*24*time.Hour && len(f.Warnings) == 1
		}},
		{"signatures that do not expire", base + "    signing: {expire: 0}\n    subdomains: true\n    signers: [{server: mx1, subdomains: false, no_key: tempfail}, {pool: web, signing: {expire: 0, canonicalization: simple/relaxed}}]", func(f Fleet) bool {
			mx1, web := f.Domains[0].Signers[0], f.Domains[0].Signers[1]
			return f.Domains[0].Subdomains && !*mx1.Subdomains && mx1.NoKey == NoKeyTempfail && web.Subdomains == nil && *web.Signing.Expire == 0 && web.Signing.Canonicalization == "simple/relaxed"
		}},
		{"slots", base + "    signers: [{server: mx1, slots: [ps1, ps2]}]", func(f Fleet) bool { return len(f.Domains[0].Signers[0].Slots) == 2 }},
		{"a standby", base + "    signers: [{server: mx1, standby: true}, {server: mx2, standby: false}]", func(f Fleet) bool {
			return f.Domains[0].Signers[0].Standby && !f.Domains[0].Signers[1].Standby && len(f.Warnings) == 0
		}},
		{"a standby in three slots for each algorithm", base + "    signers: [{server: mx1, standby: true, slots: [a, b, c]}, {server: mx2, standby: true, algorithms: [rsa2048, ed25519], slots: [d, e, f, g, h, i]}]", func(f Fleet) bool {
			return f.Domains[0].Signers[0].Standby && f.Domains[0].Signers[1].Standby
		}},
		{"slots that lead to a zone of ours", through("{names: [ps1, PS2, ps3], through: own}"), func(f Fleet) bool {
			s := f.Domains[0].Signers[0]
			return slices.Equal(s.Slots, []string{"ps1", "ps2", "ps3"}) && s.Through == "own" && len(f.Warnings) == 0
		}},
		{"two slots for each algorithm", through("{names: [ps1, ps2], through: own}"), func(f Fleet) bool {
			return len(f.Warnings) == 1 && strings.Contains(f.Warnings[0].Message, "for 60d after each rotation")
		}},
		{"an observed domain without a publisher", "domains: {a.example: {mode: observed, signers: [{service: google}]}}", func(f Fleet) bool {
			return len(f.Domains[0].Signers) == 1 && len(f.Warnings) == 1
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f, err := ParseFleet("f", []byte(tc.text), catalogue(t))
			if err != nil {
				t.Fatal(err)
			}
			if !tc.check(f) {
				t.Errorf("%+v", f)
			}
		})
	}
}

func TestParseWarns(t *testing.T) {
	for text, want := range map[string]string{
		"    signers: [{service: google, txt: {a: v=DKIM1; k=rsa}}]":                           "10:42: the record of the selector a has no p= tag",
		"    signers: [{service: google, txt: {a: v=DKIM1; p=}}]":                              "10:42: the record of the selector a has an empty p= tag",
		"    signers: [{service: google, txt: {a: 'v=DKIM1; p=\"AAAA\"'}}]":                    "10:42: the record of the selector a holds quotation marks",
		"    signers: [{service: sendgrid, cname: {s1: s1.domainkey.example.net}}]":            "10:47: Twilio SendGrid",
		"    signers: [{server: mx1, algorithms: [ed25519]}]":                                  "10:42: many receivers",
		"    policy: {test_mode: true}":                                                        "10:25: test_mode is on",
		"    signing: {canonicalization: simple/simple}":                                       "10:33: simple for the header breaks the signature at every relay",
		"    signing: {oversign: [From], headers: [subject, Date]}":                            "10:42: To and Content-Type are not signed: others can change what a reader sees: name them in oversign",
		"    signing: {oversign: [Subject, Date, To]}":                                         "10:25: Content-Type is not signed",
		"    subdomains: true\n    dmarc: v=DMARC1; p=none; adkim = s":                         "10:17: adkim=s in the DMARC policy makes d=example.com count for example.com alone",
		"    dmarc: v=DMARC1; p=none; adkim=s\n    signers: [{server: mx1, subdomains: true}]": "11:41: adkim=s in the DMARC policy",
		"    signers: [{server: mx1}, {server: mx2, stream: news}, {pool: web}]":               "10:59: mx1 signs for example.com itself and as a member of the pool web",
		"    publisher2: x":                "",
		"    signers: []\npublishers2: {}": "",
		"    signers: [{server: mx1}]\n  b.example:\n    publisher: hand": "11:3: nobody signs for b.example",
	} {
		f, err := ParseFleet("f", []byte(base+text+"\n"), catalogue(t))
		if want == "" {
			if err == nil {
				t.Errorf("%s: taken", text)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if !slices.ContainsFunc(f.Warnings, func(p Problem) bool { return strings.HasPrefix(p.String(), "f:"+want) }) {
			t.Errorf("%s: warnings %v lack %q", text, f.Warnings, want)
		}
	}
}

// What a thousand domains inherit is told once.
func TestTestModeIsToldOnce(t *testing.T) {
	var text strings.Builder
	text.WriteString("policy: {test_mode: true}\nservers: {mx1: {}}\npublishers: {hand: {manual: {contact: x}}}\ndomains:\n")
	const n = 1000
	for i := range n {
		fmt.Fprintf(&text, "  d%d.example: {publisher: hand, signers: [{server: mx1}]}\n", i)
	}
	f, err := ParseFleet("f", []byte(text.String()), catalogue(t))
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, w := range f.Warnings {
		if strings.Contains(w.Message, "test_mode") {
			said = append(said, w.String())
		}
	}
	if len(said) != 1 || !strings.Contains(said[0], "on for 1000 domains") {
		t.Errorf("%d warnings, %.200q", len(said), said)
	}
}

func TestTicketsThatNobodyIsRemindedOf(t *testing.T) {
	f, err := ParseFleet("f", []byte("publishers:\n  d: {manual: {contact: x, remind_every: 3d, expires_after: 2d}}\n  e: {manual: {contact: x, host: ovh, remind_every: 1h, expires_after: 30d}}\n  g: {manual: {contact: x}}\n"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Warnings) != 1 || !strings.HasPrefix(f.Warnings[0].String(), `f:2:42: tickets of the publisher "d" expire before anybody is reminded`) {
		t.Errorf("%v", f.Warnings)
	}
	if p := f.Publishers[1]; p.Host != HostOVH || p.Reminding() != time.Hour || p.Expiring() != 30*24*time.Hour {
		t.Errorf("%+v", p)
	}
	if p := f.Publishers[2]; p.Console() != HostGeneric || p.Reminding() != DefaultRemindEvery || p.Expiring() != DefaultExpiresAfter {
		t.Errorf("%+v", p)
	}
}

func TestParseIsBounded(t *testing.T) {
	if _, err := ParseFleet("f", make([]byte, maxFleetFile+1), nil); err == nil || !strings.Contains(err.Error(), "larger than 4 MiB") {
		t.Errorf("err = %v", err)
	}
	many := "servers:\n" + strings.Repeat("  ?\n", 1) + strings.Repeat("  x_: {}\n", 500)
	if _, err := ParseFleet("f", []byte(many), nil); err == nil || strings.Count(err.Error(), "\n") > maxProblems {
		t.Errorf("err has %d lines", strings.Count(err.Error(), "\n")+1)
	}
	var blown strings.Builder
	blown.WriteString("x-all: &all [")
	for range 3000 {
		blown.WriteString("{server: mx1}, ")
	}
	blown.WriteString("]\nservers: {mx1: {}}\ndomains:\n")
	for i := range 3000 {
		blown.WriteString("  d" + strings.Repeat("a", i%50) + string(rune('a'+i%26)) + strings.Repeat("b", i/50) + ".example: {mode: observed, signers: *all}\n")
	}
	if _, err := ParseFleet("f", []byte(blown.String()), nil); err == nil || !strings.Contains(err.Error(), "the file holds too much") {
		t.Errorf("err = %.200v", err)
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"0": 0, "90s": 90 * time.Second, "1w2d": 9 * 24 * time.Hour, "1d12h": 36 * time.Hour, "250ms": 250 * time.Millisecond, "36500d": maxDuration,
	} {
		got, err := ParseDuration(text)
		if err != nil || got != want {
			t.Errorf("%q: %v, %v", text, got, err)
		}
		if back, err := ParseDuration(FormatDuration(want)); err != nil || back != want {
			t.Errorf("%v comes back as %v, %v", want, back, err)
		}
	}
	for _, text := range []string{"", "5", "d", "1.5d", "-1d", "1d1d", "1s1d", "99999999999999d", "36501d", "36500d1h", "1 d", "1D", "d1", "1dd"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q was taken as %v", text, got)
		}
	}
}

func FuzzParseFleet(f *testing.F) {
	f.Add([]byte(base))
	for _, name := range []string{"../../packaging/fleet.example.yaml", "testdata/guide.yaml"} {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	known := catalogue(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 4096 {
			return // the YAML parser is not linear; a person's file is not an attack
		}
		fleet, err := ParseFleet("f", data, known)
		if err != nil {
			return
		}
		next, _, err := Apply(State{}, fleet, ApplyOptions{Now: time.Unix(1, 0), NewID: counter()})
		if err != nil {
			t.Fatalf("what was read cannot be applied: %v", err)
		}
		if _, changes, err := Apply(next, fleet, ApplyOptions{Now: time.Unix(2, 0)}); err != nil || len(changes) > 0 {
			t.Fatalf("applied twice: %v %v", changes, err)
		}
	})
}

// A Fleet also comes over the API, where nobody has parsed it before.
func FuzzFleetJSON(f *testing.F) {
	for _, name := range []string{"../../packaging/fleet.example.yaml", "testdata/guide.yaml"} {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		fleet, err := ParseFleet(name, data, catalogue(f))
		if err != nil {
			f.Fatal(err)
		}
		seed, err := json.Marshal(fleet)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var fleet Fleet
		if json.Unmarshal(data, &fleet) != nil {
			return
		}
		bad, _ := fleet.Check(catalogue(t))
		next, _, err := Apply(State{}, fleet, ApplyOptions{Now: time.Unix(1, 0)})
		switch {
		case err != nil && len(bad) == 0:
			t.Fatalf("what was checked cannot be applied: %v", err)
		case err == nil:
			for _, d := range next.Domains {
				WantedRecords(d, next.Assignments)
			}
			if _, changes, err := Apply(next, fleet, ApplyOptions{Now: time.Unix(2, 0)}); err != nil || len(changes) > 0 {
				t.Fatalf("applied twice: %v %v", changes, err)
			}
		}
	})
}

// through is a fleet whose slots are written so.
func through(slots string) string {
	return "publishers: {hand: {manual: {contact: ann}}, own: {builtin: {zone: keys.example.net}}}\nservers: {mx1: {}}\ndomains:\n  example.com:\n    publisher: hand\n    signers: [{server: mx1, slots: " + slots + "}]\n"
}
