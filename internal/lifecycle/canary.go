package lifecycle

import (
	"bytes"
	"context"
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
// of exactly this selector covers that field and passes, and the one record that DNS gives is the expected one. Errors:
// fault.Unavailable when DNS gave no answer either way, else fault.Invalid; both with a sentence for people.
func (c Canaries) Verify(ctx context.Context, domain, selector, record, nonce string, message []byte) error {
	at, got := c.nonce(message)
	if len(got) != 1 || got[0] != nonce || nonce == "" {
		return fault.New(fault.Invalid, "the canary does not carry the nonce that was asked for")
	}
	seen := &rememberingResolver{resolver: c.Resolver, answers: map[string]answer{}}
	results, err := dkim.VerifyMessage(ctx, bytes.NewReader(message), dkim.VerifyOptions{Resolver: seen})
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "the canary cannot be read")
	}
	for _, r := range results {
		if r.Domain != domain || r.Selector != selector {
			continue
		}
		switch {
		case r.Result == dkim.TempError:
			return fault.New(fault.Unavailable, "its key could not be looked up (%s)", string(r.Reason))
		case r.Result != dkim.Pass:
			return fault.New(fault.Invalid, "its signature is %s (%s)", string(r.Result), string(r.Reason))
		case !covers(ctx, seen, r.Index, message, at):
			return fault.New(fault.Invalid, "its signature does not cover the nonce")
		case !slices.Equal(seen.answers[selector+"._domainkey."+domain].txt, []string{record}):
			return fault.New(fault.Invalid, "it verified with a key record that is not the expected one")
		}
		return nil
	}
	return fault.New(fault.Invalid, "it has no signature of selector %s", selector)
}

// nonce returns the values of the nonce's field, and where the value of the first one begins. The field is never folded.
func (c Canaries) nonce(message []byte) (at int, values []string) {
	head, _, _ := bytes.Cut(message, []byte("\r\n\r\n"))
	offset := 0
	for line := range bytes.SplitSeq(head, []byte("\r\n")) {
		if name, value, ok := bytes.Cut(line, []byte(":")); ok && strings.EqualFold(string(bytes.TrimSpace(name)), c.NonceHeader) {
			if values == nil {
				at = offset + len(name) + 1
			}
			values = append(values, string(bytes.TrimSpace(value)))
		}
		offset += len(line) + len("\r\n")
	}
	return at, values
}

// covers reports whether the signature with this index depends on the octets at this place: with another one there it
// must not pass. The resolver answers from memory, so that only the message differs.
func covers(ctx context.Context, resolver dkim.Resolver, index int, message []byte, at int) bool {
	changed := slices.Insert(slices.Clone(message), at, 'x')
	results, err := dkim.VerifyMessage(ctx, bytes.NewReader(changed), dkim.VerifyOptions{Resolver: resolver})
	return err == nil && index < len(results) && results[index].Result == dkim.Fail
}

// rememberingResolver asks once for each name.
type rememberingResolver struct {
	resolver dkim.Resolver
	answers  map[string]answer
}

type answer struct {
	txt []string
	err error
}

func (r *rememberingResolver) LookupTXT(ctx context.Context, name string) ([]string, error) {
	if have, asked := r.answers[name]; asked {
		return have.txt, have.err
	}
	txt, err := r.resolver.LookupTXT(ctx, name)
	r.answers[name] = answer{txt, err}
	return txt, err
}
