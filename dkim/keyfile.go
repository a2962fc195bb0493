package dkim

import (
	"crypto"
	"io"
)

// KeyAlgorithm names what GenerateKey makes.
type KeyAlgorithm string

const (
	RSA2048 KeyAlgorithm = "rsa2048"
	RSA3072 KeyAlgorithm = "rsa3072"
	RSA4096 KeyAlgorithm = "rsa4096"
	Ed25519 KeyAlgorithm = "ed25519"
)

// GenerateKey makes a private key.
func GenerateKey(alg KeyAlgorithm, rand io.Reader) (crypto.Signer, error) { return nil, ErrKeyUnsupported }

// MarshalPrivateKey writes a key as PKCS#8 PEM.
func MarshalPrivateKey(key crypto.Signer) ([]byte, error) { return nil, ErrKeyUnsupported }

// ParsePrivateKey reads a private key.
func ParsePrivateKey(pem []byte) (crypto.Signer, error) { return nil, ErrKeyUnsupported }
