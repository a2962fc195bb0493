package milter

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Handler takes the events of one connection, one after the other. Byte slices are valid during the call only.
type Handler interface {
	// Connect begins an SMTP session; one connection may carry several. client is invalid when it is unknown or has no IP address.
	Connect(s *Session, host string, client netip.Addr) Reply
	Helo(s *Session, name string) Reply
	// Mail begins a message. from is the envelope sender without its angle brackets.
	Mail(s *Session, from string) Reply
	Rcpt(s *Session, to string) Reply
	// Header takes one header field, the value with LF at its folds; whether it begins with the blank after the colon says SpaceKept.
	Header(s *Session, name, value []byte)
	// Fault takes a header field that cannot be handed on.
	Fault(s *Session, f FieldFault)
	EndOfHeaders(s *Session) Reply
	// Body takes the next octets of the body, in pieces that are those of nobody: not of the MTA, not of the SMTP client.
	Body(s *Session, piece []byte) Reply
	// EndOfMessage is the only place for changes of the message.
	EndOfMessage(s *Session) Reply
	// Abort ends the message under way, if any, without a result.
	Abort(s *Session)
	// Close is the last call.
	Close(s *Session)
}

// FieldFault says why a header field is not handed on.
type FieldFault uint8

// The faults of header fields.
const (
	FieldTooLarge  FieldFault = iota // larger than MaxHeader
	FieldMalformed                   // not a name and a value
)

// Session is one connection of an MTA. Its methods are for the Handler's calls.
type Session struct {
	conn    net.Conn
	handler Handler
	options Options

	version  uint32
	actions  Actions
	protocol Protocol
	macros   macros

	in      reader
	out     []byte
	content bool // between the first header field and the end of the message
	ended   bool // the header of the message under way is over
	skip    bool // the rest of the body is not wanted

	readBy, writeBy time.Time // the deadlines of the connection; zero = none

	// Between MAIL and the reply to the message's end a connection is not cut off by a shutdown.
	mu      sync.Mutex
	busy    bool
	leaving bool
}

// Version is the version of the protocol that was agreed, 2 to 6.
func (s *Session) Version() int { return int(s.version) }

// Actions are the changes that the MTA allows.
func (s *Session) Actions() Actions { return s.actions }

// SpaceKept reports whether header values come, and have to be given, with the blank after the colon.
func (s *Session) SpaceKept() bool { return s.protocol&LeadingSpace != 0 }

// Agreed reports whether the MTA agreed to all of these.
func (s *Session) Agreed(p Protocol) bool { return s.protocol&p == p }

// Macro is the value of a macro by its name as the MTA sends it: "{auth_authen}", "i"; "" when it was not sent.
func (s *Session) Macro(name string) string { return string(s.macros.get(name)) }

