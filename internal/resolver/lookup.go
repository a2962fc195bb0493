package resolver

import (
	"context"
	"net"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// The methods below have the names and the errors of *net.Resolver: *net.DNSError with IsNotFound for NXDOMAIN, for a name without such records and
// for a name that cannot exist; IsTemporary, and IsTimeout where it was one, for trouble on the way.

// LookupTXT returns the TXT records of the first recursive server that answers, each record's strings joined.
func (r *Resolver) LookupTXT(ctx context.Context, name string) ([]string, error) {
	return r.stub.LookupTXT(ctx, name)
}

// LookupMX returns the MX records, by preference as listed.
func (r *Resolver) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	return r.stub.LookupMX(ctx, name)
}

// LookupIPAddr returns the IPv4 and IPv6 addresses.
func (r *Resolver) LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error) {
	return r.stub.LookupIPAddr(ctx, host)
}

// LookupAddr returns the names that an address points back to.
func (r *Resolver) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	return r.stub.LookupAddr(ctx, addr)
}

// LookupTXT returns the TXT records of the name, each record's strings joined.
func (r *Recursive) LookupTXT(ctx context.Context, name string) ([]string, error) {
	rrs, err := r.lookup(ctx, name, dns.TypeTXT)
	if err != nil {
		return nil, err
	}
	joined, _ := texts(rrs)
	return joined, nil
}

// LookupMX returns the MX records in the order of the reply, hosts with a trailing dot as in package net.
func (r *Recursive) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	rrs, err := r.lookup(ctx, name, dns.TypeMX)
	if err != nil {
		return nil, err
	}
	var list []*net.MX
	for _, rr := range rrs {
		mx, ok := rr.(*dns.MX)
		if ok && usable(canonical(mx.Mx)) {
			list = append(list, &net.MX{Host: dns.Fqdn(canonical(mx.Mx)), Pref: mx.Preference})
		}
	}
	return list, nil
}

// LookupIPAddr returns the addresses of both families. It fails only if neither can be had.
func (r *Recursive) LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error) {
	var errs [2]error
	var found [2][]dns.RR
	each(2, func(i int) {
		found[i], errs[i] = r.lookup(ctx, host, [2]uint16{dns.TypeA, dns.TypeAAAA}[i])
	})
	var list []net.IPAddr
	for i := range found {
		for _, rr := range found[i][:min(len(found[i]), maxAddresses)] {
			if a, ok := address(rr); ok {
				list = append(list, net.IPAddr{IP: a.AsSlice()})
			}
		}
	}
	return eitherFamily(list, errs)
}

// eitherFamily is the answer about addresses of two families: one is enough, and a denial of one says little while the other is not known.
func eitherFamily(list []net.IPAddr, errs [2]error) ([]net.IPAddr, error) {
	if len(list) > 0 {
		return list, nil
	}
	for _, err := range errs {
		if e, ok := err.(*net.DNSError); ok && !e.IsNotFound {
			return nil, err
		}
	}
	return nil, errs[0]
}

// LookupAddr returns the names of the PTR records, with a trailing dot as in package net.
func (r *Recursive) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	arpa, err := reverse(addr)
	if err != nil {
		return nil, err
	}
	rrs, err := r.lookup(ctx, arpa, dns.TypePTR)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, rr := range rrs {
		if ptr, ok := rr.(*dns.PTR); ok && usable(canonical(ptr.Ptr)) {
			names = append(names, dns.Fqdn(canonical(ptr.Ptr)))
		}
	}
	return names, nil
}

// reverse is the name under which an address points back.
func reverse(addr string) (string, error) {
	ip, err := netip.ParseAddr(addr)
	if err != nil {
		return "", &net.DNSError{Err: "not an address", Name: addr, IsNotFound: true}
	}
	arpa, err := dns.ReverseAddr(ip.WithZone("").Unmap().String())
	if err != nil {
		return "", &net.DNSError{Err: "not an address", Name: addr, IsNotFound: true}
	}
	return strings.TrimSuffix(arpa, "."), nil
}

// lookup returns the records that the first server with a usable answer has.
func (r *Recursive) lookup(ctx context.Context, name string, qtype uint16) ([]dns.RR, error) {
	ascii, err := ToASCII(name)
	if err != nil {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	ctx, cancel := context.WithTimeout(ctx, r.total)
	defer cancel()
	var last Answer
	for _, server := range r.servers {
		a, rrs := followAt(ctx, r.exchange.do, server, ascii, qtype)
		switch a.Status {
		case StatusOK:
			return rrs, nil
		case StatusNoData, StatusNXDomain:
			return nil, lookupError(name, a)
		}
		last = a
	}
	return nil, lookupError(name, last)
}

// lookupError says an answer in the terms of package net.
func lookupError(name string, a Answer) *net.DNSError {
	e := &net.DNSError{Name: name, Server: a.Server}
	switch a.Status {
	case StatusNXDomain, StatusNoData:
		e.Err, e.IsNotFound = "no such host", true
	default:
		e.Err = a.Detail
		e.IsTimeout = strings.HasSuffix(a.Detail, DetailTimeout)
		// What stands in the zone does not go away by asking again.
		e.IsTemporary = a.Detail != DetailLoop && a.Detail != DetailLong && a.Detail != DetailBadName && a.Detail != DetailConflict &&
			a.Detail != DetailOversize
		if a.Bogus {
			e.Err = "bogus: the answer does not pass DNSSEC validation"
		}
	}
	return e
}
