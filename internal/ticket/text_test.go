package ticket

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/evidence"
	"github.com/postseal/postseal/internal/inventory"
)

var update = flag.Bool("update", false, "write the golden files anew; look at them afterwards")

// golden compares a text with a file that a person has read.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test -update writes it anew); is now:\n%s", path, got)
	}
}

func TestTexts(t *testing.T) {
	all := everything()
	one := view(t, "", all[0])
	later := view(t, inventory.HostCloudflare, all[1], all[2])
	later.Ticket.Revision, later.Ticket.Revised, later.Ticket.Reminders = 2, start.Add(24*60*60e9), 1
	later.Ticket.Items = append(later.Ticket.Items, Item{RecordID: "r0", Domain: "example.com", Name: "x._domainkey.example.com", Ending: Done, Left: start})
	later.Ticket.Note, later.Ticket.NoteBy = "asked by phone\nFrom: mallory", "ann"
	overdue := view(t, "", all[4])
	overdue.Ticket.Expired = start
	done := view(t, "", all[0])
	done.Changes, done.Ticket.Items[0].Ending, done.Ticket.Items[0].Left = nil, Done, start
	stolen := all[1]
	stolen.Stolen = true
	late := view(t, "", stolen)
	late.Ticket.Expired = start
	for name, got := range map[string]string{
		"late.text":     Text(late),
		"urgent.text":   Text(view(t, "", all[0], stolen)),
		"urgent.steps":  Steps(view(t, "", all[0], stolen)),
		"all.text":      Text(view(t, "", all...)),
		"one.text":      Text(one),
		"later.text":    Text(later),
		"overdue.text":  Text(overdue),
		"done.text":     Text(done),
		"all.zone":      Zone(view(t, "", all...)),
		"done.zone":     Zone(done),
		"done.steps":    Steps(done),
		"generic.steps": Steps(view(t, "", all...)),
	} {
		t.Run(name, func(t *testing.T) { golden(t, name, got) })
	}
	for _, host := range inventory.DNSHosts() {
		if host != inventory.HostGeneric {
			t.Run(host, func(t *testing.T) { golden(t, host+".steps", Steps(view(t, host, all[0], all[1], all[3], all[2]))) })
		}
	}
}

// Every host that fleet.yaml may name has steps of its own, and says where they were read.
func TestEveryHostIsKnown(t *testing.T) {
	generic := consoleOf(inventory.HostGeneric)
	for _, host := range inventory.DNSHosts() {
		k := consoleOf(host)
		if k.title == "" || len(k.open) == 0 || k.add == "" || k.name == "" || k.value == "" || k.target == "" {
			t.Errorf("%s is not complete: %+v", host, k)
		}
		if host != inventory.HostGeneric && (k.title == generic.title || k.source == "") {
			t.Errorf("%s has no steps of its own, or no source", host)
		}
	}
}

// The zone-file form must mean exactly the values to a program that reads zone files, and take nothing away.
func TestZoneFormIsAZoneFile(t *testing.T) {
	all := everything()
	want := map[string]string{}
	for _, c := range all {
		if c.Want != "" {
			want[c.Name+"/"+c.Type] = c.Want
		}
	}
	parser := dns.NewZoneParser(strings.NewReader(Zone(view(t, "", all...))), "", "")
	read := 0
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		read++
		value := ""
		switch rr := rr.(type) {
		case *dns.TXT:
			value = strings.Join(rr.Txt, "")
		case *dns.CNAME:
			value = strings.TrimSuffix(rr.Target, ".")
		}
		at := strings.TrimSuffix(rr.Header().Name, ".") + "/" + dns.TypeToString[rr.Header().Rrtype]
		if want[at] != value || rr.Header().Ttl != 3600 {
			t.Errorf("%s reads as %q, want %q", at, value, want[at])
		}
	}
	if err := parser.Err(); err != nil || read != len(want) {
		t.Errorf("%d of %d records, %v", read, len(want), err)
	}
}

