package inventory

import "time"

// DefaultStream is the stream of a signer that does not name one.
const DefaultStream = "default"

// Class says who has the private key.
type Class string

const (
	ClassManaged   Class = "managed"   // our holders; we rotate
	ClassDelegated Class = "delegated" // a CNAME of ours points to a service, which rotates behind it
	ClassForeign   Class = "foreign"   // a service gave us a TXT value to publish
)

// Assignment says: this signer may sign for this domain, on this stream.
type Assignment struct {
	ID       string `json:"id"`
	Domain   string `json:"domain"`
	SignerID string `json:"signer_id"`
	Stream   string `json:"stream"`
	Class    Class  `json:"class"`
	// Algorithms of the keys wanted, one key each: rsa2048 by default, ed25519 as an optional second.
	Algorithms []string `json:"algorithms,omitempty"`
	Bulk       bool     `json:"bulk,omitempty"`
	// NoKey, Subdomains and Signing, where they say something, count instead of what the domain says: see NoKeyIn,
	// SubdomainsIn and SigningIn.
	NoKey      NoKey   `json:"no_key,omitempty"`
	Subdomains *bool   `json:"subdomains,omitempty"`
	Signing    Signing `json:"signing,omitzero"`
	// Records are what a service wants at its selectors (delegated, foreign).
	Records []ServiceRecord `json:"records,omitempty"`
	// Slots are declared selectors used in turn where a zone only allows fixed CNAMEs; empty = a new selector each time.
	Slots []string `json:"slots,omitempty"`
	// Through is the publisher in whose zone the keys of the slots lie; each slot's own name is a CNAME to there (SlotTarget) and never changes.
	// Empty = the keys stand at the slots themselves.
	Through string `json:"through,omitempty"`
	// Standby asks for one further key per algorithm that is published and proven ahead of time: a replacement is there at once then.
	Standby bool `json:"standby,omitempty"`
	// RotateRequested is when a person last asked for a rotation: keys made before are to be replaced.
	RotateRequested time.Time `json:"rotate_requested,omitzero"`
	RotateBy        string    `json:"rotate_by,omitempty"`
	// Ended is when the assignment was removed on purpose; its keys go through retirement and are not replaced.
	Ended   time.Time `json:"ended,omitzero"`
	EndedBy string    `json:"ended_by,omitempty"`
}

// ServiceRecord is one record that a service asks for.
type ServiceRecord struct {
	Selector string `json:"selector"`
	Type     string `json:"type"`  // TXT or CNAME
	Value    string `json:"value"` // complete TXT value, or target without trailing dot
}
