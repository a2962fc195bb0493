package audit

import (
	"fmt"
	"slices"
	"strings"
)

const (
	// longSPF is how long a record may be so that a reply with it fits 512 octets beside other records (RFC 7208 §3.4).
	longSPF = 450
	// wide4 and wide6 are the shortest prefixes that are no surprise: larger networks are rarely one organisation's mail servers.
	wide4, wide6 = 16, 32
	// maxSPFLookups is how many look-ups evaluating a record may take (RFC 7208 §4.6.4).
	maxSPFLookups = 10
)

// LintSPF looks at an SPF record (RFC 7208). It finds what one record can show by itself; what it includes is not looked at. Valid says whether
// receivers can evaluate it. It never fails, whatever the value holds.
func LintSPF(v Value) RecordLint {
	l := spfLinter{text: v.Text}
	l.look()
	if l.Corrected != "" {
		for i := range l.Findings {
			if l.Findings[i].Fix == "" {
				l.Findings[i].Fix = "publish " + l.Corrected
			}
		}
	}
	for i := range l.Findings {
		if l.Findings[i].Fix == "" {
			l.Findings[i].Fix = "write it as RFC 7208 §12 has it"
		}
	}
	l.Findings = sorted(l.Findings)
	return l.RecordLint
}

// spfLinter goes through one record.
type spfLinter struct {
	RecordLint
	text  string
	terms []spfTerm
}

func (l *spfLinter) add(id string, severity Severity, fix, format string, args ...any) {
	l.Findings = append(l.Findings, Finding{ID: id, Severity: severity, Message: fmt.Sprintf(format, args...), Fix: fix})
}

func (l *spfLinter) look() {
	if what := otherKind(l.text, "v=spf1"); what != "" {
		l.add("SPF-08", Error, "move it to where it belongs", "this is %s, not an SPF record", what)
		return
	}
	if len(l.text) > maxSPFOctets {
		l.add("SPF-08", Error, "leave most of it away", "the record has %d octets; nobody reads so much", len(l.text))
		return
	}
	text := l.mend()
	if !isSPF(text) {
		l.add("SPF-08", Error, "begin the record with v=spf1 and a space", "the record does not begin with v=spf1 and a space, so it is none: %s", shown(l.text))
		return
	}
	l.terms = parseSPF(text)
	l.Valid = isSPF(l.text) && text == l.text
	l.correct()
	for _, t := range l.terms {
		if t.problem != "" {
			l.Valid = false
			l.add("SPF-08", Error, "", "receivers stop at %s: %s", shown(t.text), t.problem)
		}
	}
	l.end()
	l.content()
}

// mend takes away what spoils the text as a whole.
func (l *spfLinter) mend() string {
	text := l.text
	if mended, seen := withoutQuotes(text); seen != "" {
		text = mended
		l.add("SPF-08", Error, "", "the record holds quotation marks (%s); they belong to zone files and forms, not to the value", seen)
	}
	if mended, seen := retyped(text); len(seen) > 0 {
		text = mended
		l.add("SPF-08", Error, "", "the record holds characters that are no printable ASCII: %s", characters(seen))
	}
	if trimmed := strings.Trim(text, " \t"); trimmed != text && strings.HasPrefix(text, " ") {
		l.add("SPF-08", Error, "", "there is white space before v=spf1, so it is no SPF record")
		text = trimmed
	}
	if strings.Contains(text, "\t") {
		l.add("SPF-08", Error, "", "a tab stands between terms where a space is wanted")
		text = strings.ReplaceAll(text, "\t", " ")
	}
	return text
}

// correct writes the record with what can be told for certain.
func (l *spfLinter) correct() {
	words := []string{"v=spf1"}
	for _, t := range l.terms {
		word := t.text
		if t.problem != "" {
			if word = t.corrected(); word == "" {
				return
			}
		}
		words = append(words, word)
	}
	l.Corrected = strings.Join(words, " ")
}

// corrected is a term whose slip is a usual one; "" where nobody can tell.
func (t spfTerm) corrected() string {
	qualifier, rest := "", t.text
	if strings.ContainsRune("+-~?", rune(rest[0])) {
		qualifier, rest = rest[:1], rest[1:]
	}
	for _, slip := range [][2]string{{"ipv4:", "ip4:"}, {"ipv6:", "ip6:"}, {"ip4=", "ip4:"}, {"ip6=", "ip6:"}, {"include=", "include:"}, {"a=", "a:"}, {"mx=", "mx:"},
		{"exists=", "exists:"}, {"redirect:", "redirect="}} {
		if len(rest) > len(slip[0]) && strings.EqualFold(rest[:len(slip[0])], slip[0]) {
			if mended := parseTerm(qualifier + slip[1] + rest[len(slip[0]):]); mended.problem == "" {
				return mended.text
			}
		}
	}
	if network := parseTerm("ip4:" + strings.TrimPrefix(rest, ":")); network.problem == "" {
		return qualifier + network.text
	}
	return ""
}

// end looks at how the record ends.
func (l *spfLinter) end() {
	all := slices.IndexFunc(l.terms, func(t spfTerm) bool { return t.name == "all" && !t.modifier })
	redirect := slices.IndexFunc(l.terms, func(t spfTerm) bool { return t.name == "redirect" && t.modifier })
	strict := func() string {
		terms := slices.Clone(l.terms)
		words := []string{"v=spf1"}
		for i, t := range terms {
			if i != all {
				words = append(words, t.text)
			}
		}
		return "publish " + strings.Join(append(words, "~all"), " ")
	}
	switch {
	case all < 0 && redirect < 0:
		l.add("SPF-06", Warning, strict(), "the record says nothing about other servers: it ends without all, which counts as ?all")
	case all < 0:
	case l.terms[all].qualifier == '+':
		l.add("SPF-06", Error, strict(), "%s lets every server in the world send for the domain", l.terms[all].text)
	case l.terms[all].qualifier == '?':
		l.add("SPF-06", Error, strict(), "?all says nothing about other servers, as if there were no record")
	}
	if all >= 0 {
		var after []string
		for i, t := range l.terms {
			if i > all && !t.modifier || t.modifier && t.name == "redirect" {
				after = append(after, t.text)
			}
		}
		if len(after) > 0 {
			l.add("SPF-10", Warning, "put them before all, or leave them away", "receivers never come to %s, because of %s", shown(strings.Join(after, " ")), l.terms[all].text)
		}
	}
}

// content looks at single terms.
func (l *spfLinter) content() {
	asks := 0
	for _, t := range l.terms {
		if t.asks() {
			asks++
		}
		if t.name == "ptr" && !t.modifier {
			l.add("SPF-07", Warning, "name the addresses (ip4:, ip6:, a:) instead", "ptr is slow and unreliable, and must not be used any more (RFC 7208 §5.5)")
		}
		if t.problem == "" && (t.cidr4 >= 0 && t.cidr4 < wide4 || t.cidr6 >= 0 && t.cidr6 < wide6) && t.qualifier == '+' {
			l.add("SPF-11", Warning, "name the networks that really send", "%s allows a network that is larger than one organisation's mail servers need", t.text)
		}
	}
	if asks > maxSPFLookups {
		l.Valid, l.Corrected = false, ""
		l.add("SPF-02", Error, "name addresses instead of names, and leave out what is not used", "this record alone takes %d look-ups; receivers stop after %d", asks, maxSPFLookups)
	}
	if len(l.text) > longSPF {
		l.add("SPF-09", Warning, "leave out what is not used", "the record has %d octets; above %d replies get too long for some resolvers", len(l.text), longSPF)
	}
}
