package keystore

import (
	"bytes"
	"crypto/rand"

	"github.com/postseal/postseal/internal/fault"
)

// A sealed file is: magic, mark of the sealing key, nonce, ciphertext with tag.
const (
	magic     = "PSKEY1\r\n" // the line end shows a transfer that "repaired" text
	markSize  = 8
	nonceSize = 12
	tagSize   = 16

	// maxSealed is the largest sealed file that is read: an RSA-4096 key as PKCS#8 has 2.4 kB, RSA-16384 would have 9 kB.
	maxSealed = 16 << 10
)

// check refuses the zero value.
func (k SealingKey) check() error {
	if k.aead == nil {
		return fault.New(fault.Invalid, "there is no sealing key")
	}
	return nil
}

// Sealed makes what Generate writes, of a private key that the caller has: the name of the file for the key id, and its content. der is PKCS#8. It
// writes nothing; a comparison with 100,000 keys fills a directory with it.
func (k SealingKey) Sealed(id string, der []byte) (file string, content []byte, err error) {
	if !validID(id) {
		return "", nil, fault.New(fault.Invalid, "%.200q is not the id of a key", id)
	}
	content, err = k.sealFor(id, der)
	return id + suffix, content, err
}

// sealFor encrypts plain for the key id.
func (k SealingKey) sealFor(id string, plain []byte) ([]byte, error) {
	if err := k.check(); err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(magic)+markSize+nonceSize+len(plain)+tagSize)
	out = append(append(out, magic...), k.mark...)
	nonce := make([]byte, nonceSize)
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	out = append(out, nonce...)
	return k.aead.Seal(out, nonce, plain, bound(id)), nil
}

// openFor decrypts what sealFor made for the same id under the same sealing key.
func (k SealingKey) openFor(id string, sealed []byte) ([]byte, error) {
	if err := k.check(); err != nil {
		return nil, err
	}
	rest, ok := bytes.CutPrefix(sealed, []byte(magic))
	if !ok || len(rest) < markSize+nonceSize+tagSize {
		return nil, fault.New(fault.Invalid, "key %s: the file is not a sealed key, or was cut off", id)
	}
	if !bytes.Equal(rest[:markSize], k.mark) {
		return nil, fault.New(fault.Invalid, "key %s was sealed with another sealing key", id).
			WithHint("the agent was started with %s; give it the one that belongs to this state directory", k)
	}
	rest = rest[markSize:]
	plain, err := k.aead.Open(nil, rest[:nonceSize], rest[nonceSize:], bound(id))
	if err != nil {
		return nil, fault.New(fault.Invalid, "key %s: the file was changed, damaged, or belongs to another key", id)
	}
	return plain, nil
}

// bound is the additional data that ties a file to the id of its key.
func bound(id string) []byte { return []byte("postseal key\x00" + id) }
