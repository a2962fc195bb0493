package nameserver

import (
	"encoding/binary"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/miekg/dns"
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

// What goes out over the limit is smaller than what came in plus nothing, and sends the client to TCP.
func TestLimitedReplies(t *testing.T) {
	s := &Server{limit: newLimiter(), now: func() time.Time { return time.Unix(1_800_000_000, 0) }}
	s.zones.Store(&catalogue{})
	q := new(dns.Msg)
	q.SetQuestion("x.example.org.", dns.TypeTXT)
	w := &writer{}
	for range RateLimit + 10 {
		s.handler(true).ServeDNS(w, q)
	}
	if len(w.sent) != RateLimit+5 {
		t.Fatalf("%d replies", len(w.sent))
	}
	request, err := q.Pack()
	if err != nil {
		t.Fatal(err)
	}
	for i, raw := range w.sent {
		r := new(dns.Msg)
		if err := r.Unpack(raw); err != nil {
			t.Fatal(err)
		}
		if limited := i >= RateLimit; r.Truncated != limited || limited && len(raw) > len(request) {
			t.Errorf("reply %d: truncated %t, %d octets for %d", i, r.Truncated, len(raw), len(request))
		}
	}
	w.sent = nil
	for range 2 * RateLimit {
		s.handler(false).ServeDNS(w, q)
	}
	if len(w.sent) != 2*RateLimit {
		t.Errorf("TCP: %d replies", len(w.sent))
	}
}

// writer is the client side of a handler.
type writer struct {
	dns.ResponseWriter
	sent [][]byte
}

func (w *writer) RemoteAddr() net.Addr { return &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 53} }

func (w *writer) Write(b []byte) (int, error) {
	w.sent = append(w.sent, b)
	return len(b), nil
}

// FuzzRespond sends any octets through the header check, the library's parser and our replies.
func FuzzRespond(f *testing.F) {
	config := &Config{Names: []string{"ns1.example.net."}, NegativeTTL: time.Minute}
	zones := make(catalogue)
	for _, stored := range fuzzZones() {
		z, _ := compile(config, stored)
		zones[z.name] = z
	}
	for _, name := range []string{"a._domainkey.example.org.", "long.example.org.", "alias.example.org.", "x.y.example.org.", "example.org.", "other.example.", `a\.b.example.org.`} {
		for _, qtype := range []uint16{dns.TypeTXT, dns.TypeANY, dns.TypeSOA, dns.TypeAXFR} {
			for _, size := range []uint16{0, 512, 4096} {
				m := new(dns.Msg)
				m.SetQuestion(name, qtype)
				if size > 0 {
					m.SetEdns0(size, true)
				}
				raw, err := m.Pack()
				if err != nil {
					f.Fatal(err)
				}
				f.Add(raw, size%2 == 0)
			}
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte, udp bool) {
		if len(raw) < 12 {
			return
		}
		request := new(dns.Msg)
		u16 := binary.BigEndian.Uint16
		accepted := accept(dns.Header{Id: u16(raw), Bits: u16(raw[2:]), Qdcount: u16(raw[4:]), Ancount: u16(raw[6:]), Nscount: u16(raw[8:]), Arcount: u16(raw[10:])})
		if request.Unpack(raw) != nil {
			return
		}
		limit := dns.MinMsgSize
		if opt := request.IsEdns0(); opt != nil {
			limit = max(limit, int(opt.UDPSize()))
		}
		if !udp {
			limit = dns.MaxMsgSize
		}
		for _, out := range [][]byte{respond(zones, request, udp), slipped(request)} {
			if out == nil {
				continue
			}
			r := new(dns.Msg)
			if err := r.Unpack(out); err != nil {
				t.Fatalf("the reply cannot be read: %v", err)
			}
			if len(out) > limit || r.Id != request.Id || !r.Response || r.RecursionAvailable {
				t.Fatalf("%d octets of %d: %v", len(out), limit, r)
			}
			if accepted == dns.MsgAccept && len(r.Question) == 1 && r.Question[0] != request.Question[0] {
				t.Fatalf("answers %v to %v", r.Question, request.Question)
			}
			if r.Authoritative && zones.find(dns.CanonicalName(request.Question[0].Name)) == nil {
				t.Fatalf("authority for %v", request.Question)
			}
		}
	})
}

func BenchmarkRespond(b *testing.B) {
	zones := make(catalogue)
	for _, stored := range fuzzZones() {
		z, _ := compile(&Config{Names: []string{"ns1.example.net."}, NegativeTTL: time.Minute}, stored)
		zones[z.name] = z
	}
	q := new(dns.Msg)
	q.SetQuestion("a._domainkey.example.org.", dns.TypeTXT)
	q.SetEdns0(udpSize, false)
	b.ReportAllocs()
	for b.Loop() {
		if respond(zones, q, true) == nil {
			b.Fatal("no reply")
		}
	}
}
