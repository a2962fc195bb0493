package agent

import (
	"strings"

	"github.com/postseal/postseal/internal/fault"
)

// Mismatch says what becomes of mail whose author does not fit its envelope or its login: sign (the default), skip or reject. It
// protects the domains that this server signs for; mail of other authors passes as always.
type Mismatch struct {
	Envelope string `yaml:"envelope"` // the domain in From against the envelope sender's
	Login    string `yaml:"login"`    // the domain in From against the login's
}

// onMismatch is one of the three words.
type onMismatch uint8

const (
	mismatchSign onMismatch = iota
	mismatchSkip
	mismatchReject
)

func compileMismatch(key, word string) (onMismatch, error) {
	switch word {
	case "", "sign":
		return mismatchSign, nil
	case "skip":
		return mismatchSkip, nil
	case "reject":
		return mismatchReject, nil
	}
	return 0, fault.New(fault.Invalid, "%s: %q is none of sign, skip, reject", key, word).
		WithHint("sign: it does not matter; skip: the message passes unsigned; reject: it is refused with 550 5.7.1")
}

// mismatch returns the reason why a message is not signed for the domain in From, or signed, and what becomes of it.
func (s *settings) mismatch(e *envelope, domain string) (Reason, onMismatch) {
	if s.onLogin != mismatchSign && e.login != "" && !loginFits(e.login, domain) {
		return ReasonLoginMismatch, s.onLogin
	}
	if s.onEnvelope != mismatchSign && e.from != "" && !envelopeFits(e.from, domain) {
		return ReasonEnvelopeMismatch, s.onEnvelope
	}
	return signed, mismatchSign
}

// answersFor reports whether a rule settles by itself that its domain signs for mail of this author: it names the domain, and either the
// sender could not bring the rule about, or the author is nobody whom the signatures would vouch for. A header field is written by
// anybody: with one like a mailing list's, a customer must not become the director of a domain that is ours.
func (r *rule) answersFor(t *Table, author string) bool {
	switch {
	case r == nil || r.domain == "":
		return false
	case r.login != nil || r.listeners != nil || r.networks != nil || r.macros != nil:
		return true
	}
	if as, _ := t.find(author, defaultStream, true); as != nil || t.owned[author] || related(author, r.domain) {
		return false
	}
	for _, a := range r.also {
		if related(author, a.Domain) {
			return false
		}
	}
	return true
}

// related reports whether two domains are the same or one lies below the other.
func related(a, b string) bool { return isOrBelow(a, b) || isOrBelow(b, a) }

// envelopeFits reports whether the two domains are the same or one lies below the other, as bounce.example.org does: what DMARC's
// relaxed alignment takes for the same organisation without a list of public suffixes.
func envelopeFits(sender, domain string) bool {
	a, ok := splitAddress(sender)
	return ok && related(a.domain, domain)
}

// loginFits reports whether the domain in From is that of the login or lies below it. The other way round it does not fit: who has a
// login below a domain is not its owner. A login without a domain fits nothing.
func loginFits(login, domain string) bool {
	a, ok := splitAddress(login)
	return ok && isOrBelow(domain, a.domain)
}

// isOrBelow reports whether name is parent or lies below it. A top-level domain is nobody's parent.
func isOrBelow(name, parent string) bool {
	if name == parent {
		return true
	}
	return strings.Contains(parent, ".") && len(name) > len(parent) && strings.HasSuffix(name, parent) && name[len(name)-len(parent)-1] == '.'
}
