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
			var err error
			if oursSigned {
				err = msgauthVerifies(raw, c.lookup)
			} else {
				err = c.weVerify(raw)
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

// LookupTXT makes the checker the Resolver of our own verifier.
func (c *checker) LookupTXT(_ context.Context, name string) ([]string, error) { return c.lookup(name) }

func (c *checker) weVerify(raw []byte) error {
	results, err := dkim.VerifyMessage(context.Background(), bytes.NewReader(raw), dkim.VerifyOptions{Resolver: c})
	if err != nil {
		return err
	}
	if len(results) != 1 || results[0].Result != dkim.Pass {
		return fmt.Errorf("postseal does not verify it: %+v", results)
	}
	return nil
}
