package zonefile_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libdns/libdns"
	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher"
	"github.com/postseal/postseal/internal/publisher/programs"
	"github.com/postseal/postseal/internal/publisher/provider/zonefile"
	"github.com/postseal/postseal/internal/publisher/providertest"
)

// people is a zone file as people write it.
const people = `; our zone, please keep this line
$TTL 1h
@	IN	SOA	ns1 hostmaster (
		2026010100 ; serial
		3600 600	; refresh retry
		86400 300 )
	IN	NS	ns1
ns1	IN	A	192.0.2.53
www	300	IN	CNAME	@
; a record over several lines
news._domainkey IN TXT ( "v=DKIM1; k=rsa; "
	"p=QUJD" ) ; from the newsletter people
$ORIGIN sub.example.org.
@ TXT "2026010100 is no serial; nor (is this"
`

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "example.org.zone")
	if err := os.WriteFile(file, []byte(text), 0o640); err != nil {
		t.Fatal(err)
	}
	return file
}

func open(t *testing.T, c zonefile.Config) publisher.Provider {
	t.Helper()
	c.Zone = "example.org"
	c.Now = func() time.Time { return time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC) }
	p, err := zonefile.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func change(name, rrtype, expect, want string) publisher.Change {
	c := publisher.Change{Name: name, Type: rrtype}
	if expect != "" {
		c.Expect = []libdns.Record{publisher.NewRecord(name, rrtype, expect, time.Hour)}
	}
	if want != "" {
		c.Want = []libdns.Record{publisher.NewRecord(name, rrtype, want, time.Hour)}
	}
	return c
}

