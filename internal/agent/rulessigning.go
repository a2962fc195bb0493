package agent

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/agentapi"
)

// Bounds of how an assignment may sign. The agent checks them itself, whatever the control plane says.
const (
	// minExpire leaves room for mail that lies in queues: five days are usual (Postfix maximal_queue_lifetime), and one more hop
	// may take as long as the first.
	minExpire = 7 * 24 * time.Hour
	// maxExpire: what is meant to last longer should have no x= at all.
	maxExpire = 10 * 365 * 24 * time.Hour
	// maxSignedFields bounds each list of names; all of RFC 5322 and MIME have some forty.
	maxSignedFields = 100
)

// signingOf turns how an assignment signs into the form for package dkim, without domain, selector, key and time; or says what is wrong
// with it.
func signingOf(as *agentapi.Assignment) (how dkim.Signing, trouble string) {
	p := &as.Signing
	how = dkim.Signing{Headers: p.Headers, Oversign: p.Oversign}
	if as.Subdomains && !strings.Contains(as.Domain, ".") {
		return how, fmt.Sprintf("%s is a top-level domain: there is no signing for all below it", as.Domain)
	}
	for _, names := range [][]string{p.Headers, p.Oversign} {
		if len(names) > maxSignedFields {
			return how, fmt.Sprintf("more than %d header fields are to be signed", maxSignedFields)
		}
		for _, name := range names {
			if !validFieldName([]byte(name)) || strings.ContainsRune(name, ';') {
				return how, fmt.Sprintf("%.100q is not the name of a header field", name)
			}
		}
	}
	for _, name := range p.Oversign {
		if strings.EqualFold(name, "DKIM-Signature") {
			return how, "DKIM-Signature cannot be oversigned: the next signer adds one"
		}
	}
	if len(p.Headers) == 0 {
		how.Headers = nil
	}
	if len(p.Oversign) == 0 {
		how.Oversign = nil
	}
	if how.Oversign != nil && !slices.ContainsFunc(how.Oversign, func(name string) bool { return strings.EqualFold(name, "From") }) {
		// A second From must never fit under the signature, whatever else is listed (RFC 6376 §8.15).
		how.Oversign = append([]string{"From"}, how.Oversign...)
		how.Headers = slices.DeleteFunc(slices.Clone(how.Headers), func(name string) bool { return strings.EqualFold(name, "From") })
	}
	if as.Bulk {
		if how.Oversign == nil {
			how.Oversign = dkim.DefaultOversign()
		}
		how.Oversign = append(how.Oversign[:len(how.Oversign):len(how.Oversign)], bulkOversign...)
	}
	var ok bool
	if how.HeaderCanonicalization, how.BodyCanonicalization, ok = canonicalizations(p.Canonicalization); !ok {
		return how, fmt.Sprintf("the canonicalization %.50q is not known here", p.Canonicalization)
	}
	how.Expire = time.Duration(p.ExpireSeconds) * time.Second
	if s := p.ExpireSeconds; s != 0 && (s < int64(minExpire/time.Second) || s > int64(maxExpire/time.Second)) {
		return how, fmt.Sprintf("signatures are to expire after %d s, which is not between 7 days and 10 years", s)
	}
	return how, ""
}

// usual reports whether an assignment asks for nothing of its own.
func usual(s *agentapi.Signing) bool {
	return len(s.Headers) == 0 && len(s.Oversign) == 0 && s.Canonicalization == "" && s.ExpireSeconds == 0
}

// canonicalizations reads the value of c=.
func canonicalizations(text string) (header, body dkim.Canonicalization, ok bool) {
	switch text {
	case "", "relaxed/relaxed":
		return dkim.Relaxed, dkim.Relaxed, true
	case "relaxed/simple":
		return dkim.Relaxed, dkim.Simple, true
	case "simple/relaxed":
		return dkim.Simple, dkim.Relaxed, true
	case "simple/simple":
		return dkim.Simple, dkim.Simple, true
	}
	return 0, 0, false
}
