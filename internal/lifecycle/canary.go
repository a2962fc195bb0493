package lifecycle

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/fault"
)

// Canaries verifies canaries through live DNS.
type Canaries struct {
	Resolver dkim.Resolver
	// NonceHeader is the header field that carries the nonce.
	NonceHeader string
}

// Verify checks that message is a canary for this domain and selector: it carries the nonce exactly once, a signature
// of exactly this selector covers that field and passes, and the key that DNS gives is the one expected.
func (c Canaries) Verify(ctx context.Context, domain, selector, record, nonce string, message []byte) error {
	if got := headerValues(message, c.NonceHeader); len(got) != 1 || got[0] != nonce {
		return fault.New(fault.Invalid, "the canary does not carry the nonce that was asked for")
	}
	seen := &recordingResolver{resolver: c.Resolver}
	results, err := dkim.VerifyMessage(ctx, bytes.NewReader(message), dkim.VerifyOptions{Resolver: seen})
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "the canary cannot be read")
	}
	for _, r := range results {
		if r.Domain != domain || r.Selector != selector {
			continue
		}
		if r.Result != dkim.Pass {
			return fault.New(fault.Invalid, "its signature is %s (%s)", r.Result, r.Reason)
		}
		if !c.covers(ctx, seen, r.Index, message) {
			return fault.New(fault.Invalid, "its signature does not cover the nonce")
		}
		if seen.last != record {
			return fault.New(fault.Invalid, "it verified with a key record that is not the expected one")
		}
		return nil
	}
	return fault.New(fault.Invalid, "it has no signature of selector %s", selector)
}

// covers reports whether the signature with this index depends on the nonce: with another nonce it must not pass.
func (c Canaries) covers(ctx context.Context, resolver dkim.Resolver, index int, message []byte) bool {
	field := []byte("\r\n" + c.NonceHeader + ":")
	at := bytes.Index(bytes.ToLower(message), bytes.ToLower(field))
	if at < 0 {
		return false
	}
	changed := slices.Insert(slices.Clone(message), at+len(field), 'x')
	results, err := dkim.VerifyMessage(ctx, bytes.NewReader(changed), dkim.VerifyOptions{Resolver: resolver})
	return err == nil && index < len(results) && results[index].Result == dkim.Fail
}

// recordingResolver remembers the record that a verification used.
type recordingResolver struct {
	resolver dkim.Resolver
	last     string
}

func (r *recordingResolver) LookupTXT(ctx context.Context, name string) ([]string, error) {
	txt, err := r.resolver.LookupTXT(ctx, name)
	if err == nil && len(txt) == 1 {
		r.last = txt[0]
	}
	if err == nil && len(txt) == 0 {
		return nil, errors.New("empty answer")
	}
	return txt, err
}

// headerValues returns the trimmed values of one header field, unfolded lines only: nonces are never folded.
func headerValues(message []byte, name string) []string {
	head, _, _ := bytes.Cut(message, []byte("\r\n\r\n"))
	var values []string
	for line := range strings.SplitSeq(string(head), "\r\n") {
		if n, v, ok := strings.Cut(line, ":"); ok && strings.EqualFold(n, name) {
			values = append(values, strings.TrimSpace(v))
		}
	}
	return values
}
