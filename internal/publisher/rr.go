package publisher

import (
	"strings"
	"time"

	"github.com/libdns/libdns"
	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/fault"
)

// maxString is the size of one string of a TXT record in octets (RFC 1035 §3.3).
const maxString = 255

// Strings splits a TXT value into strings of at most 255 octets; an empty value is one empty string. Where the bounds lie means
// nothing (RFC 6376 §3.6.2.2).
func Strings(value string) []string {
	var out []string
	for len(value) > maxString {
		out = append(out, value[:maxString])
		value = value[maxString:]
	}
	return append(out, value)
}

// ToRR makes the record of the wire. Only TXT and CNAME are known, others are fault.Invalid.
func ToRR(zone string, r libdns.Record) (dns.RR, error) {
	rr := r.RR()
	h := dns.RR_Header{
		Name:  dns.Fqdn(Absolute(rr.Name, zone)),
		Class: dns.ClassINET,
		Ttl:   uint32(rr.TTL / time.Second),
	}
	switch rr.Type {
	case TXT:
		h.Rrtype = dns.TypeTXT
		return &dns.TXT{Hdr: h, Txt: escaped(rr.Data)}, nil
	case CNAME:
		h.Rrtype = dns.TypeCNAME
		return &dns.CNAME{Hdr: h, Target: dns.Fqdn(canonical(rr.Data))}, nil
	}
	return nil, fault.New(fault.Invalid, "records of type %q are not published", rr.Type)
}

// FromRR makes the libdns record of a TXT or CNAME record; ok is false for other types. name is the owner relative to the zone.
func FromRR(name string, rr dns.RR) (r libdns.Record, ok bool) {
	ttl := time.Duration(rr.Header().Ttl) * time.Second
	switch rr := rr.(type) {
	case *dns.TXT:
		var b strings.Builder
		for _, s := range rr.Txt {
			unescape(&b, s)
		}
		return NewRecord(name, TXT, b.String(), ttl), true
	case *dns.CNAME:
		return NewRecord(name, CNAME, rr.Target, ttl), true
	}
	return nil, false
}

// escaped splits a value and writes the strings as the DNS library wants them: it reads a backslash as the start of an escape.
func escaped(value string) []string {
	parts := Strings(value)
	for i, s := range parts {
		parts[i] = strings.ReplaceAll(s, `\`, `\\`)
	}
	return parts
}

// unescape undoes the notation in which the DNS library hands out strings: \DDD is an octet, \X is X.
func unescape(b *strings.Builder, s string) {
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		if i+2 < len(s) && digit(s[i]) && digit(s[i+1]) && digit(s[i+2]) {
			if v := int(s[i]-'0')*100 + int(s[i+1]-'0')*10 + int(s[i+2]-'0'); v < 256 {
				b.WriteByte(byte(v))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
}

func digit(c byte) bool { return '0' <= c && c <= '9' }
