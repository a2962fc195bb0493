package keystore

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"

	"github.com/postseal/postseal/internal/fault"
)

// The algorithms that Generate knows; the words are those of the agent's contract.
const (
	RSA2048 = "rsa2048"
	RSA3072 = "rsa3072"
	RSA4096 = "rsa4096"
	Ed25519 = "ed25519"
)

// newKey makes a private key. RSA keys have e=65537.
func newKey(algorithm string) (crypto.Signer, error) {
	switch algorithm {
	case RSA2048:
		return rsa.GenerateKey(rand.Reader, 2048)
	case RSA3072:
		return rsa.GenerateKey(rand.Reader, 3072)
	case RSA4096:
		return rsa.GenerateKey(rand.Reader, 4096)
	case Ed25519:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	}
	return nil, fault.New(fault.Invalid, "%q is not an algorithm of this keystore", algorithm)
}

// parseKey reads a PKCS#8 document.
func parseKey(id string, der []byte) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "key %s: what was sealed is not a private key", id)
	}
	switch key := key.(type) {
	case *rsa.PrivateKey:
		return key, nil
	case ed25519.PrivateKey:
		return key, nil
	}
	return nil, fault.New(fault.Invalid, "key %s is of a kind that does not sign here", id)
}
