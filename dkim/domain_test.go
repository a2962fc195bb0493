package dkim

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestDomains(t *testing.T) {
	for in, want := range map[string]string{
		"example.org":                   "example.org",
		"EXAMPLE.Org":                   "example.org",
		"_a-b.c_d.1":                    "_a-b.c_d.1",
		"localhost":                     "localhost",
		"bücher.example":                "xn--bcher-kva.example",
		"BÜCHER.example":                "xn--bcher-kva.example",
		"例え.テスト":                        "xn--r8jz45g.xn--zckzah",
		"ü":                             "xn--tda",
		"a.ñandú.b":                     "a.xn--and-6ma2c.b",
		"他们为什么不说中文.cn":                  "xn--ihqwcrb4cv8a8dqg056pqjye.cn",
		"":                              "",
		".":                             "",
		".a":                            "",
		"a.":                            "",
		"a..b":                          "",
		"a b":                           "",
		"a;b":                           "",
		"a\r\n.b":                       "",
		"a\x00":                         "",
		"a/b":                           "",
		"ü\u200b.b":                     "",
		"\xff.b":                        "",
		strings.Repeat("a", 63):         strings.Repeat("a", 63),
		strings.Repeat("a", 64):         "",
		strings.Repeat("ü", 60):         "",
		strings.Repeat("a.", 127):       "",
		strings.Repeat("a.", 126) + "a": strings.Repeat("a.", 126) + "a",
		strings.Repeat("x", 5000):       "",
	} {
		got, ok := appendDomain([]byte("before"), []byte(in))
		if ok != (want != "") || ok && string(got) != "before"+want {
			t.Errorf("%q: %q, %v; want %q", in, got, ok, want)
		}
	}
}

// TestDomainsAreASCII: whatever goes in, what comes out is a name for DNS.
func TestDomainsAreASCII(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := rapid.String().Draw(t, "name")
		got, ok := appendDomain(nil, []byte(in))
		if !ok {
			return
		}
		if len(got) > 253 {
			t.Fatalf("%q", got)
		}
		for label := range strings.SplitSeq(string(got), ".") {
			if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
				t.Fatalf("%q: label %q", got, label)
			}
		}
		again, ok := appendDomain(nil, got)
		if !ok || string(again) != string(got) {
			t.Fatalf("%q: again %q, %v", got, again, ok)
		}
	})
}

func TestAligned(t *testing.T) {
	for _, test := range []struct {
		from, domain string
		want         bool
	}{
		{"joe@example.org", "example.org", true},
		{"joe@EXAMPLE.org", "example.org", true},
		{"Joe <joe@example.org>", "example.org", true},
		{"joe@news.example.org", "example.org", true},
		{"joe@example.org", "mail.example.org", true},
		{"joe@example.org", "badexample.org", false},
		{"joe@badexample.org", "example.org", false},
		{"joe@a.example.org", "b.example.org", false},
		{"joe@example.org", "org", false},
		{"joe@org", "example.org", false},
		{"joe@localhost", "localhost", true},
		{`"a@other.example" <joe@example.org>`, "example.org", true},
		{`"a\"@x <b@other.example>" <joe@example.org>`, "example.org", true},
		{`joe@other.example <joe@example.org>`, "example.org", true},
		{"(joe@other.example) joe@example.org (comment)", "example.org", true},
		{"joe(nested (deep) \\) x)@example.org", "example.org", true},
		{"<joe@example.org> (x)", "example.org", true},
		{"\r\n joe@example.org\r\n ", "example.org", true},
		{"joe@example.org (", "example.org", true},
		{"joe@example.org, eve@example.org", "example.org", false},
		{"<joe@example.org> <eve@example.org>", "example.org", false},
		{"<joe@example.org", "example.org", false},
		{"<joe@example.org>@other.example", "example.org", false},
		{"joe>@example.org", "example.org", false},
		{"joe@@example.org", "example.org", false},
		{"group: joe@example.org;", "example.org", false},
		{"joe", "example.org", false},
		{"@", "example.org", false},
		{"", "example.org", false},
		{"joe@[192.0.2.1]", "example.org", false},
		{"joe@exam ple.org", "example.org", false},
		{`"joe@example.org`, "example.org", false},
	} {
		v := NewVerifier(VerifyOptions{})
		if err := v.Header([]byte("From:" + test.from + "\r\n")); err != nil {
			t.Fatal(err)
		}
		if got := aligned(v.fromDomain(), test.domain); got != test.want {
			t.Errorf("From %q, d=%s: %v", test.from, test.domain, got)
		}
		// A second From field makes the author uncertain.
		if err := v.Header([]byte("from: joe@example.org\r\n")); err != nil {
			t.Fatal(err)
		}
		if aligned(v.fromDomain(), test.domain) {
			t.Errorf("two From fields, first %q: aligned", test.from)
		}
	}
}
