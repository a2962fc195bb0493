package mailauth

import (
	"context"

	"blitiri.com.ar/go/spf"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/dmarc"
)

// recordInvalid is the reason of a policy that cannot be read.
const recordInvalid = "record_invalid"

// CheckDMARC evaluates the author's domain (RFC 9989 §5.3). from are the values of the From fields, of which there should be one. why is the reason of a result that is none of the
// record's: a Problem, or one of DNS.
func CheckDMARC(ctx context.Context, dns Resolver, from []string, signatures []dkim.Result, sender SPF) (out dmarc.Evaluation, why string) {
	out.Result = dmarc.PermError
	switch len(from) {
	case 0:
		return out, string(FromMissing)
	case 1:
	default:
		return out, string(FromMultipleFields)
	}
	_, domain, problem := Author(from[0])
	if problem != "" {
		return out, string(problem)
	}
	in := dmarc.Message{From: domain}
	for _, r := range signatures {
		if r.Result == dkim.Pass {
			in.DKIM = append(in.DKIM, r.Domain)
		}
	}
	if sender.Result == string(spf.Pass) {
		in.SPF = sender.Domain
	}
	e := dmarc.Evaluator{Resolver: dns, Exists: dns.Exists}
	out, err := e.Evaluate(ctx, in)
	switch {
	case err == nil:
	case out.Result == dmarc.TempError:
		why = dnsReason(err)
	default:
		why = recordInvalid
	}
	if out.Result == dmarc.Fail && undecided(ctx, &e, in, signatures, sender) {
		out.Result, why = dmarc.TempError, ReasonDNS
	}
	return out, why
}

// undecided reports whether a message that fails would pass if what DNS did not tell were in its favour: only what is certain fails
// (RFC 9989 §5.3.1). Trouble with other domains than the author's changes nothing, or a forger would bring some along.
func undecided(ctx context.Context, e *dmarc.Evaluator, in dmarc.Message, signatures []dkim.Result, sender SPF) bool {
	open := sender.Result == string(spf.TempError)
	if open {
		in.SPF = sender.Domain
	}
	for _, r := range signatures {
		if r.Result == dkim.TempError {
			in.DKIM = append(in.DKIM, r.Domain)
			open = true
		}
	}
	if !open {
		return false
	}
	out, err := e.Evaluate(ctx, in)
	return err != nil || out.Result == dmarc.Pass
}
