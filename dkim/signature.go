package dkim

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"math"
)

// signature is one DKIM-Signature field, parsed and checked as far as that goes without its key. Its slices point into the
// header block or into the verifier's name buffer.
type signature struct {
	field  int // in the block
	reason Reason
	detail string

	algorithm    string // a constant, or "" until known
	ed25519      bool
	header, body Canonicalization
	canonical    bool // c= was read
	keyName      string
	domain       string // the parts of keyName
	selector     string
	identity     string
	strictDomain bool // the domain of i= equals d=
	report       bool // r=y (RFC 6651 §3.1)
	names        []byte
	sum          [sha256.Size]byte // bh=
	limit        int64             // l=, noLimit when absent
	b            []byte            // b= as written
	bFrom, bTo   int               // what to cut from the raw field: the raw value of b=
	sink         int
}

// fail notes the first thing that is wrong.
func (s *signature) fail(reason Reason, detail string) {
	if s.reason == "" {
		s.reason, s.detail = reason, detail
	}
}

// parse reads field i of the block. Checks follow RFC 6376 §6.1.1 in the order in which a reader would want to hear of
// them; the first failure is the reason.
func (s *signature) parse(v *Verifier, i int) {
	*s = signature{field: i, limit: noLimit}
	l := &v.tags
	if problem := l.parse(v.block.value(i)); problem != "" {
		s.fail(ReasonSignatureSyntax, problem)
		return
	}
	switch version := l.get("v"); {
	case version == nil:
		s.fail(ReasonSignatureSyntax, "no v=")
	case string(version) != "1":
		s.fail(ReasonVersionUnsupported, fmt.Sprintf("v=%q", excerpt(version)))
	}
	s.report = string(l.get("r")) == "y" // any other value has no meaning yet and is ignored
	s.parseNames(v)
	s.parseAlgorithm(l.get("a"))
	s.parseCanonicalization(l.get("c"))
	if q := l.get("q"); q != nil && !listHas(q, "dns/txt") {
		s.fail(ReasonQueryUnsupported, fmt.Sprintf("q=%q", excerpt(q)))
	}
	s.parseSignedNames(l.get("h"))
	s.parseTimes(v)
	s.parseValues(v)
}

// parseNames reads s=, d= and i= and forms the name of the key record. All are in the result even when another check fails.
func (s *signature) parseNames(v *Verifier) {
	selector, domain := v.tags.get("s"), v.tags.get("d")
	if selector == nil || domain == nil {
		s.fail(ReasonSignatureSyntax, "no d= or no s=")
		return
	}
	name, ok := appendDomain(v.name[:0], selector)
	selectorLen := len(name)
	if ok {
		name = append(name, keyNameInfix...)
		name, ok = appendDomain(name, domain)
	}
	v.name = name
	if !ok || len(name) > maxDomainBytes {
		s.fail(ReasonSignatureSyntax, fmt.Sprintf("s=%q d=%q form no name", excerpt(selector), excerpt(domain)))
		return
	}
	s.keyName = v.keyName(name)
	s.selector, s.domain = s.keyName[:selectorLen], s.keyName[selectorLen+len(keyNameInfix):]
	s.strictDomain = true
	identity := v.tags.get("i")
	if identity == nil {
		return
	}
	at := bytes.LastIndexByte(identity, '@')
	under, ok := appendDomain(v.name[len(name):], trimSpace(identity[at+1:]))
	if at < 0 || !ok || !underOrEqual(under, name[len(name)-len(s.domain):]) {
		s.fail(ReasonDomainMismatch, fmt.Sprintf("i=%q is not under d=%s", excerpt(identity), s.domain))
		return
	}
	s.strictDomain = len(under) == len(s.domain)
	s.identity = withoutSpace(identity)
}

func (s *signature) parseAlgorithm(a []byte) {
	switch string(a) {
	case algRSASHA256:
		s.algorithm = algRSASHA256
	case algEd25519SHA256:
		s.algorithm, s.ed25519 = algEd25519SHA256, true
	case "":
		s.fail(ReasonSignatureSyntax, "no a=")
	default:
		if isToken(a) {
			s.algorithm = string(a)
		}
		s.fail(ReasonAlgorithmUnsupported, fmt.Sprintf("a=%q", excerpt(a)))
	}
}

