package nameserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/net/netutil"

	"github.com/postseal/postseal/internal/fault"
)

const (
	// maxTCP is how many TCP connections are open at once; further ones wait. UDP does nearly all the work.
	maxTCP = 512

	// The times of a TCP connection: one question arrives in one segment, and an idle client is not worth waiting for long
	// (RFC 7766 §6.2.3 asks for seconds).
	readTimeout  = 3 * time.Second
	writeTimeout = 3 * time.Second
	idleTimeout  = 8 * time.Second

	// maxTCPQueries is how many questions one connection may ask.
	maxTCPQueries = 256

	// portTries is how often a free port is looked for that UDP and TCP both have.
	portTries = 20
)

// Server serves zones over UDP and TCP. Several can live in one process.
type Server struct {
	config Config
	zones  atomic.Pointer[catalogue]
	limit  *limiter
	now    func() time.Time

	wake chan struct{}
	// Only keepUp and Start use these.
	stale, loaded bool
	version       int64

	mu       sync.Mutex
	dirty    map[string]bool
	dirtyAll bool

	running sync.WaitGroup
	cancel  context.CancelFunc
	addr    string
	servers []*dns.Server
}

// New checks the configuration; it opens nothing. Errors are fault.Invalid.
func New(config Config) (*Server, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	s := &Server{config: config, limit: newLimiter(), now: time.Now, wake: make(chan struct{}, 1), dirty: make(map[string]bool)}
	s.zones.Store(&catalogue{})
	return s, nil
}

// Start reads the zones, opens the sockets and returns once both answer. It is called once. Errors: fault.Unavailable when the
// zones cannot be read, fault.Invalid when the address cannot be used.
func (s *Server) Start(ctx context.Context) error {
	if err := s.refresh(ctx); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the zones of the built-in name server cannot be read")
	}
	packets, listener, err := listen(s.config.Listen)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "the built-in name server cannot listen on %s", s.config.Listen).
			WithHint("the port must be free for UDP and TCP; a port below 1024 needs CAP_NET_BIND_SERVICE")
	}
	s.addr = listener.Addr().String()
	loop, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	var started sync.WaitGroup
	for _, server := range []*dns.Server{
		{PacketConn: packets, Handler: s.handler(true), UDPSize: udpSize},
		{Listener: netutil.LimitListener(listener, maxTCP), Handler: s.handler(false)},
	} {
		server.MsgAcceptFunc = accept
		server.ReadTimeout, server.WriteTimeout = readTimeout, writeTimeout
		server.IdleTimeout = func() time.Duration { return idleTimeout }
		server.MaxTCPQueries = maxTCPQueries
		started.Add(1)
		server.NotifyStartedFunc = started.Done
		s.servers = append(s.servers, server)
		s.running.Go(func() {
			if err := server.ActivateAndServe(); err != nil {
				s.config.Logger.Error("the built-in name server stopped serving", "address", s.addr, "error", err)
			}
		})
	}
	started.Wait()
	s.running.Go(func() { s.keepUp(loop) })
	return nil
}

// listen opens one port for both protocols.
func listen(addr string) (net.PacketConn, net.Listener, error) {
	var errs []error
	for range portTries {
		listener, err := net.Listen("tcp", addr)
		if err != nil {
			return nil, nil, errors.Join(append(errs, err)...)
		}
		packets, err := net.ListenPacket("udp", listener.Addr().String())
		if err == nil {
			return packets, listener, nil
		}
		listener.Close()
		errs = append(errs, err)
		if _, port, _ := net.SplitHostPort(addr); port != "0" {
			break
		}
	}
	return nil, nil, errors.Join(errs...)
}

// Addr is the address that both protocols are served on, after Start.
func (s *Server) Addr() string { return s.addr }

// Stop closes the sockets, lets replies under way finish while ctx lasts, and returns when nothing runs any more.
func (s *Server) Stop(ctx context.Context) error {
	if s.cancel == nil {
		return nil
	}
	s.cancel()
	var errs []error
	for _, server := range s.servers {
		if err := server.ShutdownContext(ctx); err != nil {
			errs = append(errs, fmt.Errorf("stop the built-in name server: %w", err))
		}
	}
	s.running.Wait()
	return errors.Join(errs...)
}

// handler answers the requests of one protocol.
func (s *Server) handler(udp bool) dns.Handler {
	return dns.HandlerFunc(func(w dns.ResponseWriter, request *dns.Msg) {
		act := send
		if udp {
			act = s.limit.judge(remote(w), s.now())
		}
		var out []byte
		switch act {
		case send:
			out = respond(*s.zones.Load(), request, udp)
		case slip:
			out = slipped(request)
		}
		if out == nil {
			return
		}
		// A client that has gone away is no trouble of ours.
		_, _ = w.Write(out)
	})
}

// remote is who asks.
func remote(w dns.ResponseWriter) netip.Addr {
	if a, ok := w.RemoteAddr().(*net.UDPAddr); ok {
		return a.AddrPort().Addr()
	}
	return netip.Addr{}
}
