package nameserver

import (
	"encoding/binary"
	"errors"
	"time"

	"github.com/miekg/dns"
)

// tsigFudge is how far clocks may be apart in seconds (RFC 8945 §10).
const tsigFudge = 300

// Key is a TSIG key (RFC 8945) that secondaries share with us.
type Key struct {
	Name      string // absolute
	Algorithm string // as the DNS library writes it: dns.HmacSHA256
	Secret    string // base64
}

// signed is the state of a signed exchange.
type signed struct {
	key  *Key
	mac  string // of the request, then of the message before
	more bool   // than one message was signed
}

// verify checks the TSIG record of a request. problem is the TSIG error to answer with; 0 = the signature is good, or there is none.
func (s *Server) verify(q *query) (by *signed, record *dns.TSIG, problem int) {
	if q.tsig == 0 {
		return nil, nil, 0
	}
	rr, _, err := dns.UnpackRR(q.raw, q.tsig)
	record, ok := rr.(*dns.TSIG)
	key := s.config.Key
	switch {
	case err != nil || !ok || record.Hdr.Rdlength == 0:
		return nil, nil, dns.RcodeFormatError
	case key == nil || dns.CanonicalName(record.Hdr.Name) != key.Name || dns.CanonicalName(record.Algorithm) != key.Algorithm:
		return nil, record, dns.RcodeBadKey
	}
	by = &signed{key: key, mac: record.MAC}
	// The library reads the signed message in place and changes it.
	switch err := dns.TsigVerify(append([]byte(nil), q.raw...), key.Secret, "", false); {
	case err == nil:
		return by, record, 0
	case errors.Is(err, dns.ErrTime):
		return by, record, dns.RcodeBadTime
	}
	return nil, record, dns.RcodeBadSig
}

// sign packs a message with a TSIG record; without a key it only packs it.
func (s *signed) sign(m *dns.Msg, now time.Time) ([]byte, error) {
	if s == nil {
		return m.Pack()
	}
	m.SetTsig(s.key.Name, s.key.Algorithm, tsigFudge, now.Unix())
	out, mac, err := dns.TsigGenerate(m, s.key.Secret, s.mac, s.more)
	s.mac, s.more = mac, true
	return out, err
}

// signReply signs a reply that is packed already.
func (s *signed) signReply(raw []byte, now time.Time) ([]byte, error) {
	m := new(dns.Msg)
	if err := m.Unpack(raw); err != nil {
		return nil, err
	}
	m.Compress = true
	return s.sign(m, now)
}

// unverified is the reply to a request whose signature is not good (RFC 8945 §5.2): unsigned, but where only the clock is wrong.
func unverified(q *query, by *signed, record *dns.TSIG, problem int, now time.Time) []byte {
	m := &dns.Msg{MsgHdr: dns.MsgHdr{Id: binary.BigEndian.Uint16(q.raw), Response: true, Rcode: dns.RcodeNotAuth}}
	m.Question = []dns.Question{{Name: presentation(q.raw), Qtype: q.qtype, Qclass: q.qclass}}
	if record == nil {
		m.Rcode = dns.RcodeFormatError
		out, _ := m.Pack()
		return out
	}
	answer := &dns.TSIG{
		Hdr:       dns.RR_Header{Name: record.Hdr.Name, Rrtype: dns.TypeTSIG, Class: dns.ClassANY},
		Algorithm: record.Algorithm, TimeSigned: uint64(now.Unix()), Fudge: tsigFudge, OrigId: m.Id, Error: uint16(problem),
	}
	m.Extra = []dns.RR{answer}
	if problem != dns.RcodeBadTime {
		out, _ := m.Pack()
		return out
	}
	answer.TimeSigned = record.TimeSigned
	answer.OtherLen, answer.OtherData = 6, otherTime(now)
	out, _, _ := dns.TsigGenerate(m, by.key.Secret, by.mac, false)
	return out
}

// otherTime is our clock as BADTIME carries it: six octets in hexadecimal.
func otherTime(now time.Time) string {
	const digits = "0123456789abcdef"
	out := make([]byte, 12)
	for i := range out {
		out[i] = digits[now.Unix()>>(4*(11-i))&0xF]
	}
	return string(out)
}

// presentation is the question's name as text.
func presentation(raw []byte) string {
	name, _, err := dns.UnpackDomainName(raw, headerSize)
	if err != nil {
		return "."
	}
	return name
}
