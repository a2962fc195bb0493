package milter

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"syscall"
	"time"
)

// Server serves the connections of one listener.
type Server struct {
	// Options are asked for each new connection, so that they can change while the server runs.
	Options func() Options
	// Permit says whether a peer may connect; nil = everybody.
	Permit func(net.Addr) bool
	// Handler makes the handler of a new connection.
	Handler func() Handler
	Log     *slog.Logger

	listener net.Listener
	room     chan struct{} // one element per open connection
	closing  chan struct{}
	served   chan struct{} // closed when Serve has ended
	close    sync.Once
	sessions sync.WaitGroup

	mu   sync.Mutex
	open map[*Session]struct{}
}

// Start puts a server on a listener. Set the fields before, and call Serve then: Shutdown waits for it to end.
func (s *Server) Start(ln net.Listener) {
	s.listener = ln
	s.room, s.closing = make(chan struct{}, MaxConnections), make(chan struct{})
	s.served, s.open = make(chan struct{}), map[*Session]struct{}{}
}

// Serve accepts until Shutdown; the error says why it ended before.
func (s *Server) Serve() error {
	defer close(s.served)
	for {
		select {
		case s.room <- struct{}{}:
		case <-s.closing:
			return nil
		}
		conn, err := s.listener.Accept()
		if err == nil && (s.Permit == nil || s.Permit(conn.RemoteAddr())) {
			s.run(conn)
			continue
		}
		<-s.room
		switch {
		case err == nil:
			s.Log.Warn("a stranger connected to the milter and was turned away", "address", conn.RemoteAddr().String())
			_ = conn.Close()
		case errors.Is(err, net.ErrClosed):
			select {
			case <-s.closing:
				return nil
			default:
				return err
			}
		case errors.Is(err, syscall.ECONNABORTED):
		case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
			s.Log.Error("no file descriptor is left for the milter", "error", err)
			select {
			case <-time.After(acceptPause):
			case <-s.closing:
			}
		default:
			return err
		}
	}
}

// run serves one connection in a goroutine of its own.
func (s *Server) run(conn net.Conn) {
	session := &Session{conn: conn, handler: s.Handler(), options: s.Options()}
	s.mu.Lock()
	s.open[session] = struct{}{}
	s.mu.Unlock()
	select {
	case <-s.closing: // Shutdown may have looked before
		session.leave()
	default:
	}
	s.sessions.Go(func() {
		if err := session.serve(); err != nil {
			s.Log.Warn("a milter connection was ended", "error", err)
		}
		s.mu.Lock()
		delete(s.open, session)
		s.mu.Unlock()
		<-s.room
	})
}

// Shutdown stops accepting, ends the connections without a message under way, waits for the others until ctx ends, and then cuts
// them off. An SMTP session that goes on without its milter has its next message deferred, as it would be by a milter that does not
// listen; waiting for idle sessions would only make that last longer.
func (s *Server) Shutdown(ctx context.Context) {
	s.close.Do(func() { close(s.closing) })
	_ = s.listener.Close()
	<-s.served
	s.each((*Session).leave)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.sessions.Wait()
	}()
	select {
	case <-done:
	case <-ctx.Done():
		s.each(func(session *Session) { _ = session.conn.Close() })
		<-done
	}
}

func (s *Server) each(f func(*Session)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for session := range s.open {
		f(session)
	}
}
