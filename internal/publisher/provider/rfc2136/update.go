package rfc2136

import (
	"strings"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher"
)

// update makes the message that takes the records that stand to those wanted, if they still stand just so.
func (s *session) update(owner string, c publisher.Change, standing []dns.RR) (*dns.Msg, error) {
	m := new(dns.Msg)
	m.SetUpdate(dns.Fqdn(s.zone))
	at := &dns.ANY{Hdr: dns.RR_Header{Name: dns.Fqdn(owner)}}
	switch {
	case len(standing) > 0:
		m.Answer = exactly(standing)
	case c.Type == publisher.CNAME:
		m.NameNotUsed([]dns.RR{at})
	default:
		m.RRsetNotUsed([]dns.RR{
			&dns.TXT{Hdr: dns.RR_Header{Name: dns.Fqdn(owner), Rrtype: dns.TypeTXT}},
			&dns.CNAME{Hdr: dns.RR_Header{Name: dns.Fqdn(owner), Rrtype: dns.TypeCNAME}},
		})
	}
	if len(standing) > 0 {
		m.Remove(standing)
	}
	for _, r := range c.Want {
		rr, err := publisher.ToRR(s.zone, r)
		if err != nil {
			return nil, err
		}
		m.Insert([]dns.RR{rr})
	}
	return m, nil
}

// exactly is the prerequisite "this record set exists with these values" (RFC 2136 §2.4.2).
func exactly(rrs []dns.RR) []dns.RR {
	var out []dns.RR
	for _, rr := range rrs {
		rr = dns.Copy(rr)
		rr.Header().Ttl = 0
		out = append(out, rr)
	}
	return out
}

// answered returns the TXT and CNAME records with which the server answers for the name.
func (s *session) answered(owner string) ([]dns.RR, error) {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(owner), dns.TypeTXT)
	m.RecursionDesired = false
	r, err := s.exchange(m)
	if err != nil {
		return nil, err
	}
	if r.Rcode != dns.RcodeSuccess && r.Rcode != dns.RcodeNameError {
		return nil, s.refusal(r, asking, owner)
	}
	if err := s.fromZone(r, owner); err != nil {
		return nil, err
	}
	var out []dns.RR
	for _, rr := range r.Answer {
		h := rr.Header()
		if h.Class == dns.ClassINET && strings.EqualFold(h.Name, dns.Fqdn(owner)) && (h.Rrtype == dns.TypeTXT || h.Rrtype == dns.TypeCNAME) {
			out = append(out, rr)
		}
	}
	return out, nil
}

// fromZone checks that the reply comes out of our zone's own data: an update of a name that a zone below holds would be
// accepted by some servers and never be seen.
func (s *session) fromZone(r *dns.Msg, owner string) error {
	for _, rr := range r.Ns {
		holder := canonical(rr.Header().Name)
		switch rr.(type) {
		case *dns.SOA:
		case *dns.NS:
			if r.Authoritative && len(r.Answer) == 0 {
				continue
			}
		default:
			continue
		}
		below := len(holder) > len(canonical(s.zone)) && dns.IsSubDomain(dns.Fqdn(s.zone), dns.Fqdn(holder))
		if below && dns.IsSubDomain(dns.Fqdn(holder), dns.Fqdn(owner)) {
			return fault.New(fault.NotFound, "%s belongs to the zone %s, which is delegated out of %s", owner, holder, s.zone).
				WithHint("give the domain a publisher that writes %s", holder)
		}
	}
	if !r.Authoritative {
		return fault.New(fault.NotFound, "the server %s does not serve the zone %s", s.p.server, s.zone).
			WithHint("server must be the zone's primary name server, not a resolver; check server and zone of the publisher")
	}
	return nil
}

// standing returns the TXT and CNAME records that stand at the name, without those that a wildcard makes up.
func (s *session) standing(owner string) ([]dns.RR, error) {
	rrs, err := s.answered(owner)
	if err != nil {
		return nil, err
	}
	return s.unlessInvented(owner, rrs)
}

// unlessInvented returns the records if the name itself has any, else nothing. It asks by an update that changes nothing: its
// prerequisite "name is in use" (RFC 2136 §2.4.4) does not see wildcards.
func (s *session) unlessInvented(owner string, rrs []dns.RR) ([]dns.RR, error) {
	if len(rrs) == 0 {
		return nil, nil
	}
	m := new(dns.Msg)
	m.SetUpdate(dns.Fqdn(s.zone))
	m.NameUsed([]dns.RR{&dns.ANY{Hdr: dns.RR_Header{Name: dns.Fqdn(owner)}}})
	r, err := s.exchange(m)
	if err != nil {
		return nil, err
	}
	switch r.Rcode {
	case dns.RcodeSuccess:
		return rrs, nil
	case dns.RcodeNameError:
		return nil, nil
	}
	return nil, s.refusal(r, updating, "TXT and CNAME at "+owner)
}

func canonical(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }
