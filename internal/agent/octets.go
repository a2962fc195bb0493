package agent

import (
	"bytes"
	"encoding/binary"
)

// maxLine is the longest line that SMTP clients send on unchanged (RFC 5321 §4.5.3.1.6 without the CRLF; Postfix's
// smtp_line_length_limit). Longer lines are broken on the way, after the signature.
const maxLine = 998

// bodyScan looks for octets whose form at the receiver cannot be predicted, across any division into chunks: bare CR, bare LF and
// NUL, which relays repair each in their own way (reference: SMTP smuggling), and lines that are too long.
type bodyScan struct {
	line     int  // octets since the last line end
	cr       bool // the last octet was CR
	allowAny bool // lines may have any length
	eightBit bool // an octet above 127 was seen
}

// scan returns the reason why the body must not be signed, or signed. A NUL anywhere in the chunk is named before anything else.
func (s *bodyScan) scan(chunk []byte) Reason {
	if len(chunk) == 0 {
		return signed
	}
	if bytes.IndexByte(chunk, 0) >= 0 {
		return ReasonNUL
	}
	eightBit, paired := lineEnds(chunk, s.cr)
	s.eightBit = s.eightBit || eightBit
	if !paired {
		return s.search(chunk)
	}
	// What begins at a line, ends with a line end and is no longer than the longest line holds no line that is too long.
	const window = maxLine + 2
	for limit := max(0, window-s.begun()); len(chunk) > limit; limit = window {
		i := bytes.LastIndexByte(chunk[:limit], '\n')
		if i < 0 {
			break
		}
		s.cr, s.line = false, 0
		chunk = chunk[i+1:]
	}
	return s.search(chunk)
}

// begun is how much of a line came with earlier chunks.
func (s *bodyScan) begun() int {
	if s.cr {
		return s.line + 1
	}
	return s.line
}

// search looks line by line for what scan has no word for yet.
func (s *bodyScan) search(chunk []byte) Reason {
	for len(chunk) > 0 {
		if s.cr {
			if chunk[0] != '\n' {
				return ReasonBareCR
			}
			s.cr, s.line = false, 0
			chunk = chunk[1:]
			continue
		}
		end := bytes.IndexByte(chunk, '\n')
		part := chunk
		if end >= 0 {
			part = chunk[:end]
		}
		if cr := bytes.IndexByte(part, '\r'); cr >= 0 {
			part = part[:cr]
			s.cr = true
			chunk = chunk[cr+1:]
		} else if end >= 0 {
			return ReasonBareLF
		} else {
			chunk = nil
		}
		if s.line += len(part); s.line > maxLine && !s.allowAny {
			return ReasonLongLine
		}
	}
	return signed
}

// lineEnds reports whether every LF in p follows a CR and every CR but a last one precedes an LF, where cr says that a CR stood before
// p; and whether an octet above 127 is in p.
//
// Eight octets and their left neighbours are compared at once: the highest bit of (x&lows+lows)|x is clear exactly where an octet of x is
// zero, so where the octet is LF and the neighbour is CR, or neither, the two have the same bit.
func lineEnds(p []byte, cr bool) (eightBit, paired bool) {
	const (
		ones  = 0x0101010101010101
		lows  = 0x7f * ones
		highs = 0x80 * ones
		crs   = '\r' * ones
		lfs   = '\n' * ones
	)
	var or, odd uint64
	if cr != (p[0] == '\n') {
		odd = highs
	}
	or = uint64(p[0])
	i := 1
	for ; i+16 <= len(p); i += 16 {
		w := p[i-1 : i+16]
		a, b := binary.LittleEndian.Uint64(w[1:]), binary.LittleEndian.Uint64(w[9:])
		or |= a | b
		x, y := binary.LittleEndian.Uint64(w)^crs, a^lfs
		odd |= ((x&lows + lows) | x) ^ ((y&lows + lows) | y)
		x, y = binary.LittleEndian.Uint64(w[8:])^crs, b^lfs
		odd |= ((x&lows + lows) | x) ^ ((y&lows + lows) | y)
	}
	for ; i < len(p); i++ {
		or |= uint64(p[i])
		if (p[i-1] == '\r') != (p[i] == '\n') {
			odd = highs
		}
	}
	return or&highs != 0, odd&highs == 0
}

// end is called after the last chunk.
func (s *bodyScan) end() Reason {
	if s.cr {
		return ReasonBareCR
	}
	return signed
}

// appendField appends the header field as it will be sent to dst: CRLF at the folds, whatever the MTA passed there, and CRLF at the
// end. A value from an MTA that keeps the blank after the colon to itself (spaced is false) gets it back.
func appendField(dst []byte, name, value []byte, spaced, allowLong bool) ([]byte, Reason) {
	if !validFieldName(name) {
		return dst, ReasonHeaderSyntax
	}
	dst = append(append(dst, name...), ':')
	if !spaced {
		dst = append(dst, ' ')
	}
	line := len(name) + 1
	for i := 0; i < len(value); i++ {
		c := value[i]
		switch c {
		case 0:
			return dst, ReasonNUL
		case '\r':
			if i+1 == len(value) || value[i+1] != '\n' {
				return dst, ReasonBareCR
			}
			continue
		case '\n':
			if i+1 == len(value) || value[i+1] != ' ' && value[i+1] != '\t' {
				return dst, ReasonHeaderSyntax
			}
			dst = append(dst, '\r', '\n')
			line = 0
			continue
		}
		if line++; line > maxLine && !allowLong {
			return dst, ReasonLongLine
		}
		dst = append(dst, c)
	}
	return append(dst, '\r', '\n'), signed
}

// validFieldName is RFC 5322 §3.6.8: printable US-ASCII without the colon.
func validFieldName(name []byte) bool {
	if len(name) == 0 {
		return false
	}
	for i := range len(name) {
		if c := name[i]; c <= ' ' || c >= 0x7f || c == ':' {
			return false
		}
	}
	return true
}
