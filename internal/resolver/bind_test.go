package resolver_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/resolver"
)

// need skips a test that lacks a part of the outside world, and fails it where that part is required.
func need(t *testing.T, ok bool, what string) {
	t.Helper()
	switch {
	case ok:
	case os.Getenv("POSTSEAL_REQUIRE_INTEGRATION") == "1":
		t.Fatalf("required, but missing: %s", what)
	default:
		t.Skipf("missing: %s", what)
	}
}

const (
	startTime  = 20 * time.Second // for named to load its zones, and to end
	changeTime = 20 * time.Second // for a transfer after a NOTIFY
)

// bind is a primary at 127.0.0.1, a secondary at ::1 with the same port, since named listens only at addresses that an interface
// has, and a recursive server that forwards to both.
type bind struct {
	port               string
	primary, secondary string
	recursive          string
	stopSecondary      func()
}

func startBIND(t *testing.T) *bind {
	t.Helper()
	_, err := exec.LookPath("named")
	need(t, err == nil, "named (Debian package bind9)")
	probe, err := net.ListenPacket("udp", "[::1]:0")
	need(t, err == nil, "the IPv6 loopback address, for the second name server")
	probe.Close()

	port, other := freePort(t), freePort(t)
	b := &bind{port: port, primary: net.JoinHostPort("127.0.0.1", port), secondary: net.JoinHostPort("::1", port), recursive: net.JoinHostPort("127.0.0.1", other)}
	runNamed(t, "primary", b.primary, map[string]string{
		"example.test.zone": exampleZone, "provider.test.zone": providerZone, "half.test.zone": halfZone,
		"named.conf": options("listen-on port "+port+" { 127.0.0.1; }; listen-on-v6 { none; }; recursion no; notify no;") + `
zone "example.test" { type primary; file "example.test.zone"; allow-update { 127.0.0.1; }; allow-transfer { any; }; };
zone "provider.test" { type primary; file "provider.test.zone"; };
zone "half.test" { type primary; file "half.test.zone"; };`,
	})
	b.stopSecondary = runNamed(t, "secondary", b.secondary, map[string]string{
		"sub.zone": subZone,
		"named.conf": options("listen-on { none; }; listen-on-v6 port "+port+" { ::1; }; recursion no; notify no;") + `
zone "example.test" { type secondary; file "copy.zone"; primaries { 127.0.0.1 port ` + port + `; }; allow-notify { ::1; }; };
zone "_domainkey.child.example.test" { type primary; file "sub.zone"; };`,
	})
	var forward strings.Builder
	for zone, to := range map[string]string{"example.test": "127.0.0.1", "provider.test": "127.0.0.1", "half.test": "127.0.0.1", "_domainkey.child.example.test": "::1"} {
		fmt.Fprintf(&forward, "zone %q { type forward; forward only; forwarders { %s port %s; }; };\n", zone, to, port)
	}
	runNamed(t, "recursive", b.recursive, map[string]string{
		"named.conf": options("listen-on port "+other+" { 127.0.0.1; }; listen-on-v6 { none; }; recursion yes; allow-recursion { 127.0.0.1; }; dnssec-validation no;") + forward.String(),
	})
	return b
}

const (
	exampleZone = `$TTL 3600
@ 7200 IN SOA ns1 hostmaster 1 86400 86400 864000 900
@ IN NS ns1
@ IN NS ns2
ns1 IN A 127.0.0.1
ns2 IN AAAA ::1
a._domainkey 600 IN TXT "v=DKIM1; p=" "QUJD"
alias._domainkey 300 IN CNAME k.provider.test.
_domainkey.child IN NS ns2
`
	providerZone = `$TTL 86400
@ IN SOA ns1.example.test. hostmaster 7 86400 86400 864000 60
@ IN NS ns1.example.test.
k IN TXT "v=DKIM1; p=provider"
`
	halfZone = `$TTL 3600
@ IN SOA ns1.example.test. hostmaster 7 86400 86400 864000 60
@ IN NS ns1.example.test.
@ IN NS ns2.example.test.
a IN TXT "here"
`
	subZone = `$TTL 3600
@ IN SOA ns2.example.test. hostmaster.example.test. 3 86400 86400 864000 120
@ IN NS ns2.example.test.
s IN TXT "v=DKIM1; p=child"
`
)

func options(extra string) string {
	return "options { directory \".\"; pid-file \"named.pid\"; session-keyfile \"session.key\"; managed-keys-directory \".\"; lock-file none; " +
		"empty-zones-enable no; allow-query { any; }; " + extra + " };\ncontrols { };\n"
}

