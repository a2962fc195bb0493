package services

import (
	"slices"
	"strings"
	"testing"
)

func TestDetect(t *testing.T) {
	const key = "v=DKIM1; k=rsa; p=MIIB"
	cname := func(selector string, chain ...string) SightedSelector {
		return SightedSelector{Selector: selector, Chain: chain, TXT: key}
	}
	txt := func(selector string) SightedSelector { return SightedSelector{Selector: selector, TXT: key} }
	tests := []struct {
		name string
		seen Sighted
		want string // service confidence kinds…; in order
		rest string // selectors that nobody is known for
	}{
		{"nothing", Sighted{}, "", ""},
		{"targets", Sighted{Selectors: []SightedSelector{cname("s1", "s1.domainkey.u1.wl2.sendgrid.net"), cname("s2", "s2.domainkey.u1.wl2.sendgrid.net")}}, "sendgrid certain cname cname", ""},
		{"the same selectors, another service", Sighted{Selectors: []SightedSelector{cname("s1", "s1.domainkey.tutanota.de")}}, "tuta certain cname", ""},
		{"a renamed selector", Sighted{Selectors: []SightedSelector{cname("own", "dkim2.mcsv.net")}}, "mailchimp certain cname", ""},
		{"a stranger's name with a service's in it", Sighted{Selectors: []SightedSelector{cname("own", "dkim2.mcsv.net.attacker.example")}}, "", "own"},
		{"a selector that one service has", Sighted{Selectors: []SightedSelector{txt("google"), txt("20260102030405pm")}}, "google-workspace likely selector; postmark likely selector", ""},
		{"a selector that several have", Sighted{Selectors: []SightedSelector{txt("s1"), txt("k1")}}, "", "s1 k1"},
		{"a key where that service has a CNAME", Sighted{Selectors: []SightedSelector{txt("zendesk1")}}, "zendesk possible selector", ""},
		{"through a zone of one's own", Sighted{Selectors: []SightedSelector{cname("google", "google.keys.example.org")}}, "google-workspace possible selector", ""},
		{"two hops", Sighted{Selectors: []SightedSelector{cname("abc", "dkim1.h.p1.email.myshopify.com", "abc.domainkey.u1.wl2.sendgrid.net")}}, "shopify certain cname", ""},
		{"SPF of its own", Sighted{SPF: []SightedSPF{{Host: "spf.protection.outlook.com"}}}, "microsoft-365 likely spf", ""},
		{"SPF of others", Sighted{SPF: []SightedSPF{{Host: "_spf.google.com", Via: []string{"spf.vendor.example"}}}}, "google-workspace possible spf", ""},
		{"SPF with an account", Sighted{SPF: []SightedSPF{{Host: "123.spf01.hubspotemail.net"}}}, "hubspot likely spf", ""},
		{"SPF below a name", Sighted{SPF: []SightedSPF{{Host: "spf-00112233.pphosted.com"}, {Host: "pphosted.com.attacker.example"}}}, "proofpoint likely spf", ""},
		{"SPF that several share", Sighted{SPF: []SightedSPF{{Host: "mailgun.org"}}}, "mailgun possible spf", ""},
		{"SPF of a variant that has records", Sighted{Selectors: []SightedSelector{cname("pdk1", "pdk1._domainkey.h.dkim1.mailgun.com")}, SPF: []SightedSPF{{Host: "mailgun.org"}}},
			"mailgun-automatic certain cname spf", ""},
		{"MX", Sighted{MX: []string{"aspmx.l.google.com", "alt1.aspmx.l.google.com"}}, "google-workspace possible mx mx", ""},
		{"MX of Microsoft", Sighted{MX: []string{"example-org.mail.protection.outlook.com"}}, "microsoft-365 possible mx", ""},
		{"a token", Sighted{TXT: []string{"atlassian-sending-domain-verification=abc", "v=spf1 -all"}}, "atlassian likely token", ""},
		{"a further record", Sighted{CNAMEs: []SightedName{{"pm-bounces.example.org", "pm.mtasv.net."}}}, "postmark certain record", ""},
		{"a further record elsewhere", Sighted{CNAMEs: []SightedName{{"pm-bounces.example.org", "pm.mtasv.net.attacker.example"}, {"x.example.org", "pm.mtasv.net"}}}, "", ""},
		{"delegated", Sighted{Delegation: []string{"ns.vali.email"}}, "valimail certain delegation", ""},
		{"the certain ones first", Sighted{Selectors: []SightedSelector{txt("google"), cname("zendesk1", "zendesk1._domainkey.zendesk.com")}, SPF: []SightedSPF{{Host: "_spf.google.com"}}},
			"zendesk certain cname; google-workspace likely selector spf", ""},
	}
	c := load(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.seen.Domain = "example.org"
			got := c.Detect(tt.seen)
			var found, rest []string
			for _, x := range got.Services {
				text := x.Service.ID + " " + string(x.Confidence)
				for _, clue := range x.Clues {
					text += " " + clue.Kind
					if clue.Name == "" || clue.Seen == "" {
						t.Errorf("%+v", clue)
					}
				}
				found = append(found, text)
			}
			for _, r := range got.Unknown {
				rest = append(rest, r.Selector)
			}
			if text := strings.Join(found, "; "); text != tt.want {
				t.Errorf("found %q, want %q", text, tt.want)
			}
			if text := strings.Join(rest, " "); text != tt.rest {
				t.Errorf("unknown %q, want %q", text, tt.rest)
			}
		})
	}
}

// Every service that publishes under fixed names is found by its own set-up.
func TestEveryServiceIsDetected(t *testing.T) {
	c := load(t)
	tested := 0
	for _, s := range c.All() {
		a := Answers{Targets: map[string]string{}}
		for missing := s.Ask(a); len(missing) > 0; missing = s.Ask(a) {
			for _, in := range missing {
				answer(s, in, &a)
			}
		}
		setup, err := s.Setup(setupDomain, a)
		if err != nil {
			continue
		}
		seen := Sighted{Domain: setupDomain}
		for _, r := range setup.Records {
			x := SightedSelector{Selector: r.Selector, TXT: sampleTXT}
			if r.Type == "CNAME" {
				if !s.fits(r.Selector, r.Value) {
					continue // the catalogue does not know its targets
				}
				x.Chain = []string{r.Value}
			} else if !s.named(r.Selector) {
				continue // a selector that others have too
			}
			seen.Selectors = append(seen.Selectors, x)
		}
		if len(seen.Selectors) == 0 {
			continue
		}
		tested++
		if !slices.ContainsFunc(c.Detect(seen).Services, func(x Detected) bool {
			return x.Service.ID == s.ID || slices.ContainsFunc(x.Others, func(o Service) bool { return o.ID == s.ID })
		}) && s.ID != "pardot" { // its one selector is Marketing Cloud's of old as well
			t.Errorf("%s is not detected by %+v", s.ID, seen.Selectors)
		}
	}
	if tested < 75 {
		t.Errorf("only %d services have something to detect", tested)
	}
	if n := len(c.AllSelectors()); n < 90 {
		t.Errorf("%d selectors to ask for", n)
	}
	if n := len(c.Probes()); n < 8 {
		t.Errorf("%d names to ask for", n)
	}
}
