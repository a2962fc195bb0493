package agent

import (
	"net/netip"
	"strings"

	"github.com/postseal/postseal/internal/milter"
	"github.com/postseal/postseal/internal/resolver"
)

// Limits of what is kept of one message for the rules. What goes beyond is not looked at.
const (
	maxRuleValue  = 2 << 10  // octets of one field: List-Id and the like have a few hundred
	maxRuleOctets = 16 << 10 // of all fields together, because this is kept even for messages over max_messages
	maxRuleValues = 20       // fields of one name
)

// subject is what the decision looks at of a message of ours.
type subject struct {
	envelope envelope
	author   author
	seen     seen
}

// seen is what rules and streams want to know of the header, and macros at its end.
type seen struct {
	fields [][]string // values of the fields of ruleset.fields
	octets int
	macros []string // values of the macros of ruleset.macros

	stream   []string // values of the field that names the stream; at most two
	removed  int      // how many of those fields were left out
	strip    bool     // leave them out
	streamed string   // value of the macro that names the stream
}

// field takes one header field as the MTA passed it. It reports whether the field is to be left out of the message.
func (k *seen) field(s *settings, name, value []byte) (leaveOut bool) {
	for i, watched := range s.rules.fields {
		if equalFold(name, watched) {
			k.keep(len(s.rules.fields), i, value)
		}
	}
	if s.stream.header == "" || !equalFold(name, s.stream.header) {
		return false
	}
	if len(k.stream) < 2 {
		k.stream = append(k.stream, unfolded(value))
	}
	if k.strip {
		k.removed++
	}
	return k.strip
}

func (k *seen) keep(fields, at int, value []byte) {
	if k.fields == nil {
		k.fields = make([][]string, fields)
	}
	if len(k.fields[at]) == maxRuleValues {
		return
	}
	text := unfolded(value)
	text = text[:min(len(text), maxRuleOctets-k.octets)]
	k.octets += len(text)
	k.fields[at] = append(k.fields[at], text)
}

// unfolded is the value of a field on one line, without the blanks around it.
func unfolded(value []byte) string {
	value = value[:min(len(value), maxRuleValue)]
	return strings.TrimSpace(strings.NewReplacer("\r", "", "\n", "").Replace(string(value)))
}

// atEnd takes the macros at the end of the header.
func (k *seen) atEnd(s *settings, m *milter.Session) {
	for _, name := range s.rules.macros {
		k.macros = append(k.macros, m.Macro(name))
	}
	if s.stream.macro != "" {
		k.streamed = m.Macro(s.stream.macro)
	}
}

// first returns the first rule that matches a message, nil if none does.
func (set *ruleset) first(m *subject, from address) *rule {
	if len(set.rules) == 0 {
		return nil
	}
	p := parties{from: from.String(), envelope: "<>", login: m.envelope.login}
	if set.envelope && m.envelope.from != "" {
		p.envelope = canonicalAddress(m.envelope.from)
	}
	if set.login {
		p.login = canonicalAddress(m.envelope.login)
	}
	for i := range set.rules {
		if r := &set.rules[i]; r.matches(m, p) {
			return r
		}
	}
	return nil
}

// parties are the addresses of a message in the form that patterns are compared with.
type parties struct{ from, envelope, login string }

func (r *rule) matches(m *subject, p parties) bool {
	e := &m.envelope
	switch {
	case r.from != nil && !anyMatch(r.from, p.from),
		r.envelope != nil && !anyMatch(r.envelope, p.envelope),
		r.login != nil && (e.login == "" || !anyMatch(r.login, p.login)),
		r.listeners != nil && !contains(r.listeners, e.daemonName),
		r.networks != nil && !within(r.networks, e.client):
		return false
	}
	for _, c := range r.fields {
		if !c.holds(m.seen.fields) {
			return false
		}
	}
	for _, c := range r.macros {
		if c.index >= len(m.seen.macros) || !anyMatch(c.patterns, m.seen.macros[c.index]) {
			return false
		}
	}
	return true
}

// holds reports whether one of the fields of the condition's name matches.
func (c *condition) holds(fields [][]string) bool {
	if c.index >= len(fields) {
		return false
	}
	for _, value := range fields[c.index] {
		if anyMatch(c.patterns, value) {
			return true
		}
	}
	return false
}

func within(networks []netip.Prefix, a netip.Addr) bool {
	for _, n := range networks {
		if a.IsValid() && n.Contains(a) {
			return true
		}
	}
	return false
}

func contains(list []string, word string) bool {
	for _, w := range list {
		if w == word && w != "" {
			return true
		}
	}
	return false
}

// address is a local part as written, and a domain as lower-case A-labels.
type address struct{ local, domain string }

func (a address) String() string { return a.local + "@" + a.domain }

// splitAddress reads an address of the envelope, or a login that is one.
func splitAddress(text string) (address, bool) {
	at := strings.LastIndexByte(text, '@')
	if at < 1 {
		return address{}, false
	}
	domain, err := resolver.ToASCII(text[at+1:])
	if err != nil {
		return address{}, false
	}
	return address{text[:at], domain}, true
}

// canonicalAddress is the text itself where it is not an address.
func canonicalAddress(text string) string {
	if a, ok := splitAddress(text); ok {
		return a.String()
	}
	return text
}
