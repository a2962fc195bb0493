package dkim

import (
	"bytes"
	"strings"
)

// fromDomain gives the domain of the author in the form of appendDomain, nil unless there is one From field with one
// address. The result lies in v.name.
func (v *Verifier) fromDomain() []byte {
	i := v.block.lowest(fromName)
	if i < 0 || v.block.nextAbove(i) >= 0 {
		return nil
	}
	domain := addressDomain(v.block.value(i))
	name, ok := appendDomain(v.name[:0], domain)
	v.name = name
	if !ok {
		return nil
	}
	return name
}

// addressDomain finds the domain in a From value that holds exactly one address (RFC 5322 §3.4): quoted strings and
// comments are passed over, an address in angle brackets counts rather than the words before it. It returns nil for none
// or several.
func addressDomain(value []byte) []byte {
	var (
		at, end = -1, len(value) // of the address
		angle   = false          // inside angle brackets
		closed  = false          // after them
	)
	for i := 0; i < len(value); i++ {
		switch value[i] {
		case '"':
			for i++; i < len(value) && value[i] != '"'; i++ {
				if value[i] == '\\' {
					i++
				}
			}
		case '(':
			if at >= 0 && end == len(value) {
				end = i
			}
			i = skipComment(value, i)
		case '<':
			if angle || closed {
				return nil
			}
			angle, at, end = true, -1, len(value)
		case '>':
			if !angle {
				return nil
			}
			if end == len(value) {
				end = i
			}
			angle, closed = false, true
		case '@':
			if closed || at >= 0 {
				return nil
			}
			at = i
		case ',', ';', ':':
			return nil
		}
	}
	if at < 0 || angle || end <= at {
		return nil
	}
	return trimSpace(value[at+1 : end])
}

// skipComment gives the position of the parenthesis that closes the comment at i.
func skipComment(value []byte, i int) int {
	depth := 0
	for ; i < len(value); i++ {
		switch value[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return i
}

// aligned is what Result.Aligned says.
func aligned(from []byte, domain string) bool {
	if len(from) == 0 || domain == "" {
		return false
	}
	return string(from) == domain ||
		underOrEqual(from, domain) && strings.IndexByte(domain, '.') > 0 ||
		underOrEqual(domain, from) && bytes.IndexByte(from, '.') > 0
}