func (s *signature) parseCanonicalization(c []byte) {
	header, body, both := bytes.Cut(c, []byte("/"))
	if c == nil {
		header = []byte("simple")
	}
	if !both {
		body = []byte("simple")
	}
	var okHeader, okBody bool
	s.header, okHeader = canonicalizationOf(header)
	s.body, okBody = canonicalizationOf(body)
	if s.canonical = okHeader && okBody; !s.canonical {
		s.fail(ReasonCanonicalizationUnsupported, fmt.Sprintf("c=%q", excerpt(c)))
	}
}

func canonicalizationOf(name []byte) (Canonicalization, bool) {
	switch string(name) {
	case "relaxed":
		return Relaxed, true
	case "simple":
		return Simple, true
	}
	return 0, false
}

// parseSignedNames checks h=: it must name From. Empty items are harmless, no field has an empty name.
func (s *signature) parseSignedNames(h []byte) {
	s.names = h
	if h == nil {
		s.fail(ReasonSignatureSyntax, "no h=")
		return
	}
	from, n := false, 0
	for rest := h; len(rest) > 0; n++ {
		var name []byte
		name, rest = nextItem(rest)
		from = from || equalFold(name, fromName)
	}
	if n > maxSignedNames {
		s.fail(ReasonSignatureSyntax, "too many names in h=")
	}
	if !from {
		s.fail(ReasonFromNotSigned, "")
	}
}

// parseTimes checks t= and x=. A signature from the future passes: clocks differ, and RFC 6376 §3.5 leaves it open.
func (s *signature) parseTimes(v *Verifier) {
	t, okT := number(v.tags.get("t"))
	x, okX := number(v.tags.get("x"))
	switch {
	case !okT || !okX:
		s.fail(ReasonSignatureSyntax, "t= or x= is no number")
	case x >= 0 && v.now().Unix() > x:
		s.fail(ReasonExpired, fmt.Sprintf("x=%d", x))
	case x >= 0 && t >= 0 && x <= t:
		s.fail(ReasonSignatureSyntax, "x= is not later than t=")
	}
}

// parseValues reads l=, bh= and b=.
func (s *signature) parseValues(v *Verifier) {
	limit, ok := number(v.tags.get("l"))
	if !ok {
		s.fail(ReasonSignatureSyntax, "l= is no number")
	}
	s.limit = limit
	sum, ok := appendBase64(v.decoded[:0], v.tags.get("bh"))
	v.decoded = sum
	if !ok || copy(s.sum[:], sum) != len(s.sum) || len(sum) != len(s.sum) {
		s.fail(ReasonSignatureSyntax, "bh= is missing or no SHA-256 sum")
	}
	b := v.tags.span("b")
	if b == nil || b.value == b.valueEnd {
		s.fail(ReasonSignatureSyntax, "no b=")
		return
	}
	s.b = v.tags.src[b.value:b.valueEnd]
	if v.decoded, ok = appendBase64(v.decoded[:0], s.b); !ok {
		s.fail(ReasonSignatureSyntax, "b= is not base64")
	}
	f := v.block.fields[s.field]
	s.bFrom, s.bTo = f.colon+1-f.start+b.raw, f.colon+1-f.start+b.rawEnd
}

// number reads an unsigned decimal; -1 for an absent tag. More digits than fit count as the largest number (RFC 6376 §3.5
// allows 76 of them).
func number(b []byte) (int64, bool) {
	if b == nil {
		return -1, true
	}
	n := int64(0)
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		if n > (math.MaxInt64-9)/10 {
			n = math.MaxInt64
			continue
		}
		n = n*10 + int64(c-'0')
	}
	return n, len(b) > 0
}

// isToken reports whether an unknown algorithm's name is safe to repeat.
func isToken(b []byte) bool {
	const longest = 40
	for _, c := range b {
		if !isAlnum(c) && c != '-' && c != '_' {
			return false
		}
	}
	return len(b) <= longest
}

func withoutSpace(b []byte) string {
	if !bytes.ContainsAny(b, " \t\r\n") {
		return string(b)
	}
	out := make([]byte, 0, len(b))
	for _, c := range b {
		if !isSpace(c) {
			out = append(out, c)
		}
	}
	return string(out)
}
