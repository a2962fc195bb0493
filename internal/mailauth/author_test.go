package mailauth

import (
	netmail "net/mail"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/resolver"
)

func TestAuthorDomain(t *testing.T) {
	for _, c := range []struct {
		value, domain string
		problem       Problem
	}{
		{" ann@example.org", "example.org", ""},
		{" Ann <ann@example.org>", "example.org", ""},
		{"<ann@EXAMPLE.Org>", "example.org", ""},
		{" \"Ann, Dr.\" <ann@example.org>", "example.org", ""},
		{" \"a@b.example\" <ann@example.org>", "example.org", ""},
		{" \"odd \\\" quote\" <ann@example.org>", "example.org", ""},
		{" John Q. Public <ann@example.org>", "example.org", ""},
		{" =?utf-8?Q?J=C3=BCrgen?= <ann@example.org>", "example.org", ""},
		{" Jürgen <ann@example.org>", "example.org", ""},
		{" ann@example.org (Ann (nested) \\) here)", "example.org", ""},
		{" (before) Ann (in) <ann@example.org> (after)", "example.org", ""},
		{" Ann\r\n <ann@example.org>", "example.org", ""},
		{" \"ann lee\"@example.org", "example.org", ""},
		{" ann+tag=x@mail.sub.example.org", "mail.sub.example.org", ""},
		{" Ann <ann@exämple.org>", "xn--exmple-cua.org", ""},
		{" Ann <änn@EXÄMPLE.org>", "xn--exmple-cua.org", ""},
		{" Ann <ann@xn--exmple-cua.org>", "xn--exmple-cua.org", ""},
		{" ann@example.org <ann@example.org>", "example.org", ""},
		{" Ann@Example.org <ann@example.org>", "example.org", ""},
		{" =?utf-8?q?ann@example.org?= <ann@example.org>", "example.org", ""},
		{" =?utf-8?q?eve@example.net?= <ann@example.org>", "example.org", ""},
		{" Ann [sales] <ann@example.org>", "example.org", ""},
		{" J\xfcrgen <ann@example.org>", "example.org", ""},
		{" \"J\xfcrgen\" <ann@example.org>", "example.org", ""},

		{" ann@example.org, bob@example.net", "", FromMultiple},
		{" Ann <ann@example.org>, Bob <bob@example.org>", "", FromMultiple},
		{" ann@example.org,", "", FromMultiple},
		{" Doe, Ann <ann@example.org>", "", FromMultiple},
		{" Us: ann@example.org;", "", FromGroup},
		{" undisclosed:;", "", FromGroup},
		{" Us: ann@example.org", "", FromGroup},
		{" Us: Ann <ann@example.org>, bob@example.org;", "", FromGroup},

		{"", "", FromUnparsable},
		{" ", "", FromUnparsable},
		{" ann", "", FromUnparsable},
		{" ann@", "", FromUnparsable},
		{" @example.org", "", FromUnparsable},
		{" <>", "", FromUnparsable},
		{" ann@example.org eve@example.net", "", FromUnparsable},
		{" ann@example.org <eve@example.net>", "", FromUnparsable},
		{" <ann@example.org> <eve@example.net>", "", FromUnparsable},
		{" <ann@example.org> eve", "", FromUnparsable},
		{" Ann <ann@example.org", "", FromUnparsable},
		{" Ann ann@example.org>", "", FromUnparsable},
		{" \"Ann <ann@example.org>", "", FromUnparsable},
		{" ann@example.org (open", "", FromUnparsable},
		{" ann@example.org)", "", FromUnparsable},
		{" ann @example.org", "", FromUnparsable},
		{" ann@ example.org", "", FromUnparsable},
		{" ann@example. org", "", FromUnparsable},
		{" ann@(x)example.org", "", FromUnparsable},
		{" ann@eve@example.org", "", FromUnparsable},
		{" ann..lee@example.org", "", FromUnparsable},
		{" .ann@example.org", "", FromUnparsable},
		{" ann@example..org", "", FromUnparsable},
		{" ann@example.org.", "", FromUnparsable},
		{" ann@[192.0.2.1]", "", FromUnparsable},
		{" <@relay.example:ann@example.org>", "", FromUnparsable},
		{" ann@\"example.org\"", "", FromUnparsable},
		{" ann@exam_ple.org", "", FromUnparsable},
		{" ann@*.org", "", FromUnparsable},
		{" ann@example.org\x00", "", FromUnparsable},
		{" J\xfcrgen <\xfcnn@example.org>", "", FromUnparsable},
		{" J\xfcrgen <ann@ex\xe4mple.org>", "", FromUnparsable},
		{" ann@example.org. <ann@example.org>", "", FromUnparsable},
		{" \"ann\"@example.org <ann@example.org>", "", FromUnparsable},
		{" =?utf-8?q?ann@example.org?=", "", FromUnparsable},
		{" <=?utf-8?q?ann@example.org?=>", "", FromUnparsable},
		{" =?utf-8?q?x@y?=@example.org", "", FromUnparsable},
		{" Ann: sales <ann@example.org>", "", FromUnparsable},
		{" " + strings.Repeat("(", 20) + strings.Repeat(")", 20) + "ann@example.org", "", FromUnparsable},
		{" ann@" + strings.Repeat("a.", 130) + "org", "", FromUnparsable},
		{" " + strings.Repeat("x", MaxFrom) + "@example.org", "", FromUnparsable},
	} {
		_, domain, problem := Author(c.value)
		if domain != c.domain || problem != c.problem {
			t.Errorf("%.60q: %q, %q; want %q, %q", c.value, domain, problem, c.domain, c.problem)
		}
	}
}

// Whatever we take for the author, the standard library takes for the same one address, and the domain is one to look up.
func FuzzAuthorDomain(f *testing.F) {
	for _, seed := range []string{"Ann <ann@example.org>", "a@b.c, d@e.f", "G: a@b;", "\"x\\\"\" <a@b.c> (c (d))", "<@x:a@b>", "ä@ö.de", "a@b (", "=?utf-8?q?x?= <a@b>", "John Q. Public <a@b.org>"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		_, domain, problem := Author(value)
		if problem != "" {
			if domain != "" {
				t.Errorf("%q: a domain with problem %s", value, problem)
			}
			return
		}
		if ascii, err := resolver.ToASCII(domain); err != nil || ascii != domain {
			t.Errorf("%q: %q is not a name in its final form", value, domain)
		}
		list, err := netmail.ParseAddressList(strings.NewReplacer("\r", " ", "\n", " ").Replace(value))
		if err != nil {
			return // net/mail is stricter in places (encoded words in unknown charsets)
		}
		if len(list) != 1 {
			t.Fatalf("%q has %d addresses for net/mail", value, len(list))
		}
		_, other, _ := strings.Cut(list[0].Address[strings.LastIndex(list[0].Address, "@"):], "@")
		if ascii, err := resolver.ToASCII(other); err != nil || ascii != domain {
			t.Errorf("%q: %q here, %q for net/mail", value, domain, other)
		}
	})
}
