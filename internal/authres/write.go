package authres

import "strings"

const (
	// column is where lines are folded (RFC 5322 §2.1.1).
	column = 76
	// maxText bounds a comment, a reason or a value: they are for people or name a domain, and come from strangers.
	maxText = 255
)

// String is the field's value with LF and a tab at its folds, beginning with the blank after the colon. Each result begins a line.
func (f Field) String() string {
	w := writer{}
	w.word(valueOf(f.ID))
	if len(f.Results) == 0 {
		w.b.WriteByte(';')
		w.word("none")
	}
	for _, r := range f.Results {
		w.b.WriteByte(';')
		w.fold()
		w.word(token(r.Method) + "=" + token(r.Value))
		if r.Comment != "" {
			w.word("(" + comment(r.Comment) + ")")
		}
		if r.Reason != "" {
			w.word("reason=" + quoted(r.Reason))
		}
		for _, p := range r.Properties {
			if p.Value != "" {
				w.word(token(p.Type) + "." + token(p.Name) + "=" + property(p.Value))
			}
		}
	}
	return w.b.String()
}

// writer lays out words and folds between them.
type writer struct {
	b    strings.Builder
	line int // octets in the line, the field's name included
}

func (w *writer) word(s string) {
	if w.line == 0 {
		w.line = len(Name) + 1
	}
	if w.line+1+len(s) > column && w.line > 1 {
		w.fold()
	}
	if w.line > 1 { // not directly behind a fold
		w.b.WriteByte(' ')
		w.line++
	}
	w.b.WriteString(s)
	w.line += len(s)
}

func (w *writer) fold() {
	w.b.WriteString("\n\t")
	w.line = 1
}

// token keeps what a Keyword of RFC 5321 may hold; what is ours already does.
func token(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x80 && (isAlnum(byte(r)) || r == '-' || r == '_') {
			return r
		}
		return -1
	}, s)
}

// valueOf writes a value: a token as it is, anything else as a quoted string.
func valueOf(s string) string {
	if isToken(s) {
		return s
	}
	return quoted(s)
}

// property writes a pvalue: a value, or an address or domain as it is (RFC 8601 §2.2).
func property(s string) string {
	s = shorten(s)
	local, domain, ok := strings.Cut(s, "@")
	if ok && isToken(domain) && (local == "" || isToken(local)) {
		return s
	}
	return valueOf(s)
}

// isToken is RFC 2045 §5.1: printable US-ASCII without specials. The dot and the plus sign are fine.
func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || strings.IndexByte(`()<>@,;:\"/[]?=`, c) >= 0 {
			return false
		}
	}
	return s != ""
}

// quoted writes a quoted string; control characters become question marks (a line break would end the field).
func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range shorten(s) {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0:
			b.WriteByte('?')
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// comment keeps what stands for itself in a comment.
func comment(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f || r == '(' || r == ')' || r == '\\' {
			return '?'
		}
		return r
	}, shorten(s))
}

func shorten(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return strings.ToValidUTF8(s, "?")
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
