package resolver

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

// kind is what a reply says about one name.
type kind int

const (
	kindTrouble  kind = iota // nothing usable; said.detail names it
	kindRecords              // records of the type asked for
	kindCNAME                // an alias, to said.target
	kindNoData               // RFC 2308 §2.2
	kindNXDomain             // RFC 2308 §2.1
	kindReferral             // "ask the servers of said.cut"
)

// said is what one reply says about one name and type, read without trust in the rest of the message.
type said struct {
	kind   kind
	detail string
	rcode  int
	aa, ad bool

	rrs    []dns.RR // the records of the asked name and type
	target string   // of the CNAME at the name, also beside records
	ttl    uint32   // largest of the records or the CNAME
	keep   uint32   // smallest of the records and the CNAME

	soa *soa // of a negative reply, or the record itself when SOA was asked

	cut  string // the delegated zone of a referral
	ns   []string
	glue map[string][]netip.Addr
}

// soa holds the two facts of a start of authority that matter here.
type soa struct {
	zone     string
	serial   uint32
	negative uint32 // seconds
}

// read tells what the message says about exactly this name and type. It never panics, whatever the message holds.
func read(m *dns.Msg, name string, qtype uint16) said {
	s := said{rcode: m.Rcode, aa: m.Authoritative, ad: m.AuthenticatedData}
	if m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError {
		s.detail = rcodeName(m.Rcode)
		return s
	}
	foreign, first := false, true
	for _, rr := range m.Answer {
		h := rr.Header()
		if h.Class != dns.ClassINET || canonical(h.Name) != name {
			foreign = true
			continue
		}
		switch rr := rr.(type) {
		case *dns.CNAME:
			target := canonical(rr.Target)
			if s.target != "" && s.target != target {
				return said{rcode: m.Rcode, detail: DetailConflict}
			}
			s.target = target
		default:
			if h.Rrtype != qtype {
				continue
			}
		}
		if h.Rrtype == qtype {
			s.rrs = append(s.rrs, rr)
		}
		if s.ttl = max(s.ttl, ttl(h)); first {
			s.keep, first = ttl(h), false
		}
		s.keep = min(s.keep, ttl(h))
	}
	if len(s.rrs) > maxTXT {
		return said{rcode: m.Rcode, detail: DetailTooLarge}
	}
	s.soa = authoritySOA(m, name)
	switch {
	case len(s.rrs) > 0:
		s.kind = kindRecords
		if own, ok := s.rrs[0].(*dns.SOA); ok {
			s.soa = readSOA(own)
		}
	case s.target != "":
		// NXDOMAIN then speaks about the end of the chain (RFC 6604 §3).
		s.kind = kindCNAME
	case m.Rcode == dns.RcodeNameError:
		s.kind = kindNXDomain
	case s.soa == nil && foreign:
		// Records about other names only: nothing was said about this one.
		s.detail = DetailMalformed
	case s.soa == nil && s.readReferral(m, name):
		s.kind = kindReferral
	default:
		s.kind = kindNoData
	}
	return s
}

// readReferral finds the delegation in the authority section and the addresses that came with it.
func (s *said) readReferral(m *dns.Msg, name string) bool {
	for _, rr := range m.Ns {
		ns, ok := rr.(*dns.NS)
		if !ok || ns.Hdr.Class != dns.ClassINET {
			continue
		}
		owner := canonical(ns.Hdr.Name)
		if !within(name, owner) || (s.cut != "" && s.cut != owner) {
			continue
		}
		s.cut = owner
		s.ttl = max(s.ttl, ttl(&ns.Hdr))
		if len(s.ns) <= maxServerNames {
			s.ns = append(s.ns, canonical(ns.Ns))
		}
	}
	if s.cut == "" {
		return false
	}
	s.glue = make(map[string][]netip.Addr)
	for _, rr := range m.Extra {
		owner := canonical(rr.Header().Name)
		addr, ok := address(rr)
		if ok && slices.Contains(s.ns, owner) && len(s.glue[owner]) < maxAddresses {
			s.glue[owner] = append(s.glue[owner], addr)
		}
	}
	return true
}

// authoritySOA is the SOA that a negative reply carries. One whose zone does not hold the name says nothing about it.
func authoritySOA(m *dns.Msg, name string) *soa {
	for _, rr := range m.Ns {
		if r, ok := rr.(*dns.SOA); ok && r.Hdr.Class == dns.ClassINET && within(name, canonical(r.Hdr.Name)) {
			return readSOA(r)
		}
	}
	return nil
}

func readSOA(r *dns.SOA) *soa {
	return &soa{zone: canonical(r.Hdr.Name), serial: r.Serial, negative: min(ttl(&r.Hdr), r.Minttl)}
}

// ttl reads a TTL as RFC 2181 §8 says: the sign bit makes it zero.
func ttl(h *dns.RR_Header) uint32 {
	if h.Ttl > 1<<31-1 {
		return 0
	}
	return h.Ttl
}

func address(rr dns.RR) (netip.Addr, bool) {
	var addr netip.Addr
	var ok bool
	switch rr := rr.(type) {
	case *dns.A:
		addr, ok = netip.AddrFromSlice(rr.A)
	case *dns.AAAA:
		addr, ok = netip.AddrFromSlice(rr.AAAA)
	}
	return addr.Unmap(), ok
}

func rcodeName(rcode int) string {
	if s, ok := dns.RcodeToString[rcode]; ok {
		return s
	}
	return fmt.Sprintf("RCODE%d", rcode)
}

// fill puts the records into the answer, by type.
func (s said) fill(a *Answer, qtype uint16) {
	a.Status, a.Rcode = StatusOK, s.rcode
	a.TTL = max(a.TTL, s.ttl)
	switch qtype {
	case dns.TypeTXT:
		a.TXT, a.Strings = texts(s.rrs)
	case dns.TypeNS:
		for _, rr := range s.rrs {
			if ns, ok := rr.(*dns.NS); ok {
				a.NS = append(a.NS, canonical(ns.Ns))
			}
		}
		slices.Sort(a.NS)
	case dns.TypeCNAME:
		a.CNAME = []string{s.target}
	default:
		for _, rr := range s.rrs {
			a.Data = append(a.Data, strings.TrimPrefix(rr.String(), rr.Header().String()))
		}
		slices.Sort(a.Data)
	}
}

// texts reads TXT records: joined without anything between the strings (RFC 6376 §3.6.2.2), and string by string.
func texts(rrs []dns.RR) (joined []string, strs [][]string) {
	for _, rr := range rrs {
		txt, ok := rr.(*dns.TXT)
		if !ok {
			continue
		}
		parts := make([]string, len(txt.Txt))
		for i, s := range txt.Txt {
			parts[i] = unescape(s)
		}
		strs = append(strs, parts)
	}
	slices.SortFunc(strs, func(a, b []string) int { return strings.Compare(strings.Join(a, ""), strings.Join(b, "")) })
	for _, parts := range strs {
		joined = append(joined, strings.Join(parts, ""))
	}
	return joined, strs
}

// unescape undoes the zone file notation in which the DNS library hands out strings: \DDD is an octet, \X is X.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b = append(b, s[i])
			continue
		}
		i++
		if i+2 < len(s) && digit(s[i]) && digit(s[i+1]) && digit(s[i+2]) {
			if v := int(s[i]-'0')*100 + int(s[i+1]-'0')*10 + int(s[i+2]-'0'); v < 256 {
				b = append(b, byte(v))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

func digit(c byte) bool { return '0' <= c && c <= '9' }
