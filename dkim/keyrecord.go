package dkim

import "crypto"

// KeyRecord is a DKIM key record (RFC 6376 §3.6.1).
type KeyRecord struct {
	Versioned bool             // v=DKIM1 is there
	Type      string           // k=, "rsa" when absent
	PublicKey crypto.PublicKey // *rsa.PublicKey or ed25519.PublicKey; nil when revoked
	Bits      int              // RSA modulus length, 256 for Ed25519
	Revoked   bool             // p= is empty
	Hashes    []string         // h=; nil = all
	Services  []string         // s=; nil = all
	Testing   bool             // t=y
	Strict    bool             // t=s
	Notes     string           // n= as written
}

// ParseKeyRecord reads the text of a key record.
func ParseKeyRecord(txt string) (*KeyRecord, error) { return nil, ReasonKeySyntax }

// FormatKeyRecord gives the text to publish for a public key: "v=DKIM1; k=rsa; p=…".
func FormatKeyRecord(pub crypto.PublicKey) (string, error) { return "", ErrKeyUnsupported }

// SplitTXT cuts a record value into strings of at most 255 octets.
func SplitTXT(value string) []string { return nil }
