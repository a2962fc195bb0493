package hosted

import (
	"fmt"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/publisher"
)

// Quote writes a TXT value in presentation form (RFC 1035 §5.1): quoted strings of at most 255 octets, separated by a space.
func Quote(value string) string {
	var b strings.Builder
	for i, s := range publisher.Strings(value) {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteByte('"')
		for _, c := range []byte(s) {
			switch {
			case c == '"' || c == '\\':
				b.WriteByte('\\')
				b.WriteByte(c)
			case c < ' ' || c > '~':
				fmt.Fprintf(&b, `\%03d`, c)
			default:
				b.WriteByte(c)
			}
		}
		b.WriteByte('"')
	}
	return b.String()
}

// Unquote reads a TXT value in presentation form: strings with or without quotes, joined. ok is false when a quote is not closed or an escape is none.
func Unquote(text string) (value string, ok bool) {
	var b strings.Builder
	quoted := false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			quoted = !quoted
		case c == '\\':
			if i+1 == len(text) {
				return "", false
			}
			i++
			if !digit(text[i]) {
				b.WriteByte(text[i])
				continue
			}
			if i+2 >= len(text) || !digit(text[i+1]) || !digit(text[i+2]) {
				return "", false
			}
			v := int(text[i]-'0')*100 + int(text[i+1]-'0')*10 + int(text[i+2]-'0')
			if v > 255 {
				return "", false
			}
			b.WriteByte(byte(v))
			i += 2
		case !quoted && (c == ' ' || c == '\t'):
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), !quoted
}

// UnquoteIfQuoted reads a TXT value of a vendor that hands out old values as they were typed: in presentation form when it begins with a quote, else as it is.
func UnquoteIfQuoted(text string) string {
	if strings.HasPrefix(text, `"`) {
		if value, ok := Unquote(text); ok {
			return value
		}
	}
	return text
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

// Presentation writes a TXT value or a CNAME's target in the form of a zone file.
func Presentation(r Record) string {
	if r.Type == publisher.TXT {
		return Quote(r.Value)
	}
	return canonical(r.Value) + "."
}

// FromPresentation reads what a vendor holds in the form of a zone file; a target without trailing dot is relative to the zone. A TXT value that
// cannot be read is taken as it is, so that it is nobody's and is shown.
func FromPresentation(zone Zone, rrtype, raw string, ttl time.Duration) Record {
	r := Record{Type: rrtype, Value: raw, TTL: ttl, Raw: raw}
	switch rrtype {
	case publisher.TXT:
		if value, ok := Unquote(raw); ok {
			r.Value = value
		}
	case publisher.CNAME:
		if !strings.HasSuffix(raw, ".") {
			r.Value = zone.Absolute(raw)
		}
	}
	return r
}
