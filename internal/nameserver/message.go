package nameserver

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

const (
	// udpSize is the largest reply over UDP and what EDNS announces: datagrams of that size are not fragmented (DNS flag day 2020).
	udpSize = 1232

	// tcpSize is the largest message there is (RFC 1035 §4.2.2).
	tcpSize = 65_535

	optSize = 11 // an OPT record without options
)

// client is who asks, and how.
type client struct {
	addr netip.Addr
	udp  bool
	now  time.Time
}

// respond makes the reply to a request that read took apart with the given result, in at most as many octets as the client takes, and appends
// it to out, which must be empty; nil = none.
func (s *Server) respond(out []byte, c catalogue, q *query, problem int, from client) []byte {
	if problem == silence {
		return nil
	}
	out = append(out, make([]byte, headerSize)...)
	if q.end == 0 { // the question could not be read
		header(out, q, 0, problem, 0, 0, 0, 0)
		return out
	}
	out = append(out, q.raw[headerSize:q.end]...)
	flags, rcode, room := 0, problem, tcpSize
	if from.udp {
		room = q.size
	}
	extra := uint16(0)
	if q.edns {
		room -= optSize + cookieRoom(q)
		extra = 1
	}
	var r said
	if problem == wellFormed {
		out, r = c.answer(out, q, room)
		flags, rcode = r.flags, r.rcode
		switch {
		case r.large && from.udp:
			flags |= flagTruncated // RFC 2181 §9: without its records the reply sends the client to TCP
		case r.large:
			flags, rcode = 0, dns.RcodeServerFailure
		}
	}
	if q.edns {
		out = s.extend(out, q, rcode, from)
	}
	header(out, q, flags, rcode, 1, r.answers, r.ns, extra)
	return out
}

// extend appends our OPT record (RFC 6891 §6.1.2).
func (s *Server) extend(out []byte, q *query, rcode int, from client) []byte {
	out = append(out, 0)
	out = binary.BigEndian.AppendUint16(out, dns.TypeOPT)
	out = binary.BigEndian.AppendUint16(out, udpSize)
	do := byte(0)
	if q.do {
		do = 0x80
	}
	out = append(out, byte(rcode>>4), 0, do, 0)
	if q.cookie == nil {
		return append(out, 0, 0)
	}
	out = binary.BigEndian.AppendUint16(out, uint16(cookieRoom(q)))
	return s.cookies.appendTo(out, q, from)
}

// slipped is the reply to a client that had too many: no records, only the word that TCP works.
func (s *Server) slipped(out []byte, q *query) []byte {
	if q.end == 0 {
		return nil
	}
	out = append(out, make([]byte, headerSize)...)
	out = append(out, q.raw[headerSize:q.end]...)
	header(out, q, flagTruncated, dns.RcodeSuccess, 1, 0, 0, 0)
	return out
}
