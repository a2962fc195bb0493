package audit

import (
	"crypto/rsa"
	"math/big"
	"slices"
	"strings"

	"github.com/postseal/postseal/dkim"
)

// FoundKey is a public key that stands in DNS.
type FoundKey struct {
	Name        string   // of its record
	Service     bool     // an outside service holds it
	Fingerprint string   // dkim.KeyRecord.Fingerprint
	Modulus     *big.Int // nil for Ed25519
}

// remember keeps a key for the comparison with others.
func (o *observation) remember(s *selector, txt string) {
	record, err := dkim.ParseKeyRecord(txt)
	if err != nil || record.PublicKey == nil {
		return
	}
	k := FoundKey{Name: s.name, Service: (len(s.look.ref.CNAME) > 0 || o.service(s) != "") && !s.Slot, Fingerprint: record.Fingerprint()}
	if key, ok := record.PublicKey.(*rsa.PublicKey); ok {
		k.Modulus = key.N
	}
	o.keys = append(o.keys, k)
	if o.a.deps.Weak != nil {
		if list := o.a.deps.Weak.Listed(record.PublicKey); list != "" {
			o.add(Finding{ID: "DKIM-K10", Severity: Error, Subject: s.name, Message: "this key is on a list of known weak keys (" + list + "): others have its private half", Fix: newKey})
		}
	}
}

// Compare adds to the reports what shows only when keys are seen side by side: primes that two keys share (DKIM-K11), one key under several
// selectors of a domain (DKIM-K12) or in several domains (DKIM-K13). Keys of outside services may be the same everywhere.
func Compare(reports []Report) {
	type place struct {
		report int
		key    FoundKey
	}
	var places []place
	for i, r := range reports {
		for _, k := range r.Keys {
			places = append(places, place{i, k})
		}
	}
	groups := make(map[string][]place)
	for _, p := range places {
		groups[p.key.Fingerprint] = append(groups[p.key.Fingerprint], p)
	}
	for _, p := range places {
		var here, elsewhere []string
		for _, other := range groups[p.key.Fingerprint] {
			switch {
			case other.key.Name == p.key.Name || p.key.Service:
			case other.report == p.report:
				here = append(here, other.key.Name)
			default:
				elsewhere = append(elsewhere, other.key.Name)
			}
		}
		report := &reports[p.report]
		if len(here) > 0 {
			report.Findings = append(report.Findings, Finding{ID: "DKIM-K12", Severity: Warning, Subject: p.key.Name,
				Message: "the same key stands at " + strings.Join(here, ", ") + ": who has one server's key signs as the other, and neither can be revoked alone",
				Fix:     "give every server a key of its own"})
		}
		if len(elsewhere) > 0 {
			report.Findings = append(report.Findings, Finding{ID: "DKIM-K13", Severity: Warning, Subject: p.key.Name,
				Message: "the same key signs for other domains too: " + strings.Join(elsewhere, ", "), Fix: "give every domain keys of its own"})
		}
	}
	// Equal keys are the same number and no shared prime.
	var moduli []*big.Int
	var of [][]place
	for _, group := range groups {
		if n := group[0].key.Modulus; n != nil {
			moduli, of = append(moduli, n), append(of, group)
		}
	}
	for i, shares := range sharedPrimes(moduli) {
		if !shares {
			continue
		}
		for _, p := range of[i] {
			reports[p.report].Findings = append(reports[p.report].Findings, SharedPrime(p.key.Name))
		}
	}
	for i := range reports {
		reports[i].Findings = sorted(reports[i].Findings)
	}
}

// SharedPrime is the finding about a key whose modulus has a prime in common with another one's.
func SharedPrime(name string) Finding {
	return Finding{ID: "DKIM-K11", Severity: Error, Subject: name,
		Message: "the modulus has a prime in common with that of another key that was looked at: everybody can compute both private keys", Fix: newKey}
}

// Moduli is a batch of moduli that others are compared with.
type Moduli struct {
	batch   []*big.Int
	product *big.Int
}

// NewModuli makes a batch; within says which of it share a prime with another of it. Equal ones do not count.
func NewModuli(batch []*big.Int) (m *Moduli, within []bool) {
	distinct := make(map[string]int)
	var moduli []*big.Int
	for _, n := range batch {
		if _, twice := distinct[n.String()]; !twice {
			distinct[n.String()] = len(moduli)
			moduli = append(moduli, n)
		}
	}
	shares := sharedPrimes(moduli)
	product := one()
	for _, n := range moduli {
		product.Mul(product, n)
	}
	for _, n := range batch {
		within = append(within, shares[distinct[n.String()]])
	}
	return &Moduli{batch: batch, product: product}, within
}

// Share returns the positions in the batch of the moduli that share a prime with n and are not n.
func (m *Moduli) Share(n *big.Int) (which []int) {
	common := new(big.Int).GCD(nil, nil, new(big.Int).Mod(m.product, n), n)
	if common.Cmp(one()) == 0 {
		return nil
	}
	for i, b := range m.batch {
		if b.Cmp(n) != 0 && new(big.Int).GCD(nil, nil, b, n).Cmp(one()) > 0 {
			which = append(which, i)
		}
	}
	return which
}

// sharedPrimes reports for each modulus whether it has a factor in common with another, by a product tree (Bernstein, "How to find smooth parts of
// integers", 2004): the remainder of the product of all by n², divided by n, has a factor in common with n.
func sharedPrimes(moduli []*big.Int) []bool {
	shares := make([]bool, len(moduli))
	if len(moduli) < 2 {
		return shares
	}
	levels := [][]*big.Int{moduli}
	for last := moduli; len(last) > 1; {
		var next []*big.Int
		for pair := range slices.Chunk(last, 2) {
			product := pair[0]
			if len(pair) == 2 {
				product = new(big.Int).Mul(pair[0], pair[1])
			}
			next = append(next, product)
		}
		levels = append(levels, next)
		last = next
	}
	remainders := levels[len(levels)-1]
	for level := len(levels) - 2; level >= 0; level-- {
		next := make([]*big.Int, len(levels[level]))
		for i, n := range levels[level] {
			next[i] = new(big.Int).Mod(remainders[i/2], new(big.Int).Mul(n, n))
		}
		remainders = next
	}
	for i, n := range moduli {
		rest := new(big.Int).Div(remainders[i], n)
		shares[i] = new(big.Int).GCD(nil, nil, rest, n).Cmp(one()) > 0
	}
	return shares
}
