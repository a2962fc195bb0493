package nameserver

import (
	"encoding/binary"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/publisher"
)

func TestLimiter(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	count := func(l *limiter, addrs []string, n int, at time.Time) (counts [3]int) {
		for i := range n {
			counts[l.judge(netip.MustParseAddr(addrs[i%len(addrs)]), at)]++
		}
		return counts
	}
	tests := []struct {
		name  string
		addrs []string
		n     int
		want  [3]int // sent, slipped, dropped
	}{
		{"under the limit", []string{"192.0.2.1"}, RateLimit, [3]int{RateLimit, 0, 0}},
		{"over it", []string{"192.0.2.1"}, RateLimit + 100, [3]int{RateLimit, 50, 50}},
		{"one network", []string{"192.0.2.1", "192.0.2.200"}, RateLimit + 10, [3]int{RateLimit, 5, 5}},
		{"two networks", []string{"192.0.2.1", "198.51.100.1"}, 2 * RateLimit, [3]int{2 * RateLimit, 0, 0}},
		{"one IPv6 network", []string{"2001:db8:1:2::1", "2001:db8:1:3::1"}, RateLimit + 2, [3]int{RateLimit, 1, 1}},
		{"two IPv6 networks", []string{"2001:db8:1::1", "2001:db8:2::1"}, 2 * RateLimit, [3]int{2 * RateLimit, 0, 0}},
		{"mapped addresses are IPv4", []string{"192.0.2.1", "::ffff:192.0.2.9"}, RateLimit + 2, [3]int{RateLimit, 1, 1}},
		{"loopback", []string{"127.0.0.1", "::1"}, 10 * RateLimit, [3]int{10 * RateLimit, 0, 0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			l := newLimiter()
			for second := range 3 {
				got := count(l, tt.addrs, tt.n, now.Add(time.Duration(second)*time.Second))
				// Two networks share a slot once in 16,384 runs; then some are limited.
				if got != tt.want && !(len(tt.addrs) == 2 && tt.want[1] == 0 && shared(l, tt.addrs)) {
					t.Errorf("second %d: %v, want %v", second, got, tt.want)
				}
			}
		})
	}
	if v := newLimiter().judge(netip.Addr{}, now); v != drop {
		t.Errorf("no address: %v", v)
	}
}

// shared reports whether two addresses are counted together.
func shared(l *limiter, addrs []string) bool {
	used := 0
	for _, s := range l.slots {
		if s.count > 0 {
			used++
		}
	}
	return used < len(addrs)
}

// testServer answers without sockets.
func testServer(stored ...publisher.StoredZone) (*Server, catalogue) {
	config := &Config{Names: []string{"ns1.example.net."}, NegativeTTL: time.Minute, Logger: slog.New(slog.DiscardHandler)}
	s := &Server{config: *config, limit: newLimiter(), cookies: newCookies(), transferring: make(chan struct{}, maxTransfers),
		now: func() time.Time { return time.Unix(1_800_000_000, 0) }}
	zones := make(catalogue)
	for _, stored := range stored {
		z, _ := compile(config, stored)
		zones[z.wire] = z
	}
	s.zones.Store(&zones)
	return s, zones
}

