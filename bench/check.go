package main

import (
	"bytes"
	"context"
	"fmt"

	"github.com/postseal/postseal/dkim"
)

// checker verifies what was signed, with another implementation than the one that signed: go-msgauth for ours, ours for all others.
// The same octets are verified once.
type checker struct {
	seen   map[string]bool
	passed int // signatures, repeated ones included
	lookup func(name string) ([]string, error)
}

func newChecker(lookup func(name string) ([]string, error)) *checker {
	return &checker{seen: map[string]bool{}, lookup: lookup}
}

func (c *checker) check(m *message, oursSigned bool, signatures [][]byte) error {
	for i, s := range signatures {
		id := m.name + "\x00" + string(s)
		if !c.seen[id] {
			raw := bytes.Join([][]byte{s, m.raw}, nil)
			verify := c.weVerify
			if oursSigned {
				verify = c.msgauthVerifies
			}
			signer, err := verify(raw)
			if err == nil && signer != m.domain {
				err = fmt.Errorf("it is for %s instead of %s", signer, m.domain)
			}
			if err != nil {
				return fmt.Errorf("signature %d of %s, %q: %w", i, m.name, s, err)
			}
			c.seen[id] = true
		}
		c.passed++
	}
	return nil
}

func (c *checker) msgauthVerifies(raw []byte) (signer string, err error) {
	return msgauthVerifies(raw, c.lookup)
}

// LookupTXT makes the checker the Resolver of our own verifier.
func (c *checker) LookupTXT(_ context.Context, name string) ([]string, error) { return c.lookup(name) }

// weVerify verifies the one signature of a message and returns its domain.
func (c *checker) weVerify(raw []byte) (signer string, err error) {
	results, err := dkim.VerifyMessage(context.Background(), bytes.NewReader(raw), dkim.VerifyOptions{Resolver: c})
	if err != nil {
		return "", err
	}
	if len(results) != 1 || results[0].Result != dkim.Pass {
		return "", fmt.Errorf("postseal does not verify it: %+v", results)
	}
	return results[0].Domain, nil
}
