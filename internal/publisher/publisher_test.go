package publisher_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/libdns/libdns"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/publisher"
	"github.com/postseal/postseal/internal/publisher/provider/builtin"
	"github.com/postseal/postseal/internal/publisher/provider/manual"
)

// cuts finds zones in a list.
type cuts []string

func (c cuts) Zone(_ context.Context, name string) (string, error) {
	best := ""
	for _, zone := range c {
		if (name == zone || strings.HasSuffix(name, "."+zone)) && len(zone) > len(best) {
			best = zone
		}
	}
	if best == "" {
		return "", fault.New(fault.NotFound, "%s is not delegated in the DNS", name).WithHint("delegate it")
	}
	return best, nil
}

func newPublisher(t *testing.T, memory *builtin.Memory, zones cuts, configs ...inventory.Publisher) *publisher.Publisher {
	t.Helper()
	p := publisher.New(publisher.Deps{Zones: zones, Kinds: map[inventory.PublisherKind]publisher.Open{
		inventory.PublisherBuiltin: func(inventory.Publisher) (publisher.Provider, error) { return builtin.New(memory), nil },
		inventory.PublisherManual:  func(inventory.Publisher) (publisher.Provider, error) { return manual.New(), nil },
		inventory.PublisherRFC2136: func(c inventory.Publisher) (publisher.Provider, error) {
			return nil, fault.New(fault.Invalid, "%q is not the address of a server", c.Server).WithHint("write it as ADDR:PORT")
		},
	}})
	if err := p.Reconfigure(configs); err != nil {
		t.Fatal(err)
	}
	return p
}

func records(t *testing.T, memory *builtin.Memory, zone string) []publisher.StoredRecord {
	t.Helper()
	z, err := memory.Zone(t.Context(), zone)
	if err != nil {
		t.Fatal(err)
	}
	return z.Records
}

func TestSetFindsTheZone(t *testing.T) {
	memory := builtin.NewMemory("example.org", "_domainkey.example.org", "fixed.example.net")
	p := newPublisher(t, memory, cuts{"example.org", "_domainkey.example.org"},
		inventory.Publisher{Name: "found", Kind: inventory.PublisherBuiltin},
		inventory.Publisher{Name: "fixed", Kind: inventory.PublisherBuiltin, Zone: "Fixed.Example.net."})
	tests := []struct{ publisher, name, zone, want string }{
		{"found", "mx1._domainkey.example.org", "_domainkey.example.org", "mx1._domainkey.example.org"},
		{"found", "_dmarc.example.org", "example.org", "_dmarc.example.org"},
		{"found", "Example.ORG.", "example.org", "example.org"},
		{"fixed", "s1.fixed.example.net", "fixed.example.net", "s1.fixed.example.net"},
	}
	for _, tt := range tests {
		r := publisher.Request{Publisher: tt.publisher, Name: tt.name, Type: "TXT", Want: "v=" + tt.name, TTL: time.Hour}
		if outcome, err := p.Set(t.Context(), r); err != nil || outcome != publisher.Done {
			t.Errorf("%s: %q, %v", tt.name, outcome, err)
		}
		found := false
		for _, got := range records(t, memory, tt.zone) {
			found = found || got == publisher.StoredRecord{Name: tt.want, Type: "TXT", TTL: 3600, Value: "v=" + tt.name}
		}
		if !found {
			t.Errorf("%s is not in %s: %v", tt.want, tt.zone, records(t, memory, tt.zone))
		}
	}
}

func TestSetLife(t *testing.T) {
	memory := builtin.NewMemory("example.org")
	p := newPublisher(t, memory, cuts{"example.org"}, inventory.Publisher{Name: "own", Kind: inventory.PublisherBuiltin})
	set := func(rrtype, expect, want string) error {
		t.Helper()
		outcome, err := p.Set(t.Context(), publisher.Request{Publisher: "own", Name: "s._domainkey.example.org", Type: rrtype, Expect: expect, Want: want, TTL: time.Hour})
		if (err == nil) != (outcome == publisher.Done) {
			t.Errorf("%q beside %v", outcome, err)
		}
		return err
	}
	steps := []struct {
		rrtype, expect, want string
		code                 fault.Code
	}{
		{"TXT", "", "A", ""},
		{"TXT", "", "A", ""},
		{"TXT", "", "B", fault.Conflict},
		{"CNAME", "", "target.example.net", fault.Conflict},
		{"TXT", "A", "B", ""},
		{"TXT", "A", "", fault.Conflict},
		{"TXT", "B", "", ""},
		{"TXT", "B", "", ""},
		{"CNAME", "", "Target.Example.net.", ""},
		{"TXT", "", "A", fault.Conflict},
		{"CNAME", "target.example.net", "", ""},
	}
	for i, s := range steps {
		err := set(s.rrtype, s.expect, s.want)
		if s.code == "" && err != nil || s.code != "" && (err == nil || fault.CodeOf(err) != s.code) {
			t.Fatalf("step %d, %s %q → %q: %v, want %q", i, s.rrtype, s.expect, s.want, err, s.code)
		}
	}
}

