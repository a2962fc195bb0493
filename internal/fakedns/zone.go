package fakedns

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

const (
	defaultTTL     = 3600
	defaultSOATTL  = 3600
	defaultMinimum = 300
	txtString      = 255 // octets in one string of a TXT record, RFC 1035 §3.3
)

// Zone is a set of records that several servers serve. Each change takes effect at once on every server that does not lag,
// and raises the serial by one.
type Zone struct {
	net     *Net
	name    string
	servers []*Server
	parent  *Zone // where it is delegated; nil when it is not
	hidden  bool  // not to be delegated
	ttl     uint32
	signed  bool
	bogus   bool
	now     *content
}

// content is the zone at one moment. It is never changed, only replaced, so that a server that lags can keep it.
type content struct {
	soa     *dns.SOA
	records map[string][]dns.RR // by canonical name; without the SOA
}

func newZone(n *Net, name string, servers []*Server) *Zone {
	z := &Zone{net: n, name: name, servers: servers, ttl: defaultTTL}
	soa := &dns.SOA{
		Hdr: dns.RR_Header{Name: dns.Fqdn(name), Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: defaultSOATTL},
		Ns:  "ns1." + dns.Fqdn(strings.Trim(name, ".")), Mbox: "hostmaster." + dns.Fqdn(strings.Trim(name, ".")),
		Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: defaultMinimum,
	}
	if name == "." {
		soa.Ns, soa.Mbox = "ns1.", "hostmaster."
	}
	z.now = &content{soa: soa, records: make(map[string][]dns.RR)}
	for _, s := range servers {
		z.now.add(z.rr(name, "NS", dns.Fqdn(s.name)))
		if within(s.name, name) {
			z.now.add(z.rr(s.name, "A", s.ip))
		}
	}
	return z
}

// Name is the zone's name, lower case, without trailing dot.
func (z *Zone) Name() string { return z.name }

// Servers lists the zone's servers in the order of their making.
func (z *Zone) Servers() []*Server { return slices.Clone(z.servers) }

// Serial is the serial that up-to-date servers have.
func (z *Zone) Serial() uint32 {
	z.net.mu.Lock()
	defer z.net.mu.Unlock()
	return z.now.soa.Serial
}

// TTL sets the TTL of records that are set from now on, in seconds.
func (z *Zone) TTL(seconds uint32) {
	z.net.mu.Lock()
	defer z.net.mu.Unlock()
	z.ttl = seconds
}

// SOA sets the SOA's own TTL and its MINIMUM field, in seconds; the smaller one is the negative TTL (RFC 2308).
func (z *Zone) SOA(ttl, minimum uint32) {
	z.change(func(c *content) { c.soa.Hdr.Ttl, c.soa.Minttl = ttl, minimum })
}

// TXT makes these the TXT records of the name, one record per value, cut into strings of at most 255 octets. No values remove
// them.
func (z *Zone) TXT(name string, values ...string) {
	data := make([]string, len(values))
	for i, v := range values {
		var parts []string
		for chunk := range slices.Chunk([]byte(v), txtString) {
			parts = append(parts, quote(string(chunk)))
		}
		if len(parts) == 0 {
			parts = []string{`""`}
		}
		data[i] = strings.Join(parts, " ")
	}
	z.Set(name, "TXT", data...)
}

// CNAME makes the name an alias and removes everything else there; an empty target removes the alias.
func (z *Zone) CNAME(name, target string) {
	z.Remove(name)
	if target != "" {
		z.Set(name, "CNAME", dns.Fqdn(target))
	}
}

// NS makes these the NS records of the name; below the zone's own name they delegate.
func (z *Zone) NS(name string, servers ...string) {
	data := make([]string, len(servers))
	for i, s := range servers {
		data[i] = dns.Fqdn(s)
	}
	z.Set(name, "NS", data...)
}

