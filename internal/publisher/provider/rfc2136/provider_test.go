package rfc2136_test

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libdns/libdns"
	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher"
	"github.com/postseal/postseal/internal/publisher/provider/rfc2136"
	"github.com/postseal/postseal/internal/publisher/providertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func provider(t *testing.T, c rfc2136.Config) *rfc2136.Provider {
	t.Helper()
	p, err := rfc2136.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func set(name, expect, want string) publisher.Change {
	c := publisher.Change{Name: name, Type: "TXT"}
	if expect != "" {
		c.Expect = []libdns.Record{publisher.NewRecord(name, "TXT", expect, time.Hour)}
	}
	if want != "" {
		c.Want = []libdns.Record{publisher.NewRecord(name, "TXT", want, time.Hour)}
	}
	return c
}

func TestConformanceOnBIND(t *testing.T) {
	b := startBIND(t)
	p := provider(t, rfc2136.Config{Server: b.addr, KeyFile: b.keyFile(t, "postseal", secret)})
	providertest.Run(t, func(t *testing.T) providertest.Subject {
		return providertest.Subject{Provider: p, Zone: "example.org", Plant: func(t *testing.T, name, rrtype, value string) {
			rr, err := publisher.ToRR("example.org", publisher.NewRecord(name, rrtype, value, time.Minute))
			if err != nil {
				t.Fatal(err)
			}
			b.plant(t, "example.org", rr.String())
		}}
	})
}

// What a server refuses must come out as a clear fault with something to do, and change nothing.
// TestDocumentedGrants writes each kind of record that a domain can want, with the grants of docs/bind.md and no other.
func TestDocumentedGrants(t *testing.T) {
	b := startBIND(t)
	p := provider(t, rfc2136.Config{Server: b.addr, KeyFile: b.keyFile(t, "postseal", secret)})
	cname := set("slot._domainkey", "", "slot.keys.example.net")
	cname.Type = publisher.CNAME
	for _, c := range []publisher.Change{set("s._domainkey", "", "v=DKIM1; p="), cname, set("_dmarc", "", "v=DMARC1; p=none"), set("example.net._report._dmarc", "", "v=DMARC1;")} {
		if outcome, err := p.Set(t.Context(), "example.org", c); err != nil || outcome != publisher.Done {
			_, hint := fault.Show(err)
			t.Errorf("%s %s: %q, %v (%s)", c.Name, c.Type, outcome, err, hint)
		}
	}
}

func TestRefusals(t *testing.T) {
	b := startBIND(t)
	good := b.keyFile(t, "postseal", secret)
	tests := []struct {
		name    string
		config  rfc2136.Config
		zone    string
		record  string
		code    fault.Code
		message string // part of it
	}{
		{"unknown key", rfc2136.Config{KeyFile: b.keyFile(t, "nobody", secret)}, "example.org", "a._domainkey", fault.Denied, "BADKEY"},
		{"wrong secret", rfc2136.Config{KeyFile: b.keyFile(t, "admin", otherSecret)}, "example.org", "a._domainkey", fault.Denied, "BADSIG"},
		{"wrong clock", rfc2136.Config{KeyFile: good, Now: func() time.Time { return time.Now().Add(time.Hour) }}, "example.org", "a._domainkey", fault.Unavailable, "1h0m0s ahead"},
		{"key without grant", rfc2136.Config{KeyFile: b.keyFile(t, "stranger", secret)}, "example.org", "a._domainkey", fault.Denied, "refuses the update"},
		{"name outside of the grant", rfc2136.Config{KeyFile: good}, "example.org", "www", fault.Denied, "refuses the update of example.org by the TSIG key postseal: TXT at www.example.org"},
		{"unsigned", rfc2136.Config{}, "example.org", "a._domainkey", fault.Denied, "unsigned"},
		{"zone not served", rfc2136.Config{KeyFile: good}, "example.com", "a._domainkey", fault.NotFound, "does not serve the zone example.com"},
		{"parent of what is served", rfc2136.Config{KeyFile: good}, "org", "a._domainkey.example", fault.NotFound, "delegated out of org"},
		{"zone below, delegated", rfc2136.Config{KeyFile: good}, "example.org", "a._domainkey.child", fault.NotFound, "child.example.org"},
		{"zone not dynamic", rfc2136.Config{KeyFile: good}, "static.example", "x", fault.Denied, "refuses the update"},
		{"nobody listens", rfc2136.Config{Server: freeAddr(t), KeyFile: good}, "example.org", "a._domainkey", fault.Unavailable, "cannot be reached"},
		{"no key file", rfc2136.Config{KeyFile: filepath.Join(b.dir, "absent")}, "example.org", "a._domainkey", fault.Invalid, "cannot be read"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.config.Server == "" {
				tt.config.Server = b.addr
			}
			outcome, err := provider(t, tt.config).Set(t.Context(), tt.zone, set(tt.record, "", "v=DKIM1; p="))
			message, hint := fault.Show(err)
			if err == nil || outcome != "" || fault.CodeOf(err) != tt.code || !strings.Contains(message, tt.message) || hint == "" {
				t.Errorf("%q, %s: %q, hint %q; want %s with %q and a hint", outcome, fault.CodeOf(err), message, hint, tt.code, tt.message)
			}
			if strings.Contains(fmt.Sprint(message, hint, err), secret) {
				t.Error("the error shows the secret")
			}
			if got := b.txt(t, tt.record+"."+tt.zone); strings.Contains(fmt.Sprint(got), "DKIM1") {
				t.Errorf("it stands: %q", got)
			}
		})
	}
}

