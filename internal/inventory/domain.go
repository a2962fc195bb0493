package inventory

import (
	"crypto/rand"
	"strings"
)

// Mode says how far Postseal goes with a domain.
type Mode string

const (
	Observed Mode = "observed" // inventory, audit, plan; nothing changed
	Managed  Mode = "managed"  // keys are made, published, rotated
)

// NoKey says what becomes of mail that should be signed and cannot be.
type NoKey string

const (
	NoKeyPass     NoKey = "pass"
	NoKeyTempfail NoKey = "tempfail"
)

// Domain is a signing domain (d= of RFC 6376). Name is lower case in A-label form, without a trailing dot.
type Domain struct {
	Name      string   `json:"name"`
	Mode      Mode     `json:"mode"`
	Labels    []string `json:"labels,omitempty"` // access and listings can be limited to a label
	Publisher string   `json:"publisher"`        // name of the publisher that writes its zone
	NoKey     NoKey    `json:"no_key"`
	// Subdomains signs mail of author domains below Name that have no assignment of their own with d=Name (RFC 6376 §3.10).
	Subdomains bool    `json:"subdomains,omitempty"`
	Signing    Signing `json:"signing,omitzero"`
	DMARC      string  `json:"dmarc,omitempty"` // complete value wanted at _dmarc; "" = not ours
	Policy     Policy  `json:"policy"`          // complete: defaults, organisation and domain merged
}

// NewID returns prefix, an underscore and 80 random bits in lower-case base32: unique without asking anybody.
func NewID(prefix string) string {
	return prefix + "_" + strings.ToLower(rand.Text()[:16])
}
