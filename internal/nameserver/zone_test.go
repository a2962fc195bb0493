package nameserver

import (
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/publisher"
)

func fuzzZones() []publisher.StoredZone {
	return []publisher.StoredZone{
		{Name: "example.org", Serial: 7, Records: []publisher.StoredRecord{
			{Name: "a._domainkey.example.org", Type: "TXT", TTL: 60, Value: "v=DKIM1; p=A"},
			{Name: "long.example.org", Type: "TXT", TTL: 60, Value: strings.Repeat("x", 3000)},
			{Name: "alias.example.org", Type: "CNAME", TTL: 60, Value: "long.example.org"},
			{Name: "x.y.z.example.org", Type: "TXT", TTL: 60, Value: "deep"},
		}},
		{Name: "z.example.org", Serial: 1},
	}
}

// A record that cannot be served is left out and told of; the others are served.
func TestCompileLeavesOut(t *testing.T) {
	good := publisher.StoredRecord{Name: "good.example.org", Type: "TXT", TTL: 60, Value: "v"}
	tests := map[string]publisher.StoredRecord{
		"other zone":         {Name: "x.example.com", Type: "TXT", Value: "v"},
		"no name":            {Name: "", Type: "TXT", Value: "v"},
		"wildcard":           {Name: "*.example.org", Type: "TXT", Value: "v"},
		"label too long":     {Name: strings.Repeat("a", 64) + ".example.org", Type: "TXT", Value: "v"},
		"empty label":        {Name: "a..example.org", Type: "TXT", Value: "v"},
		"unknown type":       {Name: "x.example.org", Type: "A", Value: "192.0.2.1"},
		"value too large":    {Name: "x.example.org", Type: "TXT", Value: strings.Repeat("v", maxValue+1)},
		"bad target":         {Name: "x.example.org", Type: "CNAME", Value: "a..b"},
		"no target":          {Name: "x.example.org", Type: "CNAME", Value: ""},
		"CNAME at the apex":  {Name: "example.org", Type: "CNAME", Value: "example.net"},
		"CNAME beside a TXT": {Name: "good.example.org", Type: "CNAME", Value: "example.net"},
	}
	config := &Config{Names: []string{"ns1.example.net."}, NegativeTTL: time.Minute}
	for name, bad := range tests {
		t.Run(name, func(t *testing.T) {
			z, problems := compile(config, publisher.StoredZone{Name: "example.org", Serial: 1, Records: []publisher.StoredRecord{good, bad}})
			if len(problems) != 1 {
				t.Errorf("problems: %q", problems)
			}
			if n := z.nodes[wireName("good.example.org")]; n == nil || n.count != 1 || n.target != nil || len(z.records) != 1 {
				t.Errorf("the good record is %+v", n)
			}
			if len(z.nodes) != 2 {
				t.Errorf("%d names", len(z.nodes))
			}
		})
	}
	_, problems := compile(&Config{Names: []string{"ns1.example.org."}}, publisher.StoredZone{Name: "example.org"})
	if len(problems) != 1 {
		t.Errorf("a name server inside of its zone: %q", problems)
	}
}

// The largest value that is served fits into one message.
func TestLargestValue(t *testing.T) {
	name := strings.Repeat(strings.Repeat("n", 63)+".", 3) + "example.org"
	z, problems := compile(&Config{Names: []string{"ns1.example.net."}, NegativeTTL: time.Minute},
		publisher.StoredZone{Name: "example.org", Records: []publisher.StoredRecord{{Name: name, Type: "TXT", Value: strings.Repeat("v", maxValue)}}})
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	n := z.nodes[wireName(name)]
	if n == nil || n.count != 1 {
		t.Fatal("not there")
	}
	s, _ := testServer()
	m := new(dns.Msg)
	m.SetQuestion(name+".", dns.TypeTXT)
	m.SetEdns0(udpSize, true)
	var q query
	out := s.respond(nil, catalogue{z.wire: z}, &q, q.read(packed1(t, m)), client{now: s.now()})
	r := new(dns.Msg)
	if err := r.Unpack(out); err != nil || len(r.Answer) != 1 || r.Rcode != dns.RcodeSuccess {
		t.Errorf("%d octets, %v", len(out), err)
	}
}
