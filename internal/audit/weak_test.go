package audit

import (
	"math/big"
	"testing"
)

// nextPrime is the first prime from n on.
func nextPrime(n *big.Int) *big.Int {
	p := new(big.Int).Set(n)
	p.SetBit(p, 0, 1)
	for !p.ProbablyPrime(10) {
		p.Add(p, big.NewInt(2))
	}
	return p
}

// closePrimes is a product of two primes of that many bits, the second one some primes after the first.
func closePrimes(bits, apart int) *big.Int {
	p := modulus(bits)
	p.SetBit(p, bits-2, 1)
	p = nextPrime(p)
	q := p
	for range apart {
		q = nextPrime(new(big.Int).Add(q, big.NewInt(2)))
	}
	return new(big.Int).Mul(p, q)
}

// rocaModulus is a key as the chips made it: p = k·M + (65537^a mod M), M the product of the primes up to 167.
func rocaModulus(bits int) *big.Int {
	m := big.NewInt(1)
	for _, p := range primes(rocaPrimes + 1) {
		m.Mul(m, big.NewInt(p))
	}
	prime := func(top, a int64) *big.Int {
		k := new(big.Int).Lsh(big.NewInt(top), uint(bits/2-4))
		k.Div(k, m).Add(k, big.NewInt(1))
		residue := new(big.Int).Exp(big.NewInt(usualExponent), big.NewInt(a), m)
		for {
			p := new(big.Int).Mul(k, m)
			if p.Add(p, residue).ProbablyPrime(10) {
				return p
			}
			k.Add(k, big.NewInt(1))
		}
	}
	return new(big.Int).Mul(prime(13, 1234567), prime(15, 7654321))
}

func TestROCA(t *testing.T) {
	t.Parallel()
	for _, bits := range []int{512, 1024, 2048} {
		if n := rocaModulus(bits); !roca(n) || n.BitLen() != bits {
			t.Errorf("%d bits: not found in %x", bits, n)
		}
	}
	for bits := 512; bits < 612; bits++ {
		if roca(modulus(bits)) {
			t.Errorf("found in a number of %d bits", bits)
		}
	}
	// Divisible by one of the primes: no power of anything.
	if roca(new(big.Int).Mul(rocaModulus(512), big.NewInt(13))) {
		t.Error("found in a multiple of 13")
	}
}

func TestFermat(t *testing.T) {
	t.Parallel()
	for _, apart := range []int{0, 1, 40} {
		if _, ok := fermat(closePrimes(512, apart)); !ok {
			t.Errorf("%d primes apart: not found", apart)
		}
	}
	p := nextPrime(modulus(512))
	far := new(big.Int).Mul(p, nextPrime(new(big.Int).Add(p, new(big.Int).Lsh(big.NewInt(1), 400))))
	if _, ok := fermat(far); ok {
		t.Error("found two primes that lie far apart")
	}
	for _, n := range []*big.Int{p, big.NewInt(0), big.NewInt(1), big.NewInt(-15), big.NewInt(4), big.NewInt(7)} {
		if rounds, ok := fermat(n); ok {
			t.Errorf("%d was split in %d rounds", n, rounds)
		}
	}
	if rounds, ok := fermat(big.NewInt(15)); !ok || rounds != 1 {
		t.Errorf("15: %d, %v", rounds, ok)
	}
}
