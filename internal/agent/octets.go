package agent

import "bytes"

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

// scan returns the reason why the body must not be signed, or signed.
func (s *bodyScan) scan(chunk []byte) Reason {
	if !s.eightBit {
		s.eightBit = hasEightBit(chunk)
	}
	if bytes.IndexByte(chunk, 0) >= 0 {
		return ReasonNUL
	}
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

// end is called after the last chunk.
func (s *bodyScan) end() Reason {
	if s.cr {
		return ReasonBareCR
	}
	return signed
}

func hasEightBit(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return true
		}
	}
	return false
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