// serve runs the connection until it ends. io.EOF and a closed connection are no error.
func (s *Session) serve() error {
	defer s.handler.Close(s)
	defer s.conn.Close()
	s.in.from, s.in.beforeRead, s.in.timedOut = s.conn, s.beforeRead, s.timedOut
	s.in.init()
	defer func() {
		s.in.start, s.in.end = 0, 0
		s.in.shrink()
	}()
	err := s.greet()
	for err == nil {
		err = s.event()
	}
	if errors.Is(err, errQuit) {
		return s.flush()
	}
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// errQuit: the MTA said good-bye.
var errQuit = errors.New("quit")

// greet negotiates; nothing else may come first.
func (s *Session) greet() error {
	s.readBy = time.Now().Add(negotiationTimeout)
	if err := s.conn.SetReadDeadline(s.readBy); err != nil {
		return err
	}
	code, length, err := s.in.head()
	if err != nil {
		return err
	}
	if code != 'O' || length > maxOther {
		return errFrame
	}
	offer, err := s.in.payload(length)
	if err != nil {
		return err
	}
	s.out, err = s.negotiate(offer, s.out)
	return err
}

// beforeRead writes what is due, because the MTA may wait for it, and sees to the deadline.
func (s *Session) beforeRead() error {
	if err := s.flush(); err != nil {
		return err
	}
	if s.version == 0 || !s.content && s.readBy.IsZero() { // greet has set one, or there is none to keep
		return nil
	}
	// Deadlines cost more than looking at the clock, so one that is only a little early stays, also over the pauses between messages,
	// where timedOut takes it away.
	now := time.Now()
	if !s.content || s.readBy.Sub(now) > contentTimeout-deadlineSlack {
		return nil
	}
	s.readBy = now.Add(contentTimeout)
	return s.conn.SetReadDeadline(s.readBy)
}

// timedOut reports whether reading may go on after its deadline has passed: outside of a message an MTA may be silent for as long as it
// likes.
func (s *Session) timedOut() bool {
	if s.version == 0 || s.content {
		return false
	}
	s.readBy = time.Time{}
	return s.conn.SetReadDeadline(s.readBy) == nil
}

// keptOut is how much memory for replies a connection keeps.
const keptOut = 4 << 10

func (s *Session) flush() error {
	if len(s.out) == 0 {
		return nil
	}
	if now := time.Now(); s.writeBy.Sub(now) < writeTimeout-deadlineSlack {
		s.writeBy = now.Add(writeTimeout)
		if err := s.conn.SetWriteDeadline(s.writeBy); err != nil {
			return err
		}
	}
	_, err := s.conn.Write(s.out)
	if s.out = s.out[:0]; cap(s.out) > keptOut {
		s.out = nil
	}
	return err
}

// event takes one frame.
func (s *Session) event() error {
	code, length, err := s.in.head()
	if err != nil {
		return err
	}
	switch {
	case s.ended && (code == 'L' || code == 'N'):
		return errFrame
	case code == 'L': // of any size
		return s.header(length)
	case length > maxBody, length > maxOther && code != 'B' && code != 'E':
		return errFrame
	case code == 'B':
		return s.body(length)
	}
	if code == 'E' && length > 0 { // the last piece of the body came along
		if err := s.bodyPieces(length); err != nil {
			return err
		}
		length = 0
	}
	p, err := s.in.payload(length)
	if err != nil {
		return err
	}
	return s.command(code, p)
}

// command takes a frame that is neither content nor negotiation.
func (s *Session) command(code byte, p []byte) error {
	h := s.handler
	switch code {
	case 'D':
		if len(p) == 0 {
			return errFrame
		}
		if stage, ok := stageOf(p[0]); ok {
			s.macros.set(stage, p[1:])
		}
	case 'C':
		host, client, err := parseConnect(p)
		if err != nil {
			return err
		}
		s.macros.begin(StageConnect)
		s.reply(NoConnectReply, h.Connect(s, host, client))
	case 'H':
		name, _ := cString(p)
		s.reply(NoHeloReply, h.Helo(s, string(name)))
	case 'M':
		s.begin()
		s.macros.begin(StageMail)
		from, ok := parseAddress(p)
		if !ok {
			return errFrame
		}
		s.lastWord(NoMailReply, h.Mail(s, from))
	case 'R':
		to, ok := parseAddress(p)
		if !ok {
			return errFrame
		}
		s.reply(noRcptReply, h.Rcpt(s, to))
	case 'T':
		s.reply(noDataReply, Continue)
	case 'U':
		s.reply(noUnknownReply, Continue)
	case 'N':
		s.content, s.ended = true, true
		s.in.grow()
		s.lastWord(NoEOHReply, h.EndOfHeaders(s))
	case 'E':
		s.reply(0, h.EndOfMessage(s))
		s.macros.forgetFrom(StageMail)
		return s.finish()
	case 'A':
		h.Abort(s)
		s.macros.forgetFrom(StageMail)
		return s.finish()
	case 'K':
		h.Abort(s)
		s.macros.forgetFrom(StageConnect)
		return s.finish()
	case 'Q':
		return errQuit
	default:
		return errFrame
	}
	return nil
}

// reply answers an event unless the MTA agreed not to wait for that.
func (s *Session) reply(unless Protocol, r Reply) {
	if s.protocol&unless == 0 {
		s.out = r.append(s.out)
	}
}

// lastWord answers an event after which the message may be over for us.
func (s *Session) lastWord(unless Protocol, r Reply) {
	s.reply(unless, r)
	if s.protocol&unless == 0 && r.code != 'c' && r.code != 0 {
		_ = s.idle()
	}
}

// begin marks a message under way.
func (s *Session) begin() {
	s.content, s.ended, s.skip = false, false, false
	s.setBusy(true)
}

func (s *Session) setBusy(busy bool) (leaving bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = busy
	return s.leaving
}

// finish ends a message; a connection that is to leave, leaves.
func (s *Session) finish() error {
	if s.idle() {
		return errQuit
	}
	return nil
}

// idle marks the connection as being between messages.
func (s *Session) idle() (leaving bool) {
	s.content, s.ended, s.skip = false, false, false
	s.in.shrink()
	return s.setBusy(false)
}

// leave ends the connection now if it is idle, and else after its message.
func (s *Session) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leaving = true
	if !s.busy {
		_ = s.conn.Close()
	}
}

