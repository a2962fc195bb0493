package agent

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/resolver"
)

// Limits of the rules.
const (
	maxRules          = 1000 // all of them are looked at for each message
	maxSigningDomains = 4    // of one message; each is a signature or two, and receivers look at a few only
	maxRuleFields     = 50   // names of header fields that rules look at: each field of each message is compared with them
	maxMacros         = 32   // macros that an MTA is asked for; it sends them with each message
)

// Words is one text or a list of them in agent.yaml.
type Words []string

// UnmarshalYAML takes a text as a list of one.
func (w *Words) UnmarshalYAML(decode func(any) error) error {
	var one string
	if err := decode(&one); err == nil {
		*w = Words{one}
		return nil
	}
	return decode((*[]string)(w))
}

// Rule says how mail of ours is signed that meets all conditions of its match. The first rule that matches counts.
type Rule struct {
	Match  Match  `yaml:"match"`
	Sign   *bool  `yaml:"sign"`   // false: not at all
	Domain string `yaml:"domain"` // sign with this d=, whatever the domain in From is
	Stream string `yaml:"stream"`
	Also   []Also `yaml:"also"` // further signatures below the first
}

// Match is the conditions of a rule; one that is left out holds always. Each text is a glob (* and ?) or, between slashes, a regular
// expression (RE2).
type Match struct {
	From     Words            `yaml:"from"`     // the address in From, its domain as A-labels
	Envelope Words            `yaml:"envelope"` // the envelope sender; <> for none
	Login    Words            `yaml:"login"`    // of the sender; never matches without one
	Listener Words            `yaml:"listener"` // values of the macro {daemon_name}, exactly
	Network  Words            `yaml:"network"`  // addresses and networks of the client
	Header   map[string]Words `yaml:"header"`   // name of a field to patterns; one of its fields must match
	Macro    map[string]Words `yaml:"macro"`    // name of a macro to patterns
}

// Also is a further signature.
type Also struct {
	Domain string `yaml:"domain"`
	Stream string `yaml:"stream"`
}

// UnmarshalYAML takes a text as the domain.
func (a *Also) UnmarshalYAML(decode func(any) error) error {
	if err := decode(&a.Domain); err == nil {
		return nil
	}
	type plain Also
	return decode((*plain)(a))
}

// ruleset is the rules in the form in which they are used.
type ruleset struct {
	rules    []rule
	fields   []string // names of the header fields that they look at
	macros   []string // names of the macros that they look at
	envelope bool     // they look at the envelope sender
	login    bool     // they look at the login
}

// rule is one rule, checked.
type rule struct {
	number                int // from 1
	from, envelope, login []pattern
	listeners             []string
	networks              []netip.Prefix
	fields, macros        []condition

	unsigned       bool
	domain, stream string
	also           []Also
}

// condition is patterns for one of ruleset.fields or ruleset.macros.
type condition struct {
	index    int
	patterns []pattern
}

// compileSigning checks everything that says how mail of ours is signed.
func (s *settings) compileSigning() (err error) {
	if s.rules, err = compileRules(s.Rules); err != nil {
		return err
	}
	if s.stream, err = compileStream(s.Stream); err != nil {
		return err
	}
	if s.onEnvelope, err = compileMismatch("mismatch.envelope", s.Mismatch.Envelope); err != nil {
		return err
	}
	if s.onLogin, err = compileMismatch("mismatch.login", s.Mismatch.Login); err != nil {
		return err
	}
	if s.logins, err = compileLogins(s.Logins); err != nil {
		return err
	}
	for _, name := range sortedKeys(s.Outbound.Macros) {
		if err := validMacro(name); err != nil {
			return fault.New(fault.Invalid, "outbound.macros: %s", err)
		}
		if values := s.Outbound.Macros[name]; len(values) == 0 || slices.Contains(values, "") {
			return fault.New(fault.Invalid, "outbound.macros: %s needs values, none of them empty", name)
		}
	}
	s.macros = slices.Concat(sortedKeys(s.Outbound.Macros), s.rules.macros)
	if s.stream.macro != "" {
		s.macros = append(s.macros, s.stream.macro)
	}
	slices.Sort(s.macros)
	if s.macros = slices.Compact(s.macros); len(s.macros) > maxMacros {
		return fault.New(fault.Invalid, "more than %d macros in outbound.macros, rules and stream", maxMacros)
	}
	return nil
}

func compileRules(list []Rule) (ruleset, error) {
	var set ruleset
	if len(list) > maxRules {
		return set, fault.New(fault.Invalid, "rules: more than %d", maxRules)
	}
	for i, in := range list {
		r, err := set.compile(in)
		if err != nil {
			message, hint := fault.Show(err)
			return set, fault.New(fault.Invalid, "rules[%d].%s", i, message).WithHint("%s", hint)
		}
		r.number = i + 1
		set.rules = append(set.rules, r)
	}
	return set, nil
}

