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

// answer puts what the zones hold about a question behind it in out (RFC 1034 §4.3.2 without delegations and wildcards, which our zones do not
// have), and returns the response code with the number of records that are answers and authority.
func (c catalogue) answer(out []byte, q *query) (_ []byte, rcode int, authority bool, answers, ns uint16) {
	if q.qclass != dns.ClassINET || meta(q.qtype) {
		return out, dns.RcodeRefused, false, 0, 0
	}
	name := q.name()
	z := c.find(name)
	if z == nil {
		return out, dns.RcodeRefused, false, 0, 0
	}
	apex := headerSize + len(name) - len(z.wire)
	owner := headerSize // the client's spelling comes back
	for range maxHops {
		n := z.nodes[string(name)]
		if n == nil {
			return z.soa.appendTo(out, apex), dns.RcodeNameError, true, answers, 1
		}
		if records := z.set(n, q.qtype); records.count > 0 {
			return records.appendTo(out, owner), dns.RcodeSuccess, true, answers + records.count, 0
		}
		if n.target == nil {
			return z.soa.appendTo(out, apex), dns.RcodeSuccess, true, answers, 1
		}
		out = n.appendTo(out, owner)
		answers++
		owner, name = len(out)-len(n.target), n.target
		if owner > 0x3FFF || c.find(name) != z {
			break // the client asks there
		}
	}
	return out, dns.RcodeSuccess, true, answers, 0
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
