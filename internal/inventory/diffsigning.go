package inventory

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// overrides takes over what an assignment says instead of its domain.
func (a *applier) overrides(as *Assignment, s FleetSigner, signer *Signer) {
	alter := func(why string, args ...any) { a.onAssignment(Alter, as, signer, why, args...) }
	if as.NoKey != s.NoKey {
		becomes := "is treated as the domain says"
		switch s.NoKey {
		case NoKeyTempfail:
			becomes = "is deferred"
		case NoKeyPass:
			becomes = "passes unsigned"
		}
		alter("mail of %s for %s that cannot be signed %s: no_key %s instead of %s", who(signer, as), as.Domain, becomes,
			cmp.Or(string(s.NoKey), ofDomain), cmp.Or(string(as.NoKey), ofDomain))
		as.NoKey = s.NoKey
	}
	if have, want := flagText(as.Subdomains), flagText(s.Subdomains); have != want {
		becomes := "whether " + who(signer, as) + " signs for subdomains is as " + as.Domain + " says"
		if s.Subdomains != nil && *s.Subdomains {
			becomes = who(signer, as) + " signs mail of subdomains without signers of their own with d=" + as.Domain
		} else if s.Subdomains != nil {
			becomes = who(signer, as) + " does not sign mail of subdomains with d=" + as.Domain
		}
		alter("%s: subdomains %s instead of %s", becomes, want, have)
		as.Subdomains = s.Subdomains
	}
	if text := signingText(as.Signing, s.Signing, ofDomain); text != "" {
		alter("signatures of %s for %s are made in another way: %s", who(signer, as), as.Domain, text)
		as.Signing = s.Signing
	}
}

func subdomainsText(domain string, on bool) string {
	if on {
		return "mail of subdomains without signers of their own is signed with d=" + domain
	}
	return "mail of subdomains is no longer signed with d=" + domain
}

// ofDomain is what counts where an assignment says nothing.
const ofDomain = "the domain's"

func flagText(b *bool) string {
	if b == nil {
		return ofDomain
	}
	return fmt.Sprint(*b)
}

// defaultSigning is what counts where a domain says nothing. Of the lists it is enough that they are the default ones.
func defaultSigning() Signing {
	return Signing{Canonicalization: DefaultCanonicalization, Expire: new(time.Duration)}
}

// signingText says which fields differ, with the new and the old value; unsaid is what counts where one says nothing.
func signingText(have, want Signing, unsaid string) string {
	var parts []string
	differ := func(name, x, y string) {
		if x != y {
			parts = append(parts, fmt.Sprintf("%s %s instead of %s", name, y, x))
		}
	}
	list := func(names []string) string {
		if names == nil {
			return unsaid
		}
		return "[" + strings.Join(names, ", ") + "]"
	}
	expire := func(d *time.Duration) string {
		switch {
		case d == nil:
			return unsaid
		case *d == 0:
			return "never"
		}
		return FormatDuration(*d)
	}
	differ("headers", list(have.Headers), list(want.Headers))
	differ("oversign", list(have.Oversign), list(want.Oversign))
	differ("canonicalization", cmp.Or(have.Canonicalization, unsaid), cmp.Or(want.Canonicalization, unsaid))
	differ("expire", expire(have.Expire), expire(want.Expire))
	return strings.Join(parts, ", ")
}
