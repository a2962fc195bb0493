package agent

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/agentapi"
)

// settingsOf compiles a piece of agent.yaml.
func settingsOf(t testing.TB, text string) *settings {
	t.Helper()
	cfg, err := ParseConfig([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	s, err := compile(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// tableOf makes a table from words such as "example.org", "example.org/marketing", "example.org+subdomains" and
// "example.org-nokey"; the key's id is the domain, with the stream behind a slash.
func tableOf(words ...string) *Table {
	t := newTable(0, len(words))
	for _, word := range words {
		word, subdomains := strings.CutSuffix(word, "+subdomains")
		word, noKey := strings.CutSuffix(word, "-nokey")
		domain, stream, ok := strings.Cut(word, "/")
		if !ok {
			stream = defaultStream
		}
		a := &assigned{assignment: &assignment{Domain: domain, tempfail: true, Subdomains: subdomains}}
		if !noKey {
			a.signing = []*activeKey{{state: &keyState{id: word}, of: a.assignment}}
		}
		t.add(stream, a)
	}
	return t
}

// messageCase is one message in the words of a test.
type messageCase struct {
	name   string
	from   string // of the address in From; "" = ann@example.org
	e      envelope
	header []string
	macros map[string]string
}

// subjectOf does what a session does with the header and macros of a message.
func (c messageCase) subject(s *settings) *subject {
	m := &subject{envelope: c.e, author: author{from: []string{"ann@example.org"}}}
	if c.from != "" {
		m.author.from = []string{c.from}
	}
	m.seen.strip = s.stream.remove
	for _, f := range c.header {
		name, value, _ := strings.Cut(f, ":")
		m.seen.field(s, []byte(name), []byte(value))
	}
	for _, name := range s.rules.macros {
		m.seen.macros = append(m.seen.macros, c.macros[name])
	}
	m.seen.streamed = c.macros[s.stream.macro]
	return m
}

// outcomeOf is a choice in words: the keys' ids, or the reason; with what else there is to say of it.
func outcomeOf(c choice) string {
	var out []string
	for _, k := range c.signing {
		out = append(out, k.id())
	}
	if c.reason != signed {
		out = []string{string(c.reason)}
	}
	if c.reject {
		out = append(out, "reject")
	}
	if c.streamUnknown {
		out = append(out, "stream_unknown")
	}
	for range c.alsoMissing {
		out = append(out, "also_missing")
	}
	return strings.Join(out, " ")
}

func TestChoose(t *testing.T) {
	rules := `
rules:
  - {match: {login: "*@blocked.example"}, sign: false}
  - {match: {from: "*@news.example.org"}, stream: marketing}
  - {match: {header: {List-Id: "*<*.lists.example.org>*"}}, domain: lists.example.org}
  - {match: {envelope: "<>"}, domain: bounce.example.org}
  - {match: {from: "/^no-?reply@/", macro: {"{app}": [shop, billing-*]}}, stream: transactional}
  - {match: {network: [192.0.2.0/24], listener: OUT}, also: [operator.example, {domain: example.net, stream: marketing}, nowhere.example]}
  - {match: {from: "*@exämple.de"}, also: [operator.example]}
  - {match: {from: "*@operator.example"}, also: [operator.example]}
  - {match: {from: "*@other.example"}, domain: nowhere.example}
`
	list := []string{"List-Id: A list\n <a.lists.example.org>"}
	out := envelope{daemonName: "OUT", client: netip.MustParseAddr("192.0.2.7"), from: "x@example.org"}
	for _, c := range []struct {
		config string
		table  string
		m      messageCase
		want   string
	}{
		// Without rules.
		{"", "example.org", messageCase{name: "exact"}, "example.org"},
		{"", "example.org", messageCase{name: "case of the domain", from: "Ann@EXAMPLE.org"}, "example.org"},
		{"", "xn--exmple-cua.de", messageCase{name: "U-label", from: "ann@exämple.de"}, "xn--exmple-cua.de"},
		{"", "xn--exmple-cua.de", messageCase{name: "A-label", from: "ann@XN--exmple-cua.de"}, "xn--exmple-cua.de"},
		{"", "example.org", messageCase{name: "below", from: "a@sub.example.org"}, "not_assigned"},
		{"", "sub.example.org", messageCase{name: "above"}, "not_assigned"},
		{"", "example.org", messageCase{name: "top-level domain", from: "a@org"}, "not_assigned"},
		{"", "example.org-nokey", messageCase{name: "no key"}, "no_key"},
		{"domains: [example.org]", "example.org", messageCase{name: "allowed"}, "example.org"},
		{"domains: [example.net]", "example.org", messageCase{name: "not allowed"}, "not_allowed"},
		{"", "example.org", messageCase{name: "odd From", from: "a"}, "from_unparsable"},
		{rules, "lists.example.org", messageCase{name: "odd From whatever the rule says", from: "a, b@example.org", header: list}, "from_multiple"},

		// Names below an assignment.
		{"", "example.org+subdomains", messageCase{name: "below it", from: "a@x.y.example.org"}, "example.org"},
		{"", "example.org+subdomains y.example.org+subdomains", messageCase{name: "the nearest", from: "a@x.y.example.org"}, "y.example.org"},
		{"", "example.org+subdomains y.example.org", messageCase{name: "the nearest that wants it", from: "a@x.y.example.org"}, "example.org"},
		{"", "example.org+subdomains y.example.org-nokey", messageCase{name: "one of its own without key", from: "a@y.example.org"}, "no_key"},
		{"", "example.org+subdomains y.example.org/marketing", messageCase{name: "one of its own on another stream", from: "a@y.example.org"}, "not_assigned"},
		{"", "example.org+subdomains", messageCase{name: "another domain with the same end", from: "a@notexample.org"}, "not_assigned"},
		{"", "example.co.uk+subdomains", messageCase{name: "its public suffix", from: "a@co.uk"}, "not_assigned"},
		{"", "example.co.uk+subdomains", messageCase{name: "its neighbour", from: "a@evil.co.uk"}, "not_assigned"},
		{"domains: [example.org]", "example.org+subdomains", messageCase{name: "allowed counts for d=", from: "a@x.example.org"}, "example.org"},
		{"domains: [x.example.org]", "example.org+subdomains", messageCase{name: "not allowed counts for d=", from: "a@x.example.org"}, "not_allowed"},

		// Rules.
		{rules, "news.example.org news.example.org/marketing", messageCase{name: "stream", from: "a@NEWS.example.org"}, "news.example.org/marketing"},
		{rules, "news.example.org", messageCase{name: "stream without assignment", from: "a@news.example.org"}, "news.example.org stream_unknown"},
		{rules, "example.org+subdomains example.org/marketing+subdomains", messageCase{name: "stream above", from: "a@news.example.org"}, "example.org/marketing"},
		{rules, "lists.example.org", messageCase{name: "mailing list", from: "eve@elsewhere.example", header: list}, "lists.example.org"},
		{rules, "lists.example.org", messageCase{name: "a list of others", from: "eve@elsewhere.example", e: envelope{from: "a@b"}, header: []string{"List-Id: <a.lists.example.com>"}}, "not_assigned"},
		{rules, "lists.example.org", messageCase{name: "second field of the name", from: "eve@elsewhere.example", header: []string{"List-ID: x", list[0]}}, "lists.example.org"},
		{rules, "example.org", messageCase{name: "the rule's domain is not assigned", header: list}, "not_assigned"},
		{rules + "domains: [example.org]", "lists.example.org", messageCase{name: "the rule's domain is not allowed", header: list}, "not_allowed"},
		{rules, "lists.example.org-nokey", messageCase{name: "the rule's domain has no key", header: list}, "no_key"},
		{rules, "example.org+subdomains", messageCase{name: "a rule's domain is not signed for by its parent", header: list}, "not_assigned"},
		{rules, "bounce.example.org example.org", messageCase{name: "notification"}, "bounce.example.org"},
		{rules, "bounce.example.org example.org", messageCase{name: "not a notification", e: envelope{from: "a@example.org"}}, "example.org"},
		{rules, "example.org example.org/transactional", messageCase{name: "macro", from: "No-Reply@example.org", e: envelope{from: "a@b"}, macros: map[string]string{"{app}": "billing-eu"}}, "example.org"},
		{rules, "example.org example.org/transactional", messageCase{name: "macro, regular expression", from: "noreply@example.org", e: envelope{from: "a@b"}, macros: map[string]string{"{app}": "billing-eu"}}, "example.org/transactional"},
		{rules, "example.org example.org/transactional", messageCase{name: "another value", from: "noreply@example.org", e: envelope{from: "a@b"}, macros: map[string]string{"{app}": "billing"}}, "example.org"},
		{rules, "example.org", messageCase{name: "sign: false", e: envelope{login: "ann@BLOCKED.example"}}, "rule"},
		{rules, "example.org operator.example example.net example.net/marketing", messageCase{name: "also", e: out}, "example.org operator.example example.net/marketing also_missing"},
		{rules, "example.org operator.example-nokey example.net", messageCase{name: "also without key, stream or assignment", e: out}, "example.org example.net stream_unknown also_missing also_missing"},
		{rules, "example.org-nokey operator.example", messageCase{name: "the first decides", e: out}, "no_key"},
		{rules + "domains: [example.org]", "example.org operator.example", messageCase{name: "also not allowed", e: out}, "example.org also_missing also_missing also_missing"},
		{rules, "example.org operator.example", messageCase{name: "another network", e: envelope{daemonName: "OUT", client: netip.MustParseAddr("192.0.3.7"), from: "a@b"}}, "example.org"},
		{rules, "example.org operator.example", messageCase{name: "another listener", e: envelope{daemonName: "IN", client: out.client, from: "a@b"}}, "example.org"},
		{rules, "xn--exmple-cua.de operator.example", messageCase{name: "U-labels in a rule", from: "ann@xn--exmple-cua.de", e: envelope{from: "a@b"}}, "xn--exmple-cua.de operator.example"},
		{rules, "operator.example", messageCase{name: "the same again", from: "ann@operator.example", e: envelope{from: "a@b"}}, "operator.example"},
		{rules, "other.example", messageCase{name: "nowhere", from: "ann@other.example", e: envelope{from: "a@b"}}, "not_assigned"},

		// Streams.
		{"stream: {header: X-Stream}", "example.org example.org/m", messageCase{name: "header", header: []string{"x-stream: M "}}, "example.org/m"},
		{"stream: {header: X-Stream}", "example.org example.org/m", messageCase{name: "contradiction", header: []string{"x-stream: m", "x-stream: m"}}, "example.org stream_unknown"},
		{"stream: {header: X-Stream}", "example.org", messageCase{name: "default by name", header: []string{"x-stream: default"}}, "example.org"},
		{"stream: {header: X-Stream}", "example.org", messageCase{name: "unknown", header: []string{"x-stream: ../x"}}, "example.org stream_unknown"},
		{"stream: {header: X-Stream}", "example.org", messageCase{name: "empty", header: []string{"x-stream:"}}, "example.org"},
		{"stream: {macro: \"{stream}\"}", "example.org example.org/m", messageCase{name: "by macro", macros: map[string]string{"{stream}": "m"}}, "example.org/m"},
		{"stream: {header: X-Stream, macro: \"{stream}\"}", "example.org example.org/m example.org/n", messageCase{name: "header before macro", header: []string{"X-Stream: n"}, macros: map[string]string{"{stream}": "m"}}, "example.org/n"},
		{rules + "stream: {header: X-Stream}", "news.example.org/marketing news.example.org/n", messageCase{name: "rule before header", from: "a@news.example.org", header: []string{"X-Stream: n"}}, "news.example.org/marketing"},
		{"", "example.org/m", messageCase{name: "no default"}, "not_assigned"},

		// Authors that are not the senders.
		{"mismatch: {envelope: skip}", "example.org", messageCase{name: "same", e: envelope{from: "b@Example.org"}}, "example.org"},
		{"mismatch: {envelope: skip}", "example.org", messageCase{name: "none", e: envelope{}}, "example.org"},
		{"mismatch: {envelope: skip}", "example.org", messageCase{name: "below", e: envelope{from: "b@bounce.example.org"}}, "example.org"},
		{"mismatch: {envelope: skip}", "n.example.org", messageCase{name: "above", from: "a@n.example.org", e: envelope{from: "b@example.org"}}, "n.example.org"},
		{"mismatch: {envelope: skip}", "example.org", messageCase{name: "another", e: envelope{from: "b@example.net"}}, "envelope_mismatch"},
		{"mismatch: {envelope: reject}", "example.org", messageCase{name: "top-level sender", e: envelope{from: "b@org"}}, "envelope_mismatch reject"},
		{"mismatch: {envelope: reject}", "example.org", messageCase{name: "odd sender", e: envelope{from: "b"}}, "envelope_mismatch reject"},
		{"mismatch: {envelope: reject}", "example.org", messageCase{name: "not ours to judge", from: "a@elsewhere.example", e: envelope{from: "b@example.net"}}, "not_assigned"},
		{"mismatch: {envelope: reject}\n" + rules, "lists.example.org", messageCase{name: "the list is its own sender", from: "a@elsewhere.example", e: envelope{from: "b@example.net"}, header: list}, "lists.example.org"},
		{"mismatch: {envelope: reject}\n" + rules, "lists.example.org example.org", messageCase{name: "no list makes an author of ours", e: envelope{from: "b@example.net"}, header: list}, "envelope_mismatch reject"},
		{"mismatch: {login: reject}\n" + rules, "lists.example.org", messageCase{name: "nor one whom the list's signature would vouch for", e: envelope{login: "eve@example.net"}, header: list}, "login_mismatch reject"},
		{"mismatch: {login: reject}\n" + rules, "lists.example.org example.org/m", messageCase{name: "on whatever stream", e: envelope{login: "eve@example.net"}, header: list}, "login_mismatch reject"},
		{"mismatch: {envelope: reject}\nrules: [{match: {listener: LISTS}, domain: lists.example.org}]", "lists.example.org example.org", messageCase{name: "a rule that the sender cannot bring about", e: envelope{from: "b@example.net", daemonName: "LISTS"}}, "lists.example.org"},
		{"mismatch: {envelope: reject}\nrules: [{match: {header: {X: y}}, domain: a.example, also: [b.example]}]", "a.example b.example", messageCase{name: "vouched for by a further signature", from: "a@x.b.example", e: envelope{from: "b@example.net"}, header: []string{"X: y"}}, "envelope_mismatch reject"},
		{"", "example.org", messageCase{name: "who cares", e: envelope{from: "b@example.net", login: "eve@example.net"}}, "example.org"},
		{"mismatch: {login: skip}", "example.org", messageCase{name: "own domain", e: envelope{login: "eve@example.org"}}, "example.org"},
		{"mismatch: {login: skip}", "x.example.org", messageCase{name: "below the login's", from: "a@x.example.org", e: envelope{login: "eve@example.org"}}, "x.example.org"},
		{"mismatch: {login: reject}", "example.org", messageCase{name: "above the login's", e: envelope{login: "eve@x.example.org"}}, "login_mismatch reject"},
		{"mismatch: {login: skip}", "example.org", messageCase{name: "another's", e: envelope{login: "eve@example.net"}}, "login_mismatch"},
		{"mismatch: {login: skip}", "example.org", messageCase{name: "login without domain", e: envelope{login: "ann"}}, "login_mismatch"},
		{"mismatch: {login: reject}", "example.org", messageCase{name: "no login"}, "example.org"},
	} {
		s := settingsOf(t, c.config)
		got := choose(s, tableOf(strings.Fields(c.table)...), c.m.subject(s))
		if o := outcomeOf(got); o != c.want {
			t.Errorf("%s: %s; want %s", c.m.name, o, c.want)
		}
		wantNoKey := agentapi.NoKeyPass
		if got.reason == signed || got.reason == ReasonNoKey {
			wantNoKey = agentapi.NoKeyTempfail
		}
		if got.noKey != wantNoKey {
			t.Errorf("%s: no_key %q", c.m.name, got.noKey)
		}
	}
}

func TestFromFields(t *testing.T) {
	s := settingsOf(t, "")
	for want, from := range map[Reason][]string{ReasonFromMissing: nil, ReasonFromMultipleFields: {"a@example.org", "a@example.org"}} {
		if got := choose(s, tableOf("example.org"), &subject{author: author{from: from}}); got.reason != want || got.noKey != agentapi.NoKeyPass {
			t.Errorf("%q: %s", from, got.reason)
		}
	}
}

// What a rule adds to a choice must not end up in the table.
func TestFurtherSignaturesStayWithTheirMessage(t *testing.T) {
	s := settingsOf(t, "rules: [{also: [b.example]}]")
	table := tableOf("example.org", "b.example")
	for range 2 {
		if got := outcomeOf(choose(s, table, messageCase{}.subject(s))); got != "example.org b.example" {
			t.Error(got)
		}
	}
	if n := len(table.assigned["example.org"].signing); n != 1 {
		t.Errorf("the table has %d keys now", n)
	}
}

func TestGlobs(t *testing.T) {
	for _, c := range []struct {
		glob, text string
		want       bool
	}{
		{"*", "", true},
		{"*", "anything", true},
		{"abc", "ABC", true},
		{"ABC", "abc", true},
		{"abc", "abcd", false},
		{"a*c", "ac", true},
		{"a*c", "abcbc", true},
		{"a*c", "abcb", false},
		{"a**c", "abc", true},
		{"*b*", "abc", true},
		{"*ab*ab*", "ab", false},
		{"*ab*ab*", "abab", true},
		{"a*a", "a", false},
		{"?", "", false},
		{"?", "x", true},
		{"a?c*", "abcd", true},
		{"*a?c", "xxabcabc", true},
		{"*?b*", "b", false},
		{"*@*.example.org", "a@example.org", false},
		{"*@*.example.org", "a@b.example.org", true},
		{"", "", true},
		{"", "x", false},
	} {
		if got := compileGlob(c.glob).match(c.text); got != c.want {
			t.Errorf("%q on %q: %v", c.glob, c.text, got)
		}
	}
}

// Whatever a pattern and a text look like, a glob says what the regular expression says that it stands for.
func FuzzGlob(f *testing.F) {
	f.Add("*a?b*", "xxaxbxx")
	f.Add("**?*", "a")
	f.Fuzz(func(t *testing.T, glob, text string) {
		if len(glob) > maxPattern || len(text) > maxRuleValue || !isASCII(glob) || !isASCII(text) {
			return
		}
		var re strings.Builder
		re.WriteString("/(?is)^")
		for _, c := range glob {
			switch c {
			case '*':
				re.WriteString(".*")
			case '?':
				re.WriteString(".")
			default:
				fmt.Fprintf(&re, `\x%02x`, c)
			}
		}
		re.WriteString("$/")
		if re.Len() > maxPattern {
			return
		}
		p, err := compilePattern(re.String(), false)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := compileGlob(glob).match(text), p.match(text); got != want {
			t.Errorf("%q on %q: %v, and %s says %v", glob, text, got, re.String(), want)
		}
	})
}

// A message cannot make the agent keep more of it than was meant.
func TestWhatRulesKeepIsBounded(t *testing.T) {
	s := settingsOf(t, `rules: [{match: {header: {X-A: "*end", x-b: "*"}}, sign: false}]`)
	m := &subject{}
	for range 1000 {
		m.seen.field(s, []byte("X-A"), []byte(strings.Repeat("x", 100_000)+"end"))
		m.seen.field(s, []byte("X-B"), nil)
		m.seen.field(s, []byte("X-C"), []byte("not looked at"))
	}
	if m.seen.octets > maxRuleOctets || len(m.seen.fields) != 2 || len(m.seen.fields[0]) > maxRuleValues || len(m.seen.fields[1]) > maxRuleValues {
		t.Errorf("%d octets, %d and %d values", m.seen.octets, len(m.seen.fields[0]), len(m.seen.fields[1]))
	}
	if s.rules.first(m, address{"a", "example.org"}) != nil {
		t.Error("the end of a value was looked at that is too long")
	}
}

func TestMistakesInRulesAreNamed(t *testing.T) {
	many := func(n int, one string) string { return strings.Repeat(one+", ", n-1) + one }
	wantMistakes(t, []configMistake{
		{name: "unknown condition", text: "rules:\n  - match: {form: a}\n", want: "[2:13] unknown field \"form\""},
		{name: "unknown effect", text: "rules:\n  - {match: {from: a}, sing: false}\n", want: "[2:24] unknown field \"sing\""},
		{name: "nothing changes", text: "rules: [{match: {from: a}}]", want: "rules[0].match: the rule changes nothing", hint: "sign: true"},
		{name: "line of the rule", text: "domains: [a.example]\n\nrules:\n  # one\n  - sign: true\n  - match:\n      from: a\n      network: b\n    sign: false\n", want: "line 6: rules[1].match.network"},
		{name: "contradiction", text: "rules: [{sign: true}, {sign: false, domain: a.example}]", want: "rules[1].sign: false goes with no other effect"},
		{name: "empty pattern", text: "rules: [{match: {from: \"\"}, sign: false}]", want: "rules[0].match.from: an empty pattern", hint: "leave the condition out"},
		{name: "emptied list", text: "rules: [{match: {from: []}, sign: false}]", want: "rules[0].match.from: the list is empty", hint: "every message"},
		{name: "pattern for a name", text: "rules: [{match: {listener: \"*\"}, sign: false}]", want: "match.listener: \"*\" is not a name", hint: "exactly"},
		{name: "not RE2", text: "rules: [{match: {from: \"/(?=a)/\"}, sign: false}]", want: "not a regular expression", hint: "RE2"},
		{name: "explosive", text: "rules: [{match: {header: {X: \"/((a{1000}){1000}){1000}/\"}}, sign: false}]", want: "rules[0].match.header.X: "},
		{name: "endless pattern", text: "rules: [{match: {from: \"" + strings.Repeat("a", maxPattern+1) + "\"}, sign: false}]", want: "more than 512 octets"},
		{name: "many patterns", text: "rules: [{match: {from: [" + many(maxPatterns+1, "a") + "]}, sign: false}]", want: "more than 100 patterns"},
		{name: "wildcard in a U-label", text: "rules: [{match: {from: \"*@ex*ämple.org\"}, sign: false}]", want: "a wildcard inside an internationalised label", hint: "xn--"},
		{name: "field name", text: "rules: [{match: {header: {\"List Id\": a}}, sign: false}]", want: "not the name of a header field"},
		{name: "macro name", text: "rules: [{match: {macro: {app: a}}, sign: false}]", want: "rules[0].match.macro: \"app\" is not the name of a macro"},
		{name: "macro that ends the list", text: "rules: [{match: {macro: {\"{a b}\": a}}, sign: false}]", want: "not the name of a macro"},
		{name: "network", text: "rules: [{match: {network: mx1}, sign: false}]", want: "match.network: \"mx1\""},
		{name: "domain", text: "rules: [{domain: \"*.example.org\"}]", want: "rules[0].domain: \"*.example.org\" is not a domain to sign for"},
		{name: "also", text: "rules: [{also: [a.example, {stream: x}]}]", want: "rules[0].also: \"\" is not a domain to sign for"},
		{name: "unknown key of also", text: "rules:\n  - also:\n      - {domain: a.example, strem: x}\n", want: "unknown field \"strem\""},
		{name: "no list of patterns", text: "rules:\n  - {match: {from: {a: b}}, sign: false}\n", want: "[2:"},
		{name: "many also", text: "rules: [{also: [" + many(4, "a.example") + "]}]", want: "more than 4 signing domains"},
		{name: "many rules", text: "rules: [" + many(maxRules+1, "{sign: true}") + "]", want: "rules: more than 1000"},
		{name: "mismatch", text: "mismatch: {envelope: refuse}", want: "mismatch.envelope: \"refuse\" is none of sign, skip, reject", hint: "550 5.7.1"},
		{name: "mismatch of logins", text: "mismatch: {login: drop}", want: "mismatch.login: \"drop\""},
		{name: "stream field", text: "stream: {header: \"X Stream\"}", want: "stream.header: \"X Stream\""},
		{name: "stream field with another meaning", text: "stream: {header: subject}", want: "stream.header: Subject has another meaning", hint: "X-Stream"},
		{name: "stream macro", text: "stream: {macro: stream}", want: "stream.macro: \"stream\" is not the name of a macro"},
		{name: "outbound macro", text: "outbound: {macros: {MTA: a}}", want: "outbound.macros: \"MTA\""},
		{name: "outbound macro without value", text: "outbound: {macros: {\"{app}\": [\"\"]}}", want: "outbound.macros: {app} needs values"},
		{name: "login", text: "logins: {map: {\"ann@example.org\": [\"exa mple\"]}}", want: "logins.map: \"exa mple\" is not a domain", hint: "*.domain"},
		{name: "below a top-level domain", text: "logins: {map: {\"ann\": \"*.org\"}}", want: "\"*.org\" is not a domain"},
		{name: "login without domain", text: "logins: {map: {ann: []}}", want: "\"\" is not a domain"},
		{name: "one login twice", text: "logins: {map: {ann: a.example, Ann: b.example}}", want: "is there twice", hint: "one entry"},
		{name: "otherwise", text: "logins: {map: {ann: a.example}, otherwise: sign}", want: "logins.otherwise: \"sign\" is neither skip nor reject"},
		{name: "otherwise than what", text: "logins: {otherwise: skip}", want: "neither a map nor a file"},
	})
	var macros strings.Builder
	for i := range maxMacros + 1 {
		fmt.Fprintf(&macros, "\"{m%d}\": a, ", i)
	}
	if _, err := ParseConfig([]byte("outbound: {macros: {" + macros.String() + "}}")); err == nil || !strings.Contains(err.Error(), "more than 32 macros") {
		t.Errorf("many macros: %v", err)
	}
	var fields strings.Builder
	for i := range maxRuleFields + 1 {
		fmt.Fprintf(&fields, "X-%d: a, ", i)
	}
	if _, err := ParseConfig([]byte("rules: [{match: {header: {" + fields.String() + "}}, sign: false}]")); err == nil || !strings.Contains(err.Error(), "more than 50 fields") {
		t.Errorf("many fields: %v", err)
	}
}

// BenchmarkRules is what as many rules as there may be cost a message that none of them matches.
func BenchmarkRules(b *testing.B) {
	var text strings.Builder
	text.WriteString("rules:\n")
	for i := range maxRules {
		switch i % 4 {
		case 0:
			fmt.Fprintf(&text, "  - {match: {from: \"*@news%d.example.org\"}, stream: marketing}\n", i)
		case 1:
			fmt.Fprintf(&text, "  - {match: {header: {List-Id: \"*<*.lists%d.example.org>*\"}}, domain: lists.example.org}\n", i)
		case 2:
			fmt.Fprintf(&text, "  - {match: {login: \"user%d*@example.org\"}, sign: false}\n", i)
		case 3:
			fmt.Fprintf(&text, "  - {match: {from: \"/^no-?reply%d@/\"}, sign: false}\n", i)
		}
	}
	s := settingsOf(b, text.String())
	table := tableOf("example.org")
	for name, value := range map[string]string{"plain": "Talk <talk.example.org>", "hostile": strings.Repeat("<.lists", maxRuleValue/7)} {
		m := messageCase{e: envelope{login: "ann@example.org", from: "ann@example.org"}, header: []string{"List-Id: " + value}}.subject(s)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if c := choose(s, table, m); c.reason != signed || c.rule != 0 {
					b.Fatal(c)
				}
			}
		})
	}
}
