package audit

import (
	"context"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/resolver"
)

// FileDNS answers from a file of records (CLI.md, --records) as if there were one server. What such a file cannot hold, it does not know: other types,
// TTLs, zone cuts and signatures are neither good nor bad.
type FileDNS struct{ File *resolver.File }

// Authoritative implements DNS.
func (f FileDNS) Authoritative(ctx context.Context, name, rrtype string) (resolver.View, error) {
	a := f.First(ctx, name, rrtype)
	if a.Status == resolver.StatusError && !chainTrouble(a.Detail) {
		return resolver.View{}, fault.New(fault.Unavailable, "the file says %s for %s", a.Detail, name)
	}
	a.TTL = shortTTL
	return resolver.View{Name: name, Type: rrtype, Answers: []resolver.Answer{a}}, nil
}

// Recursive implements DNS.
func (f FileDNS) Recursive(ctx context.Context, name, rrtype string) ([]resolver.Answer, error) {
	return []resolver.Answer{f.First(ctx, name, rrtype)}, nil
}

// First implements DNS.
func (f FileDNS) First(_ context.Context, name, rrtype string) resolver.Answer {
	if rrtype != "TXT" && rrtype != "CNAME" {
		return resolver.Answer{Server: "file", Status: resolver.StatusError, Detail: "a file of records does not hold " + rrtype + " records"}
	}
	return f.File.Answer(name, rrtype)
}