// ruleLine adds the line of a rule to what is wrong with it, because nobody counts to the four hundredth.
func ruleLine(content []byte, err error) error {
	message, hint := fault.Show(err)
	var n int
	if _, scanErr := fmt.Sscanf(message, "rules[%d].", &n); scanErr != nil {
		return err
	}
	path, pathErr := yaml.PathString(fmt.Sprintf("$.rules[%d]", n))
	if pathErr != nil {
		return err
	}
	node, pathErr := path.ReadNode(bytes.NewReader(content))
	if pathErr != nil {
		return err
	}
	return fault.New(fault.Invalid, "line %d: %s", node.GetToken().Position.Line, message).WithHint("%s", hint)
}

func (set *ruleset) compile(in Rule) (rule, error) {
	r := rule{listeners: in.Match.Listener, unsigned: in.Sign != nil && !*in.Sign, stream: streamName(in.Stream)}
	if in.Sign == nil && in.Domain == "" && in.Stream == "" && len(in.Also) == 0 {
		return r, fault.New(fault.Invalid, "match: the rule changes nothing").WithHint("give it sign: false, domain, stream or also; sign: true keeps later rules from being looked at")
	}
	if r.unsigned && (in.Domain != "" || in.Stream != "" || len(in.Also) > 0) {
		return r, fault.New(fault.Invalid, "sign: false goes with no other effect")
	}
	var err error
	if r.from, err = compilePatterns("match.from", in.Match.From, true); err != nil {
		return r, err
	}
	if r.envelope, err = compilePatterns("match.envelope", in.Match.Envelope, true); err != nil {
		return r, err
	}
	if r.login, err = compilePatterns("match.login", in.Match.Login, true); err != nil {
		return r, err
	}
	set.envelope, set.login = set.envelope || r.envelope != nil, set.login || r.login != nil
	for _, name := range in.Match.Listener {
		if name == "" || strings.ContainsAny(name, "*?/") {
			return r, fault.New(fault.Invalid, "match.listener: %q is not a name", name).WithHint("listeners are named exactly, as milter_macro_daemon_name has them")
		}
	}
	for key, words := range map[string]Words{"from": in.Match.From, "envelope": in.Match.Envelope, "login": in.Match.Login, "listener": in.Match.Listener, "network": in.Match.Network} {
		if words != nil && len(words) == 0 {
			return r, fault.New(fault.Invalid, "match.%s: the list is empty", key).WithHint("leave it out if every message is meant")
		}
	}
	for _, text := range in.Match.Network {
		p, err := parsePrefix(text)
		if err != nil {
			return r, fault.New(fault.Invalid, "match.network: %q is not an address or a network", text)
		}
		r.networks = append(r.networks, p)
	}
	for _, name := range sortedKeys(in.Match.Header) {
		if !validFieldName([]byte(name)) {
			return r, fault.New(fault.Invalid, "match.header: %q is not the name of a header field", name)
		}
		patterns, err := compilePatterns("match.header."+name, in.Match.Header[name], false)
		if err != nil {
			return r, err
		}
		r.fields = append(r.fields, condition{indexOf(&set.fields, strings.ToLower(name)), patterns})
	}
	for _, name := range sortedKeys(in.Match.Macro) {
		if err := validMacro(name); err != nil {
			return r, fault.New(fault.Invalid, "match.macro: %s", err)
		}
		patterns, err := compilePatterns("match.macro."+name, in.Match.Macro[name], false)
		if err != nil {
			return r, err
		}
		r.macros = append(r.macros, condition{indexOf(&set.macros, name), patterns})
	}
	if len(set.fields) > maxRuleFields {
		return r, fault.New(fault.Invalid, "match.header: the rules look at more than %d fields", maxRuleFields)
	}
	return r, r.compileDomains(in)
}

func (r *rule) compileDomains(in Rule) error {
	if in.Domain != "" {
		domain, ok := signingDomain(in.Domain)
		if !ok {
			return fault.New(fault.Invalid, "domain: %q is not a domain to sign for", in.Domain)
		}
		r.domain = domain
	}
	if 1+len(in.Also) > maxSigningDomains {
		return fault.New(fault.Invalid, "also: more than %d signing domains for one message", maxSigningDomains)
	}
	for _, a := range in.Also {
		domain, ok := signingDomain(a.Domain)
		if !ok {
			return fault.New(fault.Invalid, "also: %q is not a domain to sign for", a.Domain)
		}
		r.also = append(r.also, Also{domain, streamName(a.Stream)})
	}
	return nil
}

// signingDomain is a domain that can stand in d=, as A-labels.
func signingDomain(text string) (string, bool) {
	name, err := resolver.ToASCII(text)
	return name, err == nil && !strings.ContainsAny(name, "*/_") && name != "."
}

// validMacro refuses what would end the name inside the negotiation with the MTA.
func validMacro(name string) error {
	inner, braces := strings.CutPrefix(name, "{")
	inner, closed := strings.CutSuffix(inner, "}")
	if braces != closed || inner == "" || !braces && len(inner) > 1 || strings.ContainsFunc(inner, func(c rune) bool {
		return !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '.')
	}) {
		return fmt.Errorf("%q is not the name of a macro: \"{name}\", or one letter", name)
	}
	return nil
}

// indexOf is the place of a name in a list, which grows if it is new.
func indexOf(list *[]string, name string) int {
	i := slices.Index(*list, name)
	if i < 0 {
		i = len(*list)
		*list = append(*list, name)
	}
	return i
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
