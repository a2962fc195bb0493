package agent

import (
	"net/netip"
	"slices"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/mailauth"
)

// defaultStream is the stream of an assignment whose signer has only one.
const defaultStream = "default"

// envelope is what is known of a message beside its content.
type envelope struct {
	outboundListener bool       // it came in where everything is ours
	login            string     // {auth_authen}; "" when nobody has logged in
	daemonName       string     // {daemon_name}
	client           netip.Addr // invalid when unknown or not an IP address
	from             string     // envelope sender; "" for none
	ourMacro         bool       // a macro has a value of outbound.macros
}

// ours says whether a message is one of the organisation's own. Loopback is never implied: content filters hand inbound mail back
// over it.
func ours(s *settings, e envelope) bool {
	return e.outboundListener || e.login != "" || e.ourMacro || s.daemons[e.daemonName] || !e.client.IsLoopback() && within(s.networks, e.client)
}

// ourMacro reports whether a macro has one of the values that make a message ours.
func (s *settings) ourMacro(value func(string) string) bool {
	for name, values := range s.Outbound.Macros {
		if contains(values, value(name)) {
			return true
		}
	}
	return false
}

// author is what end of headers tells of the author: the values of the From fields.
type author struct {
	from []string // at most two are kept; more is not different from two
}

// choice is what is to be done with a message of ours.
type choice struct {
	domain  string         // of the author, or what a rule says instead
	noKey   agentapi.NoKey // what becomes of it when it cannot be signed
	signing []*activeKey   // from the top; at least one when reason is signed
	primary int            // how many of them are the first domain's; without one of the others the message is signed all the same
	rule    int            // number of the rule that matched, 0 for none
	reject  bool           // refuse it for good, for this reason
	reason  Reason

	streamUnknown bool
	alsoMissing   int // further signatures that are left out
}

// choose is the whole decision which keys sign a message. It depends on its arguments only. In this order: who is the author; what does
// the first rule that matches say; is there an assignment, and does agent.yaml allow it; does the author fit envelope and login; is there
// a key; which further signatures are there.
func choose(s *settings, t *Table, m *subject) choice {
	c := choice{noKey: agentapi.NoKeyPass}
	switch {
	case len(m.author.from) > 1:
		c.reason = ReasonFromMultipleFields
		return c
	case len(m.author.from) == 0:
		c.reason = ReasonFromMissing
		return c
	}
	local, domain, problem := mailauth.Author(m.author.from[0])
	from := address{local, domain}
	c.domain, c.reason = domain, Reason(problem)
	if c.reason != signed {
		return c
	}
	r := s.rules.first(m, from)
	own := true // sign for the author's domain
	if r != nil {
		c.rule = r.number
		if r.unsigned {
			c.reason = ReasonRule
			return c
		}
		if r.domain != "" {
			own, c.domain = false, r.domain
		}
	}
	as, unknown := t.find(c.domain, m.stream(r), own)
	if as == nil {
		c.reason = ReasonNotAssigned
		return c
	}
	if s.allowed != nil && !s.allowed[as.Domain] {
		c.reason = ReasonNotAllowed
		return c
	}
	if c.reason, c.reject = s.permit(m, t, r, from.domain, as); c.reason != signed {
		return c
	}
	c.noKey, c.signing, c.primary, c.streamUnknown = as.noKey(), as.signing, len(as.signing), unknown
	if c.primary == 0 {
		c.reason = ReasonNoKey
		return c
	}
	if r != nil {
		c.also(s, t, m, as, r.also)
	}
	return c
}

// permit says why the sender must not have a signature, and whether that is the end of the message. What is asked is about the author as
// well as about the signature, because receivers show the one and DMARC's relaxed alignment takes a neighbour's signature for it.
func (s *settings) permit(m *subject, t *Table, r *rule, author string, as *assigned) (why Reason, reject bool) {
	if !s.loginMay(m, as.Domain) {
		return ReasonLoginNotAllowed, s.logins.reject
	}
	if r.answersFor(t, author) {
		return signed, false
	}
	if why, what := s.mismatch(&m.envelope, author); why != signed {
		return why, what == mismatchReject
	}
	if author != as.Domain && !s.loginMay(m, author) {
		return ReasonLoginNotAllowed, s.logins.reject
	}
	return signed, false
}

// loginMay reports whether the map of logins lets the sender sign for a domain. It has no say over senders without a login.
func (s *settings) loginMay(m *subject, domain string) bool {
	return s.logins == nil || m.envelope.login == "" || s.logins.may(m.envelope.login, domain)
}

// also adds the further signatures.
func (c *choice) also(s *settings, t *Table, m *subject, first *assigned, list []Also) {
	done := [maxSigningDomains]*assigned{first}
	n := 1
	for _, also := range list {
		as, unknown := t.find(also.Domain, also.Stream, false)
		if as == nil || len(as.signing) == 0 || s.allowed != nil && !s.allowed[as.Domain] || !s.loginMay(m, as.Domain) {
			c.alsoMissing++
			continue
		}
		c.streamUnknown = c.streamUnknown || unknown
		if again := done[0] == as || done[1] == as || done[2] == as; again {
			continue
		}
		done[n] = as
		n++
		// A slice of its own: what it began as is the table's.
		c.signing = append(c.signing[:len(c.signing):len(c.signing)], as.signing...)
	}
}

// leaveOut takes a further key out that turned out not to be usable.
func (c *choice) leaveOut(k *activeKey) {
	c.alsoMissing++
	c.signing = slices.DeleteFunc(slices.Clone(c.signing), func(other *activeKey) bool { return other == k })
}