func packed1(t testing.TB, m *dns.Msg) []byte {
	t.Helper()
	raw, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// What goes out over the limit is no larger than what came in, and sends the client to TCP. A client that shows our cookie is not limited.
func TestLimitedReplies(t *testing.T) {
	s, _ := testServer()
	from := client{addr: netip.MustParseAddr("192.0.2.1"), udp: true, now: s.now()}
	m := new(dns.Msg)
	m.SetQuestion("x.example.org.", dns.TypeTXT)
	request := packed1(t, m)
	var replies [][]byte
	var q query
	for range RateLimit + 10 {
		if out := s.datagram(nil, &q, request, from); out != nil {
			replies = append(replies, out)
		}
	}
	if len(replies) != RateLimit+5 {
		t.Fatalf("%d replies", len(replies))
	}
	for i, raw := range replies {
		r := new(dns.Msg)
		if err := r.Unpack(raw); err != nil {
			t.Fatal(err)
		}
		if limited := i >= RateLimit; r.Truncated != limited || limited && len(raw) > len(request) {
			t.Errorf("reply %d: truncated %t, %d octets for %d", i, r.Truncated, len(raw), len(request))
		}
	}
	cookie := func(text string) []byte {
		m.Extra = []dns.RR{&dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT, Class: udpSize}, Option: []dns.EDNS0{&dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: text}}}}
		return packed1(t, m)
	}
	given := func(raw []byte) string {
		r := new(dns.Msg)
		if err := r.Unpack(raw); err != nil {
			t.Fatal(err)
		}
		for _, o := range r.IsEdns0().Option {
			if c, ok := o.(*dns.EDNS0_COOKIE); ok {
				return c.Cookie
			}
		}
		return ""
	}
	later := from
	later.now = from.now.Add(time.Second)
	ours := given(s.datagram(nil, &q, cookie("0123456789abcdef"), later))
	if len(ours) != 2*(clientCookie+serverCookie) || ours[:16] != "0123456789abcdef" {
		t.Fatalf("the cookie is %q", ours)
	}
	stranger := later
	stranger.addr = netip.MustParseAddr("192.0.2.2")
	old := later
	old.now = later.now.Add(cookieAge + 2*time.Second)
	forged := ours[:len(ours)-2] + "00"
	if forged == ours {
		forged = ours[:len(ours)-2] + "01"
	}
	for _, tt := range []struct {
		name   string
		raw    []byte
		from   client
		exempt bool
	}{
		{"ours", cookie(ours), later, true}, {"somebody else's", cookie(ours), stranger, false}, {"too old", cookie(ours), old, false},
		{"forged", cookie(forged), later, false}, {"only the client's", cookie(ours[:16]), later, false}, {"none", request, later, false},
	} {
		full := 0
		for range 2 * RateLimit {
			r := new(dns.Msg)
			if out := s.datagram(nil, &q, tt.raw, tt.from); out != nil && r.Unpack(out) == nil && !r.Truncated {
				full++
			}
		}
		if (full == 2*RateLimit) != tt.exempt {
			t.Errorf("%s: %d full replies", tt.name, full)
		}
	}
	for _, bad := range []string{"", "00", "0123456789abcdef00", strings.Repeat("00", 41)} {
		r := new(dns.Msg)
		loopback := client{addr: netip.MustParseAddr("127.0.0.1"), udp: true, now: s.now()}
		if err := r.Unpack(s.datagram(nil, &q, cookie(bad), loopback)); err != nil || r.Rcode != dns.RcodeFormatError {
			t.Errorf("a cookie of %d octets: %v, %v", len(bad)/2, r, err)
		}
	}
	for range 2 * RateLimit {
		if problem := q.read(request); s.respond(nil, *s.zones.Load(), &q, problem, client{addr: from.addr, now: from.now}) == nil {
			t.Fatal("TCP is not limited")
		}
	}
}

