package dkim

import (
	"fmt"
	"strings"
)

// Tag is one entry of a tag list, its value without the surrounding white space, folding inside it kept.
type Tag struct {
	Name, Value string
}

// ParseTagList reads a tag=value list (RFC 6376 §3.2) as signatures and key records use it: names are case-sensitive and
// occur once, values hold no control characters but folding white space, a final ";" may be there. Octets beyond ASCII are
// accepted in values (RFC 8616). The error is an *Error with ReasonSignatureSyntax or, from ParseKeyRecord, ReasonKeySyntax.
func ParseTagList(list string) ([]Tag, error) {
	var l tagList
	if detail := l.parse([]byte(list)); detail != "" {
		return nil, &Error{Reason: ReasonSignatureSyntax, Detail: detail}
	}
	tags := make([]Tag, l.n)
	for i, t := range l.tags[:l.n] {
		tags[i] = Tag{Name: list[t.name:t.nameEnd], Value: list[t.value:t.valueEnd]}
	}
	return tags, nil
}

// tagSpan locates a tag in its list. The raw value is what lies between "=" and ";", white space included.
type tagSpan struct {
	name, nameEnd   int
	value, valueEnd int
	raw, rawEnd     int
}

// tagList is a parsed list; its spans point into src. It is reused from list to list.
type tagList struct {
	src  []byte
	n    int
	tags [maxTags]tagSpan
}

// parse reads src and returns what is wrong with it, or "".
func (l *tagList) parse(src []byte) (problem string) {
	l.src, l.n = src, 0
	for pos := 0; ; {
		start, ok := skipFWS(src, pos)
		if !ok {
			return "a line break that is no folding"
		}
		if start == len(src) {
			if l.n == 0 {
				return "no tags"
			}
			return ""
		}
		t := tagSpan{name: start}
		for t.nameEnd = start; t.nameEnd < len(src) && isTagNameByte(src[t.nameEnd], t.nameEnd == start); {
			t.nameEnd++
		}
		eq, ok := skipFWS(src, t.nameEnd)
		if t.nameEnd == start || !ok || eq == len(src) || src[eq] != '=' {
			return fmt.Sprintf("no tag=value at %q", excerpt(src[start:]))
		}
		t.raw = eq + 1
		t.rawEnd = t.raw
		for t.rawEnd < len(src) && src[t.rawEnd] != ';' {
			c := src[t.rawEnd]
			switch {
			case c == '\r':
				if t.rawEnd+2 >= len(src) || src[t.rawEnd+1] != '\n' || !isWSP(src[t.rawEnd+2]) {
					return fmt.Sprintf("tag %s: a line break that is no folding", src[t.name:t.nameEnd])
				}
				t.rawEnd++
			case c < ' ' && c != '\t' || c == 0x7f:
				return fmt.Sprintf("tag %s: control character %#02x", src[t.name:t.nameEnd], c)
			}
			t.rawEnd++
		}
		t.value, t.valueEnd = t.raw, t.rawEnd
		for t.value < t.valueEnd && isSpace(src[t.value]) {
			t.value++
		}
		for t.valueEnd > t.value && isSpace(src[t.valueEnd-1]) {
			t.valueEnd--
		}
		for _, u := range l.tags[:l.n] {
			if string(src[u.name:u.nameEnd]) == string(src[t.name:t.nameEnd]) {
				return fmt.Sprintf("tag %s twice", src[t.name:t.nameEnd])
			}
		}
		if l.n == maxTags {
			return "too many tags"
		}
		l.tags[l.n] = t
		l.n++
		if pos = t.rawEnd + 1; pos > len(src) {
			return ""
		}
	}
}

// get returns the value of a tag, nil when it is absent.
func (l *tagList) get(name string) []byte {
	if t := l.span(name); t != nil {
		return l.src[t.value:t.valueEnd:t.valueEnd]
	}
	return nil
}

func (l *tagList) span(name string) *tagSpan {
	for i := range l.tags[:l.n] {
		t := &l.tags[i]
		if string(l.src[t.name:t.nameEnd]) == name {
			return t
		}
	}
	return nil
}

// skipFWS moves past folding white space; not ok means a CR or LF that does not fold.
func skipFWS(b []byte, i int) (int, bool) {
	for i < len(b) && isSpace(b[i]) {
		if b[i] == '\n' || b[i] == '\r' {
			if i+2 >= len(b) || b[i] != '\r' || b[i+1] != '\n' || !isWSP(b[i+2]) {
				return i, false
			}
			i += 2
		}
		i++
	}
	return i, true
}

// nextItem cuts the first item off a colon-separated list with white space around the items.
func nextItem(list []byte) (item, rest []byte) {
	end := 0
	for end < len(list) && list[end] != ':' {
		end++
	}
	item = trimSpace(list[:end])
	if end < len(list) {
		return item, list[end+1:]
	}
	return item, nil
}

// listHas reports whether a colon-separated list holds an item; letter case counts (RFC 6376 §3.2).
func listHas(list []byte, want string) bool {
	for len(list) > 0 {
		var item []byte
		if item, list = nextItem(list); string(item) == want {
			return true
		}
	}
	return false
}

func trimSpace(b []byte) []byte {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isSpace(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func isTagNameByte(c byte, first bool) bool {
	return isAlpha(c) || !first && (c == '_' || c >= '0' && c <= '9')
}

func isWSP(c byte) bool { return c == ' ' || c == '\t' }

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// excerpt shortens foreign text for an error message.
func excerpt(b []byte) string {
	const most = 40
	if len(b) > most {
		return strings.ToValidUTF8(string(b[:most]), "") + "…"
	}
	return string(b)
}
