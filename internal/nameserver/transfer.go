package nameserver

import (
	"encoding/binary"
	"net/netip"
	"slices"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/publisher"
)

const (
	// maxTransfers is how many zones go out at once; a secondary that is refused comes back.
	maxTransfers = 16

	// transferSize is when a message of a transfer is full enough: RFC 5936 §2.2 wants many records in one, and compression pointers
	// reach 16,383 octets.
	transferSize = 16_000
)

// transfers reports whether a question asks for a zone as a whole.
func transfers(q *query) bool { return q.qtype == dns.TypeAXFR || q.qtype == dns.TypeIXFR }

// mayTransfer reports whether a client gets zones: its address is listed and, where there is a key, it has signed with it.
func (s *Server) mayTransfer(from client, by *signed) bool {
	if s.config.Key != nil && by == nil {
		return false
	}
	return slices.ContainsFunc(s.config.TransferTo, func(p netip.Prefix) bool { return p.Contains(from.addr) })
}

// transfer answers AXFR (RFC 5936) and IXFR (RFC 1995), with one call of send for each message.
func (s *Server) transfer(q *query, from client, by *signed, send func([]byte) error) error {
	reply := func(rcode int, records ...dns.RR) error {
		m := s.transferMessage(q)
		m.Rcode, m.Authoritative, m.Answer = rcode, rcode == dns.RcodeSuccess, records
		out, err := by.sign(m, s.now())
		if err != nil {
			return err
		}
		return send(out)
	}
	if !s.mayTransfer(from, by) {
		s.logRefusal(q, from, by)
		return reply(dns.RcodeRefused)
	}
	z := (*s.zones.Load())[string(q.name())]
	if z == nil || q.qclass != dns.ClassINET {
		return reply(dns.RcodeNotAuth)
	}
	incremental := q.qtype == dns.TypeIXFR
	if incremental && (from.udp || !newer(z.serial, q.soa)) {
		return reply(dns.RcodeSuccess, z.start) // nothing new, or: come over TCP (RFC 1995 §2)
	}
	if from.udp {
		return reply(dns.RcodeRefused) // RFC 5936 §4.2
	}
	select {
	case s.transferring <- struct{}{}:
		defer func() { <-s.transferring }()
	default:
		return reply(dns.RcodeRefused)
	}
	b := &batch{s: s, q: q, by: by, send: send}
	b.add(z.start)
	steps, ok := z.since(q.soa)
	if incremental && ok {
		for _, step := range steps {
			b.add(z.startAt(step.from))
			b.stored(step.removed)
			b.add(z.startAt(step.to))
			b.stored(step.added)
		}
	} else {
		b.add(z.servers...)
		b.stored(z.records)
	}
	b.add(z.start)
	b.flush()
	s.config.Logger.Info("zone transfer", "client", from.addr, "zone", trimDot(z.name), "serial", z.serial, "incremental", incremental && ok, "error", b.err)
	return b.err
}

// refusalEvery keeps strangers from filling the log.
const refusalEvery = 10 // seconds

func (s *Server) logRefusal(q *query, from client, by *signed) {
	now, last := from.now.Unix(), s.refusedAt.Load()
	if now-last >= refusalEvery && s.refusedAt.CompareAndSwap(last, now) {
		s.config.Logger.Warn("a zone transfer was refused", "client", from.addr, "zone", presentation(q.raw), "signed", by != nil)
	}
}

// startAt is the zone's SOA record with another serial.
func (z *zone) startAt(serial uint32) dns.RR {
	soa := *z.start
	soa.Serial = serial
	return &soa
}

func (s *Server) transferMessage(q *query) *dns.Msg {
	m := &dns.Msg{MsgHdr: dns.MsgHdr{Id: binary.BigEndian.Uint16(q.raw), Response: true, Authoritative: true}, Compress: true}
	m.Question = []dns.Question{{Name: presentation(q.raw), Qtype: q.qtype, Qclass: q.qclass}}
	return m
}

// batch collects records into messages.
type batch struct {
	s    *Server
	q    *query
	by   *signed
	send func([]byte) error
	rrs  []dns.RR
	size int
	err  error
}

func (b *batch) add(rrs ...dns.RR) {
	for _, rr := range rrs {
		if n := dns.Len(rr); b.size+n > transferSize && len(b.rrs) > 0 {
			b.flush()
		}
		b.rrs = append(b.rrs, rr)
		b.size += dns.Len(rr)
	}
}

func (b *batch) stored(records []publisher.StoredRecord) {
	for _, r := range records {
		if b.err != nil {
			return
		}
		rr, err := rrOf(r)
		if err != nil {
			b.err = err
			return
		}
		b.add(rr)
	}
}

func (b *batch) flush() {
	if b.err != nil {
		return
	}
	m := b.s.transferMessage(b.q)
	m.Answer = b.rrs
	out, err := b.by.sign(m, b.s.now())
	if err == nil {
		err = b.send(out)
	}
	b.rrs, b.size, b.err = nil, 0, err
}
