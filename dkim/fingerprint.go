package dkim

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
)

// Fingerprint names the public key: the SHA-256 of its SubjectPublicKeyInfo (RFC 5280 §4.1.2.7) in lower-case hexadecimal. Records that
// say the same key in other words have the same one. It is "" for a revoked key.
func (r *KeyRecord) Fingerprint() string {
	if r.PublicKey == nil {
		return ""
	}
	der, err := x509.MarshalPKIXPublicKey(r.PublicKey)
	if err != nil {
		return "" // a kind of key that ParseKeyRecord does not give
	}
	sum := sha256.Sum256(der)
	return hex.EncodeToString(sum[:])
}
