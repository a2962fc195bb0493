package nameserver

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

const (
	// maxHops is how many CNAMEs are followed inside a zone; a loop ends there too.
	maxHops = 8

	// anyTTL is the TTL of the record that answers ANY (RFC 8482 §4.2).
	anyTTL = 3600
)

// catalogue is all zones at one moment, by wireName. It never changes.
type catalogue map[string]*zone

// find returns the deepest zone that holds the name.
func (c catalogue) find(name []byte) *zone {
	for {
		if z := c[string(name)]; z != nil {
			return z
		}
		if len(name) <= 1 {
			return nil
		}
		name = name[1+int(name[0]):]
	}
}

// said is what is said about a question, beside the records.
type said struct {
	rcode       int
	flags       int
	answers, ns uint16
	large       bool // the records do not fit, and are not there
}

// answer puts what the zones hold about a question behind it in out, which may grow to room octets (RFC 1034 §4.3.2 without delegations and
// wildcards, which our zones do not have).
func (c catalogue) answer(out []byte, q *query, room int) ([]byte, said) {
	if q.qclass != dns.ClassINET || meta(q.qtype) {
		return out, said{rcode: dns.RcodeRefused}
	}
	name := q.name()
	z := c.find(name)
	if z == nil {
		return out, said{rcode: dns.RcodeRefused}
	}
	s := said{flags: flagAuthority}
	put := func(records packed, owner int) bool {
		if s.large = len(out)+len(records.octets) > room; s.large {
			out, s.answers, s.ns = out[:q.end], 0, 0
			return false
		}
		out = records.appendTo(out, owner)
		return true
	}
	negative := func() {
		if apex := headerSize + q.length - len(z.wire); put(z.soa, apex) {
			s.ns = 1
		}
	}
	owner := headerSize // the client's spelling comes back
	for range maxHops {
		n := z.nodes[string(name)]
		if n == nil {
			s.rcode = dns.RcodeNameError
			negative()
			return out, s
		}
		if records := z.set(n, q.qtype); records.count > 0 {
			if put(records, owner) {
				s.answers += records.count
			}
			return out, s
		}
		if n.target == nil {
			negative()
			return out, s
		}
		if !put(n.packed, owner) {
			return out, s
		}
		s.answers++
		owner, name = len(out)-len(n.target), n.target
		if owner > 0x3FFF || c.find(name) != z {
			break // the client asks there
		}
	}
	return out, s
}

// meta reports whether a type is none that records have (RFC 6895 §3.1): transfers, TSIG and their like. ANY is answered.
func meta(qtype uint16) bool {
	return qtype == 0 || qtype == dns.TypeOPT || qtype >= 128 && qtype < dns.TypeANY
}

// header writes the header of a reply.
func header(out []byte, q *query, flags, rcode int, question, answers, ns, extra uint16) {
	copy(out[:2], q.raw)
	asked := int(binary.BigEndian.Uint16(q.raw[2:]))
	binary.BigEndian.PutUint16(out[2:], uint16(flagResponse|asked&(opcodeMask|flagRecursion)|flags|rcode&0xF))
	binary.BigEndian.PutUint16(out[4:], question)
	binary.BigEndian.PutUint16(out[6:], answers)
	binary.BigEndian.PutUint16(out[8:], ns)
	binary.BigEndian.PutUint16(out[10:], extra)
}
