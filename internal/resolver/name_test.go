package resolver

import (
	"errors"
	"strings"
	"testing"
)

func TestToASCII(t *testing.T) {
	cases := map[string]string{
		"Example.COM.":                      "example.com",
		"s1._domainkey.example.com":         "s1._domainkey.example.com",
		"_report._domainkey.bücher.example": "_report._domainkey.xn--bcher-kva.example",
		"BÜCHER.example":                    "xn--bcher-kva.example",
		"faß.example":                       "xn--fa-hia.example",
		"例え。テスト":                            "xn--r8jz45g.xn--zckzah",
		"_domainkey.דוגמה.example":          "_domainkey.xn--6dbbec0c.example",
		"r3---sn.example.com":               "r3---sn.example.com",
		"xn--bcher-kva.example":             "xn--bcher-kva.example",
		"*.example.com":                     "*.example.com",
		"7.0/25.2.0.192.in-addr.arpa":       "7.0/25.2.0.192.in-addr.arpa",
		".":                                 ".",
	}
	for in, want := range cases {
		got, err := ToASCII(in)
		if err != nil || got != want {
			t.Errorf("%s: %q, %v; want %q", in, got, err, want)
		}
	}
	for _, bad := range []string{
		"", "..", ".com", "a..b", "a b", "a\x00b", "a\nb.com", `a\.b.com`, "a;b", "*a.com", "\xff.com", "a\u200bb\u0378.com",
		strings.Repeat("a", 64) + ".com", strings.Repeat("ü", 60) + ".com", strings.Repeat("abcdefg.", 32) + "com",
	} {
		if got, err := ToASCII(bad); !errors.Is(err, ErrName) {
			t.Errorf("%q: %q, %v", bad, got, err)
		}
	}
}

func TestToUnicode(t *testing.T) {
	for in, want := range map[string]string{
		"_x.xn--bcher-kva.example": "_x.bücher.example",
		"xn--.example":             "xn--.example",
		"example.com":              "example.com",
	} {
		if got := ToUnicode(in); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func FuzzToASCII(f *testing.F) {
	for _, s := range []string{"example.com", "bücher.example", "a..b", "xn--bcher-kva", "_dmarc.例え。テスト", "*.x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ascii, err := ToASCII(s)
		if err != nil {
			if !errors.Is(err, ErrName) {
				t.Errorf("%q: %v", s, err)
			}
			return
		}
		if !usable(ascii) {
			t.Errorf("%q became %q", s, ascii)
		}
		if again, err := ToASCII(ascii); again != ascii || err != nil {
			t.Errorf("%q became %q and then %q, %v", s, ascii, again, err)
		}
		ToUnicode(ascii)
	})
}
