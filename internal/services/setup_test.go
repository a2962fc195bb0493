package services

import (
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/fault"
)

const (
	setupDomain = "example.org"
	sampleTXT   = "v=DKIM1; k=rsa; p=MIIBIjANBgkq"
)

// answer gives what an account could have: names that fit the catalogue's own patterns.
func answer(s Service, in Input, a *Answers) {
	fill := strings.NewReplacer("**", "a.b", "*", "x1")
	switch in.Kind {
	case KindTXT:
		a.TXT = sampleTXT
	case KindTarget:
		r, _ := s.record(in.Name)
		target := "key.service.example"
		if len(r.Targets) > 0 {
			pattern := strings.ReplaceAll(string(r.Targets[0]), ownSelector, in.Name)
			switch r.Holds {
			case HoldsDomain:
				pattern = strings.Replace(pattern, "**", setupDomain, 1)
			case HoldsDashed:
				pattern = strings.Replace(pattern, "*", "example-org", 1)
			}
			target = fill.Replace(pattern)
		}
		a.Targets[in.Name] = target
	case KindSelector:
		if in.Default != "" {
			a.Selectors = append(a.Selectors, in.Default)
			return
		}
		var usual []string
		for _, r := range s.current() {
			for _, p := range r.Selectors {
				usual = append(usual, string(p))
			}
		}
		if len(usual) < max(1, s.Count) && !strings.Contains(strings.Join(usual, ""), "*") {
			usual = []string{"*"}
		}
		for i := range max(1, s.Count) {
			a.Selectors = append(a.Selectors, strings.ReplaceAll(usual[i%len(usual)], "*", "abc"+string(rune('0'+i))))
		}
		if s.ByTXT(*a) {
			a.Selectors = a.Selectors[:1]
		}
	}
}

// Whatever a service asks for is enough to publish: answers that fit the catalogue's own patterns give its usual number of
// records, at the selectors that it uses, and nothing to remark.
func TestEveryServiceCanBeSetUp(t *testing.T) {
	c := load(t)
	for _, s := range c.All() {
		a := Answers{Targets: map[string]string{}}
		if s.Signs == None || s.Signs == NS {
			if _, err := s.Setup(setupDomain, a); fault.CodeOf(err) != fault.Invalid || len(s.Ask(a)) > 0 {
				t.Errorf("%s: nothing can be set up for it, and it gives %v", s.ID, err)
			}
			continue
		}
		for round := 0; ; round++ {
			missing := s.Ask(a)
			if len(missing) == 0 {
				break
			}
			if round > 5 {
				t.Fatalf("%s goes on asking: %+v", s.ID, missing)
			}
			if _, err := s.Setup(setupDomain, a); fault.CodeOf(err) != fault.Invalid {
				t.Errorf("%s: an answer is missing, and that is taken: %v", s.ID, err)
			} else if _, hint := fault.Show(err); !strings.Contains(hint, s.Where()) {
				t.Errorf("%s: the hint %q does not say where to look", s.ID, hint)
			}
			for _, in := range missing {
				if in.Question == "" || in.Where == "" {
					t.Errorf("%s asks %+v", s.ID, in)
				}
				answer(s, in, &a)
			}
		}
		got, err := s.Setup(setupDomain, a)
		if err != nil {
			t.Errorf("%s: %v (%+v)", s.ID, err, a)
			continue
		}
		if len(got.Warnings)+len(got.Expected)+len(got.Notes) > 0 {
			t.Errorf("%s: remarks on its own patterns: %q %q %q", s.ID, got.Warnings, got.Expected, got.Notes)
		}
		want := s.Count
		if s.ByTXT(a) {
			want = 1
		}
		if want > 0 && len(got.Records) != want {
			t.Errorf("%s: %d records, want %d: %+v", s.ID, len(got.Records), want, got.Records)
		}
		for _, r := range got.Records {
			if r.Name != r.Selector+"._domainkey."+setupDomain || r.Value == "" || (r.Type == "TXT") != s.ByTXT(a) {
				t.Errorf("%s: %+v", s.ID, r)
			}
		}
	}
}

