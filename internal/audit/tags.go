package audit

import (
	"slices"
	"strings"
)

// keyTags are the tags of a key record (RFC 6376 §3.6.1).
const keyTags = "vhknpst"

// tag is one piece of a record between semicolons, read without asking whether it is allowed.
type tag struct {
	name  string // without white space around; "" when there is no "="
	value string // the same
	whole bool   // there is a "=" behind a name that RFC 6376 §3.2 allows
	text  string // the piece as it stands, trimmed
}

// known reports a tag of key records.
func (t tag) known() bool { return t.whole && len(t.name) == 1 && strings.Contains(keyTags, t.name) }

// tagList is a record in pieces; what follows the last semicolon is left out when it is empty.
type tagList []tag

func scanTags(text string) tagList {
	var list tagList
	pieces := strings.Split(text, ";")
	for i, piece := range pieces {
		piece = strings.Trim(piece, white)
		if piece == "" && i == len(pieces)-1 {
			break
		}
		name, value, ok := strings.Cut(piece, "=")
		t := tag{text: piece}
		if ok {
			t.name, t.value = strings.Trim(name, white), strings.Trim(value, white)
			t.whole = tagName(t.name)
		}
		list = append(list, t)
	}
	return list
}

// white is white space as tag lists know it.
const white = " \t\r\n"

// get returns the first tag of that name.
func (l tagList) get(name string) (value string, ok bool) {
	i := slices.IndexFunc(l, func(t tag) bool { return t.whole && t.name == name })
	if i < 0 {
		return "", false
	}
	return l[i].value, true
}

// items are the parts of a colon-separated list.
func items(list string) []string {
	parts := strings.Split(list, ":")
	for i := range parts {
		parts[i] = strings.Trim(parts[i], white)
	}
	return parts
}

func tagName(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		if letter := c >= 'a' && c <= 'z'; !letter && (i == 0 || s[i] != '_' && (s[i] < '0' || s[i] > '9')) {
			return false
		}
	}
	return s != ""
}

// unspaced is s without white space.
func unspaced(s string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(white, r) {
			return -1
		}
		return r
	}, s)
}

// maxShown is how much foreign text a message quotes, in characters.
const maxShown = 40

// shown quotes foreign text for a message, shortened; invisible characters become visible.
func shown(s string) string {
	if r := []rune(strings.ToValidUTF8(s, "\ufffd")); len(r) > maxShown {
		return quoteASCII(string(r[:maxShown])) + "…"
	}
	return quoteASCII(s)
}

// excerpt shortens the name of a tag, which is printable ASCII.
func excerpt(name string) string {
	if len(name) > maxShown {
		return name[:maxShown] + "…"
	}
	return name
}
