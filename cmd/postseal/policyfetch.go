package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/postseal/postseal/internal/fault"
)

const (
	// policyTime bounds fetching one MTA-STS policy (RFC 8461 §3.3 says a minute; a server that needs so long fails its senders).
	policyTime = 10 * time.Second
	// maxPolicy is the size of a policy, in octets (RFC 8461 §3.2 suggests 64 kB).
	maxPolicy = 64 << 10
)

// policyFetcher gets MTA-STS policies.
type policyFetcher struct{ client *http.Client }

func newPolicyFetcher() policyFetcher {
	return policyFetcher{&http.Client{Timeout: policyTime, CheckRedirect: func(*http.Request, []*http.Request) error {
		return errors.New("redirects are not followed (RFC 8461 §3.3)")
	}}}
}

// Policy implements audit.PolicyFetcher.
func (f policyFetcher) Policy(ctx context.Context, domain string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://mta-sts."+domain+"/.well-known/mta-sts.txt", nil)
	if err != nil {
		return "", fault.Wrap(fault.Invalid, err, "%s has no address for its policy", domain)
	}
	resp, err := f.client.Do(req)
	if err != nil {
		return "", fault.Wrap(fault.Unavailable, err, "%v", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fault.New(fault.Unavailable, "the server answers %s", resp.Status)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxPolicy+1))
	switch {
	case err != nil:
		return "", fault.Wrap(fault.Unavailable, err, "%v", err)
	case len(text) > maxPolicy:
		return "", fault.New(fault.Unavailable, "the policy is larger than %d octets", maxPolicy)
	}
	return string(text), nil
}
