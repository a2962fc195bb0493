package milter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// Reply is a filter's answer to an event.
type Reply struct {
	code byte
	text string
}

// The answers without a text of their own.
var (
	Continue = Reply{code: 'c'}
	Accept   = Reply{code: 'a'} // of the message: the filter wants to see no more of it
	SkipBody = Reply{code: 's'} // for Body only: no further pieces are needed
)

// Refuse answers the SMTP client with a three-digit code from 400 to 599 and a text of one line that begins with an enhanced code
// (RFC 3463). Line breaks in the text become spaces, and per cent signs are doubled, because MTAs hand the text to printf.
func Refuse(code int, text string) Reply {
	if code < 400 || code > 599 {
		code = 451
	}
	text = strings.NewReplacer("\r", " ", "\n", " ", "\x00", " ", "%", "%%").Replace(text)
	return Reply{code: 'y', text: fmt.Sprintf("%d %s", code, text)}
}

func (r Reply) append(out []byte) []byte {
	if r.code == 0 {
		r = Continue
	}
	n := 1
	if r.text != "" {
		n += len(r.text) + 1
	}
	out = append(binary.BigEndian.AppendUint32(out, uint32(n)), r.code)
	if r.text != "" {
		out = append(append(out, r.text...), 0)
	}
	return out
}

// ErrNotGranted: the MTA did not agree to this kind of change.
var ErrNotGranted = errors.New("milter: the MTA does not allow this change")

// InsertHeader puts a header field at a place of the message, 0 for the very top; only in EndOfMessage. The value has LF at its folds
// and, where LeadingSpace was agreed, the blank after the colon.
func (s *Session) InsertHeader(index int, name, value string) error {
	if s.actions&ActAddHeader == 0 {
		return ErrNotGranted
	}
	change(s, 'i', uint32(index), name, value)
	return nil
}

// InsertField is InsertHeader for a whole field as it stands in a message, "Name: value" with CRLF at its folds and at its end. The
// octets are copied.
func (s *Session) InsertField(index int, field []byte) error {
	if s.actions&ActAddHeader == 0 {
		return ErrNotGranted
	}
	name, value, _ := bytes.Cut(bytes.TrimSuffix(field, crlf), colon)
	if !s.SpaceKept() { // the MTA adds it
		value = bytes.TrimPrefix(value, blank)
	}
	change(s, 'i', uint32(index), name, value)
	return nil
}

var crlf, colon, blank = []byte("\r\n"), []byte(":"), []byte(" ")

// DeleteHeader removes the index-th field of that name, counted from 1 from the top; only in EndOfMessage. Where several of one name
// go, the last one goes first: Postfix counts anew after each.
func (s *Session) DeleteHeader(index int, name string) error {
	if s.actions&ActChangeHeader == 0 {
		return ErrNotGranted
	}
	change(s, 'm', uint32(index), name, "")
	return nil
}

// Quarantine has the message kept from delivery until a person looks at it (Postfix: the hold queue); only in EndOfMessage.
func (s *Session) Quarantine(reason string) error {
	if s.actions&ActQuarantine == 0 {
		return ErrNotGranted
	}
	reason = strings.Map(printable, reason)
	s.out = binary.BigEndian.AppendUint32(s.out, uint32(len(reason)+2))
	s.out = append(append(append(s.out, 'q'), reason...), 0)
	return nil
}

// printable keeps what a log line may hold.
func printable(r rune) rune {
	if r < ' ' || r == 0x7f {
		return ' '
	}
	return r
}

// change appends a change of a header field. A NUL would end the value early; CR is not of this protocol.
func change[T string | []byte](s *Session, code byte, index uint32, name, value T) {
	at := len(s.out)
	s.out = append(s.out, 0, 0, 0, 0, code)
	s.out = binary.BigEndian.AppendUint32(s.out, index)
	s.out = append(append(s.out, name...), 0)
	for i := range len(value) {
		switch c := value[i]; c {
		case 0:
			s.out = append(s.out, ' ')
		case '\r':
		default:
			s.out = append(s.out, c)
		}
	}
	s.out = append(s.out, 0)
	binary.BigEndian.PutUint32(s.out[at:], uint32(len(s.out)-at-4))
}
