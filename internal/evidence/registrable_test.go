package evidence

import (
	"strings"
	"testing"
)

func TestRegistrable(t *testing.T) {
	for name, want := range map[string]string{
		"k1.service.example":               "service.example",
		"service.example":                  "service.example",
		"a.b.service.co.uk":                "service.co.uk",
		"co.uk":                            "",
		"com":                              "",
		"":                                 "",
		"x._domainkey.t.onmicrosoft.com":   "onmicrosoft.com",
		"a.b.s3.amazonaws.com":             "amazonaws.com",
		"key.project.github.io":            "github.io",
		"k2.dkim.custdkim.salesforce.com":  "salesforce.com",
		"s1.domainkey.u1.wl1.sendgrid.net": "sendgrid.net",
		"selector1.contoso.mail.microsoft": "mail.microsoft",
	} {
		if got := registrable(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestBounded(t *testing.T) {
	long := strings.Repeat("x", maxBehindOctets)
	if got := bounded([]string{long + "x", "a", long, "b", "c", "d"}); len(got) != maxBehindValues || got[0] != "a" || got[1] != long || got[3] != "c" {
		t.Errorf("%d values", len(got))
	}
	if bounded(nil) != nil {
		t.Error("something out of nothing")
	}
}
