package agent

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/user"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	milter "github.com/d--j/go-milter"

	"github.com/postseal/postseal/internal/fault"
)

// socket is an open milter listener with its server.
type socket struct {
	spec     atomic.Pointer[listenSpec]
	listener *peerListener
	server   *milter.Server
	served   chan struct{} // closed when the server accepts no more
}

// listen opens the socket and serves it until shutdown.
func (a *Agent) listen(ctx context.Context, spec listenSpec) (*socket, error) {
	ln, err := openListener(ctx, spec)
	if err != nil {
		return nil, err
	}
	s := &socket{served: make(chan struct{})}
	s.spec.Store(&spec)
	log := a.log.With("listener", ln.Addr().String())
	s.listener = newPeerListener(ln, &s.spec, log)
	s.server = milter.NewServer(
		milter.WithNegotiationCallback(negotiate),
		milter.WithDynamicMilter(func(uint32, milter.OptAction, milter.OptProtocol, milter.DataSize) milter.Milter {
			a.open.Add(1)
			return &session{agent: a, socket: s, log: log}
		}),
		milter.WithMacroRequest(milter.StageConnect, []milter.MacroName{milter.MacroDaemonName}),
		milter.WithMacroRequest(milter.StageMail, []milter.MacroName{milter.MacroAuthAuthen, milter.MacroQueueId}),
		milter.WithMacroRequest(milter.StageEOH, []milter.MacroName{milter.MacroQueueId}),
		milter.WithMacroRequest(milter.StageEOM, []milter.MacroName{milter.MacroQueueId}),
	)
	go func() {
		defer close(s.served)
		if err := s.server.Serve(s.listener); err != nil &&
			!errors.Is(err, milter.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			log.Error("the listener stopped", "error", err)
			a.setCondition(conditionListener, "the listener at "+ln.Addr().String()+" stopped; restart the agent: "+err.Error())
		}
	}()
	return s, nil
}

// idlePause is how often shutdown looks for connections that have become idle.
const idlePause = 10 * time.Millisecond

// shutdown stops accepting, closes the connections without a message under way, waits for the others until ctx ends, and then cuts
// them off. An SMTP session that goes on without its milter has its next message deferred, as it would be by a milter that does not listen;
// waiting for idle sessions would only make that last longer.
func (s *socket) shutdown(ctx context.Context) {
	_ = s.listener.Close() // the server does not know it before it serves
	done := make(chan struct{})
	var idle sync.WaitGroup
	idle.Go(func() {
		tick := time.NewTicker(idlePause)
		defer tick.Stop()
		for {
			s.listener.closeIdle()
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	})
	_ = s.server.Shutdown(ctx)
	<-s.served
	close(done)
	idle.Wait()
}

// maxConnections bounds the open connections of one listener. Postfix keeps one per SMTP session and has 100 of these by
// default; further ones wait in the kernel's queue.
const maxConnections = 10_000

// acceptPause is how long accepting rests when the process has no file descriptor left.
const acceptPause = 100 * time.Millisecond

// peerListener lets in only the peers it was told of, and not too many, and puts the frame check in front of each.
type peerListener struct {
	net.Listener
	spec   *atomic.Pointer[listenSpec]
	log    *slog.Logger
	open   chan struct{} // one element per open connection
	closed chan struct{}
	once   sync.Once

	mu    sync.Mutex
	conns map[*frameConn]struct{}
}

func newPeerListener(ln net.Listener, spec *atomic.Pointer[listenSpec], log *slog.Logger) *peerListener {
	return &peerListener{Listener: ln, spec: spec, log: log, open: make(chan struct{}, maxConnections), closed: make(chan struct{}), conns: map[*frameConn]struct{}{}}
}

func (l *peerListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

func (l *peerListener) Accept() (net.Conn, error) {
	for {
		select {
		case l.open <- struct{}{}:
		case <-l.closed:
			return nil, net.ErrClosed
		}
		conn, err := l.Listener.Accept()
		if err == nil && l.permitted(conn.RemoteAddr()) {
			return l.track(conn), nil
		}
		<-l.open
		switch {
		case err == nil:
			l.log.Warn("a stranger connected to the milter and was turned away", "address", conn.RemoteAddr().String())
			_ = conn.Close()
		case errors.Is(err, syscall.ECONNABORTED):
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
			l.log.Error("no file descriptor is left for the milter", "error", err)
			select {
			case <-time.After(acceptPause):
			case <-l.closed:
			}
		default:
			return nil, err
		}
	}
}

// track notes an open connection until it is closed.
func (l *peerListener) track(conn net.Conn) net.Conn {
	c := newFrameConn(conn, nil)
	c.close = func() {
		l.mu.Lock()
		delete(l.conns, c)
		l.mu.Unlock()
		<-l.open
	}
	l.mu.Lock()
	l.conns[c] = struct{}{}
	l.mu.Unlock()
	return c
}

// closeIdle closes the connections that have no message under way.
func (l *peerListener) closeIdle() {
	l.mu.Lock()
	var idle []*frameConn
	for c := range l.conns {
		if !c.busy.Load() {
			idle = append(idle, c)
		}
	}
	l.mu.Unlock()
	for _, c := range idle {
		_ = c.Close()
	}
}

func (l *peerListener) permitted(addr net.Addr) bool {
	peers := l.spec.Load().peers
	if len(peers) == 0 {
		return true
	}
	ap, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return false
	}
	ip := ap.Addr().Unmap().WithZone("")
	return slices.ContainsFunc(peers, func(p netip.Prefix) bool { return p.Contains(ip) })
}

func openListener(ctx context.Context, spec listenSpec) (net.Listener, error) {
	if spec.network == "unix" {
		if err := removeStale(ctx, spec.address); err != nil {
			return nil, err
		}
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, spec.network, spec.address)
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "the milter cannot listen at %s", spec.address).WithHint("is another agent or milter running there, and does the directory exist?")
	}
	if spec.network == "unix" {
		if err := secure(spec); err != nil {
			return nil, errors.Join(err, ln.Close())
		}
	}
	return ln, nil
}

// secure gives a new Unix socket its group and mode. Until then the umask decides, which by custom lets nobody else write.
func secure(spec listenSpec) error {
	if spec.group != "" {
		gid, err := strconv.Atoi(spec.group)
		if err != nil {
			g, err := user.LookupGroup(spec.group)
			if err != nil {
				return fault.Wrap(fault.Invalid, err, "the group %q of %s does not exist", spec.group, spec.address)
			}
			gid, _ = strconv.Atoi(g.Gid)
		}
		if err := os.Chown(spec.address, -1, gid); err != nil {
			return fault.Wrap(fault.Invalid, err, "%s cannot be given to group %q", spec.address, spec.group).
				WithHint("the agent's user must be a member: SupplementaryGroups=%s in its unit", spec.group)
		}
	}
	if err := os.Chmod(spec.address, spec.mode); err != nil {
		return fault.Wrap(fault.Invalid, err, "the mode of %s cannot be set", spec.address)
	}
	return nil
}

// removeStale removes a Unix socket that nobody answers on. Anything else at that path stays.
func removeStale(ctx context.Context, path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && info.Mode().Type() != fs.ModeSocket {
		return fault.New(fault.Conflict, "%s is there and is not a socket", path)
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err == nil {
		_ = conn.Close()
		return fault.New(fault.Conflict, "somebody listens at %s already", path)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fault.Wrap(fault.Conflict, err, "whether somebody listens at %s cannot be told", path)
	}
	return os.Remove(path)
}
