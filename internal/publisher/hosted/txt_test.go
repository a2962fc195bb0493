package hosted_test

import (
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/publisher"
	"github.com/postseal/postseal/internal/publisher/hosted"
)

func TestUnquote(t *testing.T) {
	tests := []struct {
		text, value string
		ok          bool
	}{
		{`"v=DKIM1; p=A"`, "v=DKIM1; p=A", true},
		{`"v=DKIM1; " "p=A"`, "v=DKIM1; p=A", true},
		{`"v=DKIM1; ""p=A"`, "v=DKIM1; p=A", true},
		{"\"a\"\t\"b\"", "ab", true},
		{`""`, "", true},
		{``, "", true},
		{`bare words`, "barewords", true},
		{`"a\"b\\c\009d\255"`, "a\"b\\c\td\xff", true},
		{`"a\;b"`, "a;b", true},
		{`"open`, "open", false},
		{`"a\`, "", false},
		{`"\25"`, "", false},
		{`"\256"`, "", false},
		{`"\2a5"`, "", false},
	}
	for _, tt := range tests {
		value, ok := hosted.Unquote(tt.text)
		if ok != tt.ok || ok && value != tt.value {
			t.Errorf("%s: %q, %t; want %q, %t", tt.text, value, ok, tt.value, tt.ok)
		}
	}
}

// What Quote writes, another implementation of presentation form reads as the same value.
func FuzzQuote(f *testing.F) {
	f.Add("v=DKIM1; k=rsa; p=" + strings.Repeat("M", 736))
	f.Add(`quotes " and \ backslashes; \123` + "\x00\xff\n")
	f.Add("")
	f.Fuzz(func(t *testing.T, value string) {
		if len(value) > 4000 {
			return
		}
		text := hosted.Quote(value)
		if back, ok := hosted.Unquote(text); !ok || back != value {
			t.Fatalf("%q became %q", value, back)
		}
		rr, err := dns.NewRR("x. 1 IN TXT " + text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if got, _ := publisher.FromRR("x", rr); publisher.ValueOf(got) != value {
			t.Fatalf("%q became %q", value, publisher.ValueOf(got))
		}
		for _, s := range rr.(*dns.TXT).Txt {
			one, _ := publisher.FromRR("x", &dns.TXT{Hdr: *rr.Header(), Txt: []string{s}})
			if n := len(publisher.ValueOf(one)); n > 255 {
				t.Fatalf("a string of %d octets", n)
			}
		}
	})
}

// Whatever a vendor hands out is read without a panic, and what is readable means the same when it is written again.
func FuzzUnquote(f *testing.F) {
	for _, s := range []string{`"a" "b"`, `"\255"`, `\`, `"`, `a"b"c`, `"\"`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		value, ok := hosted.Unquote(text)
		if again, fine := hosted.Unquote(hosted.Quote(value)); ok && (!fine || again != value) {
			t.Fatalf("%q: %q, then %q", text, value, again)
		}
		if got := hosted.UnquoteIfQuoted(text); !strings.HasPrefix(text, `"`) && got != text {
			t.Fatalf("%q became %q", text, got)
		}
	})
}

func TestFromPresentation(t *testing.T) {
	zone := hosted.Zone{Name: "example.org"}
	tests := []struct{ rrtype, raw, value string }{
		{"TXT", `"a" "b"`, "ab"},
		{"TXT", `"broken`, `"broken`},
		{"CNAME", "target.example.net.", "target.example.net."},
		{"CNAME", "target", "target.example.org"},
		{"CNAME", "@", "example.org"},
		{"A", "192.0.2.1", "192.0.2.1"},
	}
	for _, tt := range tests {
		if got := hosted.FromPresentation(zone, tt.rrtype, tt.raw, 0); got.Value != tt.value || got.Raw != tt.raw {
			t.Errorf("%s %s: %+v, want %q", tt.rrtype, tt.raw, got, tt.value)
		}
	}
}
