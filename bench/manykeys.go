package main

import (
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// distinctKeys is how many RSA keys the domains share: making 100,000 would take hours. Every domain has a file of its own. One key may have
// some ten thousand hard links; ext4 allows 65,000.
const distinctKeys = 8

// manyKeys are domains with a key each.
type manyKeys struct {
	domains int
	pairs   []*sharedKey
}

// sharedKey is a key with what has to be made of it once.
type sharedKey struct {
	*keyPair
	pkcs8 []byte
}

func makeKeys(dir string, domains int) (*manyKeys, error) {
	m := &manyKeys{domains: domains}
	for i := range min(distinctKeys, domains) {
		folder := filepath.Join(dir, fmt.Sprintf("key-%d", i))
		if err := os.Mkdir(folder, 0o755); err != nil {
			return nil, err
		}
		pair, err := makeKey(folder)
		if err != nil {
			return nil, err
		}
		der, err := x509.MarshalPKCS8PrivateKey(pair.private)
		if err != nil {
			return nil, err
		}
		m.pairs = append(m.pairs, &sharedKey{pair, der})
	}
	return m, nil
}

// of is the key of domain i.
func (m *manyKeys) of(i int) *sharedKey { return m.pairs[i%len(m.pairs)] }

// domain is the name of domain i; a single one is the domain of all other comparisons.
func (m *manyKeys) domain(i int) string {
	if m.domains == 1 {
		return domain
	}
	return fmt.Sprintf("d%06d.example", i)
}

// lookup answers with the record of a domain's key.
func (m *manyKeys) lookup(name string) ([]string, error) {
	rest, ok := strings.CutPrefix(strings.TrimSuffix(name, "."), selector+"._domainkey.")
	if ok && rest == m.domain(0) {
		return []string{m.of(0).record}, nil
	}
	number, found := strings.CutPrefix(strings.TrimSuffix(rest, ".example"), "d")
	i, err := strconv.Atoi(number)
	if !ok || !found || err != nil || i >= m.domains {
		return nil, fmt.Errorf("there is no key at %q", name)
	}
	return []string{m.of(i).record}, nil
}

// linkKeys makes a PEM file for each domain, below dir, and returns its path by number. They are hard links.
func (m *manyKeys) linkKeys(dir string) (path func(i int) string, err error) {
	path = func(i int) string { return filepath.Join(dir, fmt.Sprintf("%03d", i/1000), fmt.Sprintf("%06d.pem", i)) }
	for i := range m.domains {
		if i%1000 == 0 {
			if err := os.MkdirAll(filepath.Dir(path(i)), 0o755); err != nil {
				return nil, err
			}
		}
		if err := os.Link(m.of(i).path, path(i)); err != nil {
			return nil, err
		}
	}
	return path, nil
}

// table writes a file with a line for each domain.
func (m *manyKeys) table(path string, line func(i int) string) error {
	var b strings.Builder
	for i := range m.domains {
		b.WriteString(line(i))
		b.WriteByte('\n')
	}
	return os.WriteFile(path, []byte(b.String()), 0o644)
}
