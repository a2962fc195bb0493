package authres

import "strings"

// maxDepth bounds nested comments; deeper ones make a field unreadable.
const maxDepth = 16

// lexer takes a value apart into words: atoms, quoted strings, and the separators ; = . / each by itself.
type lexer struct{ rest string }

// word is one token.
type word struct {
	text  string
	plain bool // not quoted
}

// skip passes over white space, line breaks and comments; not ok means a comment without end.
func (l *lexer) skip() bool {
	depth := 0
	for i := 0; i < len(l.rest); i++ {
		switch c := l.rest[i]; {
		case c == '(':
			if depth++; depth > maxDepth {
				return false
			}
		case depth > 0:
			if c == ')' {
				depth--
			} else if c == '\\' {
				i++
			}
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
		default:
			l.rest = l.rest[i:]
			return true
		}
	}
	l.rest = ""
	return depth == 0
}

// next returns the next word; ok is false at the end and at what is no word.
func (l *lexer) next(separators string) (w word, ok bool) {
	if !l.skip() || l.rest == "" {
		return w, false
	}
	c := l.rest[0]
	if c == '"' {
		return l.quotedString()
	}
	if strings.IndexByte(separators, c) >= 0 {
		l.rest = l.rest[1:]
		return word{string(c), true}, true
	}
	end := 0
	for end < len(l.rest) && strings.IndexByte(separators+" \t\r\n(\"", l.rest[end]) < 0 {
		end++
	}
	if end == 0 {
		return w, false
	}
	w = word{l.rest[:end], true}
	l.rest = l.rest[end:]
	return w, true
}

func (l *lexer) quotedString() (word, bool) {
	var b strings.Builder
	for i := 1; i < len(l.rest); i++ {
		switch c := l.rest[i]; c {
		case '"':
			l.rest = l.rest[i+1:]
			return word{b.String(), false}, true
		case '\\':
			if i++; i < len(l.rest) {
				b.WriteByte(l.rest[i])
			}
		case '\r', '\n': // folding inside
		default:
			b.WriteByte(c)
		}
	}
	return word{}, false
}
