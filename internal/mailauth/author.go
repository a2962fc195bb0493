package mailauth

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/postseal/postseal/internal/resolver"
)

// MaxFrom is the longest value of a From field that is parsed, in octets; a name and an address need a few hundred.
const MaxFrom = 8 << 10

// maxCommentDepth bounds nested comments.
const maxCommentDepth = 16

// Problem is a stable word that says why there is no author; "" = there is one. Package agent counts the same words.
type Problem string

// The problems.
const (
	FromMissing        Problem = "from_missing"         // no From field
	FromMultipleFields Problem = "from_multiple_fields" // more than one From field
	FromMultiple       Problem = "from_multiple"        // more than one address in it
	FromGroup          Problem = "from_group"           // group syntax
	FromUnparsable     Problem = "from_unparsable"      // not an address that every reader reads alike
)

// Author returns the one address in the value of a From field: its local part as written, its domain as lower-case A-labels.
//
// It is strict, because readers of mail differ where the text is odd, and a signature on something that a reader takes for another
// author is worse than none (reference/standards.md A3): RFC 5322 §3.4 without the obsolete forms, one mailbox, no group, no
// route, no domain literal, and UTF-8 as RFC 6532 allows it. The address may stand alone or in angle brackets after a phrase. A
// phrase that itself looks like an address is allowed only in quotes or encoded words, as every mail program writes it.
func Author(value string) (local, domain string, problem Problem) {
	if len(value) > MaxFrom {
		return "", "", FromUnparsable
	}
	l := fromLexer{rest: value}
	tokens, ok := l.all()
	if !ok {
		return "", "", FromUnparsable
	}
	if problem := manyMailboxes(tokens); problem != "" {
		return "", "", problem
	}
	if len(tokens) == 0 {
		return "", "", FromUnparsable
	}
	spec := tokens
	if i := indexSpecial(tokens, '<'); i >= 0 {
		last := len(tokens) - 1
		if tokens[last].special != '>' {
			return "", "", FromUnparsable
		}
		spec = tokens[i+1 : last]
		if !phrase(tokens[:i], spec) {
			return "", "", FromUnparsable
		}
	}
	local, domain, ok = addrSpec(spec)
	if !ok || !utf8.ValidString(local) {
		return "", "", FromUnparsable
	}
	ascii, err := resolver.ToASCII(domain)
	if err != nil || strings.ContainsAny(ascii, "*/_") || ascii == "." {
		return "", "", FromUnparsable
	}
	return local, ascii, ""
}

// manyMailboxes names what goes beyond one mailbox.
func manyMailboxes(tokens []fromToken) Problem {
	switch {
	case indexSpecial(tokens, ':') >= 0 && indexSpecial(tokens, '<') < 0, indexSpecial(tokens, ';') >= 0:
		return FromGroup
	case indexSpecial(tokens, ',') >= 0:
		return FromMultiple
	}
	return ""
}

// phrase is RFC 5322 §3.2.5 with what everybody writes besides: dots ("John Q. Public"), brackets, encoded words with an at sign, and
// the address itself once more. Another address there would be taken for the author by some.
func phrase(tokens, spec []fromToken) bool {
	if indexSpecial(tokens, '@') >= 0 {
		quoted := func(t fromToken) bool { return t.quoted }
		return !slices.ContainsFunc(tokens, quoted) && !slices.ContainsFunc(spec, quoted) && strings.EqualFold(textOf(tokens), textOf(spec))
	}
	for _, t := range tokens {
		if strings.IndexByte("\x00.[]?", t.special) < 0 {
			return false
		}
	}
	return true
}

// encodedWord returns the encoded word (RFC 2047 §2) at the beginning of s, "" when there is none.
func encodedWord(s string) string {
	if !strings.HasPrefix(s, "=?") {
		return ""
	}
	rest := s[2:]
	for range 2 { // charset and encoding
		i := strings.IndexByte(rest, '?')
		if i < 1 {
			return ""
		}
		rest = rest[i+1:]
	}
	end := strings.Index(rest, "?=")
	if end < 0 || strings.ContainsAny(rest[:end], " \t\r\n<>\"(),;:") {
		return ""
	}
	return s[:len(s)-len(rest)+end+2]
}

