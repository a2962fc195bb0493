package intake

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// smtpConn bounds what one client may send, and how long it may take. Package smtp reads from it, perhaps through TLS; the limits are of what is on the wire.
type smtpConn struct {
	net.Conn
	s       *smtpServer
	peer    netip.Addr
	network string
	began   time.Time

	mu      sync.Mutex
	left    int64     // octets that may still come
	until   time.Time // zero: no mail is on its way
	mails   int       // that were begun
	refused int       // recipients
	ended   bool      // nothing more is read
}

// errTooMuch ends a client that sends more than there is a use for.
var errTooMuch = errors.New("intake: the client sends too much")

// Read reads what the client may still send. Each reading gives it some time, and all together has an end.
func (c *smtpConn) Read(b []byte) (int, error) {
	idle := c.s.times.idle
	if c.s.busy() { // not under our lock: stop takes them the other way round
		idle = c.s.times.busyIdle
	}
	now := time.Now()
	end := now.Add(idle)
	c.mu.Lock()
	last := c.began.Add(c.s.times.session)
	if !c.until.IsZero() {
		last = c.until
	}
	if last.Before(end) {
		end = last
	}
	left, ended := c.left, c.ended
	if !ended {
		_ = c.Conn.SetReadDeadline(end) // under the lock, so that it does not undo that of stop
	}
	c.mu.Unlock()
	switch {
	case ended:
		return 0, io.EOF
	case left <= 0:
		return 0, errTooMuch
	}
	n, err := c.Conn.Read(b[:min(int64(len(b)), left)])
	c.mu.Lock()
	c.left -= int64(n)
	c.mu.Unlock()
	return n, err
}

// SetReadDeadline and SetDeadline leave reading to Read.
func (c *smtpConn) SetReadDeadline(time.Time) error { return nil }

// SetDeadline sets the one of writing.
func (c *smtpConn) SetDeadline(t time.Time) error { return c.SetWriteDeadline(t) }

// Close implements net.Conn.
func (c *smtpConn) Close() error {
	c.s.gone(c)
	return c.Conn.Close()
}

// another counts a mail; false when it is one too many, and the client is ended behind the reply.
func (c *smtpConn) another() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mails++
	c.ended = c.ended || c.mails > maxMails
	return !c.ended
}

// begin says that the octets of a mail are coming.
func (c *smtpConn) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left, c.until = maxTransfer, time.Now().Add(c.s.times.transfer)
}

// end says that they are over, or that none are coming.
func (c *smtpConn) end() {
	stopping := c.s.isStopping() // not under our lock: stop takes them the other way round
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left, c.until = maxCommands, time.Time{}
	c.ended = c.ended || stopping
}

// refuse counts an unknown recipient; false when there were too many, and the client is ended behind the reply.
func (c *smtpConn) refuse() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused++
	c.ended = c.ended || c.refused > maxRefused
	return !c.ended
}

// stop ends a connection that no mail is coming in by, or any.
func (c *smtpConn) stop(all bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if all {
		_ = c.Conn.Close()
		return
	}
	if c.until.IsZero() {
		c.ended = true
		_ = c.Conn.SetReadDeadline(time.Now())
	}
}

func (s *smtpServer) isStopping() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stopping
}