// freePort finds a port that is free for UDP and TCP on both loopback addresses.
func freePort(t *testing.T) string {
	t.Helper()
	for range 50 {
		pc, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := strconv.Itoa(pc.LocalAddr().(*net.UDPAddr).Port)
		pc6, err6 := net.ListenPacket("udp", "[::1]:"+port)
		l, errTCP := net.Listen("tcp", "127.0.0.1:"+port)
		l6, errTCP6 := net.Listen("tcp", "[::1]:"+port)
		pc.Close()
		if err6 == nil {
			pc6.Close()
		}
		if errTCP == nil {
			l.Close()
		}
		if errTCP6 == nil {
			l6.Close()
		}
		if err6 == nil && errTCP == nil && errTCP6 == nil {
			return port
		}
	}
	t.Fatal("no free port")
	return ""
}

// runNamed starts one name server in a directory of its own and waits until it answers. The returned function ends it;
// the end of the test does too.
func runNamed(t *testing.T, name, addr string, files map[string]string) (stop func()) {
	t.Helper()
	dir := t.TempDir()
	for file, text := range files {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command("named", "-g", "-n", "1", "-c", filepath.Join(dir, "named.conf"))
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	stop = func() {
		cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(startTime):
			cmd.Process.Kill()
			<-ended
		}
	}
	t.Cleanup(stop)
	until(t, startTime, name+" answers", func() bool {
		select {
		case <-ended:
			b, _ := os.ReadFile(log.Name())
			t.Fatalf("%s ended:\n%s", name, b)
		default:
		}
		_, ok := serial(addr, "example.test.")
		return ok
	})
	return stop
}

// until waits for a condition.
func until(t *testing.T, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("after %s still not: %s", limit, what)
		}
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func serial(addr, zone string) (uint32, bool) {
	c := dns.Client{Timeout: time.Second}
	r, _, err := c.Exchange(new(dns.Msg).SetQuestion(zone, dns.TypeSOA), addr)
	if err != nil || r.Rcode != dns.RcodeSuccess || len(r.Answer) == 0 {
		return 0, false
	}
	soa, ok := r.Answer[0].(*dns.SOA)
	if !ok {
		return 0, false
	}
	return soa.Serial, true
}

// insert adds a record to the primary by a dynamic update.
func (b *bind) insert(t *testing.T, record string) {
	t.Helper()
	rr, err := dns.NewRR(record)
	if err != nil {
		t.Fatal(err)
	}
	m := new(dns.Msg).SetUpdate("example.test.")
	m.Insert([]dns.RR{rr})
	c := dns.Client{Net: "tcp", Timeout: 5 * time.Second}
	r, _, err := c.Exchange(m, b.primary)
	if err != nil || r.Rcode != dns.RcodeSuccess {
		t.Fatalf("update: %v, %v", r, err)
	}
}

// transfer tells the secondary that there is something new and waits until it has it.
func (b *bind) transfer(t *testing.T) {
	t.Helper()
	c := dns.Client{Timeout: 5 * time.Second}
	r, _, err := c.Exchange(new(dns.Msg).SetNotify("example.test."), b.secondary)
	if err != nil || r.Rcode != dns.RcodeSuccess {
		t.Fatalf("notify: %v, %v", r, err)
	}
	until(t, changeTime, "the secondary has the primary's serial", func() bool {
		want, ok := serial(b.primary, "example.test.")
		got, ok2 := serial(b.secondary, "example.test.")
		return ok && ok2 && want == got
	})
}

