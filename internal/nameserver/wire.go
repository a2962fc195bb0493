package nameserver

import (
	"encoding/binary"

	"github.com/miekg/dns"
)

const (
	headerSize = 12
	// maxWireName and maxWireLabel are the limits of a name in octets (RFC 1035 §2.3.4).
	maxWireName  = 255
	maxWireLabel = 63

	// atQuestion is a compression pointer to the question's name, which always begins right behind the header (RFC 1035 §4.1.4).
	atQuestion = 0xC000 | headerSize
)

// wireName is a name as it stands in messages, in lower case and without compression: the key of every table. The presentation
// format would need escapes, and a conversion for each question. It panics for a name that dns.IsDomainName refuses.
func wireName(name string) string {
	buf := make([]byte, maxWireName+1)
	n, err := dns.PackDomainName(dns.CanonicalName(name), buf, 0, nil, false)
	if err != nil {
		panic("nameserver: " + name + ": " + err.Error())
	}
	return string(buf[:n])
}

// readName returns the end of the uncompressed name that begins at off, and writes it in lower case into lower, which must hold
// maxWireName octets. ok is false when there is no such name: a question has none that is compressed.
func readName(raw []byte, off int, lower []byte) (end int, ok bool) {
	start := off
	for off < len(raw) {
		n := int(raw[off])
		if n > maxWireLabel || off+1+n > len(raw) || off+1+n-start > maxWireName {
			return 0, false
		}
		for i := off; i <= off+n; i++ {
			c := raw[i]
			if 'A' <= c && c <= 'Z' && i > off {
				c += 'a' - 'A'
			}
			lower[i-start] = c
		}
		off += 1 + n
		if n == 0 {
			return off, true
		}
	}
	return 0, false
}

// skipName returns the end of a name that may be compressed.
func skipName(raw []byte, off int) (end int, ok bool) {
	for off < len(raw) {
		n := int(raw[off])
		switch {
		case n == 0:
			return off + 1, true
		case n&0xC0 == 0xC0:
			return off + 2, off+2 <= len(raw)
		case n > maxWireLabel:
			return 0, false
		}
		off += 1 + n
	}
	return 0, false
}

// packed is record sets ready to be put into a message: each record begins with a pointer to its owner, atQuestion as they are kept.
type packed struct {
	octets []byte
	count  uint16
}

// add appends a record. Its owner's name is left to the pointer, its data is not compressed.
func (p *packed) add(rr dns.RR) error {
	buf := make([]byte, dns.Len(rr)+1)
	end, err := dns.PackRR(rr, buf, 0, nil, false)
	if err != nil {
		return err
	}
	owner, _ := skipName(buf, 0)
	p.octets = binary.BigEndian.AppendUint16(p.octets, atQuestion)
	p.octets = append(p.octets, buf[owner:end]...)
	p.count++
	return nil
}

// appendTo puts the records into a message; owner is where in the message their name begins.
func (p packed) appendTo(out []byte, owner int) []byte {
	start := len(out)
	out = append(out, p.octets...)
	if owner == headerSize {
		return out
	}
	const fixed = 12 // pointer, type, class, TTL, length
	for at := start; at < len(out); {
		binary.BigEndian.PutUint16(out[at:], 0xC000|uint16(owner))
		at += fixed + int(binary.BigEndian.Uint16(out[at+fixed-2:]))
	}
	return out
}
