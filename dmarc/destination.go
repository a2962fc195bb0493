package dmarc

import (
	"context"
	"errors"
	"net"
)

// ReportKind tells aggregate from failure reports.
type ReportKind uint8

// The kinds of reports.
const (
	AggregateReport ReportKind = iota
	FailureReport
)

// Destination says whether reports about a policy domain may be sent to an address from its record, and to which
// (RFC 9990 §4, RFC 9991 §5). An address whose host has the same organizational domain may always; another one only when
// that host publishes a DMARC record at <policy domain>._report._dmarc.<host>. Such a record may name another mailbox on
// the same host.
//
// ok is false for an address that must be ignored. An error of the Resolver says nothing either way: try later.
func Destination(ctx context.Context, r Resolver, policyDomain string, u URI, kind ReportKind) (to URI, ok bool, err error) {
	domain, valid := normal(policyDomain)
	host := u.Host()
	if !valid || host == "" {
		return URI{}, false, nil
	}
	memo := &memo{Resolver: r, answers: make(map[string]answer)}
	here, err := Walk(ctx, memo, domain)
	if err != nil {
		return URI{}, false, err
	}
	if within(host, here.Organization()) {
		there, err := Walk(ctx, memo, host)
		if err != nil {
			return URI{}, false, err
		}
		if there.Organization() == here.Organization() {
			return u, true, nil
		}
	}
	name := domain + "._report._dmarc." + host
	if len(name) > maxName {
		return URI{}, false, nil
	}
	txts, err := r.LookupTXT(ctx, name)
	if err != nil {
		var dns *net.DNSError
		if errors.As(err, &dns) && dns.IsNotFound {
			err = nil
		}
		return URI{}, false, err
	}
	for _, txt := range txts {
		record, err := Parse(txt)
		if err != nil && !errors.Is(err, ErrNoPolicy) {
			continue // no policy is wanted there
		}
		others := record.Aggregate
		if kind == FailureReport {
			others = record.Failure
		}
		for _, other := range others {
			if other.Host() == host {
				return other, true, nil
			}
		}
		return u, true, nil
	}
	return URI{}, false, nil
}
