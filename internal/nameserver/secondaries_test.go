package nameserver_test

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/nameserver"
	"github.com/postseal/postseal/internal/publisher/provider/builtin"
)

const (
	transferSecret = "c2VjcmV0IG9mIHRoZSB0ZXN0cywgMzIgb2N0ZXRzIGw="
	otherSecret    = "YW5vdGhlciBzZWNyZXQgb2YgdGhlIHRlc3RzLCAzMiA="
)

func transferKey() *nameserver.Key {
	return &nameserver.Key{Name: "transfer", Algorithm: dns.HmacSHA256, Secret: transferSecret}
}

// daemon is a program that serves DNS on loopback.
type daemon struct {
	name, addr, dir string
	exited          chan struct{}
}

// freeAddr is an address on which nothing listens.
func freeAddr(t *testing.T, host string) string {
	t.Helper()
	l, err := net.Listen("tcp", host+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// startDaemon writes the files, starts the program and waits until it answers over TCP, be it with an error.
func startDaemon(t *testing.T, program, debian, addr, dir string, files map[string]string, args ...string) *daemon {
	t.Helper()
	path, err := exec.LookPath(program)
	if err != nil {
		if os.Getenv("POSTSEAL_REQUIRE_INTEGRATION") == "1" {
			t.Fatalf("%s is missing (Debian package %s)", program, debian)
		}
		t.Skipf("%s is missing (Debian package %s)", program, debian)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	logFile, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, logFile, logFile
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	logFile.Close()
	d := &daemon{name: program, addr: addr, dir: dir, exited: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		close(d.exited)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-d.exited
		if t.Failed() {
			t.Logf("%s:\n%s", program, d.log())
		}
	})
	eventually(t, program+" answers", func() bool {
		select {
		case <-d.exited:
			t.Fatalf("%s does not start:\n%s", program, d.log())
		default:
		}
		q := new(dns.Msg)
		q.SetQuestion("example.org.", dns.TypeSOA)
		_, _, err := (&dns.Client{Net: "tcp", Timeout: time.Second}).Exchange(q, addr)
		return err == nil
	})
	return d
}

func (d *daemon) log() string {
	text, _ := os.ReadFile(filepath.Join(d.dir, "log"))
	return string(text)
}

// serial is that of a zone at the daemon; 0 = it has no such zone.
func (d *daemon) serial(zone string) uint32 {
	q := new(dns.Msg)
	q.SetQuestion(dns.Fqdn(zone), dns.TypeSOA)
	r, _, err := (&dns.Client{Net: "tcp", Timeout: time.Second}).Exchange(q, d.addr)
	if err != nil || len(r.Answer) == 0 {
		return 0
	}
	soa, ok := r.Answer[0].(*dns.SOA)
	if !ok {
		return 0
	}
	return soa.Serial
}

// txt is what stands at a name; "" = nothing.
func (d *daemon) txt(name string) string {
	q := new(dns.Msg)
	q.SetQuestion(dns.Fqdn(name), dns.TypeTXT)
	r, _, err := (&dns.Client{Net: "tcp", Timeout: time.Second}).Exchange(q, d.addr)
	if err != nil {
		return err.Error()
	}
	for _, rr := range r.Answer {
		if txt, ok := rr.(*dns.TXT); ok {
			return strings.Join(txt.Txt, "")
		}
	}
	return ""
}

// namedConf is a BIND that pulls a zone from primary; extra goes into the zone's statement.
func namedConf(dir, addr, primary, zone, secret, extra string) string {
	host, port, _ := net.SplitHostPort(addr)
	from, fromPort, _ := net.SplitHostPort(primary)
	return fmt.Sprintf(`
options {
	directory "%[1]s"; pid-file "%[1]s/named.pid"; session-keyfile "%[1]s/session.key"; managed-keys-directory "%[1]s"; key-directory "%[1]s";
	lock-file none; listen-on port %[3]s { %[2]s; }; listen-on-v6 { none; }; recursion no; dnssec-validation no; notify no; minimal-responses yes;
	transfer-source %[2]s; masterfile-format text; allow-transfer { 127.0.0.0/8; };
};
controls { };
key "transfer" { algorithm hmac-sha256; secret "%[6]s"; };
zone "%[5]s" { type secondary; file "zone.db"; primaries { %[4]s port %[8]s key transfer; }; allow-notify { %[4]s; }; request-ixfr yes; min-refresh-time 1000; %[7]s };
`, dir, host, port, from, zone, secret, extra, fromPort)
}

// startNamed starts BIND.
func startNamed(t *testing.T, addr, conf, dir string) *daemon {
	t.Helper()
	return startDaemon(t, "named", "bind9", addr, dir, map[string]string{"named.conf": conf}, "-g", "-c", filepath.Join(dir, "named.conf"), "-n", "1")
}

// knotConf is a Knot that pulls a zone from primary.
func knotConf(dir, addr, primary, zone, secret, extra string) string {
	host, _, _ := net.SplitHostPort(addr)
	from, _, _ := net.SplitHostPort(primary)
	return fmt.Sprintf(`
server:
    rundir: %[1]s
    listen: %[2]s
    automatic-acl: off
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
database:
    storage: %[1]s
log:
  - target: stderr
    any: debug
key:
  - id: transfer
    algorithm: hmac-sha256
    secret: %[6]s
remote:
  - id: primary
    address: %[3]s
    via: %[7]s
    key: transfer
acl:
  - id: notified
    address: %[4]s
    key: transfer
    action: notify
  - id: compared
    address: 127.0.0.0/8
    action: transfer
zone:
  - domain: %[5]s
    storage: %[1]s
    master: primary
    acl: [notified, compared]
    %[8]s
`, dir, strings.Replace(addr, ":", "@", 1), strings.Replace(primary, ":", "@", 1), from, zone, secret, host, extra)
}

// startKnot starts Knot. head comes before the rest of the configuration.
func startKnot(t *testing.T, addr, conf, dir string) *daemon {
	t.Helper()
	return startDaemon(t, "knotd", "knot", addr, dir, map[string]string{"knot.conf": conf}, "-c", filepath.Join(dir, "knot.conf"))
}

// Ordinary secondaries pull the zone as a whole, are woken when it changes, and pull the differences.
func TestSecondaries(t *testing.T) {
	const zone = "_domainkey.example.org"
	for _, kind := range []string{"BIND", "Knot"} {
		t.Run(kind, func(t *testing.T) {
			m := builtin.NewMemory(zone)
			for i := range 300 { // several messages, and more than the changes
				put(t, m, zone, fmt.Sprintf("k%d.%s", i, zone), "TXT", nil, []string{"v=DKIM1; p=" + strings.Repeat("M", 390)})
			}
			put(t, m, zone, "alias."+zone, "CNAME", nil, []string{"k1." + zone})
			put(t, m, zone, "odd.a.b."+zone, "TXT", nil, []string{"a\"b\\c\x00\xff;"})
			addr := freeAddr(t, "127.0.0.1") // BIND listens on addresses that an interface has
			log := &lockedLog{}
			s := start(t, nameserver.Config{Source: m, Version: m.Version, RefreshEvery: time.Hour, Secondaries: []string{addr}, Key: transferKey(),
				Logger: slog.New(slog.NewTextHandler(log, nil))})
			dir := t.TempDir()
			var d *daemon
			if kind == "BIND" {
				d = startNamed(t, addr, namedConf(dir, addr, s.Addr(), zone, transferSecret, ""), dir)
			} else {
				d = startKnot(t, addr, knotConf(dir, addr, s.Addr(), zone, transferSecret, ""), dir)
			}
			current := func() uint32 {
				z, err := m.Zone(t.Context(), zone)
				if err != nil {
					t.Fatal(err)
				}
				return z.Serial
			}
			eventually(t, "the zone is there", func() bool { return d.serial(zone) == current() })
			same(t, s.Addr(), d.addr, zone)
			// One change, and then several that it is told of at once.
			put(t, m, zone, "k0."+zone, "TXT", []string{"v=DKIM1; p=" + strings.Repeat("M", 390)}, []string{"v=DKIM1; p=NEW"})
			s.Notify(zone)
			eventually(t, "the change is there", func() bool { return d.txt("k0."+zone) == "v=DKIM1; p=NEW" })
			put(t, m, zone, "k0."+zone, "TXT", []string{"v=DKIM1; p=NEW"}, nil)
			put(t, m, zone, "alias."+zone, "CNAME", []string{"k1." + zone}, nil)
			put(t, m, zone, "alias."+zone, "TXT", nil, []string{"one", "two"})
			s.Notify(zone)
			eventually(t, "the second change is there", func() bool { return d.serial(zone) == current() })
			// The whole zone also went to the comparison above.
			eventually(t, "differences were sent twice", func() bool { return strings.Count(log.String(), "incremental=true") == 2 })
			if whole := strings.Count(log.String(), "incremental=false"); whole != 2 {
				t.Errorf("%d transfers of the whole zone, want 2:\n%s", whole, log)
			}
			same(t, s.Addr(), d.addr, zone)
			if strings.Contains(log.String(), "level=WARN") {
				t.Errorf("trouble:\n%s", log)
			}
		})
	}
}

// Secondaries with another secret, or from an address that is not listed, get nothing.
func TestStrangersAsSecondaries(t *testing.T) {
	const zone = "example.org"
	for _, tt := range []struct{ name, listed, secret, ours, theirs string }{
		{"another secret", "127.0.0.0/8", otherSecret, "", "tsig"},
		{"an address that is not listed", "127.0.0.77/32", transferSecret, "a zone transfer was refused", "REFUSED"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := builtin.NewMemory(zone)
			put(t, m, zone, "mx1._domainkey."+zone, "TXT", nil, []string{"v=DKIM1; p=A"})
			log := &lockedLog{}
			s := start(t, nameserver.Config{Source: m, TransferTo: []netip.Prefix{netip.MustParsePrefix(tt.listed)}, Key: transferKey(), Logger: slog.New(slog.NewTextHandler(log, nil))})
			dir, addr := t.TempDir(), freeAddr(t, "127.0.0.1")
			d := startNamed(t, addr, namedConf(dir, addr, s.Addr(), zone, tt.secret, ""), dir)
			eventually(t, "BIND is told no", func() bool { return strings.Contains(strings.ToLower(d.log()), strings.ToLower(tt.theirs)) })
			if tt.ours != "" {
				eventually(t, "we say so", func() bool { return strings.Contains(log.String(), tt.ours) })
			}
			if got := d.serial(zone); got != 0 {
				t.Errorf("BIND has the zone, serial %d", got)
			}
		})
	}
}

// lockedLog is a log that is read while it is written.
type lockedLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *lockedLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lockedLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// zoneOf is a zone as a server transfers it.
func zoneOf(t *testing.T, addr, zone string, key bool) map[string]int {
	t.Helper()
	q := new(dns.Msg)
	q.SetAxfr(dns.Fqdn(zone))
	tr := &dns.Transfer{DialTimeout: deadline, ReadTimeout: deadline}
	if key {
		tr.TsigSecret = map[string]string{"transfer.": transferSecret}
		q.SetTsig("transfer.", dns.HmacSHA256, 300, time.Now().Unix())
	}
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	tr.Conn = &dns.Conn{Conn: conn, TsigSecret: tr.TsigSecret}
	envelopes, err := tr.In(q, addr)
	if err != nil {
		t.Fatal(err)
	}
	records := map[string]int{}
	for e := range envelopes {
		if e.Error != nil {
			t.Fatal(e.Error)
		}
		for _, rr := range e.RR {
			records[strings.Join(strings.Fields(rr.String()), " ")]++
		}
	}
	return records
}

// same compares two servers' zones record by record.
func same(t *testing.T, ours, theirs, zone string) {
	t.Helper()
	a, b := zoneOf(t, ours, zone, true), zoneOf(t, theirs, zone, false)
	for rr := range a {
		if a[rr] != b[rr] {
			t.Errorf("%d times at ours, %d times at the secondary: %s", a[rr], b[rr], rr)
		}
	}
	for rr := range b {
		if a[rr] == 0 {
			t.Errorf("only at the secondary: %s", rr)
		}
	}
}

// Who is not listed, or has not the key, gets nothing.
func TestTransferRefused(t *testing.T) {
	const zone = "example.org"
	m := builtin.NewMemory(zone)
	put(t, m, zone, "mx1._domainkey."+zone, "TXT", nil, []string{"secret until it is asked for"})
	keyed := start(t, nameserver.Config{Source: m, TransferTo: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/24")}, Key: transferKey()})
	open := start(t, nameserver.Config{Source: m, TransferTo: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}})
	closed := start(t, nameserver.Config{Source: m})
	tests := []struct {
		name      string
		s         *nameserver.Server
		from      string
		key       string // its secret; "" = unsigned
		keyName   string
		algorithm string
		age       time.Duration
		zone      string
		network   string
		rcode     int
		tsig      int
	}{
		{"listed, right key", keyed, "127.0.0.1", transferSecret, "transfer.", dns.HmacSHA256, 0, zone, "tcp", dns.RcodeSuccess, 0},
		{"not listed, right key", keyed, "127.0.1.1", transferSecret, "transfer.", dns.HmacSHA256, 0, zone, "tcp", dns.RcodeRefused, 0},
		{"listed, wrong secret", keyed, "127.0.0.1", otherSecret, "transfer.", dns.HmacSHA256, 0, zone, "tcp", dns.RcodeNotAuth, dns.RcodeBadSig},
		{"listed, unknown key", keyed, "127.0.0.1", transferSecret, "stranger.", dns.HmacSHA256, 0, zone, "tcp", dns.RcodeNotAuth, dns.RcodeBadKey},
		{"listed, other algorithm", keyed, "127.0.0.1", transferSecret, "transfer.", dns.HmacSHA1, 0, zone, "tcp", dns.RcodeNotAuth, dns.RcodeBadKey},
		{"listed, wrong clock", keyed, "127.0.0.1", transferSecret, "transfer.", dns.HmacSHA256, time.Hour, zone, "tcp", dns.RcodeNotAuth, dns.RcodeBadTime},
		{"listed, unsigned", keyed, "127.0.0.1", "", "", "", 0, zone, "tcp", dns.RcodeRefused, 0},
		{"no zone of ours", keyed, "127.0.0.1", transferSecret, "transfer.", dns.HmacSHA256, 0, "example.net", "tcp", dns.RcodeNotAuth, 0},
		{"name in a zone", keyed, "127.0.0.1", transferSecret, "transfer.", dns.HmacSHA256, 0, "_domainkey.example.org", "tcp", dns.RcodeNotAuth, 0},
		{"over UDP", keyed, "127.0.0.1", transferSecret, "transfer.", dns.HmacSHA256, 0, zone, "udp", dns.RcodeRefused, 0},
		{"by address alone", open, "127.0.0.1", "", "", "", 0, zone, "tcp", dns.RcodeSuccess, 0},
		{"by address alone, another one", open, "127.0.0.2", "", "", "", 0, zone, "tcp", dns.RcodeRefused, 0},
		{"signed where there is no key", open, "127.0.0.1", transferSecret, "transfer.", dns.HmacSHA256, 0, zone, "tcp", dns.RcodeNotAuth, dns.RcodeBadKey},
		{"nobody is listed", closed, "127.0.0.1", "", "", "", 0, zone, "tcp", dns.RcodeRefused, 0},
	}
	for _, tt := range tests {
		for _, qtype := range []uint16{dns.TypeAXFR, dns.TypeIXFR} {
			if qtype == dns.TypeIXFR && tt.network == "udp" {
				continue // that is a question for the serial
			}
			t.Run(tt.name+" "+dns.TypeToString[qtype], func(t *testing.T) {
				q := new(dns.Msg)
				q.SetQuestion(dns.Fqdn(tt.zone), qtype)
				if qtype == dns.TypeIXFR {
					q.SetIxfr(dns.Fqdn(tt.zone), 1, "ns1.postseal.example.", "hostmaster.postseal.example.")
				}
				raw, err := q.Pack()
				if tt.key != "" {
					q.SetTsig(tt.keyName, tt.algorithm, 300, time.Now().Add(-tt.age).Unix())
					raw, _, err = dns.TsigGenerate(q, tt.key, "", false)
				}
				if err != nil {
					t.Fatal(err)
				}
				r := new(dns.Msg)
				if err := r.Unpack(exchangeFrom(t, tt.from, tt.network, tt.s.Addr(), raw)); err != nil {
					t.Fatal(err)
				}
				tsig := 0
				if record := r.IsTsig(); record != nil {
					tsig = int(record.Error)
				}
				if r.Rcode != tt.rcode || tsig != tt.tsig || (len(r.Answer) > 0) != (tt.rcode == dns.RcodeSuccess) {
					t.Errorf("%s, TSIG error %d, %d records; want %s, %d", dns.RcodeToString[r.Rcode], tsig, len(r.Answer), dns.RcodeToString[tt.rcode], tt.tsig)
				}
			})
		}
	}
}

// exchangeFrom is exchange from a given address.
func exchangeFrom(t *testing.T, from, network, addr string, raw []byte) []byte {
	t.Helper()
	var local net.Addr = &net.TCPAddr{IP: net.ParseIP(from)}
	if network == "udp" {
		local = &net.UDPAddr{IP: net.ParseIP(from)}
	}
	c, err := (&net.Dialer{LocalAddr: local}).Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	conn := &dns.Conn{Conn: c, UDPSize: dns.MaxMsgSize}
	_ = conn.SetDeadline(time.Now().Add(deadline))
	if _, err := conn.Write(raw); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, dns.MaxMsgSize)
	n, err := conn.Read(buf)
	if err != nil {
		t.Fatal(err)
	}
	return buf[:n]
}

// A signed question gets a signed reply; one that has no room for the signature is a signed word to come over TCP.
func TestSignedQuestions(t *testing.T) {
	const zone = "example.org"
	m := builtin.NewMemory(zone)
	put(t, m, zone, "small."+zone, "TXT", nil, []string{"v=DKIM1; p=A"})
	put(t, m, zone, "tight."+zone, "TXT", nil, []string{strings.Repeat("x", 440)})
	s := start(t, nameserver.Config{Source: m, Key: transferKey()})
	for _, tt := range []struct {
		network, name string
		truncated     bool
	}{{"udp", "small", false}, {"tcp", "small", false}, {"udp", "tight", true}, {"tcp", "tight", false}} {
		q := new(dns.Msg)
		q.SetQuestion(tt.name+"."+zone+".", dns.TypeTXT)
		q.SetTsig("transfer.", dns.HmacSHA256, 300, time.Now().Unix())
		c := &dns.Client{Net: tt.network, Timeout: deadline, TsigSecret: map[string]string{"transfer.": transferSecret}}
		r, _, err := c.Exchange(q, s.Addr()) // an error where the signature is missing or wrong
		if err != nil || r.IsTsig() == nil || r.Truncated != tt.truncated || (len(r.Answer) == 1) == tt.truncated {
			t.Errorf("%s %s: %v, %v", tt.network, tt.name, r, err)
		}
	}
}
