package agent

import (
	"net/netip"

	"github.com/postseal/postseal/internal/agentapi"
)

// defaultStream is the stream of an assignment whose signer has only one.
const defaultStream = "default"

// envelope is what is known of a message beside its content.
type envelope struct {
	outboundListener bool       // it came in where everything is ours
	authenticated    bool       // {auth_authen} is not empty
	daemonName       string     // {daemon_name}
	client           netip.Addr // invalid when unknown or not an IP address
}

// ours says whether a message is one of the organisation's own. Loopback is never implied: content filters hand inbound mail back
// over it.
func ours(s *settings, e envelope) bool {
	if e.outboundListener || e.authenticated || s.daemons[e.daemonName] {
		return true
	}
	if !e.client.IsValid() || e.client.IsLoopback() {
		return false
	}
	for _, n := range s.networks {
		if n.Contains(e.client) {
			return true
		}
	}
	return false
}

// author is what end of headers tells of the author: the values of the From fields, and the stream that a local rule named.
type author struct {
	from   []string // at most two are kept; more is not different from two
	stream string   // "" = default
}

// choice is what is to be done with a message of ours.
type choice struct {
	domain  string
	noKey   agentapi.NoKey // what becomes of it when it cannot be signed
	signing []*activeKey   // at least one when reason is signed
	bulk    bool
	reason  Reason
}

// choose is the whole decision which keys sign a message. It depends on its arguments only. The domain must be assigned itself: an
// assignment of a parent domain does not sign for the names below it.
func choose(t *Table, allowed map[string]bool, a author) choice {
	pass := choice{noKey: agentapi.NoKeyPass}
	switch {
	case len(a.from) > 1:
		pass.reason = ReasonFromMultipleFields
		return pass
	case len(a.from) == 0:
		pass.reason = ReasonFromMissing
		return pass
	}
	if pass.domain, pass.reason = authorDomain(a.from[0]); pass.reason != signed {
		return pass
	}
	if a.stream == "" {
		a.stream = defaultStream
	}
	assigned := t.lookup(pass.domain, a.stream)
	if assigned == nil {
		pass.reason = ReasonNotAssigned
		return pass
	}
	if allowed != nil && !allowed[pass.domain] {
		pass.reason = ReasonNotAllowed
		return pass
	}
	c := choice{domain: pass.domain, noKey: assigned.noKey, signing: assigned.signing, bulk: assigned.bulk}
	if len(c.signing) == 0 {
		c.reason = ReasonNoKey
	}
	return c
}
