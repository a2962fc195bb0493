package inventory

import "time"

// Signing is how signatures are made. A field that says nothing (nil, "") leaves it to whoever is asked next: an assignment
// to its domain, a domain to the defaults of DESIGN.md §5.
type Signing struct {
	// Headers are names of header fields that are signed as often as they are present; From always is (RFC 6376 §5.4).
	Headers []string `json:"headers,omitempty"`
	// Oversign are names that are listed once more than they are present, so that nobody can add one (RFC 6376 §8.15).
	Oversign []string `json:"oversign,omitempty"`
	// Canonicalization is that of header and body, "relaxed/simple" (RFC 6376 §3.4).
	Canonicalization string `json:"canonicalization,omitempty"`
	// Expire is how long after it was made a signature says that it counts (x= of RFC 6376 §3.5); 0 = for ever.
	Expire *time.Duration `json:"expire,omitempty"`
}

// DefaultCanonicalization survives what relays do to white space and to the folding of lines.
const DefaultCanonicalization = "relaxed/relaxed"

// canonicalizations are those of header and body together (RFC 6376 §3.4).
func canonicalizations() []string {
	return []string{DefaultCanonicalization, "relaxed/simple", "simple/relaxed", "simple/simple"}
}

// Over returns s with what it does not say taken from under.
func (s Signing) Over(under Signing) Signing {
	if s.Headers == nil {
		s.Headers = under.Headers
	}
	if s.Oversign == nil {
		s.Oversign = under.Oversign
	}
	if s.Canonicalization == "" {
		s.Canonicalization = under.Canonicalization
	}
	if s.Expire == nil {
		s.Expire = under.Expire
	}
	return s
}

// Expires is how long signatures count, 0 for ever.
func (s Signing) Expires() time.Duration {
	if s.Expire == nil {
		return 0
	}
	return *s.Expire
}

// SigningIn is how signatures of the assignment are made: what it says itself over what its domain says.
func (a Assignment) SigningIn(d Domain) Signing { return a.Signing.Over(d.Signing) }

// SubdomainsIn reports whether the assignment signs for author domains below its domain that have none of their own.
func (a Assignment) SubdomainsIn(d Domain) bool {
	if a.Subdomains != nil {
		return *a.Subdomains
	}
	return d.Subdomains
}

// NoKeyIn is what becomes of mail of the assignment that should be signed and cannot be.
func (a Assignment) NoKeyIn(d Domain) NoKey {
	if a.NoKey != "" {
		return a.NoKey
	}
	return d.NoKey
}
