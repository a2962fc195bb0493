package audit

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/services"
)

var lookedAt = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// keyRecord makes a key record of a size.
func keyRecord(t *testing.T, bits int) string {
	t.Helper()
	private, err := rsa.GenerateKey(nil, bits)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(spki)
}

// seen is a key at its place in time: it was seen from one number of days ago to another.
func seen(t *testing.T, record string, from, to int) SeenKey {
	t.Helper()
	key, err := dkim.ParseKeyRecord(record)
	if err != nil {
		t.Fatal(err)
	}
	day := 24 * time.Hour
	return SeenKey{Fingerprint: key.Fingerprint(), Bits: key.Bits, Type: key.Type, First: lookedAt.Add(-time.Duration(from) * day), Last: lookedAt.Add(-time.Duration(to) * day)}
}

func TestServiceFindings(t *testing.T) {
	c, err := services.Load()
	if err != nil {
		t.Fatal(err)
	}
	first, second, third, small := keyRecord(t, 2048), keyRecord(t, 2048), keyRecord(t, 2048), keyRecord(t, 1024)
	const revoked, good = "v=DKIM1; p=", LookFound
	sendgrid := []string{"s1.domainkey.u1.wl2.sendgrid.net"}
	pair := []ServiceSibling{{Selector: "s2", State: good}}
	at := func(service, selector string, chain []string, f ...func(*ServiceLook)) ServiceLook {
		l := ServiceLook{Domain: "example.org", Selector: selector, Now: lookedAt, Service: service, State: good, Chain: chain, TXT: []string{first}, Complete: true,
			Keys: []SeenKey{seen(t, first, 100, 0)}}
		for _, change := range f {
			change(&l)
		}
		return l
	}
	state := func(s LookState) func(*ServiceLook) {
		return func(l *ServiceLook) { l.State, l.TXT = s, nil }
	}
	txt := func(values ...string) func(*ServiceLook) { return func(l *ServiceLook) { l.TXT = values } }
	keys := func(k ...SeenKey) func(*ServiceLook) { return func(l *ServiceLook) { l.Keys = k } }
	siblings := func(s ...ServiceSibling) func(*ServiceLook) { return func(l *ServiceLook) { l.Siblings = s } }
	partial := func(l *ServiceLook) { l.Complete = false }
	approved := func(ids ...string) func(*ServiceLook) {
		return func(l *ServiceLook) { l.Service, l.Approved = "", ids }
	}
	tests := []struct {
		name string
		look ServiceLook
		want string // severity and id of each, in order
		says string // a part of the first one's message or fix
	}{
		{"all is well", at("sendgrid", "s1", sendgrid, siblings(pair...)), "", ""},
		{"all is well, after a CNAME of one's own", at("sendgrid", "s1", []string{"s1.keys.example.org", sendgrid[0]}, siblings(pair...)), "", ""},
		{"the target is gone", at("sendgrid", "s1", sendgrid, siblings(pair...), state(LookGone)), "error DKIM-D02", "does not exist"},
		{"no TXT at the target", at("sendgrid", "s1", sendgrid, siblings(pair...), state(LookMissing)), "error DKIM-D02", "no TXT record"},
		{"something else at the target", at("sendgrid", "s1", sendgrid, siblings(pair...), txt("v=spf1 -all")), "error DKIM-D02", "no DKIM key"},
		{"silence is no evidence", at("sendgrid", "s1", sendgrid, siblings(pair...), state(LookSilent)), "", ""},
		{"a stranger can register it", at("", "x", []string{"x.gone.example"}, state(LookGone), func(l *ServiceLook) { l.Unregistered = "gone.example" }),
			"error DKIM-D03", "a stranger can register it"},
		{"another service", at("sendgrid", "s1", []string{"s1.domainkey.tutanota.de"}, siblings(pair...)), "warning DKIM-D05", "declared for Twilio SendGrid (Automated Security on) and points to Tuta"},
		{"the carrier of the declared one", at("drip", "s1", sendgrid, siblings(pair...)), "", ""},
		{"carried by the declared one", at("sendgrid", "abc", []string{"dkim1.h.p1.email.myshopify.com", sendgrid[0]}, siblings(ServiceSibling{Selector: "abc2", State: good})), "", ""},
		{"an unknown target", at("zendesk", "zendesk1", []string{"key.elsewhere.example"}, siblings(ServiceSibling{Selector: "zendesk2", State: good})),
			"warning DKIM-D05 info DKIM-K17", "points to zendesk1._domainkey.zendesk.com, not to key.elsewhere.example"},
		{"an unknown target, the catalogue from memory", at("mailgun-automatic", "pdk1", []string{"key.elsewhere.example"}, siblings(ServiceSibling{Selector: "pdk2", State: good})),
			"info DKIM-D05", "expected from memory"},
		{"a TXT service behind a CNAME of one's own", at("google-workspace", "google", []string{"google.keys.example.org"}), "", ""},
		{"not declared, approved", at("", "s1", sendgrid, approved("sendgrid", "mailchimp"), siblings(pair...)), "", ""},
		{"not declared, its carrier approved", at("", "abc", []string{"dkim1.h.p1.email.myshopify.com"}, approved("sendgrid")), "", ""},
		{"not declared, not approved", at("", "s1", sendgrid, approved("mailchimp"), siblings(pair...)), "warning DKIM-D05", "not among the services of example.org"},
		{"not declared, the key changed as its service does", at("", "s1", sendgrid, txt(second), keys(seen(t, first, 300, 3), seen(t, second, 2, 0)), partial), "info DKIM-D06", ""},
		{"not declared, the second selector was seen to be missing", at("", "s1", sendgrid, siblings(ServiceSibling{Selector: "s2", State: LookGone}), partial), "warning SVC-01", ""},
		{"not declared, one key for all", at("", "litesrv", []string{"litesrv._domainkey.mlsend.com"}, partial), "info DKIM-K17", ""},
		{"no list is kept", at("", "s1", sendgrid, partial), "", ""},

		{"the key changed as known", at("sendgrid", "s1", sendgrid, siblings(pair...), txt(second), keys(seen(t, first, 300, 3), seen(t, second, 2, 0))), "info DKIM-D06", "nothing is to be done"},
		{"the key changed long ago", at("sendgrid", "s1", sendgrid, siblings(pair...), txt(second), keys(seen(t, first, 300, 40), seen(t, second, 39, 0))), "", ""},
		{"the key changed to a smaller one", at("sendgrid", "s1", sendgrid, siblings(pair...), txt(small), keys(seen(t, first, 300, 3), seen(t, small, 2, 0))),
			"warning DKIM-D06 warning DKIM-K02", "the new key is smaller"},
		{"an old key came back", at("sendgrid", "s1", sendgrid, siblings(pair...), keys(seen(t, first, 300, 100), seen(t, second, 99, 3), seen(t, first, 2, 0))),
			"warning DKIM-D06", "given up before"},
		{"the key changed at a service that leaves that to its customers", at("oci-email-delivery", "x", []string{"x.example.org.dkim.ap.oracleemaildelivery.com"}, txt(second),
			keys(seen(t, first, 300, 3), seen(t, second, 2, 0))), "warning DKIM-D06", "not known to change keys by itself"},
		{"an odd change, and another after it", at("sendgrid", "s1", sendgrid, siblings(pair...), txt(third), keys(seen(t, first, 300, 4), seen(t, small, 4, 3), seen(t, third, 2, 0))),
			"warning DKIM-D06", "the new key is smaller"},
		{"the key changed behind an unknown service", at("", "x", []string{"x.own.example"}, txt(second), keys(seen(t, first, 300, 3), seen(t, second, 2, 0))), "warning DKIM-D06", "nothing is known"},
		{"the key changed faster than it may", at("mailgun-automatic", "pdk1", []string{"pdk1._domainkey.h.dkim1.mailgun.com"}, siblings(ServiceSibling{Selector: "pdk2", State: good}), txt(third),
			keys(seen(t, first, 300, 4), seen(t, second, 3, 2), seen(t, third, 1, 0))), "warning DKIM-D06", "for 5 days at least"},
		{"the key changed and the target is a stranger's", at("sendgrid", "s1", []string{"s1.domainkey.tutanota.de"}, siblings(pair...), txt(second), keys(seen(t, first, 300, 3), seen(t, second, 2, 0))),
			"warning DKIM-D05 warning DKIM-D06", ""},

		{"a small key behind the CNAME", at("sendgrid", "s1", sendgrid, siblings(pair...), txt(small), keys(seen(t, small, 100, 0))), "warning DKIM-K02", "choose 2048 bits at Twilio SendGrid"},
		{"a small key that the service always has", at("postmark", "20260102030405pm", nil, txt(small), keys(seen(t, small, 100, 0))), "warning DKIM-K02", "ask Postmark for a key of 2048 bits"},
		{"years old", at("sendgrid", "s1", sendgrid, siblings(pair...), keys(seen(t, first, 800, 0))), "warning DKIM-K15", "ask Twilio SendGrid"},
		{"one key for all", at("mailerlite", "litesrv", []string{"litesrv._domainkey.mlsend.com"}), "info DKIM-K17", "one key"},

		{"the second selector is not in the inventory", at("sendgrid", "s1", sendgrid), "warning SVC-01", "s2 is not in the inventory"},
		{"the second selector does not exist", at("sendgrid", "s1", sendgrid, siblings(ServiceSibling{Selector: "s2", State: LookGone})), "warning SVC-01", "s2 does not exist"},
		{"the second selector was not looked at", at("sendgrid", "s1", sendgrid, siblings(ServiceSibling{Selector: "s2", State: LookSilent})), "", ""},
		{"the second selector may be elsewhere", at("sendgrid", "s1", sendgrid, partial), "", ""},
		{"old Mailchimp", at("mailchimp", "k1", []string{"dkim.mcsv.net"}, siblings(ServiceSibling{Selector: "k2", State: good}, ServiceSibling{Selector: "k3", State: good})), "info DKIM-K17", ""},
		{"two tokens of three", at("amazon-ses", "aaa", []string{"aaa.dkim.amazonses.com"}, siblings(ServiceSibling{Selector: "bbb", State: good})), "warning SVC-01", "3 records for a domain, and 2 are"},
		{"two tokens of three, said once", at("amazon-ses", "bbb", []string{"bbb.dkim.amazonses.com"}, siblings(ServiceSibling{Selector: "aaa", State: good})), "", ""},
		{"only one record is usual", at("intercom", "intercom", []string{"u.dkim.intercom.io"}), "", ""},
		{"how many there are is from memory", at("omnisend", "omnisend", []string{"x.omnisend.example"}), "info SVC-01", "expected from memory"},

		{"idle at Hostinger", at("hostinger", "hostingermail-b", []string{"hostingermail-b.dkim.mail.hostinger.com"}, txt(revoked),
			siblings(ServiceSibling{Selector: "hostingermail-a", State: good}, ServiceSibling{Selector: "hostingermail-c", State: good, Revoked: true})), "", ""},
		{"everything idle at Hostinger", at("hostinger", "hostingermail-b", []string{"hostingermail-b.dkim.mail.hostinger.com"}, txt(revoked),
			siblings(ServiceSibling{Selector: "hostingermail-a", State: good, Revoked: true}, ServiceSibling{Selector: "hostingermail-c", State: good, Revoked: true})), "warning SVC-03", "every selector"},
		{"idle at Microsoft", at("microsoft-365", "selector2", []string{"selector2-example-org._domainkey.c.onmicrosoft.com"}, txt(revoked),
			siblings(ServiceSibling{Selector: "selector1", State: good})), "", ""},
		{"idle where that is not known", at("sendgrid", "s1", sendgrid, siblings(pair...), txt(revoked)), "warning SVC-03", "still signs"},

		{"a TXT key that nobody changed", at("google-workspace", "google", nil, keys(seen(t, first, 361, 0))), "warning SVC-02", "for 361 days"},
		{"a TXT key that was changed", at("google-workspace", "google", nil, keys(seen(t, second, 900, 360), seen(t, first, 359, 0))), "", ""},
		{"a TXT key, another reminder", at("google-workspace", "google", nil, keys(seen(t, first, 91, 0)), func(l *ServiceLook) { l.Reminder = 90 * 24 * time.Hour }), "warning SVC-02", "Authenticate email"},
		{"a TXT key that cannot be changed", at("pardot", "200608", nil, txt(small), keys(seen(t, small, 900, 0))), "warning DKIM-K02 info DKIM-K17 info SVC-02", ""},
		{"a TXT key of a service of one's own", at("tool", "t1", nil, keys(seen(t, first, 400, 0)), func(l *ServiceLook) { l.Custom = true }), "warning SVC-02", "tool"},
		{"a TXT key that is gone", at("google-workspace", "google", nil, state(LookGone), keys(seen(t, first, 400, 10))), "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			found := ServiceFindings(c, tt.look)
			var got []string
			for _, f := range found {
				got = append(got, string(f.Severity)+" "+f.ID)
				if f.Fix == "" || f.Message == "" || !slices.Contains(ServiceIDs(), f.ID) {
					t.Errorf("%+v", f)
				}
				// What is open now is resolved when it is not found any more, and not before.
				same := func(r Finding) bool { return r.ID == f.ID && r.Subject == f.Subject }
				if slices.ContainsFunc(ServiceResolved(c, tt.look, found), same) || !slices.ContainsFunc(ServiceResolved(c, tt.look, nil), same) {
					t.Errorf("%s at %s cannot be followed", f.ID, f.Subject)
				}
			}
			if text := strings.Join(got, " "); text != tt.want {
				t.Errorf("found %q, want %q\n%+v", text, tt.want, found)
			}
			if tt.says != "" && (len(found) == 0 || !strings.Contains(found[0].Message+found[0].Fix, tt.says)) {
				t.Errorf("%+v does not say %q", found, tt.says)
			}
		})
	}
}

// What is missing has its record where everybody has the same, and what dangles is removed by its present value.
func TestServiceMends(t *testing.T) {
	c, err := services.Load()
	if err != nil {
		t.Fatal(err)
	}
	l := ServiceLook{Domain: "example.org", Selector: "k2", Now: lookedAt, Service: "mailchimp", State: LookGone, Chain: []string{"dkim2.mcsv.net"}, Complete: true}
	found := ServiceFindings(c, l)
	if len(found) != 2 || found[0].ID != "DKIM-D02" || found[1].ID != "SVC-01" {
		t.Fatalf("%+v", found)
	}
	if want := []Mend{{Remove: true, Name: "k2._domainkey.example.org", Type: "CNAME", Value: "dkim2.mcsv.net"}}; !slices.Equal(found[0].Mend, want) {
		t.Errorf("%+v", found[0].Mend)
	}
	if want := []Mend{{Name: "k3._domainkey.example.org", Type: "CNAME", Value: "dkim3.mcsv.net"}}; !slices.Equal(found[1].Mend, want) || found[1].Subject != "k3._domainkey.example.org" {
		t.Errorf("%+v", found[1])
	}
}
