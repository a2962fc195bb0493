package resolver

import (
	"slices"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// message builds a reply to "s._domainkey.example.com TXT" from records in zone file notation.
func message(t testing.TB, rcode int, aa bool, sections ...[]string) *dns.Msg {
	t.Helper()
	m := new(dns.Msg).SetQuestion("s._domainkey.example.com.", dns.TypeTXT)
	m.Response, m.Rcode, m.Authoritative = true, rcode, aa
	for i, section := range sections {
		for _, line := range section {
			rr, err := dns.NewRR(line)
			if err != nil {
				t.Fatal(err)
			}
			switch i {
			case 0:
				m.Answer = append(m.Answer, rr)
			case 1:
				m.Ns = append(m.Ns, rr)
			default:
				m.Extra = append(m.Extra, rr)
			}
		}
	}
	return m
}

const (
	asked = "s._domainkey.example.com"
	start = "example.com. 900 IN SOA ns1.example.com. h.example.com. 7 1 1 1 300"
)

func TestReadReply(t *testing.T) {
	type list = []string
	txt := asked + `. 60 IN TXT "v=DKIM1" "; p=x"`
	cases := []struct {
		what   string
		m      *dns.Msg
		kind   kind
		detail string
		check  func(said) bool
	}{
		{"records", message(t, 0, true, list{txt, asked + `. 90 IN TXT "b"`}), kindRecords, "", func(s said) bool {
			joined, strs := texts(s.rrs)
			return s.ttl == 90 && slices.Equal(joined, list{"b", "v=DKIM1; p=x"}) && len(strs[1]) == 2
		}},
		{"another case", message(t, 0, true, list{strings.ToUpper(asked) + `. 60 IN TXT "b"`}), kindRecords, "", nil},
		{"another class", message(t, 0, true, list{asked + `. 60 CH TXT "b"`}), kindTrouble, DetailMalformed, nil},
		{"another name", message(t, 0, true, list{`other.example.com. 60 IN TXT "b"`}), kindTrouble, DetailMalformed, nil},
		{"another name beside the SOA", message(t, 0, true, list{`other.example.com. 60 IN TXT "b"`}, list{start}), kindNoData, "", nil},
		{"another type at the name", message(t, 0, true, list{asked + ". 60 IN A 192.0.2.1"}), kindNoData, "", nil},
		{"alias", message(t, 0, true, list{asked + ". 60 IN CNAME K.Provider.org.", `k.provider.org. 5 IN TXT "b"`}), kindCNAME, "",
			func(s said) bool { return s.target == "k.provider.org" && s.ttl == 60 && len(s.rrs) == 0 }},
		{"alias to nowhere", message(t, 3, true, list{asked + ". 60 IN CNAME k.provider.org."}), kindCNAME, "", nil},
		{"two aliases", message(t, 0, true, list{asked + ". 60 IN CNAME a.org.", asked + ". 60 IN CNAME b.org."}), kindTrouble, DetailConflict, nil},
		{"the same alias twice", message(t, 0, true, list{asked + ". 60 IN CNAME a.org.", asked + ". 60 IN CNAME A.org."}), kindCNAME, "", nil},
		{"nxdomain", message(t, 3, true, nil, list{start}), kindNXDomain, "",
			func(s said) bool { return *s.soa == soa{"example.com", 7, 300} }},
		{"nxdomain without SOA", message(t, 3, true), kindNXDomain, "", func(s said) bool { return s.soa == nil }},
		{"SOA of a stranger", message(t, 3, true, nil, list{strings.Replace(start, "example.com", "example.org", 1)}), kindNXDomain, "",
			func(s said) bool { return s.soa == nil }},
		{"SOA TTL under MINIMUM", message(t, 0, true, nil, list{strings.Replace(start, "900", "20", 1)}), kindNoData, "",
			func(s said) bool { return s.soa.negative == 20 }},
		{"TTL with the sign bit", message(t, 0, true, list{asked + `. 4294967295 IN TXT "b"`}), kindRecords, "", func(s said) bool { return s.ttl == 0 }},
		{"referral", message(t, 0, false, nil,
			list{"_domainkey.example.com. 60 IN NS NS.sub.example.com.", "other.example.com. 60 IN NS ns.evil.org."},
			list{"ns.sub.example.com. 60 IN A 192.0.2.9", "www.example.com. 60 IN A 192.0.2.10"}), kindReferral, "",
			func(s said) bool {
				return s.cut == "_domainkey.example.com" && slices.Equal(s.ns, list{"ns.sub.example.com"}) && len(s.glue) == 1
			}},
		{"referral elsewhere", message(t, 0, false, nil, list{"example.org. 60 IN NS ns.example.org."}), kindNoData, "", nil},
		{"servfail", message(t, 2, false), kindTrouble, "SERVFAIL", nil},
		{"unheard-of code", message(t, 3000, false), kindTrouble, "RCODE3000", nil},
		{"too many", message(t, 0, true, slices.Repeat(list{txt}, maxTXT+1)), kindTrouble, DetailTooLarge, nil},
	}
	for _, c := range cases {
		s := read(c.m, asked, dns.TypeTXT)
		if s.kind != c.kind || s.detail != c.detail || (c.check != nil && !c.check(s)) {
			t.Errorf("%s: %+v", c.what, s)
		}
	}
}

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{
		`plain`: "plain", `\"`: `"`, `\\`: `\`, `\065\000\255`: "A\x00\xff", `\;`: ";", `\9`: "9", `\999`: "999", `x\`: `x\`,
	} {
		if got := unescape(in); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

// FuzzReply feeds what may come from the network into the path from bytes to answers.
func FuzzReply(f *testing.F) {
	txt := []string{asked + `. 60 IN TXT "v=DKIM1; p=\"\000"`}
	alias := []string{asked + ". 60 IN CNAME b.example.com.", "b.example.com. 60 IN CNAME " + asked + "."}
	for _, m := range []*dns.Msg{
		message(f, 0, true, txt), message(f, 0, true, alias), message(f, 3, true, nil, []string{start}), message(f, 2, false),
		message(f, 0, false, nil, []string{"_domainkey.example.com. 60 IN NS n.example.com."}, []string{"n.example.com. 60 IN A 192.0.2.9"}),
	} {
		m.Id = 0
		b, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, uint16(dns.TypeTXT))
		f.Add(b, uint16(dns.TypeNS))
		f.Add(b[:len(b)-3], uint16(dns.TypeTXT))
	}
	f.Fuzz(func(t *testing.T, b []byte, qtype uint16) {
		query := question{name: asked, qtype: qtype}.message(true)
		query.Id = 0
		msg, trouble := accept(b, query)
		if trouble != nil {
			return
		}
		s := read(msg, asked, qtype)
		var a Answer
		s.judge(&a, "example.com", asked, qtype)
		if a.Status == StatusError && a.Detail == "" || a.Status != StatusError && a.Detail != "" {
			t.Errorf("status %q with detail %q", a.Status, a.Detail)
		}
		if a.Status == StatusOK && !s.aa && s.kind != kindReferral {
			t.Error("records without authority")
		}
		if len(a.TXT) > maxTXT || len(s.ns) > maxServerNames+1 {
			t.Error("a bound is broken")
		}
		a = Answer{}
		s.conclude(&a, qtype)
		if a.Status == "" || a.Status == StatusError && a.Detail == "" && s.kind != kindCNAME {
			t.Errorf("recursive: %+v from %+v", a, s)
		}
	})
}
