package agent

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Limits of the milter protocol's frames. The protocol library reads frames of up to 512 MB into memory and trusts their inner form.
const (
	maxBodyFrame   = 1 << 20        // the largest chunk that the protocol can agree on; without agreement it is 64 kB
	maxHeaderFrame = maxHeaderBytes // one field; larger ones are replaced by oversizedField
	maxOtherFrame  = 64 << 10       // addresses and macros
	frameBuffer    = 16 << 10       // of the reader: most mail is smaller

	// contentTimeout is how long the MTA may be silent between the first header field and the end of a message. Postfix hands over what
	// already lies in its queue and gives up itself after 300 s (milter_content_timeout). After that a key that should stop can
	// stop. Before the content an SMTP client may take its time, so that there is no limit; TCP's keepalive finds dead MTAs.
	contentTimeout = 10 * time.Minute
)

// oversizedField and malformedField are what a session gets instead of a header field that is too large or not one: names that no
// field can have.
const (
	oversizedField = "\x01"
	malformedField = "\x02"
)

var errFrame = errors.New("not a frame of the milter protocol")

// frameConn passes on the frames that an MTA sends as long as they are well formed and of bounded size, so that nothing behind it
// can be made to hold 512 MB or to slice beyond the end of a short frame. Header fields that are too large are replaced, because
// ending the connection would hold up mail; any other misbehaviour ends it.
type frameConn struct {
	net.Conn
	in      *bufio.Reader
	pending []byte // of the frame that is handed out
	stream  int64  // octets of a body frame that are handed out from in
	frame   []byte // backs pending
	content bool   // between the first header field and the end of the message
	first   bool   // no frame was read yet: the protocol library sets its own deadline
	last    byte   // code of the last frame

	busy  atomic.Bool // between MAIL and the reply to its end
	close func()      // called once
	once  sync.Once
}

func newFrameConn(c net.Conn, closed func()) *frameConn {
	return &frameConn{Conn: c, in: bufio.NewReaderSize(c, frameBuffer), first: true, close: closed}
}

func (c *frameConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(c.close)
	return err
}

func (c *frameConn) Read(p []byte) (int, error) {
	if len(c.pending) == 0 && c.stream == 0 {
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	if len(c.pending) > 0 {
		n := copy(p, c.pending)
		c.pending = c.pending[n:]
		return n, nil
	}
	n, err := c.in.Read(p[:min(int64(len(p)), c.stream)])
	c.stream -= int64(n)
	return n, err
}

// next reads the next frame: all of it, or for a body chunk its first five octets.
func (c *frameConn) next() error {
	switch c.last { // the one before is answered, or somebody would not ask for the next
	case 'E', 'A', 'K':
		c.busy.Store(false)
	}
	if !c.first {
		var deadline time.Time
		if c.content {
			deadline = time.Now().Add(contentTimeout)
		}
		if err := c.Conn.SetReadDeadline(deadline); err != nil {
			return err
		}
	}
	c.first = false
	head := append(c.frame[:0], 0, 0, 0, 0, 0)
	c.frame = head
	if _, err := io.ReadFull(c.in, head[:4]); err != nil {
		return err
	}
	length := int64(binary.BigEndian.Uint32(head))
	if length == 0 {
		return errFrame
	}
	if _, err := io.ReadFull(c.in, head[4:]); err != nil {
		return err
	}
	limit := int64(maxOtherFrame)
	c.last = head[4]
	switch head[4] {
	case 'M':
		c.busy.Store(true)
	case 'B':
		if length > maxBodyFrame {
			return errFrame
		}
		c.pending, c.stream = head, length-1
		return nil
	case 'L':
		c.content = true
		if limit = maxHeaderFrame; length > limit {
			if _, err := io.CopyN(io.Discard, c.in, length-1); err != nil {
				return err
			}
			c.field(oversizedField)
			return nil
		}
	case 'E', 'A', 'K', 'Q':
		c.content = false
	}
	if length > limit {
		return errFrame
	}
	frame := append(head, make([]byte, length-1)...)
	c.frame = frame
	if _, err := io.ReadFull(c.in, frame[5:]); err != nil {
		return err
	}
	payload := frame[5:]
	switch frame[4] {
	case 'L':
		if bytes.Count(payload, []byte{0}) != 2 || payload[len(payload)-1] != 0 {
			c.field(malformedField)
			return nil
		}
	case 'C': // host NUL family …
		if i := bytes.IndexByte(payload, 0); i < 0 || i+1 == len(payload) {
			return errFrame
		}
	case 'M', 'R':
		if bytes.IndexByte(payload, 0) < 0 {
			return errFrame
		}
	}
	c.pending = frame
	return nil
}

// field hands out a header field with this name and no value.
func (c *frameConn) field(name string) {
	c.frame = append(c.frame[:0], 0, 0, 0, byte(1+len(name)+2), 'L')
	c.frame = append(append(c.frame, name...), 0, 0)
	c.pending = c.frame
}