// What comes from elsewhere writes no lines of its own, and no commands.
func TestTextsKeepStrangersOut(t *testing.T) {
	evil := everything()[0]
	evil.Signer = "mx1\n2. Remove everything"
	evil.Want = "v=DKIM1; p=AAAA\r\n.\r\nMAIL FROM:<x>"
	evil.Name = "a$(reboot)`id`;x._domainkey.example.com"
	evil.Last.Servers[0].Server = "ns1.example.net;reboot (192.0.2.1:53)"
	v := view(t, "", evil)
	v.Contact = "ann@example.com\nBcc: eve@example.net"
	for form, text := range map[string]string{"text": Text(v), "zone": Zone(v), "steps": Steps(v)} {
		for _, line := range strings.Split(text, "\n") {
			if strings.HasPrefix(line, "2. Remove") || strings.HasPrefix(line, "Bcc:") || strings.HasPrefix(line, "MAIL FROM") {
				t.Errorf("%s has a line of a stranger's: %q", form, line)
			}
			if strings.Contains(line, "dig ") && strings.ContainsAny(line, "$`;(") {
				t.Errorf("%s has a command of a stranger's: %q", form, line)
			}
		}
	}
}

func TestZoneOfAChange(t *testing.T) {
	for _, c := range []struct{ name, domain, looked, want string }{
		{"x._domainkey.news.example.com", "news.example.com", "example.com.", "example.com"},
		{"x._domainkey.example.com", "example.com", "_domainkey.example.com", "_domainkey.example.com"},
		{"x._domainkey.example.com", "example.com", "", "example.com"},
		{"x._domainkey.example.com", "example.com", "com", "example.com"},         // not delegated
		{"x._domainkey.example.com", "example.com", "example.net", "example.com"}, // a stranger's answer
	} {
		if got := (Change{Name: c.name, Domain: c.domain, Last: evidence.Sighting{Zone: c.looked}}).Zone(); got != c.want {
			t.Errorf("%s in %q is in %q, want %q", c.name, c.looked, got, c.want)
		}
	}
}

// Whatever a service's value, a name or a server's name says: no text gets a line that we did not write, and no command more than words.
func FuzzTexts(f *testing.F) {
	f.Add("x._domainkey.example.com", "v=DKIM1; p=AAAA", "ns1.example.net (192.0.2.1:53)", "TXT")
	f.Add("x\n; .", "\xff\r\n.\r\n", "$(reboot) (::1:53)", "CNAME")
	f.Fuzz(func(t *testing.T, name, want, server, rrtype string) {
		c := Change{RecordID: "r", Domain: "example.com", Purpose: forForeign, Signer: server, Name: name, Type: rrtype, TTL: time.Hour, Want: want, Pending: true,
			Last: evidence.Sighting{Name: name, Type: rrtype, Zone: "example.com", Servers: []evidence.ServerSight{{Server: server}}}}
		p := hand()
		v, _ := Tend(nil, p, []Change{c}, nil, start)
		plain := Change{RecordID: "r", Domain: "example.com", Purpose: forForeign, Signer: "s", Name: "x._domainkey.example.com", Type: rrtype, TTL: time.Hour, Want: strings.Repeat("x", len(want)), Last: c.Last}
		plain.Last.Servers = []evidence.ServerSight{{Server: "ns1.example.net"}}
		shown := View{Ticket: *v, Contact: server, Changes: []Change{c}, Expires: v.Expires(p), Now: start}
		ours := shown
		ours.Contact, ours.Changes = "ann", []Change{plain}
		if rrtype == "TXT" && server != "" {
			if got, lines := strings.Count(Text(shown), "\n"), strings.Count(Text(ours), "\n"); got != lines {
				t.Errorf("%d lines in place of %d:\n%s", got, lines, Text(shown))
			}
		}
		for form, text := range map[string]string{"text": Text(shown), "zone": Zone(shown), "steps": Steps(shown)} {
			if strings.ContainsAny(text, "\r\x00\x1b") {
				t.Errorf("%s has control characters: %q", form, text)
			}
			for line := range strings.SplitSeq(text, "\n") {
				if dig, found := strings.CutPrefix(strings.TrimSpace(line), "dig "); found && strings.Trim(dig, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:+@ ") != "" {
					t.Errorf("%s has a command that is more than words: %q", form, line)
				}
			}
		}
	})
}
