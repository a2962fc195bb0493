package audit

import (
	"bufio"
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/postseal/postseal/internal/fault"
)

// WeakKeys knows keys whose private halves are public.
type WeakKeys interface {
	// Listed names the list that a public key is on; "" = none.
	Listed(crypto.PublicKey) string
}

const (
	// maxWeakLine is the longest line of a list, in octets; a line has one hash.
	maxWeakLine = 4096
	// maxWeakKeys is how many hashes are read. Debian's lists have 262,148 keys of each size.
	maxWeakKeys = 4_000_000
	// debianDigits is how much of a hash Debian's openssl-blacklist writes: the last 20 digits of 40.
	debianDigits = 20
	sha256Digits = 64
)

// WeakList is a list of hashes of RSA moduli: SHA-256 of the modulus as octets, in hexadecimal, or as openssl-blacklist has it, the last 20 digits of
// the SHA-1 of the line that openssl prints. Lines that begin with # are comments.
type WeakList struct {
	name   string
	sha256 map[[sha256.Size]byte]bool
	debian map[[debianDigits / 2]byte]bool
}

// ReadWeakList reads a list. Errors are fault.Invalid and name the line.
func ReadWeakList(name string, r io.Reader) (*WeakList, error) {
	w := &WeakList{name: name, sha256: make(map[[sha256.Size]byte]bool), debian: make(map[[debianDigits / 2]byte]bool)}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxWeakLine)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		hash, err := hex.DecodeString(strings.ToLower(line))
		switch {
		case err == nil && len(line) == sha256Digits:
			w.sha256[[sha256.Size]byte(hash)] = true
		case err == nil && len(line) == debianDigits:
			w.debian[[debianDigits / 2]byte(hash)] = true
		default:
			return nil, fault.New(fault.Invalid, "%s, line %d is no hash", name, number).
				WithHint("each line has 64 hexadecimal digits (SHA-256 of the modulus) or 20 (openssl-blacklist)")
		}
		if len(w.sha256)+len(w.debian) > maxWeakKeys {
			return nil, fault.New(fault.Invalid, "%s has more than %d hashes", name, maxWeakKeys)
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, fault.New(fault.Invalid, "%s is no list of weak keys: it has a line of more than %d octets", name, maxWeakLine).
			WithHint("each line has 64 hexadecimal digits (SHA-256 of the modulus) or 20 (openssl-blacklist)")
	} else if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "%s cannot be read", name)
	}
	return w, nil
}

// Listed implements WeakKeys.
func (w *WeakList) Listed(key crypto.PublicKey) string {
	k, ok := key.(*rsa.PublicKey)
	if !ok {
		return ""
	}
	if w.sha256[sha256.Sum256(k.N.Bytes())] {
		return w.name
	}
	sum := sha1.Sum(fmt.Appendf(nil, "Modulus=%X\n", k.N))
	if w.debian[[debianDigits / 2]byte(sum[len(sum)-debianDigits/2:])] {
		return w.name
	}
	return ""
}