// The services that the guide names ask for exactly what differs from account to account.
func TestAskExactly(t *testing.T) {
	c := load(t)
	tests := map[string][]string{
		"google-workspace":   {"selector", "txt"},
		"microsoft-365":      {"selector1", "selector2"},
		"sendgrid":           {"s1", "s2"},
		"sendgrid-manual":    {"selector", "txt"},
		"mailchimp":          nil,
		"mandrill":           nil,
		"amazon-ses":         {"selector"},
		"amazon-ses-byodkim": {"selector", "txt"},
		"mailgun":            {"selector", "txt"},
		"mailgun-automatic":  {"pdk1", "pdk2"},
		"postmark":           {"selector", "txt"},
		"hubspot":            {"selector"},
		"salesforce":         {"selector"},
		"zendesk":            nil,
		"klaviyo":            {"kl", "kl2"},
		"smtp2go":            {"selector"},
	}
	for id, want := range tests {
		s, ok := c.Lookup(id)
		if !ok {
			t.Fatalf("%s is missing", id)
		}
		var got []string
		for _, in := range s.Ask(Answers{}) {
			got = append(got, in.Name)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s asks for %q, want %q", id, got, want)
		}
	}
	s, _ := c.Lookup("microsoft-365")
	ask := s.Ask(Answers{Targets: map[string]string{"selector1": "selector1-example-org._domainkey.contoso.n-v1.dkim.mail.microsoft"}})
	if len(ask) != 1 || ask[0].Default != "selector2-example-org._domainkey.contoso.n-v1.dkim.mail.microsoft" ||
		!slices.Contains(ask[0].Pattern, "selector2-…._domainkey.….onmicrosoft.com (older tenants)") {
		t.Errorf("the second target: %+v", ask)
	}
}