func (s *Session) header(length int) error {
	s.content = true
	s.in.grow()
	if length > MaxHeader {
		if err := s.in.pieces(length, func([]byte) {}); err != nil {
			return err
		}
		s.handler.Fault(s, FieldTooLarge)
	} else {
		p, err := s.in.payload(length)
		if err != nil {
			return err
		}
		name, rest, ok := bytes.Cut(p, nul)
		if value, more, ended := bytes.Cut(rest, nul); ok && ended && len(more) == 0 {
			s.handler.Header(s, name, value)
		} else {
			s.handler.Fault(s, FieldMalformed)
		}
	}
	s.reply(NoHeaderReply, Continue)
	return nil
}

var nul = []byte{0}

func (s *Session) body(length int) error {
	s.content = true
	s.in.grow()
	if err := s.bodyPieces(length); err != nil {
		return err
	}
	r := Continue
	if s.skip && s.protocol&Skip != 0 {
		r = SkipBody
	}
	s.reply(NoBodyReply, r)
	return nil
}

func (s *Session) bodyPieces(length int) error {
	return s.in.pieces(length, func(p []byte) {
		if !s.skip {
			s.skip = s.handler.Body(s, p) == SkipBody
		}
	})
}

// parseConnect reads host NUL family [port address NUL].
func parseConnect(p []byte) (host string, client netip.Addr, err error) {
	name, rest, ok := bytes.Cut(p, nul)
	if !ok || len(rest) == 0 {
		return "", netip.Addr{}, errFrame
	}
	family := rest[0]
	if (family != '4' && family != '6') || len(rest) < 3 {
		return string(name), netip.Addr{}, nil
	}
	_ = binary.BigEndian.Uint16(rest[1:]) // the client's port tells nothing
	text, _ := cString(rest[3:])
	// Sendmail writes "IPv6:2001:db8::1".
	address := strings.TrimPrefix(strings.ToLower(string(text)), "ipv6:")
	if a, err := netip.ParseAddr(address); err == nil {
		client = a.Unmap().WithZone("")
	}
	return string(name), client, nil
}

// parseAddress reads <address> NUL [argument NUL]….
func parseAddress(p []byte) (string, bool) {
	text, _, ok := bytes.Cut(p, nul)
	if !ok {
		return "", false
	}
	if n := len(text); n >= 2 && text[0] == '<' && text[n-1] == '>' {
		text = text[1 : n-1]
	}
	return string(text), true
}