func TestConformance(t *testing.T) {
	file := write(t, people)
	p := open(t, zonefile.Config{File: file})
	var mu sync.Mutex
	providertest.Run(t, func(t *testing.T) providertest.Subject {
		return providertest.Subject{Provider: p, Zone: "example.org", Plant: func(t *testing.T, name, rrtype, value string) {
			mu.Lock()
			defer mu.Unlock()
			rr, err := publisher.ToRR("example.org", publisher.NewRecord(name, rrtype, value, time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			fmt.Fprintln(f, rr)
		}}
	})
}

// What people wrote stays octet for octet; the serial goes up and nothing that looks like it.
func TestKeepsTheRest(t *testing.T) {
	file := write(t, people)
	p := open(t, zonefile.Config{File: file})
	long := "v=DKIM1; k=rsa; p=" + strings.Repeat("M", 700)
	for _, c := range []publisher.Change{change("s1._domainkey", "TXT", "", long), change("s2._domainkey", "CNAME", "", "target.example.net")} {
		if outcome, err := p.Set(t.Context(), "example.org", c); err != nil || outcome != publisher.Done {
			t.Fatalf("%q, %v", outcome, err)
		}
	}
	text := read(t, file)
	head, block, _ := strings.Cut(text, "; BEGIN Postseal")
	if head != strings.Replace(people, "2026010100 ; serial", "2026112701 ; serial", 1) {
		t.Errorf("people's part became %q", head)
	}
	if strings.Count(block, "\n") != 4 || !strings.Contains(block, "s2._domainkey.example.org.\t3600\tIN\tCNAME\ttarget.example.net.") {
		t.Errorf("our part is %q", block)
	}
	// A record that people made and a person let us take over goes with all its lines, and nothing else.
	if outcome, err := p.Set(t.Context(), "example.org", change("news._domainkey", "TXT", "v=DKIM1; k=rsa; p=QUJD", "")); err != nil || outcome != publisher.Done {
		t.Fatalf("%q, %v", outcome, err)
	}
	if text := read(t, file); strings.Contains(text, "QUJD") || strings.Contains(text, "newsletter") || !strings.Contains(text, "; a record over several lines\n$ORIGIN sub.example.org.") {
		t.Errorf("%q", text)
	}
	for _, c := range []publisher.Change{change("s1._domainkey", "TXT", long, ""), change("s2._domainkey", "CNAME", "target.example.net", "")} {
		if outcome, err := p.Set(t.Context(), "example.org", c); err != nil || outcome != publisher.Done {
			t.Fatalf("%q, %v", outcome, err)
		}
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// A file that cannot be changed for certain is not changed.
func TestRefuses(t *testing.T) {
	const soa = "@ 3600 IN SOA ns1 hostmaster 7 3600 600 86400 300\n@ NS ns1\nns1 A 192.0.2.53\n"
	for name, c := range map[string]struct {
		text string
		code fault.Code
	}{
		"include":         {soa + "$INCLUDE other.zone\n", fault.Invalid},
		"generate":        {soa + "$GENERATE 1-3 h$ A 192.0.2.$\n", fault.Invalid},
		"broken":          {soa + "x IN TXT \"open\n", fault.Invalid},
		"no SOA":          {"www 60 A 192.0.2.1\n", fault.NotFound},
		"another zone":    {"$ORIGIN example.net.\n" + soa, fault.NotFound},
		"empty":           {"", fault.NotFound},
		"someone's block": {soa + "s1._domainkey 60 TXT \"theirs\"\n", fault.Conflict},
		"name taken over": {soa + "s1._domainkey 60 TXT \"old\"\n 60 TXT \"kept\"\n", fault.Conflict},
	} {
		t.Run(name, func(t *testing.T) {
			file := write(t, c.text)
			ch := change("s1._domainkey", "TXT", "", "v=DKIM1; p=A")
			if name == "name taken over" {
				// The first line is the only one with the name: without it the second would belong to another.
				ch = publisher.Change{Name: "s1._domainkey", Type: "TXT", Expect: []libdns.Record{publisher.NewRecord("s1._domainkey", "TXT", "old", time.Hour)}}
			}
			outcome, err := open(t, zonefile.Config{File: file}).Set(t.Context(), "example.org", ch)
			if fault.CodeOf(err) != c.code || outcome != "" {
				t.Errorf("%q, %v; want %s", outcome, err, c.code)
			}
			if got := read(t, file); got != c.text {
				t.Errorf("the file became %q", got)
			}
		})
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(write(t, soa), link); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, zonefile.Config{File: link}).Get(t.Context(), "example.org", "@"); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("a link: %v", err)
	}
	if _, err := open(t, zonefile.Config{File: "/nonexistent/zone"}).Get(t.Context(), "example.org", "@"); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("no file: %v", err)
	}
	for _, bad := range []zonefile.Config{{File: "relative", Zone: "example.org"}, {File: "/x"}, {File: "/x", Zone: "example.org", Program: "absent", Dir: programs.In(t.TempDir())}} {
		if _, err := zonefile.New(bad); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

// A name server that does not load the file must not make a record count as published.
func TestReloadFails(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "load"), []byte("#!/bin/sh\necho \"no such zone $1\" >&2\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	file := write(t, people)
	p := open(t, zonefile.Config{File: file, Program: "load", Dir: programs.In(dir)})
	outcome, err := p.Set(t.Context(), "example.org", change("s1._domainkey", "TXT", "", "v=DKIM1; p=A"))
	if message, _ := fault.Show(err); fault.CodeOf(err) != fault.Unavailable || outcome != "" || !strings.Contains(fmt.Sprint(message, err), "no such zone example.org") {
		t.Errorf("%q, %v", outcome, err)
	}
	if got := read(t, file); got != people {
		t.Errorf("the file became %q", got)
	}
}

// Serials go up, also at the end of their numbers.
func TestSerials(t *testing.T) {
	for before, after := range map[uint32]uint32{7: 8, 2026112699: 2026112700, 2026112705: 2026112706, 2019010101: 2026112700, 1764244800: 1764244801, 4294967295: 1} {
		file := write(t, fmt.Sprintf("$TTL 60\n@ SOA ns1 h %d 3600 600 86400 300\n@ NS ns1\nns1 A 192.0.2.53\n", before))
		if _, err := open(t, zonefile.Config{File: file}).Set(t.Context(), "example.org", change("s1._domainkey", "TXT", "", "v=DKIM1; p=A")); err != nil {
			t.Fatal(before, err)
		}
		rr, _ := dns.NewZoneParser(strings.NewReader(read(t, file)), "example.org.", "").Next()
		if got := rr.(*dns.SOA).Serial; got != after {
			t.Errorf("%d became %d, want %d", before, got, after)
		}
	}
}