// addrSpec takes local-part "@" domain and returns both as written. White space and comments between the parts are an obsolete form
// that readers treat differently.
func addrSpec(tokens []fromToken) (localPart, domain string, ok bool) {
	for i, t := range tokens {
		if i > 0 && t.spaced {
			return "", "", false
		}
	}
	at := indexSpecial(tokens, '@')
	if at < 1 || indexSpecial(tokens[at+1:], '@') >= 0 {
		return "", "", false
	}
	local, host := tokens[:at], tokens[at+1:]
	if !(len(local) == 1 && local[0].special == 0) && !dotAtom(local) || !dotAtom(host) {
		return "", "", false
	}
	return textOf(local), textOf(host), true
}

// textOf puts tokens together again that stand side by side.
func textOf(tokens []fromToken) string {
	if len(tokens) == 1 {
		return tokens[0].text
	}
	var b strings.Builder
	for _, t := range tokens {
		b.WriteString(t.text)
	}
	return b.String()
}

// dotAtom is atoms with one dot between each two.
func dotAtom(tokens []fromToken) bool {
	if len(tokens)%2 == 0 {
		return false
	}
	for i, t := range tokens {
		if i%2 == 0 && (t.special != 0 || t.quoted) || i%2 == 1 && t.special != '.' {
			return false
		}
	}
	return true
}

func indexSpecial(tokens []fromToken, special byte) int {
	for i, t := range tokens {
		if t.special == special {
			return i
		}
	}
	return -1
}

// fromToken is an atom, a quoted string, or one special.
type fromToken struct {
	text    string // as written
	special byte   // 0 for atoms and quoted strings
	quoted  bool
	spaced  bool // white space or a comment stands before it
}

// fromLexer splits the value of a From field into tokens; white space and comments only leave their mark.
type fromLexer struct{ rest string }

func (l *fromLexer) all() (tokens []fromToken, ok bool) {
	for {
		spaced, ok := l.skip()
		if !ok {
			return nil, false
		}
		if l.rest == "" {
			return tokens, true
		}
		t, ok := l.next()
		if !ok {
			return nil, false
		}
		t.spaced = spaced
		tokens = append(tokens, t)
	}
}

// skip passes over white space, folds and comments.
func (l *fromLexer) skip() (any, ok bool) {
	depth := 0
	for i := 0; i < len(l.rest); i++ {
		c := l.rest[i]
		switch {
		case c == ' ' || c == '\t' || c == '\r' || c == '\n':
		case c == '(':
			if depth++; depth > maxCommentDepth {
				return false, false
			}
		case depth > 0 && c == ')':
			depth--
		case depth > 0 && c == '\\':
			i++
		case depth > 0 && c >= ' ' && c != 0x7f:
		default:
			if depth > 0 {
				return false, false
			}
			l.rest = l.rest[i:]
			return i > 0, true
		}
	}
	l.rest = ""
	return true, depth == 0
}

func (l *fromLexer) next() (fromToken, bool) {
	c := l.rest[0]
	switch {
	case c == '"':
		return l.quotedString()
	case c == '=' && strings.Contains(encodedWord(l.rest), "@"):
		t := fromToken{text: encodedWord(l.rest), special: '?'} // a phrase may hold it, an address may not
		l.rest = l.rest[len(t.text):]
		return t, true
	case strings.IndexByte("<>@,;:.[]", c) >= 0:
		t := fromToken{text: l.rest[:1], special: c}
		l.rest = l.rest[1:]
		return t, true
	case !atomByte(c):
		return fromToken{}, false
	}
	end := 1
	for end < len(l.rest) && atomByte(l.rest[end]) {
		end++
	}
	t := fromToken{text: l.rest[:end]}
	l.rest = l.rest[end:]
	return t, true
}

func (l *fromLexer) quotedString() (fromToken, bool) {
	for i := 1; i < len(l.rest); i++ {
		switch c := l.rest[i]; {
		case c == '"':
			t := fromToken{text: l.rest[:i+1], quoted: true}
			l.rest = l.rest[i+1:]
			return t, true
		case c == '\\':
			i++
			if i == len(l.rest) || l.rest[i] < ' ' && l.rest[i] != '\t' {
				return fromToken{}, false
			}
		case c < ' ' && c != '\t' && c != '\r' && c != '\n' || c == 0x7f:
			return fromToken{}, false
		}
	}
	return fromToken{}, false
}

// atomByte is atext of RFC 5322 §3.2.3 and, as RFC 6532 §3.2, everything beyond US-ASCII.
func atomByte(c byte) bool {
	return c >= 0x80 || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}