// A wildcard answers for every name, but nothing stands there that would keep us out.
func TestWildcard(t *testing.T) {
	b := startBIND(t)
	p := provider(t, rfc2136.Config{Server: b.addr, KeyFile: b.keyFile(t, "postseal", secret)})
	const name = "s1._domainkey"
	if got := b.txt(t, name+".wild.example"); len(got) != 1 {
		t.Fatalf("the wildcard answers %q", got)
	}
	for _, c := range []publisher.Change{set(name, "", ""), set(name, "", "v=DKIM1; p=A"), set(name, "v=DKIM1; p=A", "")} {
		if outcome, err := p.Set(t.Context(), "wild.example", c); err != nil || outcome != publisher.Done {
			t.Fatalf("%q, %v", outcome, err)
		}
		got, err := p.Get(t.Context(), "wild.example", name)
		if err != nil || !publisher.Same(got, c.Want) {
			t.Fatalf("stands %s, %v; want %s", publisher.Describe(got), err, publisher.Describe(c.Want))
		}
	}
	_, err := p.Set(t.Context(), "wild.example", set("*", "", "v=DKIM1; p=A"))
	if fault.CodeOf(err) != fault.Conflict {
		t.Errorf("the wildcard itself: %v, want conflict", err)
	}
}

// The server holds the value in other strings than we would cut; it is the same value.
func TestOtherStringBounds(t *testing.T) {
	b := startBIND(t)
	p := provider(t, rfc2136.Config{Server: b.addr, KeyFile: b.keyFile(t, "postseal", secret)})
	b.plant(t, "example.org", `s1._domainkey.example.org. 60 TXT "v=DKIM1; " "k=rsa; " "" "p=A"`)
	if _, err := p.Set(t.Context(), "example.org", set("s1._domainkey", "v=DKIM1; k=rsa; p=A", "v=DKIM1; p=")); err != nil {
		t.Fatal(err)
	}
	if got := b.txt(t, "s1._domainkey.example.org"); len(got) != 1 || got[0] != "v=DKIM1; p=" {
		t.Errorf("stands %q", got)
	}
}

// The largest value goes through, also when one replaces another; a larger one is for nobody's message.
func TestLargestValue(t *testing.T) {
	b := startBIND(t)
	p := provider(t, rfc2136.Config{Server: b.addr, KeyFile: b.keyFile(t, "postseal", secret)})
	largest := p.Capabilities().MaxTXT
	name := strings.Repeat(strings.Repeat("n", 63)+".", 3) + "_domainkey"
	before := ""
	for _, letter := range []string{"a", "b", ""} {
		value := strings.Repeat(letter, largest)
		if outcome, err := p.Set(t.Context(), "example.org", set(name, before, value)); err != nil || outcome != publisher.Done {
			t.Fatalf("%s: %q, %v", letter, outcome, err)
		}
		before = value
	}
}