// Set makes these the records of the name and type, in zone file notation without name, TTL and type. It does not keep tests
// from setting what a real server would refuse, such as TXT beside CNAME.
func (z *Zone) Set(name, rrtype string, data ...string) {
	z.net.t.Helper()
	name = canonical(name)
	z.change(func(c *content) {
		c.remove(name, dns.StringToType[strings.ToUpper(rrtype)])
		for _, d := range data {
			c.add(z.rr(name, rrtype, d))
		}
	})
}

// Remove removes all records of the name.
func (z *Zone) Remove(name string) {
	z.change(func(c *content) { delete(c.records, canonical(name)) })
}

// Undelegate takes the zone out of the zone above: its servers still answer, but nobody finds them.
func (z *Zone) Undelegate() {
	z.net.mu.Lock()
	defer z.net.mu.Unlock()
	if z.parent != nil {
		z.parent.undelegate(z)
	}
	z.parent, z.hidden = nil, true
}

// Delegate undoes Undelegate.
func (z *Zone) Delegate() {
	z.net.mu.Lock()
	defer z.net.mu.Unlock()
	z.hidden = false
	z.net.redelegate(z)
}

// Sign makes recursive servers set the AD bit for the zone's records.
func (z *Zone) Sign(signed bool) {
	z.net.mu.Lock()
	defer z.net.mu.Unlock()
	z.signed = signed
}

// Break makes recursive servers answer SERVFAIL for the zone's names, as for wrong signatures, unless CD is set.
func (z *Zone) Break(bogus bool) {
	z.net.mu.Lock()
	defer z.net.mu.Unlock()
	z.bogus = bogus
}

func (z *Zone) change(edit func(*content)) {
	z.net.mu.Lock()
	defer z.net.mu.Unlock()
	z.edit(edit)
}

// edit is change for those who hold the lock.
func (z *Zone) edit(edit func(*content)) {
	soa := *z.now.soa
	next := &content{soa: &soa, records: maps.Clone(z.now.records)}
	edit(next)
	next.soa.Serial++
	z.now = next
}

func (z *Zone) delegate(child *Zone) {
	z.edit(func(c *content) {
		for _, s := range child.servers {
			c.add(z.rr(child.name, "NS", dns.Fqdn(s.name)))
			if within(s.name, child.name) {
				c.add(z.rr(s.name, "A", s.ip))
			}
		}
	})
}

func (z *Zone) undelegate(child *Zone) {
	z.edit(func(c *content) {
		c.remove(child.name, dns.TypeNS)
		for _, s := range child.servers {
			if within(s.name, child.name) {
				c.remove(s.name, dns.TypeA)
			}
		}
	})
}

// rr builds a record with the zone's current TTL. A mistake in the data ends the test.
func (z *Zone) rr(name, rrtype, data string) dns.RR {
	z.net.t.Helper()
	rr, err := dns.NewRR(fmt.Sprintf("%s %d IN %s %s", dns.Fqdn(name), z.ttl, rrtype, data))
	if err != nil || rr == nil {
		z.net.t.Fatalf("fakedns: %s %s %s: %v", name, rrtype, data, err)
	}
	if !within(name, z.name) {
		z.net.t.Fatalf("fakedns: %s is not in the zone %s", name, z.name)
	}
	return rr
}

func (c *content) add(rr dns.RR) {
	name := canonical(rr.Header().Name)
	c.records[name] = append(slices.Clone(c.records[name]), rr)
}

func (c *content) remove(name string, qtype uint16) {
	left := slices.DeleteFunc(slices.Clone(c.records[name]), func(rr dns.RR) bool { return rr.Header().Rrtype == qtype })
	if len(left) == 0 {
		delete(c.records, name)
		return
	}
	c.records[name] = left
}

// quote writes octets as one string of zone file notation.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c < ' ' || c > '~':
			b.WriteString(`\` + strconv.Itoa(1000 + int(c))[1:])
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
