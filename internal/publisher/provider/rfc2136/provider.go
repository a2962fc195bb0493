package rfc2136

import (
	"context"
	"net"
	"strconv"
	"time"

	"github.com/libdns/libdns"
	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher"
)

// maxTXT is the largest value in octets: a replacement carries it three times (as prerequisite, deleted, added) and must fit
// into one message of 65,535.
const maxTXT = 20_000

// Config says whom to send updates to, and how to sign them.
type Config struct {
	Server  string           // "addr:port" of the primary; ":53" may be left out
	KeyFile string           // TSIG key in BIND's format, read at each use so that a new one needs no restart; "" = unsigned
	Now     func() time.Time // the clock that signatures carry; nil = time.Now
}

// Provider sends updates to one primary. It is safe for concurrent use.
type Provider struct {
	server  string
	keyFile string
	now     func() time.Time
}

var _ publisher.Provider = (*Provider)(nil)

// New checks the configuration; no file is read and nothing is sent. Errors are fault.Invalid.
func New(c Config) (*Provider, error) {
	host, port, err := net.SplitHostPort(c.Server)
	if err != nil {
		host, port = c.Server, "53"
	}
	if _, bad := strconv.ParseUint(port, 10, 16); host == "" || bad != nil {
		return nil, fault.New(fault.Invalid, "%q is not the address of a server", c.Server).
			WithHint("write server as ADDR:PORT, an IPv6 address in brackets")
	}
	now := c.Now
	if now == nil {
		now = time.Now
	}
	return &Provider{server: net.JoinHostPort(host, port), keyFile: c.KeyFile, now: now}, nil
}

// Capabilities implements publisher.Provider.
func (p *Provider) Capabilities() publisher.Capabilities {
	return publisher.Capabilities{Atomic: true, MaxTXT: maxTXT}
}

// Get implements publisher.Provider.
func (p *Provider) Get(ctx context.Context, zone, name string) ([]libdns.Record, error) {
	s, err := p.open(ctx, zone)
	if err != nil {
		return nil, err
	}
	defer s.close()
	return fromRRs(name)(s.standing(publisher.Absolute(name, zone)))
}

// Set implements publisher.Provider.
func (p *Provider) Set(ctx context.Context, zone string, c publisher.Change) (publisher.Outcome, error) {
	s, err := p.open(ctx, zone)
	if err != nil {
		return "", err
	}
	defer s.close()
	return s.set(c)
}

// set looks, compares decoded values, and sends the change with exactly what it saw as prerequisite. The bounds between the
// strings of a TXT record are the server's own in the prerequisite, whatever ours would be.
func (s *session) set(c publisher.Change) (publisher.Outcome, error) {
	owner := publisher.Absolute(c.Name, s.zone)
	raw, err := s.answered(owner)
	if err != nil {
		return "", err
	}
	seen, _ := fromRRs(c.Name)(raw, nil)
	have := publisher.OfType(seen, c.Type)
	if !publisher.Same(have, c.Expect) || len(c.Expect) == 0 && len(seen) > 0 {
		// Perhaps a wildcard made it up.
		if raw, err = s.unlessInvented(owner, raw); err != nil {
			return "", err
		}
		seen, _ = fromRRs(c.Name)(raw, nil)
		have = publisher.OfType(seen, c.Type)
	}
	switch {
	case publisher.Same(have, c.Want):
		return publisher.Done, nil
	case !publisher.Same(have, c.Expect), len(c.Expect) == 0 && len(seen) > 0:
		return "", publisher.ConflictAt(owner, seen)
	}
	m, err := s.update(owner, c, ofType(raw, c.Type))
	if err != nil {
		return "", err
	}
	r, err := s.exchange(m)
	if err != nil {
		return "", err
	}
	switch r.Rcode {
	case dns.RcodeSuccess:
		return publisher.Done, nil
	case dns.RcodeYXRrset, dns.RcodeNXRrset, dns.RcodeYXDomain, dns.RcodeNameError:
		return s.overtaken(owner, c)
	}
	return "", s.refusal(r, updating, string(c.Type)+" at "+owner)
}

// overtaken finds out what stands there after a prerequisite was not met: somebody wrote between our look and our update, or a
// record stands there that is not shown to us.
func (s *session) overtaken(owner string, c publisher.Change) (publisher.Outcome, error) {
	seen, err := fromRRs(c.Name)(s.standing(owner))
	if err != nil {
		return "", err
	}
	have := publisher.OfType(seen, c.Type)
	switch {
	case publisher.Same(have, c.Want):
		return publisher.Done, nil
	case len(seen) == 0 && len(c.Expect) == 0:
		return "", fault.New(fault.Conflict, "at %s stand records of other types, which a CNAME excludes", owner).
			WithHint("remove them, or choose another name")
	case publisher.Same(have, c.Expect):
		return "", fault.New(fault.Unavailable, "somebody else is changing %s at this moment", owner)
	}
	return "", publisher.ConflictAt(owner, seen)
}

// fromRRs turns what the server holds into what callers see.
func fromRRs(name string) func([]dns.RR, error) ([]libdns.Record, error) {
	return func(rrs []dns.RR, err error) ([]libdns.Record, error) {
		var out []libdns.Record
		for _, rr := range rrs {
			if r, ok := publisher.FromRR(name, rr); ok {
				out = append(out, r)
			}
		}
		return out, err
	}
}

func ofType(rrs []dns.RR, rrtype string) []dns.RR {
	var out []dns.RR
	for _, rr := range rrs {
		if rr.Header().Rrtype == dns.StringToType[rrtype] {
			out = append(out, rr)
		}
	}
	return out
}
