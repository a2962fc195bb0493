package nameserver

import (
	"github.com/miekg/dns"
)

const (
	// udpSize is the largest reply over UDP and what EDNS announces: datagrams of that size are not fragmented (DNS flag day 2020).
	udpSize = 1232

	// tcpSize is the largest message there is (RFC 1035 §4.2.2).
	tcpSize = 65_535
)

// accept decides about a message by its header alone. Only plain questions are let through; replies are dropped without a
// word, so that two servers never talk to each other for ever.
func accept(h dns.Header) dns.MsgAcceptAction {
	const response, opcodeShift, opcodeMask = 1 << 15, 11, 0xF
	switch {
	case h.Bits&response != 0:
		return dns.MsgIgnore
	case int(h.Bits>>opcodeShift)&opcodeMask != dns.OpcodeQuery:
		return dns.MsgRejectNotImplemented
	case h.Qdcount != 1 || h.Ancount != 0 || h.Nscount != 0 || h.Arcount > 2: // OPT and TSIG at most
		return dns.MsgReject
	}
	return dns.MsgAccept
}

// respond makes the reply to a request, in at most as many octets as the client takes; nil = none.
func respond(c catalogue, request *dns.Msg, udp bool) []byte {
	if request.Response {
		return nil
	}
	m := new(dns.Msg)
	m.SetReply(request)
	m.RecursionAvailable, m.AuthenticatedData, m.CheckingDisabled = false, false, false
	m.Compress = true
	size, problem := extend(m, request, udp)
	switch {
	case request.Opcode != dns.OpcodeQuery:
		m.Rcode = dns.RcodeNotImplemented
	case problem != dns.RcodeSuccess:
		m.Rcode = problem
	case len(request.Question) != 1:
		m.Rcode = dns.RcodeFormatError
	default:
		r := c.answer(request.Question[0])
		m.Rcode, m.Authoritative, m.Answer, m.Ns = r.rcode, r.authority, r.answer, r.ns
	}
	return fit(m, size)
}

// extend reads the request's EDNS (RFC 6891), puts ours into the reply, and returns how large that may be.
func extend(m, request *dns.Msg, udp bool) (size, problem int) {
	size = dns.MinMsgSize
	var opt *dns.OPT
	for _, rr := range request.Extra {
		if o, ok := rr.(*dns.OPT); ok {
			if opt != nil {
				return size, dns.RcodeFormatError
			}
			opt = o
		}
	}
	if opt != nil {
		own := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
		own.SetUDPSize(udpSize)
		own.SetDo(opt.Do())
		m.Extra = []dns.RR{own}
		size = min(max(int(opt.UDPSize()), dns.MinMsgSize), udpSize)
		if opt.Version() != 0 {
			problem = dns.RcodeBadVers
		}
	}
	if !udp {
		size = tcpSize
	}
	return size, problem
}

// fit packs the reply. What is too large loses its records and says so (RFC 2181 §9), which sends the client to TCP.
func fit(m *dns.Msg, size int) []byte {
	out, err := m.Pack()
	if err == nil && len(out) <= size {
		return out
	}
	m.Answer, m.Ns = nil, nil
	if err != nil || size == tcpSize {
		m.Rcode, m.Authoritative = dns.RcodeServerFailure, false
	} else {
		m.Truncated = true
	}
	if out, err = m.Pack(); err == nil && len(out) <= size {
		return out
	}
	return nil
}

// slipped is the reply to a client that had too many: no records, only the word that TCP works.
func slipped(request *dns.Msg) []byte {
	m := new(dns.Msg)
	m.SetReply(request)
	m.RecursionAvailable, m.Truncated = false, true
	return fit(m, dns.MinMsgSize)
}
