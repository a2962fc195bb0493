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

// Publisher names a way for records to get into zones. Secrets are named by file, never held.
type Publisher struct {
	Name string        `json:"name"`
	Kind PublisherKind `json:"kind"`
	// Server is "addr:port" of the primary that takes updates (rfc2136).
	Server string `json:"server,omitempty"`
	// KeyFile is a file with a TSIG key in BIND's format (rfc2136).
	KeyFile string `json:"key_file,omitempty"`
	// Zone is the zone written to. Empty = found by asking DNS for the zone cut; required for builtin.
	Zone string `json:"zone,omitempty"`
	// Contact is whom a manual change is addressed to (manual); free text.
	Contact string `json:"contact,omitempty"`
	// Repair says whether a record that others changed is written again (invariant 6); default false = reported.
	Repair bool `json:"repair,omitempty"`
}

// PublisherKind is one way to publish.
type PublisherKind string

const (
	PublisherRFC2136 PublisherKind = "rfc2136"
	PublisherBuiltin PublisherKind = "builtin"
	PublisherManual  PublisherKind = "manual"
)

// NewID returns prefix, an underscore and 80 random bits in lower-case base32: unique without asking anybody.
func NewID(prefix string) string {
	return prefix + "_" + strings.ToLower(rand.Text()[:16])
}