// A key file that is exchanged is used from then on.
func TestKeyExchanged(t *testing.T) {
	b := startBIND(t)
	file := b.keyFile(t, "postseal", otherSecret)
	p := provider(t, rfc2136.Config{Server: b.addr, KeyFile: file})
	if _, err := p.Set(t.Context(), "example.org", set("s1._domainkey", "", "v=DKIM1; p=A")); fault.CodeOf(err) != fault.Denied || err == nil {
		t.Fatalf("%v, want denied", err)
	}
	b.keyFile(t, "postseal", secret)
	if outcome, err := p.Set(t.Context(), "example.org", set("s1._domainkey", "", "v=DKIM1; p=A")); err != nil || outcome != publisher.Done {
		t.Fatalf("%q, %v", outcome, err)
	}
}

// A CNAME must not go where records stand that the provider does not read.
func TestCNAMEBesideOtherTypes(t *testing.T) {
	b := startBIND(t)
	p := provider(t, rfc2136.Config{Server: b.addr, KeyFile: b.keyFile(t, "postseal", secret)})
	b.plant(t, "example.org", "s1._domainkey.example.org. 60 CAA 0 issue \"ca.example\"")
	c := publisher.Change{Name: "s1._domainkey", Type: "CNAME", Want: []libdns.Record{publisher.NewRecord("s1._domainkey", "CNAME", "t.example.net", time.Hour)}}
	if outcome, err := p.Set(t.Context(), "example.org", c); fault.CodeOf(err) != fault.Conflict || err == nil {
		t.Fatalf("%q, %v; want conflict", outcome, err)
	}
}

// A crash of the server loses nothing that was called done, and an attempt while it is away can simply be repeated.
func TestServerKilled(t *testing.T) {
	b := startBIND(t)
	p := provider(t, rfc2136.Config{Server: b.addr, KeyFile: b.keyFile(t, "postseal", secret)})
	if outcome, err := p.Set(t.Context(), "example.org", set("s1._domainkey", "", "v=DKIM1; p=A")); err != nil || outcome != publisher.Done {
		t.Fatalf("%q, %v", outcome, err)
	}
	b.kill(t)
	second := set("s1._domainkey", "v=DKIM1; p=A", "v=DKIM1; p=B")
	if outcome, err := p.Set(t.Context(), "example.org", second); fault.CodeOf(err) != fault.Unavailable || err == nil || outcome != "" {
		t.Fatalf("%q, %v; want unavailable", outcome, err)
	}
	b.start(t)
	if got := b.txt(t, "s1._domainkey.example.org"); len(got) != 1 || got[0] != "v=DKIM1; p=A" {
		t.Fatalf("after the crash stands %q", got)
	}
	for range 2 {
		if outcome, err := p.Set(t.Context(), "example.org", second); err != nil || outcome != publisher.Done {
			t.Fatalf("%q, %v", outcome, err)
		}
	}
}

