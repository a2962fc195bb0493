package services

import (
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/fault"
)

func load(t *testing.T) *Catalogue {
	t.Helper()
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCatalogueIsComplete(t *testing.T) {
	c := load(t)
	// The rows of the reference, some of which name several services.
	if n := len(c.All()); n < 111 {
		t.Errorf("%d services, want at least 111", n)
	}
	want := map[string]Method{
		"google-workspace": TXT, "microsoft-365": CNAME, "sendgrid": CNAME, "mailchimp": CNAME, "mandrill": TXTOrCNAME,
		"amazon-ses": CNAME, "mailgun": TXT, "postmark": TXT, "hubspot": CNAME, "salesforce": CNAME, "zendesk": CNAME,
		"klaviyo": CNAME, "valimail": NS, "github": None,
	}
	for id, method := range want {
		s, ok := c.Lookup(id)
		if !ok || s.Signs != method {
			t.Errorf("%s: found %v, signs %q, want %q", id, ok, s.Signs, method)
		}
	}
}

// Every entry says how sure it is, and what it calls weaker than its mark is a field that it has.
func TestEveryEntryHasEvidence(t *testing.T) {
	fields := []string{"selectors", "records", "count", "bits", "shared", "rotation", "rotation_api", "own_key", "spf", "return_path", "api", "docs", "idle", "min_days", "also", "tokens"}
	for _, s := range load(t).All() {
		if s.Evidence == "" {
			t.Errorf("%s: no mark of evidence", s.ID)
		}
		for _, f := range s.FromMemory {
			if !slices.Contains(fields, f) {
				t.Errorf("%s: from_memory names %q, which is no field", s.ID, f)
			}
			if s.Evidence != Confirmed {
				t.Errorf("%s: from_memory beside the mark %q says nothing", s.ID, s.Evidence)
			}
			if s.EvidenceOf(f) != Memory {
				t.Errorf("%s: EvidenceOf(%q) = %q", s.ID, f, s.EvidenceOf(f))
			}
		}
		for _, f := range s.Published {
			if !slices.Contains(fields, f) || s.Evidence == Confirmed || s.EvidenceOf(f) != Confirmed || slices.Contains(s.FromMemory, f) {
				t.Errorf("%s: confirmed names %q beside the mark %q: %q", s.ID, f, s.Evidence, s.EvidenceOf(f))
			}
		}
		empty := map[string]bool{
			"count": s.Count == 0, "bits": len(s.Bits) == 0, "rotation_api": !s.RotationAPI, "own_key": !s.OwnKey,
			"spf": len(s.SPF) == 0, "api": !s.API, "docs": s.Docs == "", "idle": !s.IdleRevoked, "min_days": s.MinDays == 0, "also": len(s.Also) == 0,
			"tokens": len(s.Tokens) == 0,
		}
		for _, f := range slices.Concat(s.FromMemory, s.Published) {
			if empty[f] {
				t.Errorf("%s: %s is marked as from memory but is not there", s.ID, f)
			}
		}
		if !slices.IsSorted(s.Bits) {
			t.Errorf("%s: bits %v are not in order", s.ID, s.Bits)
		}
	}
}

// What a pattern shows to people as an example has to fit the pattern: otherwise the advice would be wrong.
func TestEveryTargetFitsItself(t *testing.T) {
	c := load(t)
	fill := strings.NewReplacer("**", "a.b", "*", "x1")
	for _, s := range c.All() {
		for _, r := range s.Records {
			selector := fill.Replace(string(r.Selectors[0]))
			for _, p := range r.Targets {
				target := fill.Replace(strings.ReplaceAll(string(p), ownSelector, selector))
				if ok, why := s.CheckTarget(selector, target); !ok || why != "" {
					t.Errorf("%s: CheckTarget(%q, %q) = %v, %q", s.ID, selector, target, ok, why)
				}
				if ok, _ := s.CheckTarget(selector, target+".attacker.example"); ok {
					t.Errorf("%s: %q is taken with a foreign name behind it", s.ID, target)
				}
				if !slices.ContainsFunc(c.Recognise(selector, []string{target}), func(f Service) bool { return f.ID == s.ID }) {
					t.Errorf("%s is not recognised by its own target %q", s.ID, target)
				}
			}
		}
	}
}

func TestCheckTarget(t *testing.T) {
	tests := []struct {
		id, selector, target string
		ok                   bool
		why                  string // a part of it; "" when nothing is to be said
	}{
		{"sendgrid", "s1", "s1.domainkey.u1234567.wl123.sendgrid.net", true, ""},
		{"sendgrid", "S1", "S1.DomainKey.u1234567.wl123.SendGrid.net.", true, ""},
		{"sendgrid", "s1", "s2.domainkey.u1234567.wl123.sendgrid.net", false, "points to s1.domainkey.u….wl….sendgrid.net"},
		{"sendgrid", "own", "s1.domainkey.u1234567.wl123.sendgrid.net", true, ""},
		{"sendgrid", "s1", "s1.domainkey.u1.wl1.sendgrid.net.attacker.example", false, "not to"},
		{"sendgrid", "s1", `s1.domainkey.u1.wl1\.sendgrid.net`, false, "not a host name"},
		{"sendgrid", "s1", "", false, "not a host name"},
		{"sendgrid", "s1", "s1.domainkey..wl1.sendgrid.net", false, "not to"},
		{"microsoft-365", "selector1", "selector1-example-org._domainkey.contoso.onmicrosoft.com", true, ""},
		{"microsoft-365", "selector2", "selector2-example-org._domainkey.contoso.n-v1.dkim.mail.microsoft", true, ""},
		{"microsoft-365", "selector2", "selector1-example-org._domainkey.contoso.onmicrosoft.com", false, "selector2-…._domainkey"},
		{"microsoft-365", "selector3", "selector3-example-org._domainkey.contoso.onmicrosoft.com", false, "selector1, selector2, not with selector3"},
		{"mailchimp", "k2", "dkim2.mcsv.net", true, ""},
		{"mailchimp", "k2", "dkim3.mcsv.net", false, "dkim2.mcsv.net"},
		{"fastmail", "fm1", "fm1.mail.example.co.uk.dkim.fmhosted.com", true, ""},
		{"fastmail", "fm1", "fm1.dkim.fmhosted.com", false, "fm1.….dkim.fmhosted.com"},
		{"hubspot", "hs1-1234", "example-org.hs07a.dkim.hubspotemail.net", true, ""},
		{"hubspot", "hs2-1234", "example-org.hs07a.dkim.hubspotemail.net", false, "b.dkim"},
		{"aweber", "aweber_key_a", "aweber_key_a.send.aweber.com", true, ""},
		{"gorgias", "gor", "anything.example", true, "does not know where"},
		{"lettermint", "x", "anything.example", true, "does not know"},
		{"google-workspace", "google", "google._domainkey.example.net", false, "TXT value"},
		{"slack", "s", "x.example", false, "nothing to publish"},
		{"valimail", "any", "ns.vali.email", true, ""},
	}
	c := load(t)
	for _, tt := range tests {
		s, found := c.Lookup(tt.id)
		if !found {
			t.Errorf("%s is missing", tt.id)
			continue
		}
		ok, why := s.CheckTarget(tt.selector, tt.target)
		if ok != tt.ok || !strings.Contains(why, tt.why) || (tt.why == "") != (why == "") {
			t.Errorf("%s: CheckTarget(%q, %q) = %v, %q; want %v, %q", tt.id, tt.selector, tt.target, ok, why, tt.ok, tt.why)
		}
	}
}

func TestSuggest(t *testing.T) {
	c := load(t)
	tests := map[string]string{
		"sendgird": "sendgrid", "SendGrid": "sendgrid", "mailchip": "mailchimp", "amazon_ses": "amazon-ses", "google-workspaces": "google-workspace",
		"microsoft-office": "microsoft-365", "convertkti": "kit", "zendeks": "zendesk", "salesforce-mc": "salesforce",
		"qqqqqqqqq": "", "": "", strings.Repeat("s", 1000): "",
	}
	for written, want := range tests {
		got := c.Suggest(written)
		if want == "" && len(got) > 0 || want != "" && (len(got) == 0 || got[0] != want) {
			t.Errorf("Suggest(%.20q) = %v, want %q first", written, got, want)
		}
		if len(got) > maxSuggestions {
			t.Errorf("Suggest(%.20q) gives %d names", written, len(got))
		}
	}
}

func TestFindSaysWhatToDo(t *testing.T) {
	c := load(t)
	if s, err := c.Find("M365"); err != nil || s.ID != "microsoft-365" {
		t.Errorf("Find(alias) = %q, %v", s.ID, err)
	}
	_, err := c.Find("sendgird")
	message, hint := fault.Show(err)
	if fault.CodeOf(err) != fault.NotFound || message != `unknown service "sendgird"` || !strings.HasPrefix(hint, "did you mean sendgrid") {
		t.Errorf("Find = %v, hint %q", err, hint)
	}
	_, err = c.Find(strings.Repeat("ä", 5000))
	if message, hint := fault.Show(err); len(message) > 300 || hint == "" {
		t.Errorf("a long name gives %d bytes and the hint %q", len(message), hint)
	}
}

func TestRecognise(t *testing.T) {
	tests := []struct {
		selector string
		chain    []string
		want     string // the first answer; "" for none
	}{
		{"s1", []string{"s1.domainkey.u1.wl2.sendgrid.net"}, "sendgrid"},
		{"s1", []string{"s1.domainkey.tutanota.de"}, "tuta"},
		{"renamed", []string{"dkim2.mcsv.net"}, "mailchimp"},
		{"abc", []string{"dkim1.0f0f.p123.email.myshopify.com", "abc.domainkey.u1.wl2.sendgrid.net"}, "shopify"},
		{"x", []string{"dkim.own.example", "zendesk1._domainkey.zendesk.com"}, "zendesk"},
		{"google", []string{"dkim.own.example"}, ""},
		{"x", []string{"dkim2.mcsv.net.attacker.example"}, ""},
		{"google", nil, "google-workspace"},
		{"20230102030405pm", nil, "postmark"},
		{"zendesk1", nil, "zendesk"},
		{"s1", nil, ""},
		{"smtp", nil, ""},
		{"200608", nil, ""},
		{"server7", nil, ""},
	}
	c := load(t)
	for _, tt := range tests {
		var got string
		if found := c.Recognise(tt.selector, tt.chain); len(found) > 0 {
			got = found[0].ID
		}
		if got != tt.want {
			t.Errorf("Recognise(%q, %q) = %q, want %q", tt.selector, tt.chain, got, tt.want)
		}
	}
}

func TestParseIsStrict(t *testing.T) {
	good := "services:\n- {id: a, title: A, category: mailbox, signs: cname, rotation: provider, return_path: own, evidence: memory, records: [{selectors: [x], targets: [x.example.net]}]}\n"
	if _, err := parse([]byte(good)); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct{ old, new, want string }{
		"unknown field":      {"title: A", "title: A, colour: red", "colour"},
		"no title":           {"title: A", "title: ''", "title"},
		"id in capitals":     {"id: a", "id: Aa", "lower-case"},
		"unknown method":     {"signs: cname", "signs: dane", "signs"},
		"no evidence":        {", evidence: memory", "", "evidence"},
		"unknown rotation":   {"rotation: provider", "rotation: sometimes", "rotation"},
		"open domain":        {"x.example.net", "'x.exam*.net'", "plain"},
		"two gaps":           {"x.example.net", "'**.x.**.example.net'", "once"},
		"half a gap":         {"x.example.net", "'x**.example.net'", "whole label"},
		"empty label":        {"x.example.net", "x..example.net", "labels"},
		"target of a TXT":    {"signs: cname", "signs: txt", "no target"},
		"no selectors":       {"selectors: [x], ", "", "without selectors"},
		"selector of labels": {"selectors: [x]", "selectors: ['**']", "only *"},
		"no records":         {", records: [{selectors: [x], targets: [x.example.net]}]", "", "selector_hint"},
		"missing carrier":    {"title: A", "title: A, carrier: b", "carrier"},
		"missing variant":    {"title: A", "title: A, variant_of: b", "variant"},
		"odd forms":          {"[x.example.net]", "[x.example.net], forms: [a, b]", "forms"},
		"odd holding":        {"[x.example.net]", "[x.example.net], holds: all", "holds"},
		"odd purpose":        {"title: A", "title: A, also: [{for: fun, name: x}]", "for"},
		"nameless record":    {"title: A", "title: A, also: [{for: spf}]", "without a name"},
		"general token":      {"title: A", "title: A, tokens: ['a=']", "too general"},
		"open MX":            {"title: A", "title: A, mx: ['*.com']", "plain"},
		"silent input":       {"title: A", "title: A, inputs: [{name: txt}]", "question"},
		"alias taken":        {"title: A", "title: A, aliases: [a]", "names both"},
		"not YAML":           {"services:", "services: [", "read the catalogue"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(good, tt.old) {
				t.Fatalf("%q is not in the good catalogue", tt.old)
			}
			_, err := parse([]byte(strings.Replace(good, tt.old, tt.new, 1)))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("err = %v, want one with %q", err, tt.want)
			}
		})
	}
}

