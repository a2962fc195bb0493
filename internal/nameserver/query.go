package nameserver

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

// The bits of a header's second word (RFC 1035 §4.1.1).
const (
	flagResponse  = 1 << 15
	flagAuthority = 1 << 10
	flagTruncated = 1 << 9
	flagRecursion = 1 << 8 // desired; it is handed back
	opcodeShift   = 11
	opcodeMask    = 0xF << opcodeShift
)

// query is a request, read without making copies.
type query struct {
	raw    []byte
	lower  [maxWireName]byte // the question's name
	length int               // of it
	end    int               // of the question in raw
	qtype  uint16
	qclass uint16

	edns    bool
	version uint8
	do      bool
	size    int    // of the reply that the client takes over UDP
	cookie  []byte // of the client and perhaps of ours (RFC 7873); nil = none
	tsig    int    // where the TSIG record begins; 0 = there is none
	soa     uint32 // serial that the client of an IXFR has
}

func (q *query) name() []byte { return q.lower[:q.length] }

// verdicts of read.
const (
	silence    = -1 // no reply at all
	wellFormed = dns.RcodeSuccess
)

// read takes a request apart. It returns silence for what must not be answered (replies, so that two servers never talk to each other for
// ever, and what is no message), the response code of an error, or wellFormed.
func (q *query) read(raw []byte) int {
	*q = query{raw: raw, size: dns.MinMsgSize}
	if len(raw) < headerSize {
		return silence
	}
	bits := binary.BigEndian.Uint16(raw[2:])
	count := func(i int) int { return int(binary.BigEndian.Uint16(raw[4+2*i:])) }
	switch {
	case bits&flagResponse != 0:
		return silence
	case bits&opcodeMask != dns.OpcodeQuery<<opcodeShift:
		return dns.RcodeNotImplemented
	case count(0) != 1 || count(1) != 0 || count(2) > 1 || count(3) > 2: // an IXFR's SOA; OPT and TSIG
		return dns.RcodeFormatError
	}
	end, ok := readName(raw, headerSize, q.lower[:])
	if !ok || end+4 > len(raw) {
		return dns.RcodeFormatError
	}
	q.length, q.end = end-headerSize, end+4
	q.qtype, q.qclass = binary.BigEndian.Uint16(raw[end:]), binary.BigEndian.Uint16(raw[end+2:])
	if count(2) == 1 && q.qtype != dns.TypeIXFR {
		return dns.RcodeFormatError
	}
	at := q.end
	for i := range count(2) + count(3) {
		if at, ok = q.record(at, i < count(2)); !ok {
			return dns.RcodeFormatError
		}
	}
	if at != len(raw) || q.qtype == dns.TypeIXFR && count(2) == 0 {
		return dns.RcodeFormatError
	}
	if q.version != 0 {
		return dns.RcodeBadVers
	}
	return wellFormed
}

// record reads a record behind the question and returns its end.
func (q *query) record(at int, authority bool) (end int, ok bool) {
	name := at
	at, ok = skipName(q.raw, at)
	const fixed = 10 // type, class, TTL, length
	if !ok || at+fixed > len(q.raw) {
		return 0, false
	}
	rrtype, class := binary.BigEndian.Uint16(q.raw[at:]), binary.BigEndian.Uint16(q.raw[at+2:])
	ttl, length := binary.BigEndian.Uint32(q.raw[at+4:]), int(binary.BigEndian.Uint16(q.raw[at+8:]))
	data := at + fixed
	end = data + length
	if end > len(q.raw) || q.tsig != 0 { // nothing comes behind a TSIG record (RFC 8945 §5.1)
		return 0, false
	}
	switch {
	case authority:
		return end, rrtype == dns.TypeSOA && q.serial(data, end)
	case rrtype == dns.TypeTSIG:
		q.tsig = name
	case rrtype == dns.TypeOPT:
		if q.edns || at != name+1 { // one at most, owned by the root (RFC 6891 §6.1.1)
			return 0, false
		}
		q.edns, q.size = true, min(max(int(class), dns.MinMsgSize), udpSize)
		q.version, q.do = uint8(ttl>>16), ttl&(1<<15) != 0
		return end, q.options(q.raw[data:end])
	}
	return end, true
}

// options looks for a cookie among EDNS options; others mean nothing to us.
func (q *query) options(data []byte) bool {
	for len(data) > 0 {
		if len(data) < 4 {
			return false
		}
		code, length := binary.BigEndian.Uint16(data), int(binary.BigEndian.Uint16(data[2:]))
		if 4+length > len(data) {
			return false
		}
		if code == dns.EDNS0COOKIE && q.cookie == nil {
			if length != clientCookie && (length < clientCookie+8 || length > clientCookie+32) { // RFC 7873 §5.2.2
				return false
			}
			q.cookie = data[4 : 4+length]
		}
		data = data[4+length:]
	}
	return true
}

// serial reads the serial of an SOA record's data.
func (q *query) serial(data, end int) bool {
	at, ok := skipName(q.raw, data)
	if ok {
		at, ok = skipName(q.raw, at)
	}
	if !ok || at+4 > end {
		return false
	}
	q.soa = binary.BigEndian.Uint32(q.raw[at:])
	return true
}
