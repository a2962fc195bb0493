package dkim

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
)

// KeyAlgorithm names what GenerateKey makes.
type KeyAlgorithm string

// The kinds of key, RSA by the length of the modulus in bits.
const (
	RSA2048 KeyAlgorithm = "rsa2048"
	RSA3072 KeyAlgorithm = "rsa3072"
	RSA4096 KeyAlgorithm = "rsa4096"
	Ed25519 KeyAlgorithm = "ed25519"
)

// KeyAlgorithms returns all of them, the usual one first.
func KeyAlgorithms() []KeyAlgorithm { return []KeyAlgorithm{RSA2048, RSA3072, RSA4096, Ed25519} }

// ErrPrivateKey: the text is not a private key that this package reads.
var ErrPrivateKey = errors.New("dkim: not a private key in PKCS#8 or PKCS#1 PEM, nor a base64 Ed25519 seed")

// GenerateKey makes a private key; RSA keys have the exponent 65537. A nil reader means crypto/rand.Reader, and the standard
// library may prefer that in any case. The error wraps ErrKeyUnsupported for an unknown algorithm.
func GenerateKey(alg KeyAlgorithm, random io.Reader) (crypto.Signer, error) {
	if random == nil {
		random = rand.Reader
	}
	bits := 0
	switch alg {
	case RSA2048:
		bits = 2048
	case RSA3072:
		bits = 3072
	case RSA4096:
		bits = 4096
	case Ed25519:
		_, key, err := ed25519.GenerateKey(random)
		if err != nil {
			return nil, fmt.Errorf("dkim: make an Ed25519 key: %w", err)
		}
		return key, nil
	default:
		return nil, fmt.Errorf("%w: %q", ErrKeyUnsupported, string(alg))
	}
	key, err := rsa.GenerateKey(random, bits)
	if err != nil {
		return nil, fmt.Errorf("dkim: make an RSA key: %w", err)
	}
	return key, nil
}

// pemPKCS8 and pemPKCS1 are the PEM types read; PKCS#8 is written.
const (
	pemPKCS8 = "PRIVATE KEY"
	pemPKCS1 = "RSA PRIVATE KEY"
)

// MarshalPrivateKey writes an *rsa.PrivateKey or an ed25519.PrivateKey as PKCS#8 PEM. Keys that cannot leave their device
// give ErrKeyUnsupported.
func MarshalPrivateKey(key crypto.Signer) ([]byte, error) {
	switch key.(type) {
	case *rsa.PrivateKey, ed25519.PrivateKey:
	default:
		return nil, fmt.Errorf("%w: %T", ErrKeyUnsupported, key)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKeyUnsupported, err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemPKCS8, Bytes: der}), nil
}

// ParsePrivateKey reads the first private key of a PEM text, PKCS#8 or PKCS#1, or a bare base64 Ed25519 seed of 32 octets as
// dkimpy keeps them. The error wraps ErrPrivateKey, or ErrKeyUnsupported for a key of another type; it never quotes the text.
func ParsePrivateKey(text []byte) (crypto.Signer, error) {
	for rest := text; ; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			break
		}
		switch block.Type {
		case pemPKCS8:
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("%w: PKCS#8 does not parse", ErrPrivateKey)
			}
			switch key := key.(type) {
			case *rsa.PrivateKey:
				return key, nil
			case ed25519.PrivateKey:
				return key, nil
			}
			return nil, fmt.Errorf("%w: %T", ErrKeyUnsupported, key)
		case pemPKCS1:
			if block.Headers["DEK-Info"] != "" {
				return nil, fmt.Errorf("%w: it is encrypted", ErrPrivateKey)
			}
			key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
			if err != nil {
				return nil, fmt.Errorf("%w: PKCS#1 does not parse", ErrPrivateKey)
			}
			return key, nil
		case "ENCRYPTED PRIVATE KEY":
			return nil, fmt.Errorf("%w: it is encrypted", ErrPrivateKey)
		}
	}
	seed, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, ErrPrivateKey
	}
	return ed25519.NewKeyFromSeed(seed), nil
}
