package nameserver

import (
	"github.com/miekg/dns"
)

const (
	// maxHops is how many CNAMEs are followed inside a zone; a loop ends there too.
	maxHops = 8

	// anyTTL is the TTL of the record that answers ANY (RFC 8482 §4.2).
	anyTTL = 3600
)

// catalogue is all zones at one moment, by name with trailing dot. It never changes.
type catalogue map[string]*zone

// reply is what is said about a question, before it is made to fit.
type reply struct {
	rcode      int
	authority  bool // AA
	answer, ns []dns.RR
}

var refused = reply{rcode: dns.RcodeRefused}

// answer says what the zones hold (RFC 1034 §4.3.2 without delegations and wildcards, which our zones do not have).
func (c catalogue) answer(q dns.Question) reply {
	if q.Qclass != dns.ClassINET || meta(q.Qtype) {
		return refused
	}
	name := dns.CanonicalName(q.Name)
	z := c.find(name)
	if z == nil {
		return refused
	}
	r := reply{authority: true}
	owner := q.Name // the client's spelling comes back
	for range maxHops {
		n := z.nodes[name]
		if n == nil {
			r.rcode, r.ns = dns.RcodeNameError, []dns.RR{z.soa}
			return r
		}
		if records := z.records(n, name, q.Qtype); len(records) > 0 {
			r.answer = append(r.answer, renamed(records, owner)...)
			return r
		}
		if n.cname == nil {
			r.ns = []dns.RR{z.soa}
			return r
		}
		r.answer = append(r.answer, renamed([]dns.RR{n.cname}, owner)...)
		owner, name = n.cname.Target, dns.CanonicalName(n.cname.Target)
		if c.find(name) != z {
			return r // the client asks there
		}
	}
	return r
}

// records returns what a name holds of one type.
func (z *zone) records(n *node, name string, qtype uint16) []dns.RR {
	apex := name == z.name
	switch {
	case qtype == dns.TypeANY && (apex || len(n.txt) > 0 || n.cname != nil):
		return []dns.RR{&dns.HINFO{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeHINFO, Class: dns.ClassINET, Ttl: anyTTL}, Cpu: "RFC8482"}}
	case qtype == dns.TypeSOA && apex:
		return []dns.RR{z.soa}
	case qtype == dns.TypeNS && apex:
		return z.ns
	case qtype == dns.TypeTXT:
		return n.txt
	case qtype == dns.TypeCNAME && n.cname != nil:
		return []dns.RR{n.cname}
	}
	return nil
}

// find returns the deepest zone that holds the name.
func (c catalogue) find(name string) *zone {
	for {
		if z := c[name]; z != nil {
			return z
		}
		if name == "." {
			return nil
		}
		name = parent(name)
	}
}

// meta reports whether a type is none that records have (RFC 6895 §3.1): transfers, TSIG and their like. ANY is answered.
func meta(qtype uint16) bool {
	return qtype == 0 || qtype == dns.TypeOPT || qtype >= 128 && qtype < dns.TypeANY
}

// renamed copies records with the owner as the client wrote it.
func renamed(records []dns.RR, owner string) []dns.RR {
	out := make([]dns.RR, len(records))
	for i, rr := range records {
		out[i] = dns.Copy(rr)
		out[i].Header().Name = owner
	}
	return out
}
