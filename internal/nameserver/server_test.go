package nameserver_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"go.uber.org/goleak"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/nameserver"
	"github.com/postseal/postseal/internal/publisher/provider/builtin"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// deadline is how long a test waits for what must happen.
const deadline = 10 * time.Second

func put(t *testing.T, m *builtin.Memory, zone, name, rrtype string, expect, want []string) {
	t.Helper()
	if _, err := m.SwapRecordSet(t.Context(), zone, name, rrtype, expect, want, 3600); err != nil {
		t.Fatal(err)
	}
}

func start(t *testing.T, c nameserver.Config) *nameserver.Server {
	t.Helper()
	if c.Listen == "" {
		c.Listen = "127.0.0.1:0"
	}
	if c.Names == nil {
		c.Names = []string{"ns1.postseal.example", "ns2.postseal.example"}
	}
	s, err := nameserver.New(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

func ask(t *testing.T, network, addr, name string, qtype uint16, change func(*dns.Msg)) *dns.Msg {
	t.Helper()
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(name), qtype)
	if change != nil {
		change(m)
	}
	c := &dns.Client{Net: network, Timeout: deadline}
	r, _, err := c.Exchange(m, addr)
	if err != nil {
		t.Fatalf("%s %s: %v", name, dns.TypeToString[qtype], err)
	}
	return r
}

// lines is a section without spacing, in order.
func lines(rrs []dns.RR) []string {
	var out []string
	for _, rr := range rrs {
		if rr.Header().Rrtype != dns.TypeOPT {
			out = append(out, strings.Join(strings.Fields(rr.String()), " "))
		}
	}
	return out
}

func TestAnswers(t *testing.T) {
	const zone = "_domainkey.example.org"
	m := builtin.NewMemory(zone, "slots.example.net", "empty.example.net", "deep.slots.example.net")
	put(t, m, zone, "mx1."+zone, "TXT", nil, []string{`v=DKIM1; p=A"\`})
	put(t, m, zone, "a.b.c."+zone, "TXT", nil, []string{"deep"})
	put(t, m, zone, "alias."+zone, "CNAME", nil, []string{"mx1." + zone})
	put(t, m, zone, "dangling."+zone, "CNAME", nil, []string{"nothing." + zone})
	put(t, m, zone, "out."+zone, "CNAME", nil, []string{"s1.sendgrid.example"})
	put(t, m, zone, "loop1."+zone, "CNAME", nil, []string{"loop2." + zone})
	put(t, m, zone, "loop2."+zone, "CNAME", nil, []string{"loop1." + zone})
	put(t, m, zone, "two."+zone, "TXT", nil, []string{"one", "two"})
	put(t, m, "slots.example.net", "slots.example.net", "TXT", nil, []string{"at the apex"})
	put(t, m, "deep.slots.example.net", "s.deep.slots.example.net", "TXT", nil, []string{"in the deeper zone"})
	s := start(t, nameserver.Config{Source: m, NegativeTTL: 2 * time.Minute, Hostmaster: "dns.example.org"})

	soa := func(zone string, serial int) string {
		return fmt.Sprintf("%s. 120 IN SOA ns1.postseal.example. dns.example.org. %d 3600 600 1209600 120", zone, serial)
	}
	tests := []struct {
		name   string
		qname  string
		qtype  uint16
		rcode  int
		aa     bool
		answer []string
		ns     []string
	}{
		{"TXT", "mx1." + zone, dns.TypeTXT, dns.RcodeSuccess, true, []string{`mx1._domainkey.example.org. 3600 IN TXT "v=DKIM1; p=A\"\\"`}, nil},
		{"client's spelling", "MX1._DomainKey.Example.ORG", dns.TypeTXT, dns.RcodeSuccess, true, []string{`MX1._DomainKey.Example.ORG. 3600 IN TXT "v=DKIM1; p=A\"\\"`}, nil},
		{"record set", "two." + zone, dns.TypeTXT, dns.RcodeSuccess, true, []string{`two._domainkey.example.org. 3600 IN TXT "one"`, `two._domainkey.example.org. 3600 IN TXT "two"`}, nil},
		{"other type", "mx1." + zone, dns.TypeA, dns.RcodeSuccess, true, nil, []string{soa(zone, 9)}},
		{"no such name", "mx2." + zone, dns.TypeTXT, dns.RcodeNameError, true, nil, []string{soa(zone, 9)}},
		{"below a name", "x.mx1." + zone, dns.TypeTXT, dns.RcodeNameError, true, nil, []string{soa(zone, 9)}},
		{"empty non-terminal", "b.c." + zone, dns.TypeTXT, dns.RcodeSuccess, true, nil, []string{soa(zone, 9)}},
		{"empty non-terminal above", "c." + zone, dns.TypeTXT, dns.RcodeSuccess, true, nil, []string{soa(zone, 9)}},
		{"empty non-terminal, ANY", "c." + zone, dns.TypeANY, dns.RcodeSuccess, true, nil, []string{soa(zone, 9)}},
		{"beside it", "d." + zone, dns.TypeTXT, dns.RcodeNameError, true, nil, []string{soa(zone, 9)}},
		{"end of it", "a.b.c." + zone, dns.TypeTXT, dns.RcodeSuccess, true, []string{`a.b.c._domainkey.example.org. 3600 IN TXT "deep"`}, nil},
		{"alias followed", "alias." + zone, dns.TypeTXT, dns.RcodeSuccess, true, []string{
			"alias._domainkey.example.org. 3600 IN CNAME mx1._domainkey.example.org.", `mx1._domainkey.example.org. 3600 IN TXT "v=DKIM1; p=A\"\\"`}, nil},
		{"alias itself", "alias." + zone, dns.TypeCNAME, dns.RcodeSuccess, true, []string{"alias._domainkey.example.org. 3600 IN CNAME mx1._domainkey.example.org."}, nil},
		{"alias to nothing", "dangling." + zone, dns.TypeTXT, dns.RcodeNameError, true, []string{"dangling._domainkey.example.org. 3600 IN CNAME nothing._domainkey.example.org."}, []string{soa(zone, 9)}},
		{"alias out of the zone", "out." + zone, dns.TypeTXT, dns.RcodeSuccess, true, []string{"out._domainkey.example.org. 3600 IN CNAME s1.sendgrid.example."}, nil},
		{"no CNAME", "mx1." + zone, dns.TypeCNAME, dns.RcodeSuccess, true, nil, []string{soa(zone, 9)}},
		{"SOA", zone, dns.TypeSOA, dns.RcodeSuccess, true, []string{soa(zone, 9)}, nil},
		{"NS", zone, dns.TypeNS, dns.RcodeSuccess, true, []string{zone + ". 3600 IN NS ns1.postseal.example.", zone + ". 3600 IN NS ns2.postseal.example."}, nil},
		{"apex without such a record", zone, dns.TypeTXT, dns.RcodeSuccess, true, nil, []string{soa(zone, 9)}},
		{"apex with one", "slots.example.net", dns.TypeTXT, dns.RcodeSuccess, true, []string{`slots.example.net. 3600 IN TXT "at the apex"`}, nil},
		{"zone without records", "x.empty.example.net", dns.TypeTXT, dns.RcodeNameError, true, nil, []string{soa("empty.example.net", 1)}},
		{"zone below a zone", "s.deep.slots.example.net", dns.TypeTXT, dns.RcodeSuccess, true, []string{`s.deep.slots.example.net. 3600 IN TXT "in the deeper zone"`}, nil},
		{"ANY", "mx1." + zone, dns.TypeANY, dns.RcodeSuccess, true, []string{`mx1._domainkey.example.org. 3600 IN HINFO "RFC8482" ""`}, nil},
		{"DNSSEC of an unsigned zone", zone, dns.TypeDNSKEY, dns.RcodeSuccess, true, nil, []string{soa(zone, 9)}},
		{"parent of the zone", "example.org", dns.TypeTXT, dns.RcodeRefused, false, nil, nil},
		{"zone whose name ends like ours", "x_domainkey.example.org", dns.TypeTXT, dns.RcodeRefused, false, nil, nil},
		{"other zone", "example.com", dns.TypeTXT, dns.RcodeRefused, false, nil, nil},
		{"root", ".", dns.TypeNS, dns.RcodeRefused, false, nil, nil},
		{"transfer", zone, dns.TypeAXFR, dns.RcodeRefused, false, nil, nil},
		{"label with a dot in it", `mx1\._domainkey.example.org`, dns.TypeTXT, dns.RcodeRefused, false, nil, nil},
		{"label with a dot in it, in the zone", `a\.b.` + zone, dns.TypeTXT, dns.RcodeNameError, true, nil, []string{soa(zone, 9)}},
	}
	for _, network := range []string{"udp", "tcp"} {
		for _, tt := range tests {
			t.Run(network+" "+tt.name, func(t *testing.T) {
				r := ask(t, network, s.Addr(), tt.qname, tt.qtype, nil)
				if r.Rcode != tt.rcode || r.Authoritative != tt.aa || r.RecursionAvailable || r.Truncated {
					t.Errorf("header %s", r.MsgHdr.String())
				}
				if got := lines(r.Answer); !slices.Equal(got, tt.answer) {
					t.Errorf("answer %q, want %q", got, tt.answer)
				}
				if got := lines(r.Ns); !slices.Equal(got, tt.ns) {
					t.Errorf("authority %q, want %q", got, tt.ns)
				}
			})
		}
	}
	t.Run("loop of aliases", func(t *testing.T) {
		if r := ask(t, "udp", s.Addr(), "loop1."+zone, dns.TypeTXT, nil); r.Rcode != dns.RcodeSuccess || len(r.Answer) == 0 || len(r.Answer) > 10 {
			t.Errorf("%v", r)
		}
	})
	t.Run("other class", func(t *testing.T) {
		r := ask(t, "udp", s.Addr(), "version.bind", dns.TypeTXT, func(m *dns.Msg) { m.Question[0].Qclass = dns.ClassCHAOS })
		if r.Rcode != dns.RcodeRefused {
			t.Errorf("%v", r)
		}
	})
}

// A reply is never larger than the client takes; what does not fit comes over TCP.
func TestSizes(t *testing.T) {
	const zone = "_domainkey.example.org"
	m := builtin.NewMemory(zone)
	values := map[string]string{"rsa2048": strings.Repeat("a", 410), "rsa4096": strings.Repeat("b", 760), "huge": strings.Repeat("c", 5000)}
	for name, v := range values {
		put(t, m, zone, name+"."+zone, "TXT", nil, []string{v})
	}
	s := start(t, nameserver.Config{Source: m})
	edns := func(size uint16) func(*dns.Msg) { return func(m *dns.Msg) { m.SetEdns0(size, true) } }
	tests := []struct {
		name, record string
		network      string
		change       func(*dns.Msg)
		limit        int
		truncated    bool
	}{
		{"fits without EDNS", "rsa2048", "udp", nil, 512, false},
		{"too large without EDNS", "rsa4096", "udp", nil, 512, true},
		{"fits with EDNS", "rsa4096", "udp", edns(1232), 1232, false},
		{"client takes less", "rsa4096", "udp", edns(700), 700, true},
		{"client says nonsense", "rsa2048", "udp", edns(0), 512, false},
		{"client takes more than we send", "huge", "udp", edns(65535), 1232, true},
		{"TCP", "huge", "tcp", nil, 65535, false},
		{"TCP with EDNS", "huge", "tcp", edns(512), 65535, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := new(dns.Msg)
			q.SetQuestion(tt.record+"."+zone+".", dns.TypeTXT)
			if tt.change != nil {
				tt.change(q)
			}
			raw, err := q.Pack()
			if err != nil {
				t.Fatal(err)
			}
			out := exchange(t, tt.network, s.Addr(), raw)
			if len(out) > tt.limit {
				t.Errorf("%d octets, the client takes %d", len(out), tt.limit)
			}
			r := new(dns.Msg)
			if err := r.Unpack(out); err != nil {
				t.Fatal(err)
			}
			if r.Truncated != tt.truncated {
				t.Errorf("truncated %t, want %t", r.Truncated, tt.truncated)
			}
			if tt.truncated != (len(r.Answer) == 0) {
				t.Errorf("%d answers", len(r.Answer))
			}
			if txt, ok := first(r.Answer).(*dns.TXT); ok && strings.Join(txt.Txt, "") != values[tt.record] {
				t.Error("another value")
			}
			opt := r.IsEdns0()
			if (opt != nil) != (q.IsEdns0() != nil) {
				t.Fatal("EDNS must be answered with EDNS, and only then")
			}
			if opt != nil && (opt.UDPSize() != 1232 || !opt.Do() || opt.Version() != 0) {
				t.Errorf("%v", opt)
			}
		})
	}
}

func first(rrs []dns.RR) dns.RR {
	if len(rrs) == 0 {
		return nil
	}
	return rrs[0]
}

// exchange sends octets as they are and returns the reply's; nil when there is none within a moment.
func exchange(t *testing.T, network, addr string, raw []byte) []byte {
	t.Helper()
	c, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	conn := &dns.Conn{Conn: c, UDPSize: dns.MaxMsgSize}
	conn.SetDeadline(time.Now().Add(deadline))
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

// What is no plain question gets a short refusal or nothing, and the server goes on.
func TestOddMessages(t *testing.T) {
	const zone = "_domainkey.example.org"
	m := builtin.NewMemory(zone)
	s := start(t, nameserver.Config{Source: m})
	pack := func(change func(*dns.Msg)) []byte {
		q := new(dns.Msg)
		q.SetQuestion("x."+zone+".", dns.TypeTXT)
		change(q)
		raw, err := q.Pack()
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	tests := []struct {
		name  string
		raw   []byte
		rcode int
	}{
		{"update", pack(func(m *dns.Msg) { m.SetUpdate(zone + ".") }), dns.RcodeNotImplemented},
		{"notify", pack(func(m *dns.Msg) { m.SetNotify(zone + ".") }), dns.RcodeNotImplemented},
		{"no question", pack(func(m *dns.Msg) { m.Question = nil }), dns.RcodeFormatError},
		{"two questions", pack(func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }), dns.RcodeFormatError},
		{"answers in a question", pack(func(m *dns.Msg) { m.Answer = []dns.RR{&dns.NULL{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeNULL}}} }), dns.RcodeFormatError},
		{"two OPT", pack(func(m *dns.Msg) { m.SetEdns0(1232, false); m.SetEdns0(1232, false) }), dns.RcodeFormatError},
		{"EDNS 1", pack(func(m *dns.Msg) { m.SetEdns0(1232, false); m.IsEdns0().SetVersion(1) }), dns.RcodeBadVers},
		{"cut off", pack(func(*dns.Msg) {})[:20], dns.RcodeFormatError},
		{"compression loop", append(pack(func(m *dns.Msg) { m.Question = nil })[:4], 0, 1, 0, 0, 0, 0, 0, 0, 0xC0, 12, 0, 16, 0, 1), dns.RcodeFormatError},
	}
	for _, network := range []string{"udp", "tcp"} {
		for _, tt := range tests {
			t.Run(network+" "+tt.name, func(t *testing.T) {
				r := new(dns.Msg)
				if err := r.Unpack(exchange(t, network, s.Addr(), tt.raw)); err != nil {
					t.Fatal(err)
				}
				if r.Rcode != tt.rcode || !r.Response || len(r.Answer) > 0 {
					t.Errorf("%v, want %s", r, dns.RcodeToString[tt.rcode])
				}
			})
		}
	}
	t.Run("a reply is not answered", func(t *testing.T) {
		c, err := net.Dial("udp", s.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(deadline))
		for _, raw := range [][]byte{pack(func(m *dns.Msg) { m.Response = true; m.Id = 1 }), []byte("short"), {}, pack(func(m *dns.Msg) { m.Id = 2 })} {
			if _, err := c.Write(raw); err != nil {
				t.Fatal(err)
			}
		}
		// The first reply that comes is that to the last message.
		buf := make([]byte, 512)
		n, err := c.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		r := new(dns.Msg)
		if err := r.Unpack(buf[:n]); err != nil || r.Id != 2 {
			t.Errorf("%v, %v", r, err)
		}
	})
}

func TestSeveralServers(t *testing.T) {
	a, b := start(t, nameserver.Config{Source: builtin.NewMemory("a.example")}), start(t, nameserver.Config{Source: builtin.NewMemory("b.example")})
	if txt(t, a, "x.a.example") != "NXDOMAIN" || txt(t, b, "x.a.example") != "REFUSED" || txt(t, b, "x.b.example") != "NXDOMAIN" {
		t.Error("the servers mix up their zones")
	}
}

func TestStartFails(t *testing.T) {
	m := &counting{Memory: builtin.NewMemory("example.org")}
	running := start(t, nameserver.Config{Source: m})
	m.fail.Store(true)
	tests := []struct {
		name   string
		config nameserver.Config
		code   fault.Code
	}{
		{"address in use", nameserver.Config{Listen: running.Addr(), Source: builtin.NewMemory()}, fault.Invalid},
		{"source away", nameserver.Config{Listen: "127.0.0.1:0", Source: m}, fault.Unavailable},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.config.Names = []string{"ns1.example.net"}
			s, err := nameserver.New(tt.config)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Start(t.Context()); fault.CodeOf(err) != tt.code || err == nil {
				t.Errorf("%v, want %s", err, tt.code)
			}
			if err := s.Stop(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestNewRefuses(t *testing.T) {
	good := nameserver.Config{Listen: "127.0.0.1:0", Names: []string{"ns1.example.net"}, Source: builtin.NewMemory()}
	tests := map[string]func(*nameserver.Config){
		"no address":       func(c *nameserver.Config) { c.Listen = "" },
		"no port":          func(c *nameserver.Config) { c.Listen = "127.0.0.1" },
		"no source":        func(c *nameserver.Config) { c.Source = nil },
		"no name":          func(c *nameserver.Config) { c.Names = nil },
		"empty name":       func(c *nameserver.Config) { c.Names = []string{""} },
		"name too long":    func(c *nameserver.Config) { c.Names = []string{strings.Repeat("a", 64) + ".example"} },
		"mail address":     func(c *nameserver.Config) { c.Hostmaster = "dns@example.org" },
		"negative TTL < 1": func(c *nameserver.Config) { c.NegativeTTL = time.Millisecond },
		"negative TTL > d": func(c *nameserver.Config) { c.NegativeTTL = 25 * time.Hour },
	}
	if _, err := nameserver.New(good); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range tests {
		t.Run(name, func(t *testing.T) {
			c := good
			spoil(&c)
			if _, err := nameserver.New(c); fault.CodeOf(err) != fault.Invalid || err == nil {
				t.Errorf("%v, want invalid", err)
			}
		})
	}
}

var _ nameserver.Source = (*builtin.Memory)(nil)
