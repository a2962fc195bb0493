package audit

import (
	"regexp"
	"strings"

	"github.com/postseal/postseal/dkim"
)

// txtStringOctets is the longest character-string of a TXT record (RFC 1035 §3.3).
const txtStringOctets = 255

// Value is the content of one TXT record as somebody wrote it down.
type Value struct {
	Text    string   // what a receiver reads: the strings joined without anything between (RFC 6376 §3.6.2.2)
	Strings []string // the strings; nil when the value was written without quotes, so that nobody knows where it will be cut
}

// zoneHead is what may stand before the strings in a line of a zone file: owner, TTL and class in some order, type.
var zoneHead = regexp.MustCompile(`^(?i)[^\s"();]+\s+(?:(?:[0-9]+[smhdw]?|IN)\s+)*TXT\s+["(]`)

// ReadValue reads a value as people have it at hand: plain, as one or several quoted strings ("…" "…", as dig prints them), or as a
// zone file has it, with parentheses, comments, and the name in front. What begins in such a form and breaks it is taken as it is: its
// quotes are then part of the record. Line ends at the end are no part of the value.
func ReadValue(text string) Value {
	text = strings.Trim(text, "\r\n")
	quoted := strings.TrimSpace(text)
	if head := zoneHead.FindString(quoted); head != "" {
		quoted = quoted[len(head)-1:]
	}
	if strings.HasPrefix(quoted, `"`) || strings.HasPrefix(quoted, "(") {
		if list, ok := zoneStrings(quoted); ok {
			return Value{Text: strings.Join(list, ""), Strings: list}
		}
	}
	return Value{Text: text}
}

// zoneStrings reads the strings of one record in zone file notation (RFC 1035 §5.1). Not ok means that it is none.
func zoneStrings(s string) (list []string, ok bool) {
	open, closed := false, false
	for {
		s = strings.TrimLeft(s, " \t\r\n")
		if s == "" {
			return list, len(list) > 0 && open == closed
		}
		switch c := s[0]; {
		case c == ';':
			_, s, _ = strings.Cut(s, "\n")
			continue
		case c == '(' && !open && len(list) == 0:
			open, s = true, s[1:]
			continue
		case c == ')' && open && !closed:
			closed, s = true, s[1:]
			continue
		case c != '"' || closed:
			return nil, false
		}
		var text string
		if text, s, ok = zoneString(s[1:]); !ok {
			return nil, false
		}
		list = append(list, text)
	}
}

// zoneString reads up to the closing quote; \DDD is an octet, \X is X.
func zoneString(s string) (text, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), s[i+1:], true
		case c != '\\':
			b.WriteByte(c)
		case i+1 == len(s):
			return "", "", false
		default:
			i++
			if n, ok := octet(s[i:]); ok {
				b.WriteByte(n)
				i += 2
				continue
			}
			b.WriteByte(s[i])
		}
	}
	return "", "", false
}

// octet reads three decimal digits.
func octet(s string) (byte, bool) {
	n := 0
	for i := range 3 {
		if i >= len(s) || s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = 10*n + int(s[i]-'0')
	}
	return byte(n), n < 256
}

// quoted writes a value as a zone file has it, in strings of at most 255 octets.
func quoted(value string) string {
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`)
	parts := dkim.SplitTXT(value)
	for i, p := range parts {
		parts[i] = `"` + escape.Replace(p) + `"`
	}
	return strings.Join(parts, " ")
}
