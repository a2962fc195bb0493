package audit

import (
	"fmt"
	"math/big"
)

// What is looked for in an RSA modulus. Each is a way in which real generators failed.
const (
	// smallPrimes bounds the trial division: a sound modulus has no factor below half its length, and a damaged one (an octet
	// changed on the way) nearly always has one below this.
	smallPrimes = 1 << 16

	// fermatRounds is how far apart the two primes may be to be found: keys of generators that took the next prime after the first fall in
	// the first rounds, sound ones never.
	fermatRounds = 100

	// maxModulus is the longest modulus that is looked into: four times what receivers accept. Beyond it the length is the finding.
	maxModulus = 16384

	// rocaPrimes is the largest prime of the modulus that ROCA's primes were built from in its smallest key size (512 bits, the first
	// 39 primes); larger keys used these and more.
	rocaPrimes = 167

	// usualExponent is what everybody uses (F4).
	usualExponent = 65537

	// maxExponentBits is the longest exponent that crypto/rsa, and with it many receivers, accept.
	maxExponentBits = 31
)

// weakness says why a modulus of RSA is no product of two primes that only its owner knows, "" if nothing was found.
func weakness(n *big.Int) string {
	if n.BitLen() > maxModulus {
		return ""
	}
	if n.Bit(0) == 0 {
		return "the modulus is even"
	}
	for _, p := range primes(smallPrimes) {
		if new(big.Int).Mod(n, big.NewInt(p)).Sign() == 0 && n.Cmp(big.NewInt(p)) != 0 {
			return fmt.Sprintf("the modulus is divisible by %d", p)
		}
	}
	if rounds, ok := fermat(n); ok {
		return fmt.Sprintf("the two primes lie so close together that Fermat's method finds them in %d rounds", rounds)
	}
	return ""
}

// fermat looks for a with a² − n a square, beginning at the root of n: then n = (a−b)(a+b). An odd n that is a prime or too small to
// be split has only the trivial pair, which does not count.
func fermat(n *big.Int) (rounds int, found bool) {
	if n.Sign() <= 0 || n.Bit(0) == 0 {
		return 0, false
	}
	one := one()
	a := new(big.Int).Sqrt(n)
	if new(big.Int).Mul(a, a).Cmp(n) < 0 {
		a.Add(a, one)
	}
	square, b := new(big.Int), new(big.Int)
	for rounds := 1; rounds <= fermatRounds; rounds++ {
		square.Mul(a, a).Sub(square, n)
		b.Sqrt(square)
		if new(big.Int).Mul(b, b).Cmp(square) == 0 {
			return rounds, new(big.Int).Sub(a, b).Cmp(one) > 0
		}
		a.Add(a, one)
	}
	return 0, false
}

// roca reports the fingerprint of keys made by the library of Infineon chips (CVE-2017-15361, Nemec et al., "The Return of
// Coppersmith's Attack", 2017). Their primes are k·M + (65537^a mod M), M the product of the first primes. So modulo each prime that divides
// M the key is a power of 65537. A sound key passes by chance in one of about 2^27 cases.
func roca(n *big.Int) bool {
	if n.BitLen() < 128 || n.BitLen() > maxModulus {
		return false
	}
	for _, p := range primes(rocaPrimes + 1)[1:] {
		residue := new(big.Int).Mod(n, big.NewInt(p)).Int64()
		power := int64(1)
		for power != residue {
			if power = power * usualExponent % p; power == 1 {
				return false
			}
		}
	}
	return true
}

// primes gives the primes below a limit.
func primes(limit int) []int64 {
	composite := make([]bool, limit)
	var list []int64
	for i := 2; i < limit; i++ {
		if composite[i] {
			continue
		}
		list = append(list, int64(i))
		for j := i * i; j < limit; j += i {
			composite[j] = true
		}
	}
	return list
}

func one() *big.Int { return big.NewInt(1) }

// decimal writes a number for a message, shortened.
func decimal(n *big.Int) string {
	if n.BitLen() > 64 {
		return fmt.Sprintf("a number of %d bits", n.BitLen())
	}
	return n.String()
}
