package nameserver

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// maxTCP is how many TCP connections are open at once; further ones wait. UDP does nearly all the work.
	maxTCP = 512

	// maxTCPPerNetwork is how many of them one network has, so that none can take them all; further ones are closed.
	maxTCPPerNetwork = 64

	// The times of a TCP connection: one question arrives in one segment, and an idle client is not worth waiting for long
	// (RFC 7766 §6.2.3 asks for seconds), less so when connections run short.
	readTimeout  = 3 * time.Second
	writeTimeout = 5 * time.Second
	idleTimeout  = 8 * time.Second
	busyTimeout  = time.Second

	// maxTCPQueries is how many questions one connection may ask.
	maxTCPQueries = 4096
)

// streams are the TCP connections.
type streams struct {
	s        *Server
	listener net.Listener

	mu      sync.Mutex
	open    map[net.Conn]netip.Prefix
	counts  map[netip.Prefix]int
	stopped bool
	running sync.WaitGroup
}

func newStreams(s *Server, listener net.Listener) *streams {
	return &streams{s: s, listener: listener, open: make(map[net.Conn]netip.Prefix), counts: make(map[netip.Prefix]int)}
}

// run accepts connections until the listener is closed.
func (t *streams) run() error {
	for {
		conn, err := t.listener.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil:
			var temporary net.Error
			if errors.As(err, &temporary) { // out of file descriptors, or a client that hung up at once
				time.Sleep(10 * time.Millisecond)
				continue
			}
			return err
		}
		if !t.enter(conn) {
			conn.Close()
			continue
		}
		t.running.Go(func() {
			defer t.leave(conn)
			t.serve(conn)
		})
	}
}

// enter counts a connection; false = its network has too many.
func (t *streams) enter(conn net.Conn) bool {
	network, _ := networkOf(addrOf(conn.RemoteAddr()))
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stopped || t.counts[network] >= maxTCPPerNetwork && !network.Addr().IsLoopback() {
		return false
	}
	t.open[conn] = network
	t.counts[network]++
	return true
}

func (t *streams) leave(conn net.Conn) {
	t.mu.Lock()
	network := t.open[conn]
	delete(t.open, conn)
	if t.counts[network]--; t.counts[network] == 0 {
		delete(t.counts, network)
	}
	t.mu.Unlock()
	conn.Close()
}

// patience is how long a client may be idle.
func (t *streams) patience() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.open) > maxTCP/2 {
		return busyTimeout
	}
	return idleTimeout
}

// stop ends what is idle at once and lets replies under way go out.
func (t *streams) stop() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stopped = true
	for conn := range t.open {
		_ = conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// kill closes everything.
func (t *streams) kill() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for conn := range t.open {
		conn.Close()
	}
}

// awaiting sets how long the next octets may take; false = the server stops.
func (t *streams) awaiting(conn net.Conn, d time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.stopped && conn.SetReadDeadline(time.Now().Add(d)) == nil
}

// serve answers the questions of one connection in their order. Questions may follow each other without waiting for replies
// (RFC 7766 §6.2.1.1); the replies to those that came together go out together.
func (t *streams) serve(conn net.Conn) {
	from := client{addr: addrOf(conn.RemoteAddr())}
	in, out := bufio.NewReaderSize(conn, requestSize), bufio.NewWriterSize(conn, 2*requestSize)
	var q query
	var reply []byte
	buf := make([]byte, requestSize)
	send := func(message []byte) error {
		if len(message) > tcpSize {
			return errors.New("a message is too large for TCP")
		}
		if err := conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
			return err
		}
		var length [2]byte
		binary.BigEndian.PutUint16(length[:], uint16(len(message)))
		_, _ = out.Write(length[:]) // an error stays until Flush
		_, err := out.Write(message)
		return err
	}
	for range maxTCPQueries {
		if in.Buffered() == 0 && (out.Flush() != nil || !t.awaiting(conn, t.patience())) {
			return
		}
		head, err := in.Peek(2)
		if err != nil {
			break
		}
		length := int(binary.BigEndian.Uint16(head))
		if length > len(buf) || !t.awaiting(conn, readTimeout) {
			break
		}
		_, _ = in.Discard(2)
		if _, err := io.ReadFull(in, buf[:length]); err != nil {
			break
		}
		from.now = t.s.now()
		problem := q.read(buf[:length])
		if problem == silence {
			break
		}
		if problem == wellFormed && (q.tsig != 0 || transfers(&q)) {
			if t.s.stream(&q, from, send) != nil {
				break
			}
			continue
		}
		reply = t.s.respond(reply[:0], *t.s.zones.Load(), &q, problem, from)
		if send(reply) != nil {
			break
		}
	}
	_ = out.Flush()
}

// stream answers over TCP what secondaries alone ask: with a signature, or for a transfer.
func (s *Server) stream(q *query, from client, send func([]byte) error) error {
	by, record, bad := s.verify(q)
	if bad != 0 {
		return send(unverified(q, by, record, bad, from.now))
	}
	if transfers(q) {
		return s.transfer(q, from, by, send)
	}
	reply, err := by.signReply(s.respond(nil, *s.zones.Load(), q, wellFormed, from), from.now)
	if err != nil {
		return err
	}
	return send(reply)
}
