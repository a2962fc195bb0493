package inventory

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/postseal/postseal/dmarc"
	"github.com/postseal/postseal/internal/fault"
)

// ReportAddress reads an address for DMARC reports: plain, or as a mailto: URI. The domain may be written with other letters than ASCII. The
// error says, behind the address, what is wrong with it.
func ReportAddress(text string) (dmarc.URI, error) {
	text = strings.TrimSpace(text)
	if scheme, _, ok := strings.Cut(text, ":"); ok && !strings.Contains(scheme, "@") {
		if !strings.EqualFold(scheme, "mailto") {
			return dmarc.URI{}, errors.New("is no mailto: address; reports go nowhere else (RFC 9990 §4)")
		}
		u, err := dmarc.ParseURI("mailto:" + text[len("mailto:"):])
		switch {
		case err != nil || u.Address == "":
			return dmarc.URI{}, errors.New("is no address")
		case u.Size != "":
			return dmarc.URI{}, errors.New("has a limit of size, which RFC 9989 does not know any more")
		case strings.ContainsAny(u.Text, ",;"):
			return dmarc.URI{}, errors.New("is more than one address")
		}
		return u, nil
	}
	at := strings.LastIndexByte(text, '@')
	if at < 1 || strings.ContainsFunc(text[:at], func(r rune) bool { return r <= ' ' || r > '~' || r == ',' || r == '@' }) {
		return dmarc.URI{}, errors.New("is no address")
	}
	host, err := ASCII(text[at+1:])
	if err != nil {
		return dmarc.URI{}, err
	}
	if n, err := labels(host, false); err != nil {
		return dmarc.URI{}, fmt.Errorf("is no address: its domain %w", err)
	} else if n < 2 {
		return dmarc.URI{}, errors.New("is no address: its domain has one part only")
	}
	u := dmarc.Mailto(text[:at+1] + host)
	if again, err := dmarc.ParseURI(u.Text); err != nil || again.Address != u.Address {
		return dmarc.URI{}, errors.New("is no address")
	}
	return u, nil
}

// dmarc checks the text of a domain's policy as receivers read it. What they would pass over is an error: nobody writes it to have it ignored.
// Tags of former times that do no harm are warnings.
func (c *checker) dmarc(d *FleetDomain, path string) {
	if d.DMARC == "" {
		return
	}
	path += ".dmarc"
	wrong, warnings := checkDMARC(d.DMARC)
	for _, w := range wrong {
		c.wrong(path, w.hint, "%s", w.text)
	}
	for _, w := range warnings {
		c.warn(path, w.hint, "%s", w.text)
	}
}

// remark is a sentence about a policy, and what to do.
type remark struct{ text, hint string }

// checkDMARC says what is wrong with the text of a policy, and what a person should look at.
func checkDMARC(text string) (wrong, warnings []remark) {
	say := func(list *[]remark, hint, format string, args ...any) {
		*list = append(*list, remark{fmt.Sprintf(format, args...), hint})
	}
	if len(text) > maxTXT || !printable(text) {
		say(&wrong, "", "the DMARC policy is not one line of at most %d characters", maxTXT)
		return wrong, nil
	}
	r, err := dmarc.Parse(text)
	switch {
	case errors.Is(err, dmarc.ErrNotDMARC) && strings.HasPrefix(text, dmarc.Version):
		say(&wrong, "", "a semicolon is wanted after %s", dmarc.Version)
		return wrong, nil
	case errors.Is(err, dmarc.ErrNotDMARC):
		say(&wrong, "", "the DMARC policy must begin with %s", dmarc.Version)
		return wrong, nil
	case r == nil:
		say(&wrong, "write each tag once", "receivers cannot read the DMARC policy: %s", plainDMARC(err))
		return wrong, nil
	}
	for _, e := range r.Ignored {
		say(&wrong, "write the tag as RFC 9989 §4.7 has it, or leave it out", "receivers pass %s= of the DMARC policy over: %s", shorten(e.Where), e.Detail)
	}
	for _, u := range slices.Concat(r.Aggregate, r.Failure) {
		if u.Address == "" {
			say(&wrong, "write mailto:ADDRESS", "%s in the DMARC policy is no mailto: address; reports go nowhere else", shorten(u.Text))
		}
		if u.Size != "" {
			say(&warnings, "leave !"+shorten(u.Size)+" out", "RFC 9989 has no limits of size any more: %s!%s", shorten(u.Text), shorten(u.Size))
		}
	}
	switch {
	case len(wrong) > 0:
	case err != nil:
		say(&wrong, "write p=none to begin with", "the DMARC policy has neither p= nor rua=: it means nothing")
	case r.Policy == "":
		say(&warnings, "write p=none", "p= is missing in the DMARC policy: it counts as none, and readers of RFC 7489 take the record for void")
	}
	if r.Testing && IdleTest(r) {
		say(&warnings, "leave t=y (test) out", "t=y means nothing in a DMARC policy of none: there is nothing to test")
	}
	for _, name := range r.Unknown {
		switch name {
		case "pct", "rf", "ri":
			hint := "leave it out"
			if name == "pct" {
				hint = "leave it out; t=y (test: true) is how to try a policy"
			}
			say(&warnings, hint, "RFC 9989 has no %s= any more: receivers pass it over", name)
		default:
			say(&warnings, "leave it out", "receivers pass over %s= of the DMARC policy", shorten(name))
		}
	}
	return wrong, warnings
}