// FuzzRespond sends any octets through our reading of requests and our replies, and holds both against the library's.
func FuzzRespond(f *testing.F) {
	s, zones := testServer(fuzzZones()...)
	s.config.Key = &Key{Name: "transfer.", Algorithm: dns.HmacSHA256, Secret: "c2VjcmV0IG9mIHRoZSB0ZXN0cywgMzIgb2N0ZXRzIGw="}
	s.config.TransferTo = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}
	for _, name := range []string{"a._domainkey.example.org.", "long.example.org.", "alias.example.org.", "x.y.example.org.", "Example.ORG.", "other.example.", `a\.b.example.org.`} {
		for _, qtype := range []uint16{dns.TypeTXT, dns.TypeANY, dns.TypeSOA, dns.TypeAXFR, dns.TypeIXFR} {
			for _, size := range []uint16{0, 512, 4096} {
				m := new(dns.Msg)
				m.SetQuestion(name, qtype)
				if qtype == dns.TypeIXFR {
					m.SetIxfr(name, 6, "ns1.example.net.", "h.example.net.")
				}
				if size > 0 {
					m.SetEdns0(size, true)
					m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: "0123456789abcdef"})
				}
				f.Add(packed1(f, m), size%2 == 0)
				m.SetTsig("transfer.", dns.HmacSHA256, tsigFudge, s.now().Unix())
				signed, _, err := dns.TsigGenerate(m, s.config.Key.Secret, "", false)
				if err != nil {
					f.Fatal(err)
				}
				f.Add(signed, size%2 == 0)
			}
		}
	}
	f.Add([]byte("00\x010\x00\x01\x00\x00\x00\x00\x00\x01\x000000\x00\x00\xfa000000\x00\x00"), true) // a TSIG record without data
	f.Fuzz(func(t *testing.T, raw []byte, udp bool) {
		from := client{addr: netip.MustParseAddr("127.0.0.1"), udp: udp, now: s.now()}
		var q query
		var out [][]byte
		if udp {
			out = append(out, s.datagram(nil, &q, raw, from))
		} else if problem := q.read(raw); problem == wellFormed && (q.tsig != 0 || transfers(&q)) {
			_ = s.stream(&q, from, func(b []byte) error { out = append(out, b); return nil })
		} else {
			out = append(out, s.respond(nil, zones, &q, problem, from))
		}
		if q.read(raw) != silence {
			out = append(out, s.slipped(nil, &q))
		}
		request := new(dns.Msg)
		_ = request.Unpack(raw) // what it can read; we do not look into records that mean nothing to us
		for _, out := range out {
			if out == nil {
				continue
			}
			r := new(dns.Msg)
			if err := r.Unpack(out); err != nil {
				t.Fatalf("the reply cannot be read: %v", err)
			}
			limit := dns.MaxMsgSize
			if udp {
				limit = q.size
			}
			if len(out) > limit && r.IsTsig() == nil || r.Id != binary.BigEndian.Uint16(raw) || !r.Response || r.RecursionAvailable {
				t.Fatalf("%d octets of %d: %v", len(out), limit, r)
			}
			if len(r.Question) == 1 && (len(request.Question) != 1 || r.Question[0] != request.Question[0]) {
				t.Fatalf("answers %v to %v", r.Question, request.Question)
			}
			if r.Authoritative && r.Rcode != dns.RcodeNotAuth && zones.find([]byte(wireName(request.Question[0].Name))) == nil {
				t.Fatalf("authority for %v", request.Question)
			}
		}
	})
}

func BenchmarkRespond(b *testing.B) {
	s, zones := testServer(fuzzZones()...)
	m := new(dns.Msg)
	m.SetQuestion("a._domainkey.example.org.", dns.TypeTXT)
	m.SetEdns0(udpSize, false)
	raw := packed1(b, m)
	from := client{addr: netip.MustParseAddr("192.0.2.1"), udp: true, now: s.now()}
	var q query
	out := make([]byte, 0, udpSize)
	b.ReportAllocs()
	for b.Loop() {
		if s.respond(out, zones, &q, q.read(raw), from) == nil {
			b.Fatal("no reply")
		}
	}
}

// A question for a key costs no memory: a flood gives the garbage collector nothing to do.
func TestRespondAllocations(t *testing.T) {
	s, zones := testServer(fuzzZones()...)
	from := client{addr: netip.MustParseAddr("192.0.2.1"), udp: true, now: s.now()}
	out := make([]byte, 0, udpSize)
	var q query
	for _, name := range []string{"a._domainkey.example.org.", "nothing.example.org.", "long.example.org.", "alias.example.org.", "example.com."} {
		m := new(dns.Msg)
		m.SetQuestion(name, dns.TypeTXT)
		m.SetEdns0(udpSize, false)
		raw := packed1(t, m)
		if n := testing.AllocsPerRun(100, func() { s.respond(out, zones, &q, q.read(raw), from) }); n >= 1 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
