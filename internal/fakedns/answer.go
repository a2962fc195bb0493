package fakedns

import (
	"strings"

	"github.com/miekg/dns"
)

// maxChase bounds the chain of aliases in one reply.
const maxChase = 16

// answer is what an authoritative server says. The caller holds the lock.
func (s *Server) answer(req *dns.Msg) *dns.Msg {
	m := new(dns.Msg).SetReply(req)
	q := req.Question[0]
	name := canonical(q.Name)
	z := s.deepest(name)
	if z == nil {
		return m.SetRcode(req, dns.RcodeRefused)
	}
	m.Authoritative = true
	for range maxChase {
		c := s.copyOf(z)
		if cut, ns := c.cut(z.name, name); cut != "" {
			if len(m.Answer) == 0 {
				m.Authoritative = false
				m.Ns, m.Extra = ns, c.glue(ns)
			}
			return m
		}
		target := c.look(m, z.name, name, q)
		if target == "" || !within(target, z.name) {
			return m
		}
		name = target
	}
	return m
}

// deepest is the server's deepest zone that holds the name.
func (s *Server) deepest(name string) *Zone {
	var best *Zone
	for _, z := range s.zones {
		if within(name, z.name) && (best == nil || len(z.name) > len(best.name) || best.name == ".") {
			best = z
		}
	}
	return best
}

// cut finds a delegation on the way from the zone's name down to the asked one.
func (c *content) cut(zone, name string) (string, []dns.RR) {
	labels := dns.SplitDomainName(name)
	for i := len(labels) - dns.CountLabel(dns.Fqdn(zone)) - 1; i >= 0; i-- {
		at := strings.Join(labels[i:], ".")
		if ns := c.rrset(at, dns.TypeNS); len(ns) > 0 {
			return at, ns
		}
	}
	return "", nil
}

func (c *content) glue(ns []dns.RR) []dns.RR {
	var out []dns.RR
	for _, rr := range ns {
		host := canonical(rr.(*dns.NS).Ns)
		out = append(out, c.rrset(host, dns.TypeA)...)
		out = append(out, c.rrset(host, dns.TypeAAAA)...)
	}
	return out
}

// look adds to the message what the zone holds for the question at the name, and returns the target of an alias that is to be
// followed.
func (c *content) look(m *dns.Msg, zone, name string, q dns.Question) string {
	if name == zone && q.Qtype == dns.TypeSOA {
		m.Answer = append(m.Answer, c.soa)
		return ""
	}
	owner := name
	if _, ok := c.records[name]; !ok && !c.hasBelow(name) {
		owner = c.wildcard(zone, name)
	}
	rrs := c.rrset(owner, q.Qtype)
	alias := c.rrset(owner, dns.TypeCNAME)
	if q.Qtype == dns.TypeCNAME {
		alias = nil
	}
	for _, rr := range append(alias, rrs...) {
		rr = dns.Copy(rr)
		rr.Header().Name = dns.Fqdn(name)
		m.Answer = append(m.Answer, rr)
	}
	switch {
	case len(rrs) > 0:
		return ""
	case len(alias) > 0:
		return canonical(alias[0].(*dns.CNAME).Target)
	}
	if _, ok := c.records[owner]; !ok && !c.hasBelow(name) && name != zone {
		m.Rcode = dns.RcodeNameError
	}
	m.Ns = append(m.Ns, c.soa)
	return ""
}

func (c *content) rrset(name string, qtype uint16) []dns.RR {
	var out []dns.RR
	for _, rr := range c.records[name] {
		if rr.Header().Rrtype == qtype {
			out = append(out, rr)
		}
	}
	return out
}

// hasBelow reports an empty non-terminal.
func (c *content) hasBelow(name string) bool {
	for n := range c.records {
		if strings.HasSuffix(n, "."+name) {
			return true
		}
	}
	return false
}

// wildcard returns the owner that stands in for a name that does not exist (RFC 4592), or the name itself.
func (c *content) wildcard(zone, name string) string {
	for n := name; n != zone; {
		n = parent(n)
		if _, ok := c.records["*."+n]; ok {
			return "*." + n
		}
		if _, ok := c.records[n]; ok || c.hasBelow(n) {
			return name
		}
	}
	return name
}