// IdleTest reports a policy in which t=y would mean nothing, because none is asked of every kind of mail.
func IdleTest(r *dmarc.Record) bool {
	return r.For(true, true) == dmarc.PolicyNone && r.For(false, true) == dmarc.PolicyNone && r.For(false, false) == dmarc.PolicyNone
}

// plainDMARC is what is wrong with a record that does not parse, without the package's name.
func plainDMARC(err error) string { return strings.TrimPrefix(err.Error(), "dmarc: ") }

// SetDMARC says what the inventory becomes when a domain's policy is value; "" takes it out of the inventory. Nothing else changes.
//
// Errors with which next is current: NotFound for a domain that is not in the inventory, Invalid for a value that receivers would ignore and, without
// weaken, for a policy that asks for less (what that is, Weaker says; changes are told all the same), and Conflict where the publisher cannot write it.
func SetDMARC(current State, domain, value string, weaken bool, opts ApplyOptions) (next State, changes []Change, err error) {
	row := slices.IndexFunc(current.Domains, func(d Domain) bool { return d.Name == domain })
	if row < 0 {
		return current, nil, noSuchDomain(domain)
	}
	if wrong, _ := checkDMARC(value); value != "" && len(wrong) > 0 {
		return current, nil, fault.New(fault.Invalid, "%s", wrong[0].text).WithHint("%s", wrong[0].hint)
	}
	d := current.Domains[row]
	if i := slices.IndexFunc(current.Publishers, func(p Publisher) bool { return p.Name == d.Publisher }); i >= 0 && value != "" && d.Mode == Managed &&
		!current.Publishers[i].Writes("_dmarc."+d.Name) {
		return current, nil, fault.New(fault.Conflict, "the publisher %s writes to %s; _dmarc.%s is not in that zone", d.Publisher, current.Publishers[i].Zone, d.Name).
			WithHint("publish the policy where the zone lives, or give the domain a publisher that reaches it")
	}
	weaker := Weaker(d.DMARC, value)
	a := newApplier(current, opts)
	have := &a.next.Domains[row]
	a.dmarc(have, value)
	if len(weaker) > 0 {
		if len(a.changes) > 0 {
			a.last().Destructive = true
		}
		if !weaken {
			return current, a.changes, fault.New(fault.Invalid, "that makes the policy of %s weaker: %s", domain, strings.Join(weaker, "; ")).
				WithHint("if it is meant, say so: --weaken")
		}
	}
	return a.finish(current)
}

// PolicyOf returns what a domain's DMARC policy asks for mail that fails, "" when there is none, and whether it aligns strictly by DKIM.
func PolicyOf(d Domain) (policy string, strict bool) {
	r, err := dmarc.Parse(d.DMARC)
	if err != nil {
		return "", false
	}
	return string(r.For(true, true)), r.DKIM == dmarc.Strict
}

// Weaker says in which ways a policy asks for less than another one, a sentence each: less is asked of receivers, or nobody is told any more.
// A text that is no policy asks for nothing. A policy that is only tested (t=y) counts as what it says as well: none in place of a tested quarantine is weaker.
func Weaker(old, value string) []string {
	before, _ := dmarc.Parse(old)
	if before == nil {
		return nil
	}
	after, _ := dmarc.Parse(value)
	if after == nil {
		return []string{"there is no policy any more"}
	}
	var said []string
	for _, kind := range []struct {
		what        string
		own, exists bool
	}{{"mail of the domain itself", true, true}, {"mail of subdomains", false, true}, {"mail of names that do not exist", false, false}} {
		x, y := before.For(kind.own, kind.exists), after.For(kind.own, kind.exists)
		switch {
		case y == x && after.Testing && !before.Testing && x != dmarc.PolicyNone:
			said = append(said, fmt.Sprintf("%s: %s is only tested (t=y)", kind.what, y))
		case effective(y, after.Testing) < effective(x, before.Testing), effective(y, false) < effective(x, false): // a step down is one while it is tested, too
			said = append(said, fmt.Sprintf("%s: %s instead of %s", kind.what, policyWord(y, after.Testing), policyWord(x, before.Testing)))
		}
	}
	if len(before.Aggregate) > 0 && len(after.Aggregate) == 0 {
		said = append(said, "nobody gets aggregate reports any more (rua=)")
	}
	return said
}

// effective orders policies by what receivers do, t=y counted.
func effective(p dmarc.Policy, testing bool) int {
	if testing {
		p = p.Lowered()
	}
	return slices.Index([]dmarc.Policy{dmarc.PolicyNone, dmarc.PolicyQuarantine, dmarc.PolicyReject}, p)
}

func policyWord(p dmarc.Policy, testing bool) string {
	if testing {
		return string(p) + " with t=y"
	}
	return string(p)
}

// DMARCWarnings says what a person should look at in a policy that receivers can use: tags that mean nothing any more.
func DMARCWarnings(text string) []string {
	if text == "" {
		return nil
	}
	var out []string
	_, warnings := checkDMARC(text)
	for _, w := range warnings {
		out = append(out, w.text+"; "+w.hint)
	}
	return out
}
