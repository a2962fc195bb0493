package dmarc

// Aligned reports whether an authenticated domain is aligned with the author's domain (RFC 9989 §4.4). The
// organizational domains count in relaxed mode only; they come from Tree.Organization. Names are compared without regard
// to case and to a final dot.
func Aligned(mode Mode, author, authorOrg, authenticated, authenticatedOrg string) bool {
	if mode != Strict {
		author, authenticated = authorOrg, authenticatedOrg
	}
	a, ok := normal(author)
	b, ok2 := normal(authenticated)
	return ok && ok2 && a == b
}