func TestSetup(t *testing.T) {
	type answers map[string]string
	tests := []struct {
		name, id string
		selector string
		txt      string
		targets  answers
		want     string // the records, as text
		err      string // a part of the error
		says     string // a part of the notes, warnings and expectations
	}{
		{name: "Mailchimp knows its own", id: "mailchimp", want: "k2 CNAME dkim2.mcsv.net; k3 CNAME dkim3.mcsv.net"},
		{name: "an old Mailchimp", id: "mailchimp", targets: answers{"k1": "dkim.mcsv.net"}, want: "k2 CNAME dkim2.mcsv.net; k3 CNAME dkim3.mcsv.net; k1 CNAME dkim.mcsv.net"},
		{name: "trailing dots, capitals", id: "sendgrid", targets: answers{"S1": "S1.DomainKey.u1.wl2.SendGrid.net.", "s2": "s2.domainkey.u1.wl2.sendgrid.net"},
			want: "s1 CNAME s1.domainkey.u1.wl2.sendgrid.net; s2 CNAME s2.domainkey.u1.wl2.sendgrid.net"},
		{name: "whole names and lines", id: "sendgrid", targets: answers{
			"s1._domainkey.example.org": "s1._domainkey.example.org. 3600 IN CNAME s1.domainkey.u1.wl2.sendgrid.net.",
			"s2._domainkey":             "s2._domainkey IN CNAME s2.domainkey.u1.wl2.sendgrid.net."},
			want: "s1 CNAME s1.domainkey.u1.wl2.sendgrid.net; s2 CNAME s2.domainkey.u1.wl2.sendgrid.net", says: "whole line"},
		{name: "a doubled domain behind the target", id: "sendgrid", targets: answers{"s1": "s1.domainkey.u1.wl2.sendgrid.net.example.org", "s2": "s2.domainkey.u1.wl2.sendgrid.net"},
			want: "s1 CNAME s1.domainkey.u1.wl2.sendgrid.net; s2 CNAME s2.domainkey.u1.wl2.sendgrid.net", says: "example.org stood behind the target"},
		{name: "a doubled domain in the name", id: "sendgrid", targets: answers{"s1._domainkey.example.org.example.org": "s1.domainkey.u1.wl2.sendgrid.net", "s2": "s2.domainkey.u1.wl2.sendgrid.net"},
			want: "s1 CNAME s1.domainkey.u1.wl2.sendgrid.net; s2 CNAME s2.domainkey.u1.wl2.sendgrid.net", says: "stood twice"},
		{name: "another service's target", id: "sendgrid", targets: answers{"s1": "s1._domainkey.example.org.s12.ascendbywix.com", "s2": "s2.domainkey.u1.wl2.sendgrid.net"},
			want: "s1 CNAME s1._domainkey.example.org.s12.ascendbywix.com; s2 CNAME s2.domainkey.u1.wl2.sendgrid.net", says: "points to s1.domainkey.u….wl….sendgrid.net"},
		{name: "selectors of the account's own", id: "sendgrid", targets: answers{"my1": "my1.domainkey.u1.wl2.sendgrid.net", "my2": "my2.domainkey.u1.wl2.sendgrid.net"},
			want: "my1 CNAME my1.domainkey.u1.wl2.sendgrid.net; my2 CNAME my2.domainkey.u1.wl2.sendgrid.net"},
		{name: "TXT where a CNAME is wanted", id: "sendgrid", txt: sampleTXT, selector: "s1", err: "set up with CNAME records"},
		{name: "TXT in the field of a target", id: "sendgrid", targets: answers{"s1": sampleTXT}, err: "value of a TXT record"},
		{name: "one target of two", id: "sendgrid", targets: answers{"s1": "s1.domainkey.u1.wl2.sendgrid.net"}, err: "points to (--cname s2=TARGET)"},
		{name: "the record's own name", id: "sendgrid", targets: answers{"s1": "s1._domainkey.example.org"}, err: "name of the record itself"},
		{name: "a name of one's own", id: "sendgrid", targets: answers{"s1": "s2._domainkey.example.org"}, err: "name of your own"},
		{name: "no host name", id: "sendgrid", targets: answers{"s1": "s1 domainkey"}, err: "not a host name"},
		{name: "Microsoft, old and new", id: "microsoft-365", targets: answers{
			"selector1": "selector1-example-org._domainkey.contoso.onmicrosoft.com", "selector2": "selector2-example-org._domainkey.contoso.n-v1.dkim.mail.microsoft"},
			want: "selector1 CNAME selector1-example-org._domainkey.contoso.onmicrosoft.com; selector2 CNAME selector2-example-org._domainkey.contoso.n-v1.dkim.mail.microsoft"},
		{name: "Microsoft, another domain's page", id: "microsoft-365", targets: answers{
			"selector1": "selector1-example-net._domainkey.contoso.onmicrosoft.com", "selector2": "selector2-example-org._domainkey.contoso.onmicrosoft.com"},
			want: "selector1 CNAME selector1-example-net._domainkey.contoso.onmicrosoft.com; selector2 CNAME selector2-example-org._domainkey.contoso.onmicrosoft.com",
			says: "target of another domain"},
		{name: "tokens", id: "amazon-ses", selector: "tok1, tok2 ,tok3", want: "tok1 CNAME tok1.dkim.amazonses.com; tok2 CNAME tok2.dkim.amazonses.com; tok3 CNAME tok3.dkim.amazonses.com"},
		{name: "tokens with their names", id: "amazon-ses", selector: "tok1._domainkey.example.org", want: "tok1 CNAME tok1.dkim.amazonses.com", says: "usually has 3 records"},
		{name: "regional tokens", id: "amazon-ses", targets: answers{"tok1": "tok1.dkim.eu-south-1.amazonses.com", "tok2": "tok2.dkim.eu-south-1.amazonses.com", "tok3": "tok3.dkim.eu-south-1.amazonses.com"},
			want: "tok1 CNAME tok1.dkim.eu-south-1.amazonses.com; tok2 CNAME tok2.dkim.eu-south-1.amazonses.com; tok3 CNAME tok3.dkim.eu-south-1.amazonses.com"},
		{name: "Google", id: "google-workspace", selector: "google", txt: sampleTXT, want: "google TXT " + sampleTXT},
		{name: "Google as a zone line", id: "google-workspace", txt: `google._domainkey.example.org. 300 IN TXT "v=DKIM1; k=rsa; " "p=MIIB"`, want: `google TXT "v=DKIM1; k=rsa; " "p=MIIB"`, says: "whole line"},
		{name: "Google, the line of another selector", id: "google-workspace", selector: "mail", txt: `google._domainkey TXT "v=DKIM1; p=MIIB"`, err: "for the selector google, not for mail"},
		{name: "a target where TXT is wanted", id: "google-workspace", selector: "google", txt: "google.domainkey.example.net", err: "is a host name"},
		{name: "a CNAME for Google", id: "google-workspace", targets: answers{"google": "google.example.net"}, err: "gives a TXT value"},
		{name: "the value in the wrong flag", id: "google-workspace", targets: answers{"google": sampleTXT}, err: "not a target"},
		{name: "no selector", id: "google-workspace", txt: sampleTXT, err: "selector prefix (--selector NAME)"},
		{name: "two selectors for one value", id: "google-workspace", selector: "a,b", txt: sampleTXT, err: "one TXT value"},
		{name: "a foreign selector", id: "titan", selector: "titan9", txt: sampleTXT, want: "titan9 TXT " + sampleTXT, says: "signs with the selector titan1"},
		{name: "Mandrill of old", id: "mandrill", selector: "mandrill", txt: sampleTXT, want: "mandrill TXT " + sampleTXT},
		{name: "a bad selector", id: "google-workspace", selector: "goo gle", txt: sampleTXT, err: "may hold letters"},
		{name: "nothing to publish", id: "slack", err: "nothing to publish"},
		{name: "delegated as a whole", id: "valimail", err: "delegated"},
		{name: "custom, targets", id: "", targets: answers{"a": "a.service.example"}, want: "a CNAME a.service.example"},
		{name: "custom, TXT", id: "", selector: "a", txt: sampleTXT, want: "a TXT " + sampleTXT},
		{name: "custom, nothing", id: "", err: "no record was given"},
		{name: "custom, both", id: "", selector: "a", txt: sampleTXT, targets: answers{"b": "b.service.example"}, err: "both"},
	}
	c := load(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var s Service
			if tt.id != "" {
				s, _ = c.Lookup(tt.id)
			}
			a := Answers{TXT: tt.txt, Targets: tt.targets}
			if tt.selector != "" {
				a.Selectors = []string{tt.selector}
			}
			got, err := s.Setup(setupDomain, a)
			if tt.err != "" {
				message, _ := fault.Show(err)
				if fault.CodeOf(err) != fault.Invalid || !strings.Contains(message, tt.err) {
					t.Fatalf("err = %v, want one with %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var records []string
			for _, r := range got.Records {
				records = append(records, r.Selector+" "+r.Type+" "+r.Value)
			}
			if text := strings.Join(records, "; "); text != tt.want {
				t.Errorf("%s\nwant %s", text, tt.want)
			}
			said := strings.Join(slices.Concat(got.Notes, got.Warnings, got.Expected), "\n")
			if !strings.Contains(said, tt.says) {
				t.Errorf("it says %q, want %q", said, tt.says)
			}
			if unusual := slices.Concat(got.Warnings, got.Expected); tt.says == "" && len(unusual) > 0 {
				t.Errorf("it warns: %q", unusual)
			}
		})
	}
}

// A fact from memory is an expectation, one that was confirmed is worth a warning.
func TestMemoryIsOnlyExpected(t *testing.T) {
	c := load(t)
	for id, selector := range map[string]string{"mailgun-automatic": "pdk1", "sendgrid": "s1"} {
		s, _ := c.Lookup(id)
		a := Answers{Targets: map[string]string{}}
		for _, other := range s.Selectors() {
			a.Targets[other] = other + ".elsewhere.example"
		}
		got, err := s.Setup(setupDomain, a)
		if err != nil {
			t.Fatal(err)
		}
		said, silent := got.Warnings, got.Expected
		if s.EvidenceOf("records") != Confirmed {
			said, silent = silent, said
		}
		if len(said) == 0 || len(silent) > 0 || !strings.Contains(said[0], selector) {
			t.Errorf("%s: warnings %q, expectations %q", id, got.Warnings, got.Expected)
		}
	}
}

func TestNeedsAndVariants(t *testing.T) {
	c := load(t)
	needs := func(id string) string {
		s, _ := c.Lookup(id)
		var out []string
		for _, x := range c.Needs(s) {
			if x.Evidence != Confirmed && x.Evidence != Memory {
				t.Errorf("%s: %+v has no mark", id, x)
			}
			out = append(out, x.For+" "+x.Name+" "+x.Type+" "+x.Value)
		}
		return strings.Join(out, "; ")
	}
	if got := needs("postmark"); got != "return-path pm-bounces CNAME pm.mtasv.net" {
		t.Errorf("Postmark needs %q", got)
	}
	if got := needs("posthog"); !strings.Contains(got, "feedback-smtp.<region>.amazonses.com") {
		t.Errorf("PostHog, carried by SES, needs %q", got)
	}
	for id, want := range map[string]string{"sendgrid": "sendgrid-manual", "sendgrid-manual": "sendgrid", "amazon-ses": "amazon-ses-byodkim", "mailgun-automatic": "mailgun", "zendesk": ""} {
		s, _ := c.Lookup(id)
		var got []string
		for _, v := range c.Variants(s) {
			got = append(got, v.ID)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("variants of %s: %q, want %q", id, got, want)
		}
	}
}

// What flags hold is read before anything is asked, so that nothing is asked twice.
func TestCleanThenAsk(t *testing.T) {
	c := load(t)
	for _, tt := range []struct {
		id   string
		a    Answers
		want string
	}{
		{"hubspot", Answers{Selectors: []string{"hs1-7._domainkey, hs2-7"}}, "hs1-7 hs2-7"},
		{"sendgrid", Answers{Targets: map[string]string{"S1._domainkey.example.org": "s1.domainkey.u1.wl2.sendgrid.net."}}, "s2"},
		{"google-workspace", Answers{TXT: "google._domainkey TXT v=DKIM1; p=MIIB"}, ""},
	} {
		s, _ := c.Lookup(tt.id)
		got, notes, err := s.Clean(setupDomain, tt.a)
		if err != nil || len(notes) == 0 && tt.id != "sendgrid" {
			t.Errorf("%s: %v, notes %q", tt.id, err, notes)
		}
		var ask []string
		for _, in := range s.Ask(got) {
			ask = append(ask, in.Name)
		}
		if strings.Join(ask, " ") != tt.want {
			t.Errorf("%s: asks for %q, want %q", tt.id, ask, tt.want)
		}
		if _, again, err := s.Clean(setupDomain, got); err != nil || len(again) > 0 {
			t.Errorf("%s: clean answers are mended once more: %q, %v", tt.id, again, err)
		}
	}
}

func FuzzSetup(f *testing.F) {
	f.Add("sendgrid", "s1", "s1._domainkey.example.org. 3600 IN CNAME s1.domainkey.u1.wl2.sendgrid.net.", "")
	f.Add("google-workspace", "google", "", `google._domainkey TXT ( "v=DKIM1; p=MIIB" )`)
	f.Add("", "a,b", "https://x.example/", "v=DKIM1; p=")
	c, err := Load()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, id, selector, target, txt string) {
		s, _ := c.Lookup(id)
		a := Answers{Selectors: []string{selector}, TXT: txt}
		if target != "" {
			a.Targets = map[string]string{selector: target}
		}
		got, err := s.Setup(setupDomain, a)
		if err != nil {
			if fault.CodeOf(err) != fault.Invalid {
				t.Fatal(err)
			}
			return
		}
		for _, r := range got.Records {
			if checkSelector(r.Selector) != nil || r.Value == "" || r.Type == "CNAME" && !looksLikeHost(r.Value) {
				t.Fatalf("%+v", r)
			}
		}
		s.Ask(a)
	})
}

// A service of one's own is in no catalogue, so nothing there is another way of setting it up.
func TestOwnServiceHasNoVariants(t *testing.T) {
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	if v := c.Variants(Service{}); len(v) > 0 {
		t.Errorf("%d variants of a service that is in no catalogue", len(v))
	}
	sendgrid, _ := c.Lookup("sendgrid")
	if len(c.Variants(sendgrid)) == 0 {
		t.Error("SendGrid has no variants")
	}
}
