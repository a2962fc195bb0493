package dkim

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"io"
	"math/big"
	"testing"
)

// testRSA is an RSA key of any size and exponent, which crypto/rsa would not make. It signs by the formula.
type testRSA struct {
	n, d *big.Int
	e    int64
}

// makeRSA makes a key with a modulus of exactly so many bits, of many small primes so that it is quick.
func makeRSA(t testing.TB, bits int, e int64) testRSA {
	t.Helper()
	one, exponent := big.NewInt(1), big.NewInt(e)
	for {
		n, phi := big.NewInt(1), big.NewInt(1)
		for last := false; !last; {
			size := 256
			if left := bits - n.BitLen(); left <= 512 {
				size, last = left, true // fills up
			}
			p, err := rand.Prime(rand.Reader, size)
			if err != nil {
				t.Fatal(err)
			}
			n.Mul(n, p)
			phi.Mul(phi, new(big.Int).Sub(p, one))
		}
		if d := new(big.Int).ModInverse(exponent, phi); d != nil && n.BitLen() == bits {
			return testRSA{n: n, d: d, e: e}
		}
	}
}

func (k testRSA) Public() crypto.PublicKey { return &rsa.PublicKey{N: k.n, E: int(k.e)} }

func (k testRSA) Sign(_ io.Reader, digest []byte, _ crypto.SignerOpts) ([]byte, error) {
	size := (k.n.BitLen() + 7) / 8
	m := make([]byte, size)
	info := append([]byte(sha256Info), digest...)
	m[1] = 1
	for i := 2; i < size-len(info)-1; i++ {
		m[i] = 0xff
	}
	copy(m[size-len(info):], info)
	x := new(big.Int).SetBytes(m)
	return x.Exp(x, k.d, k.n).FillBytes(make([]byte, size)), nil
}

func (k testRSA) pkcs1() []byte {
	der, _ := asn1.Marshal(struct {
		N *big.Int
		E int64
	}{k.n, k.e})
	return der
}

func (k testRSA) spki(t testing.TB) []byte {
	t.Helper()
	der, err := asn1.Marshal(struct {
		Algorithm struct {
			OID  asn1.ObjectIdentifier
			Null asn1.RawValue
		}
		Key asn1.BitString
	}{struct {
		OID  asn1.ObjectIdentifier
		Null asn1.RawValue
	}{asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}, asn1.NullRawValue}, asn1.BitString{Bytes: k.pkcs1(), BitLength: 8 * len(k.pkcs1())}})
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// even and huge are moduli that nobody's key has.
func (k testRSA) even() *big.Int { return new(big.Int).Sub(k.n, big.NewInt(1)) }
func (k testRSA) huge() *big.Int { return new(big.Int).SetBit(new(big.Int).Lsh(k.n, 31<<10), 0, 1) }
