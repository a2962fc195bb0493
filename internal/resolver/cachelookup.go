package resolver

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// outcome is an answer in the form in which look-ups return it. It never changes.
type outcome struct {
	err       *net.DNSError // nil when there are records
	text      []string      // TXT records joined, or the names of PTR records
	mx        []net.MX
	addrs     []netip.Addr
	authentic bool // the AD bit, of records or of their denial
	exists    bool // the name itself exists
	life      time.Duration
	octets    int
}

// outcomeOf turns an answer into what is kept of it.
func outcomeOf(k cacheKey, a Answer) *outcome {
	o := &outcome{authentic: a.AuthenticatedData}
	for _, list := range [][]string{a.TXT, a.Data} {
		for _, s := range list {
			o.octets += len(s)
		}
	}
	if o.octets > maxAnswerOctets {
		o.octets = 0
		a = Answer{Server: a.Server, Status: StatusError, Detail: DetailOversize}
	}
	switch a.Status {
	case StatusOK:
		o.exists = true
		o.life = clamp(a.Keep, minPositive, maxPositive)
		o.read(k, a)
		return o
	case StatusNoData, StatusNXDomain:
		// Behind an alias the answer speaks about the end of the chain (RFC 6604 §3); the alias exists.
		o.exists = a.Status == StatusNoData || len(a.CNAME) > 0
		o.life = clamp(a.Keep, minNegative, maxNegative)
	default:
		o.authentic = false
		o.life = keepTrouble
	}
	o.err = lookupError(k.name, a)
	return o
}

// read takes the records over by type; those with names that we do not follow are left out, as Recursive does.
func (o *outcome) read(k cacheKey, a Answer) {
	o.text = slices.Clip(a.TXT)
	for _, data := range a.Data {
		switch k.rrtype {
		case "MX":
			pref, host, _ := strings.Cut(data, " ")
			n, err := strconv.ParseUint(pref, 10, 16)
			if err == nil && usable(canonical(host)) {
				o.mx = append(o.mx, net.MX{Host: dns.Fqdn(canonical(host)), Pref: uint16(n)})
			}
		case "A", "AAAA":
			if addr, err := netip.ParseAddr(data); err == nil && len(o.addrs) < maxAddresses {
				o.addrs = append(o.addrs, addr.Unmap())
			}
		case "PTR":
			if usable(canonical(data)) {
				o.text = append(o.text, dns.Fqdn(canonical(data)))
			}
		}
	}
	slices.SortStableFunc(o.mx, func(a, b net.MX) int { return cmp.Compare(a.Pref, b.Pref) })
}

func clamp(seconds uint32, low, high time.Duration) time.Duration {
	return min(max(time.Duration(seconds)*time.Second, low), high)
}

// records is get for look-ups that return records: everything else is an error.
func (c *Cache) records(ctx context.Context, name, rrtype string) (*outcome, error) {
	ascii, ok := askable(name)
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	o, err := c.get(ctx, cacheKey{ascii, rrtype})
	if err == nil && o.err != nil {
		err = o.err
	}
	return o, err
}

// askable is ToASCII, at no cost for names that are in that form already.
func askable(name string) (string, bool) {
	if short := strings.TrimSuffix(name, "."); short != "" && usable(short) {
		return short, true
	}
	ascii, err := ToASCII(name)
	return ascii, err == nil
}

// LookupTXT returns the TXT records of the name, each record's strings joined. The slice is shared with other callers: it must not be
// changed.
func (c *Cache) LookupTXT(ctx context.Context, name string) ([]string, error) {
	records, _, err := c.LookupTXTSecure(ctx, name)
	return records, err
}

// LookupTXTSecure is LookupTXT that also says whether the recursive server vouches for the answer with DNSSEC (the AD bit), be it
// records or their denial. That is worth as much as the path to that server.
func (c *Cache) LookupTXTSecure(ctx context.Context, name string) (records []string, authentic bool, err error) {
	o, err := c.records(ctx, name, "TXT")
	if o == nil {
		return nil, false, err
	}
	return o.text, o.authentic, err
}

// LookupMX returns the MX records by preference, hosts with a trailing dot as in package net.
func (c *Cache) LookupMX(ctx context.Context, name string) ([]*net.MX, error) {
	o, err := c.records(ctx, name, "MX")
	if err != nil {
		return nil, err
	}
	list := make([]*net.MX, len(o.mx))
	for i, mx := range o.mx {
		list[i] = &mx
	}
	return list, nil
}

// LookupIPAddr returns the addresses of both families, asked side by side. It fails only if neither can be had.
func (c *Cache) LookupIPAddr(ctx context.Context, host string) ([]net.IPAddr, error) {
	name, ok := askable(host)
	if !ok {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	keys := [...]cacheKey{{name, "A"}, {name, "AAAA"}}
	var outcomes [len(keys)]*outcome
	var flights [len(keys)]*flight
	var errs [len(keys)]error
	for i, k := range keys {
		outcomes[i], flights[i], errs[i] = c.begin(ctx, k)
	}
	var list []net.IPAddr
	for i, k := range keys {
		if flights[i] != nil {
			outcomes[i], errs[i] = flights[i].wait(ctx, k)
		}
		if errs[i] != nil {
			continue
		}
		if outcomes[i].err != nil {
			errs[i] = outcomes[i].err
		}
		for _, addr := range outcomes[i].addrs {
			list = append(list, net.IPAddr{IP: addr.AsSlice()})
		}
	}
	return eitherFamily(list, errs)
}

// LookupAddr returns the names of the PTR records, with a trailing dot as in package net.
func (c *Cache) LookupAddr(ctx context.Context, addr string) ([]string, error) {
	name, err := reverse(addr)
	if err != nil {
		return nil, err
	}
	o, err := c.records(ctx, name, "PTR")
	if err != nil {
		return nil, err
	}
	return slices.Clone(o.text), nil
}

// Exists reports whether a domain exists: anything but NXDOMAIN does (RFC 8020). What is known from other look-ups of the name is
// enough; else its address is asked. The error is a *net.DNSError when nobody can tell now.
func (c *Cache) Exists(ctx context.Context, name string) (bool, error) {
	ascii, ok := askable(name)
	if !ok {
		return false, nil
	}
	if o := c.known(ascii); o != nil {
		return o.exists, nil
	}
	o, err := c.records(ctx, ascii, "A")
	if o == nil || o.err != nil && !o.err.IsNotFound {
		return false, err
	}
	return o.exists, nil
}

// known finds a kept answer that tells whether the name exists.
func (c *Cache) known(name string) *outcome {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, rrtype := range [...]string{"A", "TXT", "MX", "AAAA"} {
		if e := c.fresh(cacheKey{name, rrtype}); e != nil && (e.err == nil || e.err.IsNotFound) {
			c.recent.MoveToFront(c.entries[e.key])
			c.count(e.outcome)
			return e.outcome
		}
	}
	return nil
}
