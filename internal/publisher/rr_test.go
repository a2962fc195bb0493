package publisher_test

import (
	"strings"
	"testing"
	"time"

	"github.com/libdns/libdns"
	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/publisher"
)

// overWire sends a record through the octets of a message and back.
func overWire(t *testing.T, rrtype, value string) (string, *dns.TXT) {
	t.Helper()
	rr, err := publisher.ToRR("example.org", publisher.NewRecord("s._domainkey", rrtype, value, time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	m := &dns.Msg{Answer: []dns.RR{rr}}
	raw, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	back := new(dns.Msg)
	if err := back.Unpack(raw); err != nil {
		t.Fatal(err)
	}
	if h := back.Answer[0].Header(); h.Name != "s._domainkey.example.org." || h.Ttl != 3600 {
		t.Errorf("header %v", h)
	}
	r, ok := publisher.FromRR("s._domainkey", back.Answer[0])
	if !ok {
		t.Fatal("not read")
	}
	txt, _ := back.Answer[0].(*dns.TXT)
	return publisher.ValueOf(r), txt
}

func TestValuesOverTheWire(t *testing.T) {
	var all strings.Builder
	for c := range 256 {
		all.WriteByte(byte(c))
	}
	for _, value := range []string{"v=DKIM1; p=AAAA", "", `\`, `\\`, `"`, `\065`, `ends in \`, all.String(), strings.Repeat(`\`, 600), strings.Repeat("x", 255), strings.Repeat("x", 256)} {
		got, txt := overWire(t, "TXT", value)
		if got != value {
			t.Errorf("%q came back as %q", value, got)
		}
		if want := max(1, (len(value)+254)/255); len(txt.Txt) != want {
			t.Errorf("%d octets in %d strings, want %d", len(value), len(txt.Txt), want)
		}
	}
	if got, _ := overWire(t, "CNAME", "S1.Example.NET."); got != "s1.example.net" {
		t.Errorf("CNAME %q", got)
	}
}

func FuzzValues(f *testing.F) {
	f.Add("v=DKIM1; p=")
	f.Add(`\0`)
	f.Fuzz(func(t *testing.T, value string) {
		if len(value) > 60_000 {
			return
		}
		if got, _ := overWire(t, "TXT", value); got != value {
			t.Errorf("%q came back as %q", value, got)
		}
	})
}

func TestSame(t *testing.T) {
	tests := []struct {
		a, b []string
		want bool
	}{
		{nil, nil, true},
		{[]string{"a"}, nil, false},
		{[]string{"a", "b"}, []string{"b", "a"}, true},
		{[]string{"a", "a"}, []string{"a"}, false},
		{[]string{"a"}, []string{"A"}, false},
	}
	for _, tt := range tests {
		if got := publisher.Same(list(tt.a), list(tt.b)); got != tt.want {
			t.Errorf("%q, %q: %t", tt.a, tt.b, got)
		}
	}
}

func list(values []string) []libdns.Record {
	var out []libdns.Record
	for _, v := range values {
		out = append(out, publisher.NewRecord("s", "TXT", v, 0))
	}
	return out
}