func (b *bind) resolver(t *testing.T) *resolver.Resolver {
	t.Helper()
	r, err := resolver.New(resolver.Config{Recursive: []string{b.recursive}, AuthorityPort: b.port, Timeout: 2 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAgainstBIND(t *testing.T) {
	b := startBIND(t)
	r := b.resolver(t)
	ns1 := "ns1.example.test (" + b.primary + ")"
	ns2 := "ns2.example.test (" + b.secondary + ")"

	t.Run("agreement", func(t *testing.T) {
		v := look(t, r, "a._domainkey.example.test", "TXT")
		if all, missing := v.Shows("v=DKIM1; p=QUJD"); !all || !slices.Equal(servers(v.Answers), []string{ns1, ns2}) {
			t.Errorf("%v, missing %v", v.Answers, missing)
		}
		if v.Zone != "example.test" || v.NegativeTTL != 900 || v.Answers[0].TTL != 600 || v.Serial[ns1] != 1 || !v.SerialsAgree() {
			t.Errorf("%+v", v)
		}
	})
	t.Run("negative", func(t *testing.T) {
		v := look(t, r, "none._domainkey.example.test", "TXT")
		if got := statuses(v); got != "ns1=nxdomain ns2=nxdomain" || v.NegativeTTL != 900 {
			t.Errorf("%s, %d", got, v.NegativeTTL)
		}
		v = look(t, r, "_domainkey.example.test", "TXT")
		if got := statuses(v); got != "ns1=nodata ns2=nodata" {
			t.Error(got)
		}
	})
	t.Run("alias into another zone", func(t *testing.T) {
		v := look(t, r, "alias._domainkey.example.test", "TXT")
		if all, missing := v.Shows("v=DKIM1; p=provider"); !all {
			t.Errorf("missing %v", missing)
		}
		if a := v.Answers[1]; a.Own != "k.provider.test" || a.TTL != 86400 || a.NegativeTTL != 900 || len(v.Targets) != 1 || v.Targets[0].Zone != "provider.test" {
			t.Errorf("%+v", v)
		}
	})
	t.Run("delegated sub-zone", func(t *testing.T) {
		v := look(t, r, "s._domainkey.child.example.test", "TXT")
		if all, _ := v.Shows("v=DKIM1; p=child"); !all || v.Zone != "_domainkey.child.example.test" || v.NegativeTTL != 120 {
			t.Errorf("%+v", v)
		}
		v = look(t, r, "_domainkey.child.example.test", "NS")
		if v.Zone != "example.test" || statuses(v) != "ns1=ok ns2=ok" || !slices.Equal(v.Answers[0].NS, []string{"ns2.example.test"}) {
			t.Errorf("%s: %s %v", v.Zone, statuses(v), v.Answers)
		}
	})
	t.Run("lame secondary", func(t *testing.T) {
		v := look(t, r, "a.half.test", "TXT")
		if got := statuses(v); got != "ns1=ok ns2=error:REFUSED" {
			t.Error(got)
		}
	})
	t.Run("recursive", func(t *testing.T) {
		answers, err := r.Recursive(t.Context(), "alias._domainkey.example.test", "TXT")
		if err != nil || len(answers) != 1 || !slices.Equal(answers[0].TXT, []string{"v=DKIM1; p=provider"}) || !slices.Equal(answers[0].CNAME, []string{"k.provider.test"}) {
			t.Errorf("%+v, %v", answers, err)
		}
		if txt, err := r.LookupTXT(t.Context(), "a._domainkey.example.test"); err != nil || !slices.Equal(txt, []string{"v=DKIM1; p=QUJD"}) {
			t.Errorf("%q, %v", txt, err)
		}
		if _, err := r.LookupTXT(t.Context(), "none.example.test"); !dnsError(t, err).IsNotFound {
			t.Error(err)
		}
	})
	t.Run("lagging secondary, long record over TCP", func(t *testing.T) {
		long := strings.Repeat("QUJD", 500)
		record := `big._domainkey.example.test. 60 IN TXT "v=DKIM1; p="`
		for chunk := range slices.Chunk([]byte(long), 250) {
			record += fmt.Sprintf(" %q", chunk)
		}
		b.insert(t, record)
		v := look(t, r, "big._domainkey.example.test", "TXT")
		all, dissent := v.Agree()
		if all || !slices.Equal(servers(dissent), []string{ns2}) || dissent[0].Status != resolver.StatusNXDomain || v.Serial[ns1] != 2 {
			t.Errorf("dissent %v, serials %v", dissent, v.Serial)
		}
		if a := v.Answers[0]; !a.Truncated || !slices.Equal(a.TXT, []string{"v=DKIM1; p=" + long}) {
			t.Errorf("%+v", a)
		}
		b.transfer(t)
		v = look(t, r, "big._domainkey.example.test", "TXT")
		if all, missing := v.Shows("v=DKIM1; p=" + long); !all {
			t.Errorf("after the transfer: %v", missing)
		}
	})
	t.Run("secondary gone", func(t *testing.T) {
		b.stopSecondary()
		v := look(t, r, "a._domainkey.example.test", "TXT")
		_, dissent := v.Agree()
		if len(v.Answers) != 2 || !slices.Equal(servers(dissent), []string{ns2}) || dissent[0].Status != resolver.StatusError {
			t.Errorf("%v", v.Answers)
		}
	})
}
