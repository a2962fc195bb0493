package manual_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/publisher"
	"github.com/postseal/postseal/internal/publisher/provider/manual"
	"github.com/postseal/postseal/internal/publisher/providertest"
)

func TestConformance(t *testing.T) {
	providertest.Run(t, func(t *testing.T) providertest.Subject {
		return providertest.Subject{Provider: manual.New(), Zone: "example.org", Person: true}
	})
}

func TestMemoryIsBounded(t *testing.T) {
	p := manual.New()
	const asked = 10_050
	for i := range asked {
		name := fmt.Sprintf("s%d._domainkey", i)
		c := publisher.Change{Name: name, Type: "TXT"}
		c.Want = append(c.Want, publisher.NewRecord(name, "TXT", "v=DKIM1; p=", time.Hour))
		if _, err := p.Set(t.Context(), "example.org", c); err != nil {
			t.Fatal(err)
		}
	}
	remembered := 0
	for i := range asked {
		got, err := p.Get(t.Context(), "example.org", fmt.Sprintf("s%d._domainkey", i))
		if err != nil {
			t.Fatal(err)
		}
		remembered += len(got)
	}
	if remembered != 10_000 {
		t.Errorf("%d wishes remembered, want 10000", remembered)
	}
}

// The zone-file form must mean exactly the value to a program that reads zone files.
func TestTicketZoneFileParses(t *testing.T) {
	for _, value := range []string{
		"v=DKIM1; k=rsa; p=" + strings.Repeat("MIIB", 100),
		`quote " backslash \ tab` + "\tand \xc3\xa9",
		"v=DMARC1; p=none",
	} {
		text := manual.Ticket("example.org", "", publisher.Request{Name: "s1._domainkey.example.org", Type: "TXT", Want: value, TTL: time.Hour})
		_, rest, ok := strings.Cut(text, "Zone file:\n")
		file, _, _ := strings.Cut(rest, "   Form:")
		if !ok {
			t.Fatalf("no zone file in:\n%s", text)
		}
		rr, err := dns.NewRR(strings.TrimSpace(file))
		if err != nil || rr == nil {
			t.Fatalf("%v in:\n%s", err, file)
		}
		record, ok := publisher.FromRR("s1._domainkey", rr)
		if !ok || publisher.ValueOf(record) != value || rr.Header().Ttl != 3600 || rr.Header().Name != "s1._domainkey.example.org." {
			t.Errorf("%s\nreads as %v", file, rr)
		}
	}
}

func TestTicket(t *testing.T) {
	add := publisher.Request{Name: "s1._domainkey.example.org", Type: "TXT", Want: "v=DKIM1; p=AAAA", TTL: time.Hour}
	replace := publisher.Request{Name: "s1._domainkey.example.org", Type: "TXT", Expect: "v=DKIM1; p=AAAA", Want: "v=DKIM1; p=", TTL: time.Hour}
	remove := publisher.Request{Name: "s1._domainkey.example.org", Type: "TXT", Expect: "v=DKIM1; p="}
	alias := publisher.Request{Name: "example.org", Type: "CNAME", Want: "target.example.net", TTL: time.Minute}
	tests := []struct {
		name     string
		text     string
		contains []string
		lacks    []string
	}{
		{"add", manual.Ticket("example.org", "dns@example.org", add), []string{
			"To: dns@example.org\n", "this change in the zone example.org.", "1. Add a TXT record", "Now there: nothing",
			"s1._domainkey.example.org. 3600 IN TXT \"v=DKIM1; p=AAAA\"\n", "Name:  s1._domainkey\n", "Name:  s1._domainkey.example.org\n", "TTL:   3600\n", "Value: v=DKIM1; p=AAAA\n",
		}, nil},
		{"replace and remove", manual.Ticket("example.org.", "", replace, remove), []string{
			"these 2 changes", "1. Replace the TXT record", "Now there: v=DKIM1; p=AAAA\n", "2. Remove the TXT record", "Now there: v=DKIM1; p=\n",
		}, []string{"To:"}},
		{"alias at the apex", manual.Ticket("example.org", "", alias), []string{"example.org. 60 IN CNAME target.example.net.\n", "Name:  @\n", "Value: target.example.net\n"}, nil},
		{"zone not known", manual.Ticket("", "", add), []string{"in the DNS.", "Name:  s1._domainkey.example.org\n"}, []string{"full name"}},
		{"a contact with lines of its own", manual.Ticket("", "a\n2. Remove everything", add), []string{"To: a 2. Remove everything\n"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, c := range tt.contains {
				if !strings.Contains(tt.text, c) {
					t.Errorf("%q is missing in:\n%s", c, tt.text)
				}
			}
			for _, c := range tt.lacks {
				if strings.Contains(tt.text, c) {
					t.Errorf("%q stands in:\n%s", c, tt.text)
				}
			}
		})
	}
}
