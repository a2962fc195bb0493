package audit

import (
	"slices"
	"strings"

	"github.com/postseal/postseal/dmarc"
	"github.com/postseal/postseal/internal/resolver"
)

// parked judges a domain that says that it sends no mail, or has nothing to send with. Its mends would stop all mail, so that one sign of a sender is
// enough to say nothing.
func (o *observation) parked() {
	if len(o.q.Selectors) > 0 || o.q.Sends || o.receives() || o.extra.mx.Status == resolver.StatusError || o.mayHaveKeys() || o.letsSend() {
		return
	}
	var lacks []string
	var mend []Mend
	if o.tree.Record == "" {
		lacks = append(lacks, `TXT "v=spf1 -all"`)
		mend = append(mend, Mend{Name: o.q.Domain, Type: "TXT", Value: "v=spf1 -all"})
	}
	if !nullMX(o.extra.mx.Data) {
		lacks = append(lacks, "MX 0 .")
		mend = append(mend, Mend{Name: o.q.Domain, Type: "MX", Value: "0 ."})
	}
	if o.policy == nil || o.policy.For(true, true) != dmarc.PolicyReject {
		lacks = append(lacks, `TXT "v=DMARC1; p=reject" at _dmarc`)
		if o.policy == nil {
			mend = append(mend, Mend{Name: "_dmarc." + o.q.Domain, Type: "TXT", Value: "v=DMARC1; p=reject"})
		}
	}
	if len(lacks) > 0 {
		o.add(Finding{ID: "DMARC-28", Severity: Warning, Subject: o.q.Domain, Message: "the domain seems to send no mail, and does not say so: others can send in its name (missing: " + strings.Join(lacks, ", ") + ")",
			Fix: "publish what is missing, or name the domain's selectors if it does send", Mend: mend})
	}
}

// mayHaveKeys reports whether anything stands at a selector, broken and dangling records as well, or whether something may that nobody could look at.
// Selectors have names that nobody can list, but a name below which nothing stands does not exist (RFC 8020).
func (o *observation) mayHaveKeys() bool {
	if o.unguessed || slices.ContainsFunc(o.states, func(s Selector) bool { return s.State != "missing" }) {
		return true
	}
	if slices.ContainsFunc(o.selectors, func(s *selector) bool { return !o.fromWildcard(s.look) && (s.look.ref.Own != "" || !s.look.absent()) }) {
		return true
	}
	keys := o.look("_domainkey."+o.q.Domain, "TXT").ref
	if keys.Status == resolver.StatusNXDomain || o.wildcard() {
		return false
	}
	nobody := o.look(o.label+"._domainkey."+o.q.Domain, "TXT").ref
	// Servers that sign denials as they go say "no data" for names that do not exist as well; from them nothing can be concluded.
	return keys.Own != "" || keys.Status == resolver.StatusError || nobody.Status == resolver.StatusNXDomain || !o.q.Guess
}

// letsSend reports whether the domain's SPF record, or what was meant to be one, lets anybody send, or could not be looked at.
func (o *observation) letsSend() bool {
	apex := o.look(o.q.Domain, "TXT")
	if apex.err != nil || apex.ref.Status == resolver.StatusError {
		return true
	}
	return slices.ContainsFunc(apex.values(), func(txt string) bool {
		words := strings.Fields(strings.ToLower(strings.Trim(txt, " \"'")))
		return strings.HasPrefix(strings.Join(words, ""), "v=spf1") && strings.Join(words, " ") != "v=spf1 -all"
	})
}
