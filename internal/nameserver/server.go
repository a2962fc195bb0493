package nameserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/net/netutil"

	"github.com/postseal/postseal/internal/fault"
)

// portTries is how often a free port is looked for that UDP and TCP both have.
const portTries = 20

// Server serves zones over UDP and TCP. Several can live in one process.
type Server struct {
	config       Config
	zones        atomic.Pointer[catalogue]
	limit        *limiter
	cookies      *cookies
	now          func() time.Time
	transferring chan struct{}
	refusedAt    atomic.Int64 // when a transfer was last refused and logged, Unix seconds

	wake chan struct{}
	// Only keepUp and Start use these.
	stale, loaded bool
	version       int64
	fresh         []*zone // read, and not served yet

	mu       sync.Mutex
	dirty    map[string]bool
	dirtyAll bool

	running sync.WaitGroup
	cancel  context.CancelFunc
	addr    string
	sockets []*net.UDPConn
	streams *streams
	notices []*notifier
}

// New checks the configuration; it opens nothing. Errors are fault.Invalid.
func New(config Config) (*Server, error) {
	if err := config.complete(); err != nil {
		return nil, err
	}
	s := &Server{config: config, limit: newLimiter(), cookies: newCookies(), now: time.Now, transferring: make(chan struct{}, maxTransfers),
		wake: make(chan struct{}, 1), dirty: make(map[string]bool)}
	for _, secondary := range config.Secondaries {
		s.notices = append(s.notices, newNotifier(s, secondary))
	}
	s.zones.Store(&catalogue{})
	return s, nil
}

// Start reads the zones, opens the sockets and returns once both answer. It is called once. Errors: fault.Unavailable when the
// zones cannot be read, fault.Invalid when the address cannot be used.
func (s *Server) Start(ctx context.Context) error {
	if err := s.refresh(ctx); err != nil {
		return fault.Wrap(fault.Unavailable, err, "the zones of the built-in name server cannot be read")
	}
	sockets, listener, err := listen(ctx, s.config.Listen)
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "the built-in name server cannot listen on %s", s.config.Listen).
			WithHint("the port must be free for UDP and TCP; a port below 1024 needs CAP_NET_BIND_SERVICE")
	}
	s.addr, s.sockets = listener.Addr().String(), sockets
	s.streams = newStreams(s, netutil.LimitListener(listener, maxTCP))
	loop, cancel := context.WithCancel(context.WithoutCancel(ctx))
	s.cancel = cancel
	serve := func(run func() error) {
		s.running.Go(func() {
			if err := run(); err != nil {
				s.config.Logger.Error("the built-in name server stopped serving", "address", s.addr, "error", err)
			}
		})
	}
	for _, socket := range sockets {
		d, err := newDatagrams(s, socket)
		if err != nil {
			_ = s.Stop(ctx)
			return fault.Wrap(fault.Invalid, err, "the built-in name server cannot listen on %s", s.config.Listen)
		}
		serve(d.run)
	}
	serve(s.streams.run)
	for _, n := range s.notices {
		s.running.Go(func() { n.run(loop) })
	}
	s.running.Go(func() { s.keepUp(loop) })
	return nil
}

// listen opens one port for both protocols.
func listen(ctx context.Context, addr string) (sockets []*net.UDPConn, listener net.Listener, err error) {
	n := 1
	if sharesPort {
		n = min(runtime.GOMAXPROCS(0), maxSockets)
	}
	shared := net.ListenConfig{Control: reusePort}
	var errs []error
	for range portTries {
		listener, err = net.Listen("tcp", addr)
		if err != nil {
			return nil, nil, errors.Join(append(errs, err)...)
		}
		port := listener.Addr().String()
		// Alone first: a port that another program shares in this way is not free.
		var alone net.PacketConn
		if alone, err = net.ListenPacket("udp", port); err == nil {
			alone.Close()
			for range n {
				var socket net.PacketConn
				if socket, err = shared.ListenPacket(ctx, "udp", port); err != nil {
					break
				}
				sockets = append(sockets, socket.(*net.UDPConn))
			}
		}
		if err == nil {
			return sockets, listener, nil
		}
		listener.Close()
		for _, socket := range sockets {
			socket.Close()
		}
		sockets, errs = nil, append(errs, err)
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
	for _, socket := range s.sockets {
		errs = append(errs, socket.Close())
	}
	errs = append(errs, s.streams.listener.Close())
	s.streams.stop()
	finished := make(chan struct{})
	go func() {
		s.streams.running.Wait()
		close(finished)
	}()
	select {
	case <-finished:
	case <-ctx.Done():
		errs = append(errs, ctx.Err())
		s.streams.kill()
		<-finished
	}
	s.running.Wait()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("stop the built-in name server: %w", err)
	}
	return nil
}
