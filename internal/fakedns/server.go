package fakedns

import (
	"maps"
	"net"
	"slices"
	"strconv"

	"github.com/miekg/dns"
)

// Fault is a way in which a server misbehaves.
type Fault int

// The faults.
const (
	None          Fault = iota
	Timeout             // no reply at all, over UDP and TCP
	ServFail            // answer code SERVFAIL
	Refused             // answer code REFUSED
	Lame                // an empty reply without authority
	Garbage             // bytes that are no DNS message
	WrongID             // a right reply under another id
	WrongQuestion       // a right reply to another question
	Truncate            // TC and nothing else over UDP; all is well over TCP
	TruncateOnly        // TC over UDP, silence over TCP
	NoEDNS              // FORMERR to a query with EDNS, as servers from before 1999
)

// Server is one server at one address.
type Server struct {
	net       *Net
	name      string
	ip, port  string
	recursive bool
	zones     []*Zone

	fault Fault
	next  int                // how many more queries the fault meets; 0 for all
	old   map[*Zone]*content // what a lagging server still has; nil when up to date

	running []*dns.Server
	done    []chan struct{}
}

// Name is the server's host name.
func (s *Server) Name() string { return s.name }

// IP is the server's address.
func (s *Server) IP() string { return s.ip }

// Addr is "addr:port".
func (s *Server) Addr() string { return net.JoinHostPort(s.ip, s.port) }

// Fail makes the server misbehave from now on; None ends it.
func (s *Server) Fail(f Fault) {
	s.net.mu.Lock()
	defer s.net.mu.Unlock()
	s.fault, s.next = f, 0
}

// FailNext makes the server misbehave for the next n queries only, as when datagrams are lost.
func (s *Server) FailNext(n int, f Fault) {
	s.net.mu.Lock()
	defer s.net.mu.Unlock()
	s.fault, s.next = f, n
}

// currentFault is the fault that meets this query. The caller holds the lock.
func (s *Server) currentFault() Fault {
	f := s.fault
	if s.next > 0 {
		if s.next--; s.next == 0 {
			s.fault = None
		}
	}
	return f
}

// Lag makes the server keep what its zones hold now, whatever changes later. A recursive server keeps what all zones hold
// now, as if it had cached everything, absences too.
func (s *Server) Lag() {
	s.net.mu.Lock()
	defer s.net.mu.Unlock()
	s.old = make(map[*Zone]*content)
	zones := s.zones
	if s.recursive {
		zones = slices.Collect(maps.Values(s.net.zones))
	}
	for _, z := range zones {
		s.old[z] = z.now
	}
}

// CatchUp ends Lag.
func (s *Server) CatchUp() {
	s.net.mu.Lock()
	defer s.net.mu.Unlock()
	s.old = nil
}

// copyOf is what the server holds of a zone. The caller holds the lock.
func (s *Server) copyOf(z *Zone) *content {
	if c, ok := s.old[z]; ok {
		return c
	}
	return z.now
}

// start opens a server at the address.
func start(n *Net, name, ip, port string) (*Server, error) {
	pc, l, err := pair(ip, port)
	if err != nil {
		return nil, err
	}
	s := &Server{net: n, name: name, ip: ip, port: strconv.Itoa(pc.LocalAddr().(*net.UDPAddr).Port)}
	for _, d := range []*dns.Server{{PacketConn: pc}, {Listener: l}} {
		started, done := make(chan struct{}), make(chan struct{})
		d.Handler = dns.HandlerFunc(s.serve)
		d.NotifyStartedFunc = func() { close(started) }
		s.running = append(s.running, d)
		s.done = append(s.done, done)
		go func() {
			defer close(done)
			d.ActivateAndServe() // ends with an error only when the socket was closed
		}()
		<-started
	}
	return s, nil
}

func (s *Server) stop() {
	for i, d := range s.running {
		d.Shutdown()
		<-s.done[i]
	}
}

// serve answers one query.
func (s *Server) serve(w dns.ResponseWriter, req *dns.Msg) {
	if len(req.Question) != 1 {
		return
	}
	tcp := w.RemoteAddr().Network() == "tcp"
	s.net.mu.Lock()
	s.net.record(s, req, tcp)
	fault := s.currentFault()
	var m *dns.Msg
	switch {
	case s.recursive:
		m = s.net.resolve(s, req)
	default:
		m = s.answer(req)
	}
	s.net.mu.Unlock()

	switch fault {
	case Timeout:
		return
	case ServFail:
		m = new(dns.Msg).SetRcode(req, dns.RcodeServerFailure)
	case Refused:
		m = new(dns.Msg).SetRcode(req, dns.RcodeRefused)
	case Lame:
		m = new(dns.Msg).SetReply(req)
	case Garbage:
		w.Write(slices.Repeat([]byte{0xa5}, 40))
		return
	case WrongID:
		m.Id = ^req.Id
	case WrongQuestion:
		m.Question[0].Name = "elsewhere.invalid."
	case Truncate, TruncateOnly:
		if tcp && fault == TruncateOnly {
			return
		}
		if !tcp {
			m.Answer, m.Ns, m.Extra, m.Truncated = nil, nil, nil, true
		}
	case NoEDNS:
		if req.IsEdns0() != nil {
			m = new(dns.Msg).SetRcode(req, dns.RcodeFormatError)
		}
	}
	if opt := req.IsEdns0(); opt != nil && fault != NoEDNS {
		m.SetEdns0(dns.DefaultMsgSize, opt.Do())
	}
	m.Truncate(room(req, tcp))
	w.WriteMsg(m)
}

// room is how many octets the reply may have.
func room(req *dns.Msg, tcp bool) int {
	if tcp {
		return dns.MaxMsgSize
	}
	if opt := req.IsEdns0(); opt != nil {
		return max(int(opt.UDPSize()), dns.MinMsgSize)
	}
	return dns.MinMsgSize
}
