package dkim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
)

// ErrLineEnds: a message to be signed mixes line ends, or has a CR or LF of its own somewhere. Whoever transports it will
// change those octets, each in its own way, so a signature could not last (RFC 6376 §5.3).
var ErrLineEnds = errors.New("dkim: mixed line ends, or a bare CR or LF")

// VerifyMessage verifies a whole message, top line first. A message whose first line ends in a bare LF is taken for a file of
// a system that stores mail so: every bare LF counts as the CRLF that it was on the wire. In a message with CRLF a bare CR or
// LF is content. Lines of the header that are no fields are passed over. The error is the reader's, or ErrHeaderTooLarge;
// the verdicts, bad ones too, are in the results.
func VerifyMessage(ctx context.Context, r io.Reader, opts VerifyOptions) ([]Result, error) {
	v := NewVerifier(opts)
	m := messageReader{
		field: func(raw []byte) error {
			if err := v.Header(raw); !errors.Is(err, ErrFieldSyntax) {
				return err
			}
			return nil
		},
		body: v.Body,
	}
	if err := m.read(r); err != nil {
		return nil, err
	}
	return v.Finish(ctx), nil
}

// SignMessage signs a whole message and returns the fields to write before it, the first on top, with the line ends of the
// message: CRLF, or LF alone if that is what all its lines end in (the signature then counts CRLF, as the message will be
// sent). Errors: ErrLineEnds, ErrFieldSyntax with the line, what NewSigner and Finish return, or the reader's.
func SignMessage(r io.Reader, signings ...Signing) ([][]byte, error) {
	s, err := NewSigner(signings...)
	if err != nil {
		return nil, err
	}
	m := messageReader{strict: true, field: s.Header, body: s.Body}
	if err := m.read(r); err != nil {
		return nil, err
	}
	fields, err := s.Finish()
	if err != nil || !m.unix {
		return fields, err
	}
	for i := range fields {
		fields[i] = bytes.ReplaceAll(fields[i], []byte("\r\n"), []byte("\n"))
	}
	return fields, nil
}

// messageReader splits a message into header fields and body. Both are handed on with CRLF line ends.
type messageReader struct {
	strict bool // refuse mixed line ends
	field  func(raw []byte) error
	body   func(chunk []byte)

	unix   bool   // lines end in LF
	known  bool   // unix is decided
	pastCR bool   // the octet before this chunk is a CR
	out    []byte // a chunk with its line ends completed
}

func (m *messageReader) read(r io.Reader) error {
	buf := make([]byte, readBytes)
	rest, err := m.readHeader(r, buf)
	if err != nil {
		return err
	}
	for {
		if err := m.take(rest); err != nil {
			return err
		}
		n, err := r.Read(buf)
		rest = buf[:n]
		if errors.Is(err, io.EOF) {
			return errors.Join(m.take(rest), m.end())
		}
		if err != nil {
			return fmt.Errorf("dkim: read the message: %w", err)
		}
	}
}

// readHeader hands on the header fields and returns the part of the body that was read along.
func (m *messageReader) readHeader(r io.Reader, buf []byte) (body []byte, err error) {
	var (
		head   []byte
		field  int // where the field under way begins
		line   int // where the line under way begins
		number = 1 // of the first line of the field
		lines  = 0
	)
	flush := func(end int) error {
		if end == field {
			return nil
		}
		raw := m.complete(head[field:end])
		if err := m.field(raw); err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		return nil
	}
	for searched := 0; ; {
		lf := bytes.IndexByte(head[searched:], '\n')
		if lf < 0 {
			searched = len(head)
			n, err := r.Read(buf)
			head = append(head, buf[:n]...)
			switch {
			case errors.Is(err, io.EOF) && n == 0:
				if err := m.check(head[line:], true); err != nil {
					return nil, err
				}
				if line > 0 && line < len(head) && !isWSP(head[line]) { // a last line without line end is a field of its own
					if err := flush(line); err != nil {
						return nil, err
					}
					field, number = line, lines+1
				}
				return nil, flush(len(head))
			case err != nil && !errors.Is(err, io.EOF):
				return nil, fmt.Errorf("dkim: read the message: %w", err)
			case len(head) > MaxHeaderBytes+len(buf):
				return nil, ErrHeaderTooLarge
			}
			continue
		}
		lf += searched
		searched = lf + 1
		if !m.known {
			m.unix, m.known = lf == 0 || head[lf-1] != '\r', true
		}
		text := head[line:lf]
		if !m.unix {
			if len(text) == 0 || text[len(text)-1] != '\r' {
				if m.strict {
					return nil, ErrLineEnds
				}
				continue // a bare LF inside a line
			}
			text = text[:len(text)-1]
		}
		if m.strict && bytes.IndexByte(text, '\r') >= 0 {
			return nil, ErrLineEnds
		}
		lines++
		blank := len(text) == 0 || !m.strict && m.unix && string(text) == "\r"
		if blank || !isWSP(text[0]) || line == 0 {
			if err := flush(line); err != nil {
				return nil, err
			}
			field, number = line, lines
		}
		if blank {
			return head[lf+1:], nil
		}
		line = lf + 1
	}
}

// take hands on the next octets of the body.
func (m *messageReader) take(chunk []byte) error {
	if len(chunk) == 0 {
		return nil
	}
	if err := m.check(chunk, false); err != nil {
		return err
	}
	if m.unix {
		chunk = m.complete(chunk)
	} else {
		m.pastCR = chunk[len(chunk)-1] == '\r'
	}
	m.body(chunk)
	return nil
}

func (m *messageReader) end() error {
	if m.strict && m.pastCR {
		return ErrLineEnds
	}
	return nil
}

// complete puts a CR before every LF that has none, if lines end in LF. The result is valid until the next call.
func (m *messageReader) complete(chunk []byte) []byte {
	if !m.unix {
		return chunk
	}
	m.out = m.out[:0]
	for len(chunk) > 0 {
		i := bytes.IndexByte(chunk, '\n')
		if i < 0 {
			m.out = append(m.out, chunk...)
			m.pastCR = chunk[len(chunk)-1] == '\r'
			break
		}
		m.out = append(m.out, chunk[:i]...)
		if i > 0 && chunk[i-1] != '\r' || i == 0 && !m.pastCR {
			m.out = append(m.out, '\r')
		}
		m.out = append(m.out, '\n')
		m.pastCR = false
		chunk = chunk[i+1:]
	}
	return m.out
}

// check refuses what does not end its lines like the first one, if strict; last says that nothing follows.
func (m *messageReader) check(chunk []byte, last bool) error {
	if !m.strict {
		return nil
	}
	if m.unix {
		if bytes.IndexByte(chunk, '\r') >= 0 {
			return ErrLineEnds
		}
		return nil
	}
	past := m.pastCR
	for len(chunk) > 0 {
		if past && chunk[0] != '\n' {
			return ErrLineEnds
		}
		if past {
			past, chunk = false, chunk[1:]
			continue
		}
		cr, lf := bytes.IndexByte(chunk, '\r'), bytes.IndexByte(chunk, '\n')
		if cr < 0 && lf < 0 {
			return nil
		}
		if cr < 0 || lf >= 0 && lf < cr {
			return ErrLineEnds
		}
		past, chunk = true, chunk[cr+1:]
	}
	if last && past {
		return ErrLineEnds
	}
	return nil
}
