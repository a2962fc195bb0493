package main

import (
	"bytes"
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fakedns"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/resolver"
	"github.com/postseal/postseal/internal/services"
)

func catalogue(t *testing.T) *services.Catalogue {
	t.Helper()
	c, err := services.Load()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A conversation: each line is an answer; what cannot be is asked again.
func TestAskAnswers(t *testing.T) {
	c := catalogue(t)
	tests := []struct {
		name, id, typed string
		want            services.Answers
		says            string
		err             string
	}{
		{"Google", "google-workspace", "\nv=DKIM1; k=rsa; p=MIIB\n", services.Answers{Selectors: []string{"google"}, TXT: "v=DKIM1; k=rsa; p=MIIB"}, "Admin console", ""},
		{"Google, a whole line", "google-workspace", "mail\nmail._domainkey 3600 IN TXT \"v=DKIM1; p=MIIB\"\n", services.Answers{Selectors: []string{"mail"}, TXT: `"v=DKIM1; p=MIIB"`}, "whole line", ""},
		{"the second is guessed from the first", "sendgrid", "s1.domainkey.u1.wl2.sendgrid.net.\n\n",
			services.Answers{Targets: map[string]string{"s1": "s1.domainkey.u1.wl2.sendgrid.net", "s2": "s2.domainkey.u1.wl2.sendgrid.net"}}, "nothing: s2.domainkey.u1.wl2.sendgrid.net", ""},
		{"wrong field, then right", "sendgrid", "v=DKIM1; p=MIIB\ns1.domainkey.u1.wl2.sendgrid.net\ns2.domainkey.u1.wl2.sendgrid.net",
			services.Answers{Targets: map[string]string{"s1": "s1.domainkey.u1.wl2.sendgrid.net", "s2": "s2.domainkey.u1.wl2.sendgrid.net"}}, "that cannot be: Twilio SendGrid", ""},
		{"wrong three times", "sendgrid", "v=DKIM1\nv=DKIM1\nv=DKIM1\n", services.Answers{}, "", "value of a TXT record"},
		{"tokens", "amazon-ses", "a,b,c\n", services.Answers{Selectors: []string{"a", "b", "c"}}, "something else: amazon-ses-byodkim", ""},
		{"nothing to ask", "mailchimp", "", services.Answers{}, "", ""},
		{"no answer", "sendgrid", "", services.Answers{}, "", "was not answered"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, ok := c.Lookup(tt.id)
			if !ok {
				t.Fatal("not in the catalogue")
			}
			var out bytes.Buffer
			got, err := askAnswers(strings.NewReader(tt.typed), &out, s, c.Variants(s), "example.org", services.Answers{})
			if tt.err != "" {
				if message, _ := fault.Show(err); !strings.Contains(message, tt.err) {
					t.Fatalf("%v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.Selectors, tt.want.Selectors) || got.TXT != tt.want.TXT || len(got.Targets) != len(tt.want.Targets) {
				t.Errorf("%+v, want %+v", got, tt.want)
			}
			for k, v := range tt.want.Targets {
				if got.Targets[k] != v {
					t.Errorf("%s = %q, want %q", k, got.Targets[k], v)
				}
			}
			if !strings.Contains(out.String(), tt.says) {
				t.Errorf("it says %q, want %q", out.String(), tt.says)
			}
		})
	}
}

// What is printed for fleet.yaml is read by its parser as what was meant, whatever the names and values look like.
func TestFleetLinesAreFleetYAML(t *testing.T) {
	c := catalogue(t)
	record := func(selector, rrtype, value string) services.SetupRecord {
		return services.SetupRecord{Selector: selector, Type: rrtype, Value: value}
	}
	for _, tt := range []struct {
		service, stream string
		custom          bool
		records         []services.SetupRecord
	}{
		{"google-workspace", "", false, []services.SetupRecord{record("google", "TXT", "v=DKIM1; k=rsa; p=MIIB'+/=")}},
		{"pardot", "", false, []services.SetupRecord{record("200608", "TXT", "k=rsa; p=MIIB # no comment: \"quoted\"")}},
		{"sendgrid", "bulk", false, []services.SetupRecord{record("s1", "CNAME", "s1.domainkey.u1.wl2.sendgrid.net"), record("s2", "CNAME", "s2.domainkey.u1.wl2.sendgrid.net")}},
		{"own-tool", "", true, []services.SetupRecord{record("no", "CNAME", "1.example.net"), record("0x1", "CNAME", "2.example.net"), record("1e3", "CNAME", "3.example.net")}},
		{"own-tool", "", true, []services.SetupRecord{record("a", "TXT", "p=MIIB"), record("b", "TXT", "p=MIIC")}},
	} {
		text := "publishers: {hand: {manual: {contact: dns@example.org}}}\ndomains:\n  example.org:\n    publisher: hand\n    signers:\n" + fleetLines(tt.service, tt.stream, tt.custom, tt.records)
		if err := yaml.Unmarshal([]byte(text), new(any)); err != nil {
			t.Errorf("%s: %v\n%s", tt.service, err, text)
			continue
		}
		f, err := inventory.ParseFleet("fleet.yaml", []byte(text), c)
		if err != nil {
			t.Errorf("%s: %v\n%s", tt.service, err, text)
			continue
		}
		s := f.Domains[0].Signers[0]
		var got []services.SetupRecord
		for _, r := range s.Records {
			got = append(got, record(r.Selector, r.Type, r.Value))
		}
		if s.Service != tt.service || s.Custom != tt.custom || tt.stream != "" && s.Stream != tt.stream || !slices.Equal(got, tt.records) {
			t.Errorf("%+v, want %+v\n%s", s, tt.records, text)
		}
	}
}

// A domain is looked at through a recursive server: chains over several zones, nested SPF, MX, a delegation, and a wildcard.
func TestLookAtDomain(t *testing.T) {
	network := fakedns.New(t)
	zone := network.Zone("example.org", 1)
	network.Zone("sendgrid.net", 1).TXT("s1.domainkey.u1.wl2.sendgrid.net", "k=rsa; p=MIIB")
	network.Zone("mcsv.net", 1) // Mailchimp's target is gone
	zone.CNAME("s1._domainkey.example.org", "s1.domainkey.u1.wl2.sendgrid.net")
	zone.CNAME("k2._domainkey.example.org", "dkim2.mcsv.net")
	zone.TXT("google._domainkey.example.org", "v=DKIM1; p=MIIB")
	zone.TXT("20260102030405pm._domainkey.example.org", "k=rsa;p=MIIB")
	zone.CNAME("pm-bounces.example.org", "pm.mtasv.net")
	zone.TXT("example.org", "v=spf1 include:spf.vendor.example include:_spf.google.com -all", "atlassian-sending-domain-verification=1")
	zone.Set("example.org", "MX", "10 example-org.mail.protection.outlook.com.")
	vendor := network.Zone("vendor.example", 1)
	vendor.TXT("spf.vendor.example", "v=spf1 include:spf.loop.vendor.example include:servers.mcsv.net ~all")
	vendor.TXT("spf.loop.vendor.example", "v=spf1 include:spf.vendor.example redirect=%{d}.vendor.example")
	r, err := resolver.New(resolver.Config{Recursive: []string{network.Recursive()}, Timeout: fakedns.Patience})
	if err != nil {
		t.Fatal(err)
	}
	c := catalogue(t)
	look := lookAtDomain(t.Context(), recursiveAsker{r}, c, "example.org", []string{"20260102030405pm"}, io.Discard)
	if look.Wildcard || look.Queries < 100 || len(look.NotChecked) > 1 { // the zone of pm.mtasv.net is nobody's here
		t.Errorf("%+v", look)
	}
	var hosts []string
	for _, h := range look.SPF {
		hosts = append(hosts, strings.Join(append(slices.Clone(h.Via), h.Host), ">"))
	}
	want := []string{"spf.vendor.example", "_spf.google.com", "spf.vendor.example>spf.loop.vendor.example", "spf.vendor.example>servers.mcsv.net", "spf.vendor.example>spf.loop.vendor.example>%{d}.vendor.example"}
	if !slices.Equal(hosts, want) {
		t.Errorf("SPF %q, want %q", hosts, want)
	}
	out := detectionOf(c.Detect(look.Sighted), look)
	var got []string
	for _, x := range out.Services {
		text := x.Service + " " + string(x.Confidence)
		for _, clue := range x.Clues {
			text += " " + clue.Kind
		}
		got = append(got, text)
	}
	want = []string{"mailchimp certain cname spf", "postmark certain record selector", "sendgrid certain cname", "atlassian likely token", "google-workspace likely selector spf", "microsoft-365 possible mx"}
	if !slices.Equal(got, want) {
		t.Errorf("detected %q, want %q", got, want)
	}
	if len(out.Unknown) > 0 {
		t.Errorf("unknown %+v", out.Unknown)
	}

	// A wildcard answers for every selector: only what differs from it was made by somebody.
	zone.TXT("*._domainkey.example.org", "v=spf1 -all")
	look = lookAtDomain(t.Context(), recursiveAsker{r}, c, "example.org", nil, io.Discard)
	if !look.Wildcard || len(look.Selectors) != 3 {
		t.Errorf("with a wildcard: %+v", look.Selectors)
	}

	other := network.Zone("example.net", 1)
	network.Zone("_domainkey.example.net", 1).NS("_domainkey.example.net", "ns.vali.email")
	other.NS("_domainkey.example.net", "ns.vali.email")
	look = lookAtDomain(t.Context(), recursiveAsker{r}, c, "example.net", nil, io.Discard)
	if found := c.Detect(look.Sighted).Services; len(found) != 1 || found[0].Service.ID != "valimail" || found[0].Confidence != services.Certain {
		t.Errorf("delegated: %+v of %+v", found, look.Delegation)
	}
}

// Endless SPF ends.
func TestSPFHostsEnd(t *testing.T) {
	asked := 0
	dns := askFunc(func(name, _ string) resolver.Answer {
		asked++
		return resolver.Answer{Status: resolver.StatusOK, TXT: []string{"v=spf1 include:a." + name + " include:b." + name + " ?all"}}
	})
	hosts, n := spfHosts(t.Context(), dns, []string{"v=spf1 include:x.example"})
	if len(hosts) != maxSPFHosts || n != asked || asked > maxSPFHosts {
		t.Errorf("%d hosts after %d questions", len(hosts), asked)
	}
	if hosts, _ := spfHosts(t.Context(), dns, []string{"v=spf1 include:x.example", "v=spf1 -all"}); len(hosts) > 0 {
		t.Errorf("two SPF records are none (RFC 7208 §4.5): %v", hosts)
	}
}

type askFunc func(name, rrtype string) resolver.Answer

func (f askFunc) ask(_ context.Context, name, rrtype string) resolver.Answer { return f(name, rrtype) }

func FuzzSPFTerms(f *testing.F) {
	f.Add("v=spf1 include:a.example redirect=b.example")
	f.Fuzz(func(t *testing.T, text string) {
		for _, name := range spfTerms([]string{text}) {
			if name == "" && !strings.Contains(text, ".") {
				t.Fatalf("an empty name in %q", text)
			}
		}
	})
}

// A record of Postseal's own that gets another value is not called somebody else's.
func TestStandingKnowsOurs(t *testing.T) {
	const name, was = "s1._domainkey.example.org", "s1.domainkey.u1.wl1.sendgrid.net"
	for what, c := range map[string]struct {
		record client.Record
		state  string
	}{
		"what Postseal wrote":        {client.Record{Name: name, Type: "CNAME", Want: was, Written: was}, "ours"},
		"in other letters":           {client.Record{Name: name, Type: "CNAME", Want: was, Written: strings.ToUpper(was)}, "ours"},
		"wanted and made by others":  {client.Record{Name: name, Type: "CNAME", Want: was}, "other"},
		"changed by others":          {client.Record{Name: name, Type: "CNAME", Want: was, Written: "s1.domainkey.u2.wl2.sendgrid.net"}, "other"},
		"a record of another type":   {client.Record{Name: name, Type: "TXT", Want: was, Written: was}, "other"},
		"a record of another domain": {client.Record{Name: "s1._domainkey.example.net", Type: "CNAME", Want: was, Written: was}, "other"},
	} {
		s := standing{Name: name, State: "other", Text: "Postseal leaves it alone", rtype: "CNAME", value: was}
		s.know([]client.Record{c.record})
		if s.State != c.state || strings.Contains(s.Text, "is changed: it was "+was) != (c.state == "ours") {
			t.Errorf("%s: %s, %s", what, s.State, s.Text)
		}
	}
}

// A resolver that says nothing is not asked hundreds of questions, and being stopped is said in words.
func TestServiceDetectWithoutResolver(t *testing.T) {
	n := fakedns.New(t)
	n.Recursives()[0].Fail(fakedns.Timeout)
	r, err := resolver.New(resolver.Config{Recursive: []string{n.Recursive()}, Timeout: 50 * time.Millisecond, Tries: 1})
	if err != nil {
		t.Fatal(err)
	}
	c, err := services.Load()
	if err != nil {
		t.Fatal(err)
	}
	look := lookAtDomain(t.Context(), recursiveAsker{r}, c, "example.org", nil, io.Discard)
	if most := 1 + looksTogether + silentAfter; look.Queries > most || len(look.NotChecked) < look.Queries-1 {
		t.Errorf("%d questions of at most %d, not checked: %d", look.Queries, most, len(look.NotChecked))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var errs strings.Builder
	root := newRoot()
	root.SetErr(&errs)
	if code := run(ctx, root, []string{"service", "detect", "example.org", "--resolver", n.Recursive()}); code != exitUsage || errs.String() != "postseal: interrupted\n" {
		t.Errorf("exit %d, %q", code, errs.String())
	}
}
