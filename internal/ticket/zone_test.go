package ticket

import (
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

func TestZoneLinesAreReadBack(t *testing.T) {
	long := "v=DKIM1; k=rsa; p=" + strings.Repeat("ABCDEFGH", 100)
	for _, value := range []string{"v=DKIM1; p=AAAA", long, `quotes " and \ in it`, "octets \x00\x7f\xff of any kind", "", strings.Repeat("x", 255), strings.Repeat("x", 256)} {
		text := "k._domainkey.example.org. 3600 IN TXT " + Quote(value)
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		// On the wire the strings are octets; in text form the library escapes them.
		wire := make([]byte, 4096)
		n, err := dns.PackRR(rr, wire, 0, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		var got strings.Builder
		for rest := wire[n-int(rr.Header().Rdlength) : n]; len(rest) > 0; rest = rest[1+int(rest[0]):] {
			got.Write(rest[1 : 1+int(rest[0])])
		}
		if got.String() != value {
			t.Errorf("%q came back as %q", value, got.String())
		}
	}
	if got := ZoneLine("s1._domainkey.example.org", "CNAME", time.Hour, "s1.service.example", ""); got != "s1._domainkey.example.org. 3600 IN CNAME s1.service.example." {
		t.Error(got)
	}
	if got := ZoneLine("s1._domainkey.example.org", "CNAME", time.Hour, "", "s1.service.example"); !strings.HasPrefix(got, ";") {
		t.Errorf("a record that shall go is %q", got)
	}
}

func FuzzQuote(f *testing.F) {
	f.Add("v=DKIM1; p=AAAA")
	f.Add("\"\\\x00\xff\n;")
	f.Fuzz(func(t *testing.T, value string) {
		text := Quote(value)
		if strings.ContainsAny(text, "\n\r\x00") {
			t.Fatalf("%q would break a line of a zone file", text)
		}
		if len(value) < 2000 {
			if _, err := dns.NewRR("k.example. 60 IN TXT " + text); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
		}
	})
}
