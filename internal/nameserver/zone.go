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
	wire   string // wireName of it
	serial uint32

	start   *dns.SOA
	servers []dns.RR
	records []publisher.StoredRecord // those that are served, for transfers
	steps   []step                   // how it came from former serials to this one, oldest first

	soa, ns, any packed
	apex         *node
	nodes        map[string]*node // by wireName; empty non-terminals (RFC 8020 §2) are there, without records
}

// node is one name: TXT records, or a CNAME.
type node struct {
	packed
	target []byte // wireName of the CNAME's target; nil = no CNAME
}

// set returns what a name holds of one type.
func (z *zone) set(n *node, qtype uint16) packed {
	switch {
	case qtype == dns.TypeTXT && n.target == nil, qtype == dns.TypeCNAME && n.target != nil:
		return n.packed
	case qtype == dns.TypeANY && (n == z.apex || n.count > 0):
		return z.any
	case qtype == dns.TypeSOA && n == z.apex:
		return z.soa
	case qtype == dns.TypeNS && n == z.apex:
		return z.ns
	}
	return packed{}
}

// compile makes a zone. Records that cannot be served are left out and described in problems.
func compile(c *Config, stored publisher.StoredZone) (z *zone, problems []string) {
	name := dns.CanonicalName(stored.Name)
	z = &zone{name: name, wire: wireName(name), serial: stored.Serial, apex: &node{}, nodes: make(map[string]*node, len(stored.Records)+1)}
	hostmaster := c.Hostmaster
	if hostmaster == "" {
		hostmaster = "hostmaster." + host(z.name)
	}
	// One TTL for the record and its MINIMUM, so that both give the same negative TTL (RFC 2308 §5).
	negative := uint32(c.NegativeTTL / time.Second)
	z.start = &dns.SOA{
		Hdr:     dns.RR_Header{Name: z.name, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: negative},
		Ns:      c.Names[0],
		Mbox:    dns.CanonicalName(hostmaster),
		Serial:  stored.Serial,
		Refresh: soaRefresh, Retry: soaRetry, Expire: soaExpire, Minttl: negative,
	}
	for _, name := range c.Names {
		z.servers = append(z.servers, &dns.NS{Hdr: dns.RR_Header{Name: z.name, Rrtype: dns.TypeNS, Class: dns.ClassINET, Ttl: nsTTL}, Ns: name})
		if dns.IsSubDomain(z.name, name) {
			problems = append(problems, fmt.Sprintf("the name server's name %s lies in the zone itself, where it has no address", name))
		}
	}
	any := &dns.HINFO{Hdr: dns.RR_Header{Name: z.name, Rrtype: dns.TypeHINFO, Class: dns.ClassINET, Ttl: anyTTL}, Cpu: "RFC8482"}
	for _, x := range []struct {
		into *packed
		rrs  []dns.RR
	}{{&z.soa, []dns.RR{z.start}}, {&z.ns, z.servers}, {&z.any, []dns.RR{any}}} {
		for _, rr := range x.rrs {
			if err := x.into.add(rr); err != nil {
				problems = append(problems, fmt.Sprintf("%s %s is not served: %v", z.name, dns.TypeToString[rr.Header().Rrtype], err))
			}
		}
	}
	z.nodes[z.wire] = z.apex
	ttls := make(map[[2]string]uint32, len(stored.Records)) // one TTL for a record set (RFC 2181 §5.2)
	for _, r := range stored.Records {
		if ttl, ok := ttls[[2]string{r.Name, r.Type}]; !ok || r.TTL < ttl {
			ttls[[2]string{r.Name, r.Type}] = r.TTL
		}
	}
	empty := &node{}
	for _, r := range stored.Records {
		r.TTL = ttls[[2]string{r.Name, r.Type}]
		if problem := z.add(r, empty); problem != "" {
			problems = append(problems, fmt.Sprintf("%s %s is not served: %s", r.Name, r.Type, problem))
			continue
		}
		z.records = append(z.records, r)
	}
	return z, problems
}

// host is the name without the labels in front that no host name has, such as _domainkey: BIND warns of a mailbox below them.
func host(name string) string {
	for strings.HasPrefix(name, "_") {
		i, end := dns.NextLabel(name, 0)
		if end {
			return name
		}
		name = name[i:]
	}
	return name
}

// add puts one record and the names above it into the zone, or says why not.
func (z *zone) add(r publisher.StoredRecord, empty *node) string {
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
	rr, err := rrOf(r)
	if err != nil {
		return err.Error()
	}
	wire := wireName(name)
	n := z.nodes[wire]
	if n == nil || n == empty {
		n = &node{}
	}
	if cname, ok := rr.(*dns.CNAME); ok {
		if _, ok := dns.IsDomainName(cname.Target); !ok || r.Value == "" {
			return "its target is no name"
		}
		if n.count > 0 || n == z.apex {
			return "a CNAME excludes other records"
		}
		n.target = []byte(wireName(cname.Target))
	} else if n.target != nil {
		return "a CNAME excludes other records"
	}
	if err := n.add(rr); err != nil {
		return err.Error()
	}
	z.nodes[wire] = n
	for above := wire[1+wire[0]:]; len(above) > len(z.wire); above = above[1+above[0]:] {
		if z.nodes[above] == nil {
			z.nodes[above] = empty
		}
	}
	return ""
}

// rrOf is a stored record as the DNS library has it.
func rrOf(r publisher.StoredRecord) (dns.RR, error) {
	return publisher.ToRR(".", publisher.NewRecord(dns.Fqdn(r.Name), r.Type, r.Value, time.Duration(r.TTL)*time.Second))
}