// Killing the server while writers are at it never lets a change be called done that does not stand, and never leaves two values.
func TestServerKilledInTheMiddle(t *testing.T) {
	b := startBIND(t)
	p := provider(t, rfc2136.Config{Server: b.addr, KeyFile: b.keyFile(t, "postseal", secret)})
	const workers = 4
	done := make([]string, workers) // value last called done
	tried := make([]string, workers)
	var wg sync.WaitGroup
	started := make(chan struct{}, workers)
	for w := range workers {
		wg.Go(func() {
			for i := 0; ; i++ {
				tried[w] = fmt.Sprintf("v=DKIM1; p=%d", i)
				outcome, err := p.Set(t.Context(), "example.org", set(fmt.Sprintf("w%d._domainkey", w), done[w], tried[w]))
				if err != nil || outcome != publisher.Done {
					return
				}
				done[w] = tried[w]
				if i == 5 {
					started <- struct{}{}
				}
			}
		})
	}
	for range workers {
		select {
		case <-started:
		case <-time.After(deadline):
			t.Fatal("the writers do not get on")
		}
	}
	b.kill(t)
	wg.Wait()
	b.start(t)
	for w := range workers {
		got := b.txt(t, fmt.Sprintf("w%d._domainkey.example.org", w))
		if len(got) != 1 || got[0] != done[w] && got[0] != tried[w] {
			t.Errorf("writer %d: stands %q; done was %q, tried %q", w, got, done[w], tried[w])
		}
		if outcome, err := p.Set(t.Context(), "example.org", set(fmt.Sprintf("w%d._domainkey", w), done[w], tried[w])); err != nil || outcome != publisher.Done {
			t.Errorf("writer %d repeats: %q, %v", w, outcome, err)
		}
	}
}

func TestNew(t *testing.T) {
	for server, ok := range map[string]bool{"192.0.2.1:53": true, "192.0.2.1": true, "[2001:db8::1]:5353": true, "ns1.example.org:53": true, "": false, ":53": false, "192.0.2.1:port": false} {
		_, err := rfc2136.New(rfc2136.Config{Server: server})
		if (err == nil) != ok || err != nil && fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%q: %v", server, err)
		}
	}
}

// A server that answers nonsense gives Unavailable, never a verdict and never a panic.
func TestNonsense(t *testing.T) {
	question := func(m *dns.Msg) *dns.Msg { return new(dns.Msg).SetReply(m) }
	tests := map[string]func(raw []byte, m *dns.Msg) []byte{
		"hangs up": func([]byte, *dns.Msg) []byte { return nil },
		"garbage":  func([]byte, *dns.Msg) []byte { return []byte("what is this?") },
		"echo":     func(raw []byte, _ *dns.Msg) []byte { return raw },
		"unsigned": func(_ []byte, m *dns.Msg) []byte { return packed(question(m)) },
		"wrong id": func(_ []byte, m *dns.Msg) []byte { r := question(m); r.Id++; return packed(r) },
		"servfail": func(_ []byte, m *dns.Msg) []byte {
			r := question(m)
			r.Rcode = dns.RcodeServerFailure
			return packed(r)
		},
		"forged TSIG": func(_ []byte, m *dns.Msg) []byte {
			r := question(m)
			r.Authoritative = true
			r.SetTsig("postseal.", dns.HmacSHA256, 300, time.Now().Unix())
			out, _, err := dns.TsigGenerate(r, otherSecret, m.IsTsig().MAC, false)
			if err != nil {
				panic(err)
			}
			return out
		},
	}
	for name, answer := range tests {
		t.Run(name, func(t *testing.T) {
			addr := tcpServer(t, answer)
			key := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(key, []byte(`key "postseal" { algorithm hmac-sha256; secret "`+secret+`"; };`), 0o600); err != nil {
				t.Fatal(err)
			}
			p := provider(t, rfc2136.Config{Server: addr, KeyFile: key})
			outcome, err := p.Set(t.Context(), "example.org", set("s1._domainkey", "", "v=DKIM1; p=A"))
			if err == nil || outcome != "" || fault.CodeOf(err) != fault.Unavailable {
				t.Errorf("%q, %v; want unavailable", outcome, err)
			}
		})
	}
}

func packed(m *dns.Msg) []byte {
	out, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return out
}

// tcpServer answers each message of each connection with what answer returns; nil hangs up.
func tcpServer(t *testing.T, answer func(raw []byte, m *dns.Msg) []byte) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				conn := &dns.Conn{Conn: c}
				for {
					raw, err := conn.ReadMsgHeader(nil)
					if err != nil {
						return
					}
					m := new(dns.Msg)
					if m.Unpack(raw) != nil {
						return
					}
					out := answer(raw, m)
					if out == nil {
						return
					}
					if _, err := conn.Write(out); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return l.Addr().String()
}
