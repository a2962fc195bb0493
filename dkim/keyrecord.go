package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"slices"
)

// KeyRecord is a DKIM key record (RFC 6376 §3.6.1, RFC 8463 §4).
type KeyRecord struct {
	Versioned bool             // v=DKIM1 is there
	Type      string           // k=: "rsa", also when absent, or "ed25519"
	PublicKey crypto.PublicKey // *rsa.PublicKey or ed25519.PublicKey; nil when revoked
	Bits      int              // length of the RSA modulus; 256 for Ed25519; 0 when revoked
	Revoked   bool             // p= is empty
	Hashes    []string         // h=; nil = every hash
	Services  []string         // s=; nil = every service
	Testing   bool             // t=y
	Strict    bool             // t=s: the domain of i= must equal d=
	Notes     string           // n= as written
}

// keyTypes of k=.
const (
	keyTypeRSA     = "rsa"
	keyTypeEd25519 = "ed25519"
)

// ed25519Bits is the size that is named for Ed25519 keys.
const ed25519Bits = 8 * ed25519.PublicKeySize

// ParseKeyRecord reads the text of a key record, the strings of one TXT record joined. A revoked key and an RSA key of any
// size are no error here; the verifier judges those. The error is an *Error: ReasonKeySyntax when the text is no key
// record or p= no key, ReasonKeyTypeMismatch when k= is unknown.
func ParseKeyRecord(txt string) (*KeyRecord, error) {
	var p keyParser
	if reason, detail := p.parse(txt); reason != "" {
		return nil, &Error{Reason: reason, Detail: detail}
	}
	r := &KeyRecord{
		Versioned: p.tags.get("v") != nil,
		Type:      keyTypeRSA,
		Bits:      p.bits,
		Revoked:   p.revoked,
		Hashes:    items(p.tags.get("h")),
		Services:  items(p.tags.get("s")),
		Testing:   listHas(p.tags.get("t"), "y"),
		Strict:    listHas(p.tags.get("t"), "s"),
		Notes:     string(p.tags.get("n")),
	}
	if p.ed25519 {
		r.Type = keyTypeEd25519
	}
	switch {
	case p.revoked:
	case p.ed25519:
		r.PublicKey = slices.Clone(p.edKey)
	default:
		r.PublicKey = &rsa.PublicKey{N: p.rsaKey.N, E: p.rsaKey.E}
	}
	return r, nil
}

// items splits a colon-separated list.
func items(list []byte) []string {
	var out []string
	for len(list) > 0 {
		var item []byte
		item, list = nextItem(list)
		out = append(out, string(item))
	}
	return out
}

// keyParser reads key records one after the other, reusing its memory.
type keyParser struct {
	tags    tagList
	text    []byte
	decoded []byte

	ed25519 bool
	revoked bool
	bits    int
	rsaKey  rsa.PublicKey
	edKey   ed25519.PublicKey
}

// parse reads one record and returns why it cannot be used, or "".
func (k *keyParser) parse(txt string) (reason Reason, detail string) {
	k.ed25519, k.revoked, k.bits = false, false, 0
	if len(txt) > maxRecordBytes {
		return ReasonKeySyntax, "the record is too long"
	}
	k.text = append(k.text[:0], txt...)
	if problem := k.tags.parse(k.text); problem != "" {
		return ReasonKeySyntax, problem
	}
	if v := k.tags.get("v"); v != nil {
		first := k.tags.tags[0]
		if string(v) != "DKIM1" || string(k.text[first.name:first.nameEnd]) != "v" {
			return ReasonKeySyntax, "v= is not DKIM1 or not the first tag"
		}
	}
	if t := k.tags.get("k"); t != nil && string(t) != keyTypeRSA {
		if string(t) != keyTypeEd25519 {
			return ReasonKeyTypeMismatch, fmt.Sprintf("unknown key type k=%q", excerpt(t))
		}
		k.ed25519 = true
	}
	p := k.tags.get("p")
	if p == nil {
		return ReasonKeySyntax, "no p="
	}
	if len(p) == 0 {
		k.revoked = true
		return "", ""
	}
	var ok bool
	if k.decoded, ok = appendBase64(k.decoded[:0], p); !ok {
		return ReasonKeySyntax, "p= is not base64"
	}
	var problem string
	if k.ed25519 {
		k.edKey, problem = parseEd25519Key(k.decoded)
		k.bits = ed25519Bits
	} else if problem = parseRSAKey(k.decoded, &k.rsaKey); problem == "" {
		k.bits = k.rsaKey.N.BitLen()
	}
	if problem != "" {
		k.bits = 0
		return ReasonKeySyntax, problem
	}
	return "", ""
}

// FormatKeyRecord gives the text to publish for a public key, "v=DKIM1; k=rsa; p=…": RSA as SubjectPublicKeyInfo, Ed25519 as
// its raw 32 octets. The error wraps ErrKeyUnsupported.
func FormatKeyRecord(pub crypto.PublicKey) (string, error) {
	switch key := pub.(type) {
	case *rsa.PublicKey:
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			return "", fmt.Errorf("%w: %w", ErrKeyUnsupported, err)
		}
		return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(der), nil
	case ed25519.PublicKey:
		if len(key) != ed25519.PublicKeySize {
			return "", fmt.Errorf("%w: Ed25519 key of %d octets", ErrKeyUnsupported, len(key))
		}
		return "v=DKIM1; k=ed25519; p=" + base64.StdEncoding.EncodeToString(key), nil
	}
	return "", fmt.Errorf("%w: %T", ErrKeyUnsupported, pub)
}

// RevokedRecord is what to publish for a key that must not be trusted any more: p= is empty (RFC 6376 §3.6.1). k= stays, so
// that a person sees what it was.
func RevokedRecord(pub crypto.PublicKey) (string, error) {
	switch pub.(type) {
	case *rsa.PublicKey:
		return "v=DKIM1; k=rsa; p=", nil
	case ed25519.PublicKey:
		return "v=DKIM1; k=ed25519; p=", nil
	}
	return "", fmt.Errorf("%w: %T", ErrKeyUnsupported, pub)
}

// txtStringBytes is the longest character-string of a TXT record (RFC 1035 §3.3).
const txtStringBytes = 255

// SplitTXT cuts a record value into the character-strings of one TXT record, each of at most 255 octets; joined without
// anything between they are the value again (RFC 6376 §3.6.2.2). An empty value is one empty string.
func SplitTXT(value string) []string {
	out := make([]string, 0, len(value)/txtStringBytes+1)
	for len(value) > txtStringBytes {
		out = append(out, value[:txtStringBytes])
		value = value[txtStringBytes:]
	}
	return append(out, value)
}