func TestSetRefuses(t *testing.T) {
	memory := builtin.NewMemory("example.org")
	p := newPublisher(t, memory, cuts{"example.org", "elsewhere.example"},
		inventory.Publisher{Name: "own", Kind: inventory.PublisherBuiltin},
		inventory.Publisher{Name: "fixed", Kind: inventory.PublisherBuiltin, Zone: "example.org"})
	good := publisher.Request{Publisher: "own", Name: "s._domainkey.example.org", Type: "TXT", Want: "v=DKIM1", TTL: time.Hour}
	tests := []struct {
		name    string
		spoil   func(*publisher.Request)
		code    fault.Code
		message string
	}{
		{"no such publisher", func(r *publisher.Request) { r.Publisher = "other" }, fault.NotFound, "other"},
		{"not delegated", func(r *publisher.Request) { r.Name = "s._domainkey.example.com" }, fault.NotFound, "not delegated"},
		{"not served", func(r *publisher.Request) { r.Name = "s.elsewhere.example" }, fault.NotFound, "elsewhere.example"},
		{"outside of the zone", func(r *publisher.Request) { r.Publisher, r.Name = "fixed", "s._domainkey.example.com" }, fault.Invalid, "not in the zone example.org"},
		{"name that ends like the zone", func(r *publisher.Request) { r.Publisher, r.Name = "fixed", "anexample.org" }, fault.Invalid, "not in the zone"},
		{"wildcard", func(r *publisher.Request) { r.Name = "*.example.org" }, fault.Invalid, "wildcard"},
		{"empty name", func(r *publisher.Request) { r.Name = "" }, fault.Invalid, "empty label"},
		{"empty label", func(r *publisher.Request) { r.Name = "a..example.org" }, fault.Invalid, "empty label"},
		{"long label", func(r *publisher.Request) { r.Name = strings.Repeat("a", 64) + ".example.org" }, fault.Invalid, "63"},
		{"long name", func(r *publisher.Request) { r.Name = strings.Repeat("a.", 130) + "example.org" }, fault.Invalid, "253"},
		{"line break in the name", func(r *publisher.Request) { r.Name = "a\nb.example.org" }, fault.Invalid, "character"},
		{"type", func(r *publisher.Request) { r.Type = "A" }, fault.Invalid, "A"},
		{"CNAME to nonsense", func(r *publisher.Request) { r.Type, r.Want = "CNAME", "not a name" }, fault.Invalid, "not a name"},
		{"CNAME to itself", func(r *publisher.Request) { r.Type, r.Want = "CNAME", r.Name+"." }, fault.Invalid, "itself"},
		{"value too large", func(r *publisher.Request) { r.Want = strings.Repeat("v", 64_001) }, fault.Invalid, "64001"},
		{"negative TTL", func(r *publisher.Request) { r.TTL = -time.Second }, fault.Invalid, "TTL"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := good
			tt.spoil(&r)
			outcome, err := p.Set(t.Context(), r)
			message, hint := fault.Show(err)
			if err == nil || outcome != "" || fault.CodeOf(err) != tt.code || !strings.Contains(message, tt.message) || !strings.HasPrefix(message, "publish ") {
				t.Errorf("%q, %v; want %s with %q", outcome, err, tt.code, tt.message)
			}
			if tt.code == fault.NotFound && hint == "" {
				t.Error("no hint")
			}
			if got := records(t, memory, "example.org"); len(got) != 0 {
				t.Errorf("it wrote %v", got)
			}
		})
	}
}

// scripted is a provider that holds what the test says.
type scripted struct {
	caps    publisher.Capabilities
	outcome publisher.Outcome
	err     error
	have    []libdns.Record // what Get gives
	getErr  error
	got     publisher.Change
}

func (s *scripted) Capabilities() publisher.Capabilities { return s.caps }

func (s *scripted) Get(context.Context, string, string) ([]libdns.Record, error) {
	return s.have, s.getErr
}

func (s *scripted) Set(_ context.Context, _ string, c publisher.Change) (publisher.Outcome, error) {
	s.got = c
	return s.outcome, s.err
}

