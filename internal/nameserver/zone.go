package nameserver

import (
	"fmt"
	"strings"
	"time"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/publisher"
)

const (
	// maxValue is the largest value in octets that is served: with all around it it must fit into one TCP message.
	maxValue = 60_000

	// The times of the SOA record are for secondaries (RFC 1912 §2.2): they ask hourly, again after ten minutes, and give up after two
	// weeks, as long as keys are kept at least after their last use.
	soaRefresh = 3600
	soaRetry   = 600
	soaExpire  = 14 * 24 * 3600
)

// zone is one zone, ready for answers. It never changes.
type zone struct {
	name   string // with trailing dot
	serial uint32
	soa    *dns.SOA
	ns     []dns.RR
	nodes  map[string]*node // by lower-case name with trailing dot; empty non-terminals (RFC 8020 §2) are there, without records
}

// node is one name.
type node struct {
	txt   []dns.RR
	cname *dns.CNAME
}

// compile makes a zone. Records that cannot be served are left out and described in problems.
func compile(c *Config, stored publisher.StoredZone) (z *zone, problems []string) {
	z = &zone{name: dns.CanonicalName(stored.Name), serial: stored.Serial, nodes: make(map[string]*node)}
	hostmaster := c.Hostmaster
	if hostmaster == "" {
		hostmaster = "hostmaster." + z.name
	}
	// One TTL for the record and its MINIMUM, so that both give the same negative TTL (RFC 2308 §5).
	negative := uint32(c.NegativeTTL / time.Second)
	z.soa = &dns.SOA{
		Hdr:     dns.RR_Header{Name: z.name, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: negative},
		Ns:      c.Names[0],
		Mbox:    dns.CanonicalName(hostmaster),
		Serial:  stored.Serial,
		Refresh: soaRefresh, Retry: soaRetry, Expire: soaExpire, Minttl: negative,
	}
	for _, name := range c.Names {
		z.ns = append(z.ns, &dns.NS{Hdr: dns.RR_Header{Name: z.name, Rrtype: dns.TypeNS, Class: dns.ClassINET, Ttl: nsTTL}, Ns: name})
		if dns.IsSubDomain(z.name, name) {
			problems = append(problems, fmt.Sprintf("the name server's name %s lies in the zone itself, where it has no address", name))
		}
	}
	z.nodes[z.name] = &node{}
	for _, r := range stored.Records {
		if problem := z.add(r); problem != "" {
			problems = append(problems, fmt.Sprintf("%s %s is not served: %s", r.Name, r.Type, problem))
		}
	}
	return z, problems
}

// add puts one record and the names above it into the zone, or says why not.
func (z *zone) add(r publisher.StoredRecord) string {
	name := dns.CanonicalName(r.Name)
	if _, ok := dns.IsDomainName(name); !ok || strings.ContainsAny(name, `\*`) || !dns.IsSubDomain(z.name, name) {
		return "its name does not belong into the zone"
	}
	if r.Type != publisher.TXT && r.Type != publisher.CNAME {
		return "the type is not served"
	}
	if len(r.Value) > maxValue {
		return "its value is too large"
	}
	rr, err := publisher.ToRR(".", publisher.NewRecord(name, r.Type, r.Value, time.Duration(r.TTL)*time.Second))
	if err != nil {
		return err.Error()
	}
	n := z.nodes[name]
	if n == nil {
		n = &node{}
	}
	switch rr := rr.(type) {
	case *dns.CNAME:
		if _, ok := dns.IsDomainName(rr.Target); !ok || r.Value == "" {
			return "its target is no name"
		}
		if len(n.txt) > 0 || n.cname != nil || name == z.name {
			return "a CNAME excludes other records"
		}
		n.cname = rr
	default:
		if n.cname != nil {
			return "a CNAME excludes other records"
		}
		for _, first := range n.txt {
			rr.Header().Ttl = min(rr.Header().Ttl, first.Header().Ttl) // one TTL for a record set (RFC 2181 §5.2)
			first.Header().Ttl = rr.Header().Ttl
		}
		n.txt = append(n.txt, rr)
	}
	z.nodes[name] = n
	for above := parent(name); above != z.name && dns.IsSubDomain(z.name, above); above = parent(above) {
		if z.nodes[above] == nil {
			z.nodes[above] = &node{}
		}
	}
	return ""
}

// parent is the name one label up, of a name with trailing dot.
func parent(name string) string {
	i, end := dns.NextLabel(name, 0)
	if end {
		return "."
	}
	return name[i:]
}
