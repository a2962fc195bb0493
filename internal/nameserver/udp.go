package nameserver

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

const (
	// maxSockets is how many sockets share the port, one for each processor. The kernel spreads clients over them.
	maxSockets = 8

	// batchSize is how many datagrams are taken from a socket, and given to it, in one call of the kernel under load.
	batchSize = 32

	// requestSize is the largest request in octets: a question, OPT and TSIG with the longest names are less.
	requestSize = 2048

	// troublePause keeps a socket in trouble from using up the processor and the log.
	troublePause = time.Second

	// controlSize is room for the address that a datagram was sent to.
	controlSize = 64
)

// datagrams answers what comes to one socket until it is closed.
type datagrams struct {
	s       *Server
	conn    *net.UDPConn
	batch   *ipv4.PacketConn // also reads and writes batches on IPv6 sockets
	any     bool             // the socket is bound to no address: the reply must come from the one that was asked
	in, out []ipv4.Message
	buffers [][]byte
	q       query
}

func newDatagrams(s *Server, conn *net.UDPConn) (*datagrams, error) {
	d := &datagrams{s: s, conn: conn, batch: ipv4.NewPacketConn(conn), in: make([]ipv4.Message, batchSize), out: make([]ipv4.Message, 0, batchSize)}
	local := conn.LocalAddr().(*net.UDPAddr)
	if d.any = local.IP.IsUnspecified(); d.any {
		var err error
		if local.IP.To4() != nil {
			err = d.batch.SetControlMessage(ipv4.FlagDst, true)
		} else {
			err = ipv6.NewPacketConn(conn).SetControlMessage(ipv6.FlagDst, true)
		}
		if err != nil {
			return nil, err
		}
	}
	for i := range d.in {
		d.in[i].Buffers = [][]byte{make([]byte, requestSize)}
		if d.any {
			d.in[i].OOB = make([]byte, controlSize)
		}
		d.buffers = append(d.buffers, make([]byte, 0, udpSize))
	}
	return d, nil
}

func (d *datagrams) run() error {
	for {
		n, err := d.batch.ReadBatch(d.in, 0)
		if errors.Is(err, net.ErrClosed) {
			return nil
		}
		if err != nil { // the kernel is short of something; a server that gives up is worse than one that is late
			d.s.config.Logger.Warn("reading questions", "address", d.s.addr, "error", err)
			time.Sleep(troublePause)
			continue
		}
		d.out = d.out[:0]
		now := d.s.now()
		for i := range d.in[:n] {
			m := &d.in[i]
			peer, ok := m.Addr.(*net.UDPAddr)
			if !ok {
				continue
			}
			from := client{addr: peer.AddrPort().Addr().Unmap(), udp: true, now: now}
			reply := d.s.datagram(d.buffers[i][:0], &d.q, m.Buffers[0][:m.N], from)
			if len(reply) == 0 {
				continue
			}
			d.out = append(d.out, ipv4.Message{Buffers: [][]byte{reply}, Addr: peer, OOB: d.source(m)})
		}
		for rest := d.out; len(rest) > 0; {
			sent, err := d.batch.WriteBatch(rest, 0)
			if err != nil {
				sent = max(sent, 0) + 1 // a client that has gone away is no trouble of ours
			}
			rest = rest[min(sent, len(rest)):]
		}
	}
}

// source makes the reply come from the address that was asked.
func (d *datagrams) source(m *ipv4.Message) []byte {
	if !d.any {
		return nil
	}
	oob := m.OOB[:m.NN]
	var four ipv4.ControlMessage
	if four.Parse(oob) == nil && four.Dst != nil {
		return (&ipv4.ControlMessage{Src: four.Dst}).Marshal()
	}
	var six ipv6.ControlMessage
	if six.Parse(oob) == nil && six.Dst != nil {
		if dst := six.Dst.To4(); dst != nil {
			return (&ipv4.ControlMessage{Src: dst}).Marshal()
		}
		return (&ipv6.ControlMessage{Src: six.Dst}).Marshal()
	}
	return nil
}

// datagram answers one request over UDP; nil = not at all.
func (s *Server) datagram(out []byte, q *query, raw []byte, from client) []byte {
	problem := q.read(raw)
	if problem == silence {
		return nil
	}
	if !s.cookies.valid(q, from) {
		switch s.limit.judge(from.addr, from.now) {
		case drop:
			return nil
		case slip:
			return s.slipped(out, q)
		}
	}
	if problem != wellFormed || q.tsig == 0 && !transfers(q) {
		return s.respond(out, *s.zones.Load(), q, problem, from)
	}
	return s.seldom(q, from)
}

// seldom answers what secondaries alone ask over UDP: with a signature, or for a transfer.
func (s *Server) seldom(q *query, from client) (reply []byte) {
	by, record, bad := s.verify(q)
	if bad != 0 {
		return unverified(q, by, record, bad, from.now)
	}
	if transfers(q) {
		_ = s.transfer(q, from, by, func(out []byte) error { reply = out; return nil })
		return reply
	}
	var again *signed // each is for one message
	if by != nil {
		again = &signed{key: by.key, mac: by.mac}
	}
	out, err := by.signReply(s.respond(nil, *s.zones.Load(), q, wellFormed, from), from.now)
	if err == nil && len(out) > q.size { // the signature did not fit any more
		out, err = again.signReply(s.slipped(nil, q), from.now)
	}
	if err != nil {
		return nil
	}
	return out
}

func addrOf(a net.Addr) netip.Addr {
	switch a := a.(type) {
	case *net.TCPAddr:
		return a.AddrPort().Addr().Unmap()
	case *net.UDPAddr:
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}