// Done is only said when what was written stands there.
func TestReadBack(t *testing.T) {
	record := func(rrtype, v string) []libdns.Record {
		return []libdns.Record{publisher.NewRecord("s", rrtype, v, 0)}
	}
	tests := []struct {
		name    string
		s       scripted
		outcome publisher.Outcome
		code    fault.Code
		message string
	}{
		{"stands", scripted{outcome: publisher.Done, have: record("TXT", "new")}, publisher.Done, "", ""},
		{"the old still stands", scripted{outcome: publisher.Done, have: record("TXT", "old")}, "", fault.Unavailable, "old record still stands"},
		{"something else stands", scripted{outcome: publisher.Done, have: record("TXT", "theirs")}, "", fault.Conflict, "theirs"},
		{"both stand", scripted{outcome: publisher.Done, have: append(record("TXT", "old"), record("TXT", "new")...)}, "", fault.Conflict, "old"},
		{"nothing stands", scripted{outcome: publisher.Done}, "", fault.Conflict, "nothing"},
		{"a CNAME stands", scripted{outcome: publisher.Done, have: record("CNAME", "t.example.net")}, "", fault.Conflict, "t.example.net"},
		{"cannot be read", scripted{outcome: publisher.Done, getErr: fault.New(fault.Unavailable, "away")}, "", fault.Unavailable, "away"},
		{"pending is not read", scripted{outcome: publisher.Pending, getErr: errors.New("not asked")}, publisher.Pending, "", ""},
		{"an error of no kind", scripted{err: errors.New("bang")}, "", fault.Internal, "bang"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := publisher.New(publisher.Deps{Zones: cuts{"example.org"}, Kinds: map[inventory.PublisherKind]publisher.Open{
				"scripted": func(inventory.Publisher) (publisher.Provider, error) { return &tt.s, nil },
			}})
			if err := p.Reconfigure([]inventory.Publisher{{Name: "p", Kind: "scripted"}}); err != nil {
				t.Fatal(err)
			}
			outcome, err := p.Set(t.Context(), publisher.Request{Publisher: "p", Name: "s.example.org", Type: "TXT", Expect: "old", Want: "new", TTL: time.Hour})
			if outcome != tt.outcome || tt.code == "" && err != nil || tt.code != "" && (err == nil || fault.CodeOf(err) != tt.code || !strings.Contains(err.Error(), tt.message)) {
				t.Errorf("%q, %v; want %q, %s with %q", outcome, err, tt.outcome, tt.code, tt.message)
			}
		})
	}
}

func TestCapabilitiesAreObeyed(t *testing.T) {
	s := &scripted{outcome: publisher.Pending, caps: publisher.Capabilities{MinTTL: 2 * time.Hour, MaxTXT: 10}}
	p := publisher.New(publisher.Deps{Zones: cuts{"example.org"}, Kinds: map[inventory.PublisherKind]publisher.Open{
		"scripted": func(inventory.Publisher) (publisher.Provider, error) { return s, nil },
	}})
	if err := p.Reconfigure([]inventory.Publisher{{Name: "p", Kind: "scripted"}}); err != nil {
		t.Fatal(err)
	}
	r := publisher.Request{Publisher: "p", Name: "s.example.org", Type: "TXT", Want: "0123456789", TTL: time.Hour}
	if _, err := p.Set(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if got := s.got.Want[0].RR().TTL; got != 2*time.Hour {
		t.Errorf("TTL %s", got)
	}
	if s.got.Name != "s" || len(s.got.Expect) != 0 {
		t.Errorf("%+v", s.got)
	}
	r.Want += "x"
	if _, err := p.Set(t.Context(), r); fault.CodeOf(err) != fault.Invalid || err == nil {
		t.Errorf("a value of 11 octets: %v", err)
	}
}

// One unusable publisher does not take the others along, and the others keep their providers.
func TestReconfigure(t *testing.T) {
	opened := 0
	p := publisher.New(publisher.Deps{Zones: cuts{"example.org"}, Kinds: map[inventory.PublisherKind]publisher.Open{
		"counted": func(inventory.Publisher) (publisher.Provider, error) {
			opened++
			return &scripted{outcome: publisher.Pending}, nil
		},
		"broken": func(inventory.Publisher) (publisher.Provider, error) {
			return nil, fault.New(fault.Invalid, "bad address").WithHint("write it better")
		},
	}})
	good, broken := inventory.Publisher{Name: "good", Kind: "counted"}, inventory.Publisher{Name: "broken", Kind: "broken"}
	set := func(name string) error {
		_, err := p.Set(t.Context(), publisher.Request{Publisher: name, Name: "s.example.org", Type: "TXT", Want: "v", TTL: time.Hour})
		return err
	}
	err := p.Reconfigure([]inventory.Publisher{good, broken, {Name: "odd", Kind: "carrier pigeon"}, {Name: "zone", Kind: "counted", Zone: "a..b"}})
	for _, part := range []string{"bad address", "carrier pigeon", "a..b"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%q is not in: %v", part, err)
		}
	}
	if err := set("good"); err != nil {
		t.Error(err)
	}
	err = set("broken")
	if message, hint := fault.Show(err); fault.CodeOf(err) != fault.Invalid || !strings.Contains(message, "bad address") || hint != "write it better" {
		t.Errorf("%q, hint %q", message, hint)
	}
	if err := p.Reconfigure([]inventory.Publisher{good}); err != nil || opened != 1 {
		t.Errorf("opened %d times, %v", opened, err)
	}
	good.Contact = "somebody else"
	if err := p.Reconfigure([]inventory.Publisher{good}); err != nil || opened != 2 {
		t.Errorf("opened %d times, %v", opened, err)
	}
	if err := set("broken"); fault.CodeOf(err) != fault.NotFound || err == nil {
		t.Errorf("a publisher that is gone: %v", err)
	}
}
