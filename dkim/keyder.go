package dkim

import (
	"crypto/ed25519"
	"crypto/rsa"
	"math/big"
)

// The DER tags that an RSA public key is made of.
const (
	derInteger   = 0x02
	derBitString = 0x03
	derOID       = 0x06
	derSequence  = 0x30
)

// oidRSA is the content of the object identifier rsaEncryption, 1.2.840.113549.1.1.1 (RFC 8017 appendix A.1).
const oidRSA = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"

// maxRSAExponent keeps the exponent in what crypto/rsa accepts.
const maxRSAExponent = 1<<31 - 1

// parseRSAKey reads a SubjectPublicKeyInfo, as everybody publishes, or a bare RSAPublicKey, as RFC 6376 §3.6.1 says, into
// key, whose N is reused when there is one. It returns what is wrong, or "". The size of the key is left to the caller.
func parseRSAKey(der []byte, key *rsa.PublicKey) (problem string) {
	outer, rest, ok := derValue(der, derSequence)
	if !ok || len(rest) > 0 {
		return "p= is no RSA key"
	}
	if info, bits, ok := derValue(outer, derSequence); ok {
		oid, _, ok := derValue(info, derOID)
		if !ok || string(oid) != oidRSA {
			return "p= is a key of another type than k= says"
		}
		content, rest, ok := derValue(bits, derBitString)
		if !ok || len(rest) > 0 || len(content) == 0 || content[0] != 0 {
			return "p= is no RSA key"
		}
		if outer, rest, ok = derValue(content[1:], derSequence); !ok || len(rest) > 0 {
			return "p= is no RSA key"
		}
	}
	n, rest, ok := derPositive(outer)
	if !ok {
		return "p= is no RSA key"
	}
	e, rest, ok := derPositive(rest)
	if !ok || len(rest) > 0 {
		return "p= is no RSA key"
	}
	exponent := 0
	for _, c := range e {
		if exponent = exponent<<8 | int(c); exponent > maxRSAExponent {
			return "the exponent of the RSA key is too large"
		}
	}
	if exponent < 3 || exponent&1 == 0 || n[len(n)-1]&1 == 0 {
		return "p= is an impossible RSA key"
	}
	if key.N == nil {
		key.N = new(big.Int)
	}
	key.N.SetBytes(n)
	key.E = exponent
	return ""
}

// derValue reads one value with that tag and a definite length in shortest form.
func derValue(b []byte, tag byte) (content, rest []byte, ok bool) {
	if len(b) < 2 || b[0] != tag {
		return nil, nil, false
	}
	n, b := int(b[1]), b[2:]
	if n >= 0x80 {
		size := n & 0x7f
		if size == 0 || size > 2 || len(b) < size || b[0] == 0 {
			return nil, nil, false
		}
		n = 0
		for _, c := range b[:size] {
			n = n<<8 | int(c)
		}
		if b = b[size:]; n < 0x80 {
			return nil, nil, false
		}
	}
	if n > len(b) {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}

// derPositive reads an integer above zero and gives its octets without the sign octet.
func derPositive(b []byte) (value, rest []byte, ok bool) {
	value, rest, ok = derValue(b, derInteger)
	if !ok || len(value) == 0 || value[0] >= 0x80 {
		return nil, nil, false
	}
	if value[0] == 0 {
		if value = value[1:]; len(value) == 0 || value[0] < 0x80 {
			return nil, nil, false
		}
	}
	return value, rest, true
}

// parseEd25519Key takes the raw key (RFC 8463 §4.2); it is not copied. Points of small order are refused: under such a key everybody can
// make signatures that verify (RFC 8032 §5.1.7 does not look at the key).
func parseEd25519Key(raw []byte) (key ed25519.PublicKey, problem string) {
	if len(raw) != ed25519.PublicKeySize {
		return nil, "p= is not the 32 octets of an Ed25519 key"
	}
	for _, y := range smallOrderPoints {
		if string(raw[:31]) == y[:31] && raw[31]&0x7f == y[31] {
			return nil, "p= is an Ed25519 point of small order, under which everybody can sign"
		}
	}
	return ed25519.PublicKey(raw), ""
}

// smallOrderPoints are the y coordinates of the points of orders 1, 2, 4 and 8 as they are encoded, without the bit of x, and
// the two that are also encoded unreduced.
var smallOrderPoints = [...]string{
	"\x01" + zeros31,         // 1
	"\xec" + ones30 + "\x7f", // -1, order 2
	"\x00" + zeros31,         // 0, order 4
	"\x26\xe8\x95\x8f\xc2\xb2\x27\xb0\x45\xc3\xf4\x89\xf2\xef\x98\xf0\xd5\xdf\xac\x05\xd3\xc6\x33\x39\xb1\x38\x02\x88\x6d\x53\xfc\x05", // order 8
	"\xc7\x17\x6a\x70\x3d\x4d\xd8\x4f\xba\x3c\x0b\x76\x0d\x10\x67\x0f\x2a\x20\x53\xfa\x2c\x39\xcc\xc6\x4e\xc7\xfd\x77\x92\xac\x03\x7a", // order 8
	"\xed" + ones30 + "\x7f", // 0 unreduced
	"\xee" + ones30 + "\x7f", // 1 unreduced
}

const (
	zeros31 = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	ones30  = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
)
