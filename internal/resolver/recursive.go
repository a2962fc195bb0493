package resolver

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/miekg/dns"
)

// Recursive is a client of recursive servers, tried in order. It is safe for concurrent use. Its methods are those of
// lookup.go, with the errors of package net.
type Recursive struct {
	servers  []string
	total    time.Duration
	exchange exchange
}

// NewRecursive makes a client for one recursive server, "addr:port" (":53" may be left out), with a time for each attempt
// (DefaultTimeout when zero). An unusable address shows as an error when it is asked.
func NewRecursive(addr string, timeout time.Duration) *Recursive {
	servers, err := endpoints([]string{addr})
	if err != nil {
		servers = []string{addr}
	}
	return &Recursive{servers: servers, total: DefaultTotal, exchange: newExchange(timeout, 0)}
}

// asker is exchange.do, with or without the bounds of a check.
type asker func(ctx context.Context, addr string, q question) (reply, error)

// Recursive asks every configured recursive server, side by side, and returns one answer each, in the order of the
// configuration. It tells bogus DNSSEC (Answer.Bogus) from other SERVFAILs by asking again without validation. The error
// is a fault: Invalid for an unusable question, Unavailable when ctx ended.
func (r *Resolver) Recursive(ctx context.Context, name, rrtype string) ([]Answer, error) {
	return r.recursive(ctx, r.newCheck(), name, rrtype)
}

func (r *Resolver) recursive(ctx context.Context, c *check, name, rrtype string) ([]Answer, error) {
	ascii, qtype, err := checked(name, rrtype)
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, r.total)
	defer cancel()
	answers := make([]Answer, len(r.stub.servers))
	each(len(answers), func(i int) {
		answers[i], _ = followAt(limited, c.ask, r.stub.servers[i], ascii, qtype)
		answers[i].Bogus = answers[i].bogus(limited, c.ask, ascii, qtype)
	})
	if stop := interrupted(ctx, ascii); stop != nil {
		return nil, stop
	}
	return answers, nil
}

// First asks the configured recursive servers in order and returns the first answer that is evidence, or what the last one's trouble was. A
// bogus answer (DNSSEC) ends it too: another server might not validate and would let through what this one refused. It is
// StatusError when name or rrtype cannot be asked and when ctx ends.
func (r *Resolver) First(ctx context.Context, name, rrtype string) Answer {
	return r.stub.First(ctx, name, rrtype)
}

// First is Resolver.First.
func (r *Recursive) First(ctx context.Context, name, rrtype string) Answer {
	return r.first(ctx, r.exchange.do, name, rrtype)
}

func (r *Recursive) first(ctx context.Context, ask asker, name, rrtype string) Answer {
	ascii, qtype, err := checked(name, rrtype)
	if err != nil {
		return Answer{Status: StatusError, Detail: DetailBadName}
	}
	ctx, cancel := context.WithTimeout(ctx, r.total)
	defer cancel()
	var last Answer
	for _, server := range r.servers {
		last, _ = followAt(ctx, ask, server, ascii, qtype)
		last.Bogus = last.bogus(ctx, ask, ascii, qtype)
		if last.Status != StatusError || last.Bogus || ctx.Err() != nil {
			break
		}
	}
	return last
}

// bogus tells a SERVFAIL for wrong signatures from others: the same server has an answer when it shall not validate.
func (a Answer) bogus(ctx context.Context, ask asker, name string, qtype uint16) bool {
	if a.Status != StatusError || a.Rcode != dns.RcodeServerFailure {
		return false
	}
	unchecked, err := ask(ctx, a.Server, question{name: name, qtype: qtype, recurse: true, noCheck: true})
	return err == nil && (unchecked.msg.Rcode == dns.RcodeSuccess || unchecked.msg.Rcode == dns.RcodeNameError)
}

// followAt asks one recursive server and follows CNAMEs, first within its reply, else by asking it again. It returns the
// records at the end of the chain too.
func followAt(ctx context.Context, ask asker, server, name string, qtype uint16) (Answer, []dns.RR) {
	a := Answer{Server: server, Status: StatusError}
	seen := []string{name}
	keep := uint32(math.MaxUint32)
	for {
		r, err := ask(ctx, server, question{name: name, qtype: qtype, recurse: true})
		a.Truncated, a.Size = a.Truncated || r.truncated, max(a.Size, r.size)
		if err != nil {
			a.Status, a.Detail = StatusError, detailOf(err)
			return a, nil
		}
		s := read(r.msg, name, qtype)
		a.AuthenticatedData = s.ad && (a.AuthenticatedData || len(seen) == 1)
		for s.kind == kindCNAME {
			a.TTL, keep = max(a.TTL, s.ttl), min(keep, s.keep)
			if len(seen) == 1 {
				a.Own = s.target
			}
			a.CNAME = append(a.CNAME, s.target)
			if detail := refuseHop(seen, s.target); detail != "" {
				a.Status, a.Detail, a.Rcode = StatusError, detail, s.rcode
				return a, nil
			}
			name = s.target
			seen = append(seen, name)
			s = read(r.msg, name, qtype)
		}
		if s.detail == DetailMalformed && name != lastAsked(r) {
			// The reply stops at the alias; its target is asked for by itself.
			continue
		}
		s.conclude(&a, qtype)
		switch a.Status {
		case StatusOK:
			a.Keep = min(keep, s.keep)
		case StatusNoData, StatusNXDomain:
			a.Keep = min(keep, a.NegativeTTL)
		}
		return a, s.rrs
	}
}

// lastAsked is the name that a reply answers.
func lastAsked(r reply) string {
	if len(r.msg.Question) == 0 {
		return ""
	}
	return canonical(r.msg.Question[0].Name)
}

// refuseHop says why a target is not followed; seen begins with the asked name.
func refuseHop(seen []string, target string) string {
	switch {
	case !usable(target):
		return DetailBadName
	case slices.Contains(seen, target):
		return DetailLoop
	case len(seen) > maxHops:
		return DetailLong
	}
	return ""
}

// conclude turns what a recursive server said about the end of the chain into its answer.
func (s said) conclude(a *Answer, qtype uint16) {
	a.Rcode = s.rcode
	if s.soa != nil {
		a.NegativeTTL = s.soa.negative
	}
	switch s.kind {
	case kindRecords:
		if len(a.CNAME) == 0 {
			a.Own = s.target
		}
		own := a.CNAME
		s.fill(a, qtype)
		if qtype != dns.TypeCNAME {
			a.CNAME = own
		}
	case kindNoData:
		a.Status = StatusNoData
	case kindNXDomain:
		a.Status = StatusNXDomain
	case kindReferral:
		a.Status, a.Detail = StatusError, DetailLame
	default:
		a.Status, a.Detail = StatusError, s.detail
	}
}

// detailOf is the word for a failed exchange.
func detailOf(err error) string {
	var t *trouble
	if errors.As(err, &t) {
		return t.detail
	}
	return DetailMalformed
}
