package agent

import (
	netmail "net/mail"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/resolver"
)

func TestAuthorDomain(t *testing.T) {
	for _, c := range []struct {
		value, domain string
		reason        Reason
	}{
		{" ann@example.org", "example.org", signed},
		{" Ann <ann@example.org>", "example.org", signed},
		{"<ann@EXAMPLE.Org>", "example.org", signed},
		{" \"Ann, Dr.\" <ann@example.org>", "example.org", signed},
		{" \"a@b.example\" <ann@example.org>", "example.org", signed},
		{" \"odd \\\" quote\" <ann@example.org>", "example.org", signed},
		{" John Q. Public <ann@example.org>", "example.org", signed},
		{" =?utf-8?Q?J=C3=BCrgen?= <ann@example.org>", "example.org", signed},
		{" Jürgen <ann@example.org>", "example.org", signed},
		{" ann@example.org (Ann (nested) \\) here)", "example.org", signed},
		{" (before) Ann (in) <ann@example.org> (after)", "example.org", signed},
		{" Ann\r\n <ann@example.org>", "example.org", signed},
		{" \"ann lee\"@example.org", "example.org", signed},
		{" ann+tag=x@mail.sub.example.org", "mail.sub.example.org", signed},
		{" Ann <ann@exämple.org>", "xn--exmple-cua.org", signed},
		{" Ann <änn@EXÄMPLE.org>", "xn--exmple-cua.org", signed},
		{" Ann <ann@xn--exmple-cua.org>", "xn--exmple-cua.org", signed},
		{" ann@example.org <ann@example.org>", "example.org", signed},
		{" Ann@Example.org <ann@example.org>", "example.org", signed},
		{" =?utf-8?q?ann@example.org?= <ann@example.org>", "example.org", signed},
		{" =?utf-8?q?eve@example.net?= <ann@example.org>", "example.org", signed},
		{" Ann [sales] <ann@example.org>", "example.org", signed},
		{" J\xfcrgen <ann@example.org>", "example.org", signed},
		{" \"J\xfcrgen\" <ann@example.org>", "example.org", signed},

		{" ann@example.org, bob@example.net", "", ReasonFromMultiple},
		{" Ann <ann@example.org>, Bob <bob@example.org>", "", ReasonFromMultiple},
		{" ann@example.org,", "", ReasonFromMultiple},
		{" Doe, Ann <ann@example.org>", "", ReasonFromMultiple},
		{" Us: ann@example.org;", "", ReasonFromGroup},
		{" undisclosed:;", "", ReasonFromGroup},
		{" Us: ann@example.org", "", ReasonFromGroup},
		{" Us: Ann <ann@example.org>, bob@example.org;", "", ReasonFromGroup},

		{"", "", ReasonFromUnparsable},
		{" ", "", ReasonFromUnparsable},
		{" ann", "", ReasonFromUnparsable},
		{" ann@", "", ReasonFromUnparsable},
		{" @example.org", "", ReasonFromUnparsable},
		{" <>", "", ReasonFromUnparsable},
		{" ann@example.org eve@example.net", "", ReasonFromUnparsable},
		{" ann@example.org <eve@example.net>", "", ReasonFromUnparsable},
		{" <ann@example.org> <eve@example.net>", "", ReasonFromUnparsable},
		{" <ann@example.org> eve", "", ReasonFromUnparsable},
		{" Ann <ann@example.org", "", ReasonFromUnparsable},
		{" Ann ann@example.org>", "", ReasonFromUnparsable},
		{" \"Ann <ann@example.org>", "", ReasonFromUnparsable},
		{" ann@example.org (open", "", ReasonFromUnparsable},
		{" ann@example.org)", "", ReasonFromUnparsable},
		{" ann @example.org", "", ReasonFromUnparsable},
		{" ann@ example.org", "", ReasonFromUnparsable},
		{" ann@example. org", "", ReasonFromUnparsable},
		{" ann@(x)example.org", "", ReasonFromUnparsable},
		{" ann@eve@example.org", "", ReasonFromUnparsable},
		{" ann..lee@example.org", "", ReasonFromUnparsable},
		{" .ann@example.org", "", ReasonFromUnparsable},
		{" ann@example..org", "", ReasonFromUnparsable},
		{" ann@example.org.", "", ReasonFromUnparsable},
		{" ann@[192.0.2.1]", "", ReasonFromUnparsable},
		{" <@relay.example:ann@example.org>", "", ReasonFromUnparsable},
		{" ann@\"example.org\"", "", ReasonFromUnparsable},
		{" ann@exam_ple.org", "", ReasonFromUnparsable},
		{" ann@*.org", "", ReasonFromUnparsable},
		{" ann@example.org\x00", "", ReasonFromUnparsable},
		{" J\xfcrgen <\xfcnn@example.org>", "", ReasonFromUnparsable},
		{" J\xfcrgen <ann@ex\xe4mple.org>", "", ReasonFromUnparsable},
		{" ann@example.org. <ann@example.org>", "", ReasonFromUnparsable},
		{" \"ann\"@example.org <ann@example.org>", "", ReasonFromUnparsable},
		{" =?utf-8?q?ann@example.org?=", "", ReasonFromUnparsable},
		{" <=?utf-8?q?ann@example.org?=>", "", ReasonFromUnparsable},
		{" =?utf-8?q?x@y?=@example.org", "", ReasonFromUnparsable},
		{" Ann: sales <ann@example.org>", "", ReasonFromUnparsable},
		{" " + strings.Repeat("(", 20) + strings.Repeat(")", 20) + "ann@example.org", "", ReasonFromUnparsable},
		{" ann@" + strings.Repeat("a.", 130) + "org", "", ReasonFromUnparsable},
		{" " + strings.Repeat("x", maxFrom) + "@example.org", "", ReasonFromUnparsable},
	} {
		domain, reason := authorDomain(c.value)
		if domain != c.domain || reason != c.reason {
			t.Errorf("%.60q: %q, %q; want %q, %q", c.value, domain, reason, c.domain, c.reason)
		}
	}
}

// Whatever we take for the author, the standard library takes for the same one address, and the domain is one to look up.
func FuzzAuthorDomain(f *testing.F) {
	for _, seed := range []string{"Ann <ann@example.org>", "a@b.c, d@e.f", "G: a@b;", "\"x\\\"\" <a@b.c> (c (d))", "<@x:a@b>", "ä@ö.de", "a@b (", "=?utf-8?q?x?= <a@b>", "John Q. Public <a@b.org>"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		domain, reason := authorDomain(value)
		if reason != signed {
			if domain != "" {
				t.Errorf("%q: a domain with reason %s", value, reason)
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
