package inventory

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// maxSigned bounds the names in headers and oversign together: h= of them still fits a few lines, and no mail has more
	// fields that a reader sees.
	maxSigned = 64
	// maxFieldName lets a name stand with its colon on a line of 78 characters (RFC 5322 §2.1.1).
	maxFieldName = 76
	// minExpire is above the five days that mail waits in queues (RFC 5321 §4.5.4.1), with time to be verified after.
	minExpire = 7 * 24 * time.Hour
	// maxExpire is longer than any key is in use; a longer one says nothing.
	maxExpire = 365 * 24 * time.Hour
)

// shownFields are what a reader sees or a program interprets first: unsigned, others can change them unnoticed.
func shownFields() []string { return []string{"Subject", "Date", "To", "Content-Type"} }

// traceFields are written by those who carry the mail after it was signed (RFC 6376 §5.4.1), or by other signatures.
func traceFields() []string {
	return []string{"dkim-signature", "received", "return-path", "authentication-results"}
}

// tracePrefix begins the fields of a chain of relays (RFC 8617).
const tracePrefix = "arc-"

// noKey checks the word for mail that cannot be signed.
func (c *checker) noKey(k NoKey, path string) {
	if words := []string{string(NoKeyPass), string(NoKeyTempfail)}; !slices.Contains(words, string(k)) {
		c.wrong(path, suggestion(string(k), words), "unknown word for no_key %q", shorten(string(k)))
	}
}

// signing checks what is written at one place; under is what the place inherits, and counts where lists meet.
func (c *checker) signing(s, under Signing, path string) {
	c.fields(s.Headers, path+".headers")
	c.fields(s.Oversign, path+".oversign")
	c.together(s, s.Over(under), path)
	if words := canonicalizations(); s.Canonicalization != "" && !slices.Contains(words, s.Canonicalization) {
		c.wrong(path+".canonicalization", suggestion(s.Canonicalization, words), "unknown canonicalization %q", shorten(s.Canonicalization))
	} else if strings.HasPrefix(s.Canonicalization, "simple/") {
		c.warn(path+".canonicalization", "write "+DefaultCanonicalization, "simple for the header breaks the signature at every relay that folds a line anew")
	}
	switch d := s.Expires(); {
	case d == 0:
	case d < minExpire:
		c.wrong(path+".expire", "write expire: 0 for signatures that do not expire", "expire is %s, less than %s: mail waits 5d in queues and is verified after that",
			FormatDuration(max(d, 0)), FormatDuration(minExpire))
	case d > maxExpire:
		c.wrong(path+".expire", "write expire: 0 for signatures that do not expire", "expire is %s, more than %s", FormatDuration(d), FormatDuration(maxExpire))
	case d%time.Second != 0:
		c.wrong(path+".expire", "", "expire is %s; whole seconds are wanted", FormatDuration(d))
	}
}

// fields checks one list of names.
func (c *checker) fields(names []string, path string) {
	if names != nil && len(names) == 0 {
		c.wrong(path, "leave it out for the default", "the list names no header field")
	}
	for i, name := range names {
		at := fmt.Sprintf("%s[%d]", path, i)
		lower := strings.ToLower(name)
		switch {
		case !fieldName(name):
			c.wrong(at, "", "%q is not the name of a header field (RFC 5322 §2.2)", shorten(name))
		case slices.Contains(traceFields(), lower) || strings.HasPrefix(lower, tracePrefix):
			c.wrong(at, "leave it out", "%s cannot be signed: relays add and change it on the way (RFC 6376 §5.4)", shorten(name))
		case slices.ContainsFunc(names[:i], func(other string) bool { return strings.EqualFold(other, name) }):
			c.wrong(at, "", "%s is named twice", shorten(name))
		}
	}
}

// fieldName reports whether s can be the name of a header field: printable, no space, no colon (RFC 5322 §2.2).
func fieldName(s string) bool {
	return s != "" && len(s) <= maxFieldName && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == ':' })
}

// together checks both lists as they count. Each of them may be inherited; what is wrong with both inherited was told
// where they are written.
func (c *checker) together(s, all Signing, path string) {
	list := path + ".headers" // where what is wrong with both is told
	if s.Headers == nil {
		list = path + ".oversign"
	}
	if s.Headers == nil && s.Oversign == nil {
		return
	}
	if n := len(all.Headers) + len(all.Oversign); n > maxSigned {
		c.wrong(list, "", "headers and oversign name %d fields; at most %d are taken", n, maxSigned)
		return
	}
	has := func(names []string, name string) bool {
		return slices.ContainsFunc(names, func(other string) bool { return strings.EqualFold(other, name) })
	}
	own, other, otherName := all.Headers, all.Oversign, "oversign"
	if s.Headers == nil {
		own, other, otherName = all.Oversign, all.Headers, "headers"
	}
	for i, name := range own {
		if has(other, name) {
			c.wrong(fmt.Sprintf("%s[%d]", list, i), "name it in oversign only", "%s is in %s as well", shorten(name), otherName)
		}
	}
	if all.Oversign == nil {
		return // the default has them all
	}
	missing := slices.DeleteFunc(shownFields(), func(name string) bool { return has(all.Headers, name) || has(all.Oversign, name) })
	if len(missing) > 0 {
		c.warn(list, "name them in oversign, or leave oversign out", "%s not signed: others can change what a reader sees", isAre(missing))
	}
}

// isAre is the beginning of a sentence about one thing or several.
func isAre(names []string) string {
	if len(names) == 1 {
		return names[0] + " is"
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1] + " are"
}

// aligns warns where mail of subdomains would be signed in vain: strict alignment wants the very domain of From in d=
// (RFC 9989 §4.4).
func (c *checker) aligns(d *FleetDomain, path string) {
	for tag := range strings.SplitSeq(d.DMARC, ";") {
		name, value, _ := strings.Cut(tag, "=")
		if strings.TrimSpace(name) == "adkim" && strings.TrimSpace(value) == "s" {
			c.warn(path, "leave adkim=s out", "adkim=s in the DMARC policy makes d=%s count for %s alone, not for its subdomains", d.Name, d.Name)
		}
	}
}
