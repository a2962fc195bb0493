package dkim

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"math/big"
)

// keyFindings is what the published keys say of b=.
type keyFindings struct {
	b       []byte
	keys    int                 // of the right type and size
	digests [][sha256.Size]byte // RSA: the digests that b= is a signature of
	ed      []ed25519.PublicKey
	other   bool // RSA: b= is a signature by the key, of another digest than SHA-256
	wrong   int  // RSA: keys that did not make b=
	size    bool // RSA: b= has not the length of the key
}

// sha256Info is the head of DigestInfo for SHA-256 (RFC 8017 §9.2).
const sha256Info = "\x30\x31\x30\x0d\x06\x09\x60\x86\x48\x01\x65\x03\x04\x02\x01\x05\x00\x04\x20"

// readKeys looks the keys up and, for RSA, recovers what was signed by the public operation (RFC 8017 §8.2.2).
func (x *explainer) readKeys(ctx context.Context) (k keyFindings) {
	v, s := x.v, x.sig
	if _, limited := ctx.Deadline(); !limited && v.opts.LookupTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, v.opts.LookupTimeout)
		defer cancel()
	}
	records, _, err := v.records(ctx, s.keyName)
	if err != nil {
		return k
	}
	k.b, _ = appendBase64(nil, s.b)
	for i, txt := range records {
		if i == v.opts.MaxKeys {
			break
		}
		p := &v.key
		if reason, _ := p.parse(txt); reason != "" || p.revoked || p.ed25519 != s.ed25519 ||
			!p.ed25519 && (p.bits < MinRSABits || p.bits > MaxRSABits) {
			continue
		}
		k.keys++
		if p.ed25519 {
			k.ed = append(k.ed, bytes.Clone(p.edKey))
			continue
		}
		k.recover(&p.rsaKey)
	}
	return k
}

// recover takes b= apart with one RSA key.
func (k *keyFindings) recover(key *rsa.PublicKey) {
	c := new(big.Int).SetBytes(k.b)
	if len(k.b) != key.Size() || c.Cmp(key.N) >= 0 {
		k.wrong++
		k.size = k.size || len(k.b) != key.Size()
		return
	}
	m := c.Exp(c, big.NewInt(int64(key.E)), key.N).FillBytes(make([]byte, key.Size()))
	// EMSA-PKCS1-v1_5: 00 01 FF … FF 00 DigestInfo (RFC 8017 §9.2). By chance it is there once in 2^80.
	const padding = 8
	info := bytes.TrimLeft(m[2:], "\xff")
	if m[0] != 0 || m[1] != 1 || len(m)-2-len(info) < padding || len(info) == 0 || info[0] != 0 {
		k.wrong++
		return
	}
	info = info[1:]
	if len(info) != len(sha256Info)+sha256.Size || !bytes.HasPrefix(info, []byte(sha256Info)) {
		k.other = true
		return
	}
	k.digests = append(k.digests, [sha256.Size]byte(info[len(sha256Info):]))
}

// signs reports whether b= signs that digest.
func (k *keyFindings) signs(digest [sha256.Size]byte) bool {
	for _, d := range k.digests {
		if d == digest {
			return true
		}
	}
	for _, key := range k.ed {
		if ed25519.Verify(key, digest[:], k.b) {
			return true
		}
	}
	return false
}