func TestMatchLabels(t *testing.T) {
	tests := []struct {
		pattern Pattern
		name    string
		want    bool
	}{
		{"a*b.example.net", "ab.example.net", true},
		{"a*b.example.net", "axb.example.net", true},
		{"a*b.example.net", "axbc.example.net", false},
		{"aa*aa.example.net", "aaa.example.net", false},
		{"a*b*c.example.net", "a1b2c.example.net", true},
		{"a*b*c.example.net", "a1c2b.example.net", false},
		{"*.example.net", "a.b.example.net", false},
		{"*.example.net", ".example.net", false},
		{"**.example.net", "a.b.example.net", true},
		{"**.example.net", "example.net", false},
		{"**.example.net", "a..example.net", false},
		{"x.**.example.net", "x.example.net", false},
		{"x.**.example.net", "x.y.example.net", true},
		{"*.example.net", "*.example.net", false},
	}
	for _, tt := range tests {
		if got := tt.pattern.Match("", tt.name); got != tt.want {
			t.Errorf("%q matches %q: %v, want %v", tt.pattern, tt.name, got, tt.want)
		}
	}
}

func FuzzCheckTarget(f *testing.F) {
	f.Add("s1", "s1.domainkey.u1.wl1.sendgrid.net")
	f.Add("{selector}", "{selector}.dkim.amazonses.com.")
	f.Add("*", "**")
	c, err := Load()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, selector, target string) {
		for _, s := range c.All() {
			ok, why := s.CheckTarget(selector, target)
			if !ok && why == "" {
				t.Fatalf("%s refuses without a reason", s.ID)
			}
		}
		c.Recognise(selector, []string{target})
		c.Suggest(selector)
	})
}
