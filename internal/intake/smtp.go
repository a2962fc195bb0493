package intake

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/report"
)

// smtpServer takes mail for report and probe addresses by SMTP. It relays nothing and knows no users.
type smtpServer struct {
	in       *Intake
	p        *progress
	cfg      SMTP
	listener net.Listener
	server   *smtp.Server
	times    smtpTimes
	// work is the context of what is being taken; it outlives that of run by times.stop.
	work   context.Context
	finish context.CancelFunc
	taking sync.WaitGroup // mails, which package smtp does not wait for when they come in chunks

	mu       sync.Mutex
	conns    map[*smtpConn]bool
	perPeer  map[string]int
	stopping bool
}

// smtpTimes are how long clients may take, as limits.go says; tests are less patient.
type smtpTimes struct{ idle, busyIdle, transfer, session, stop time.Duration }

func listenSMTP(in *Intake, cfg SMTP) (*smtpServer, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	s := &smtpServer{in: in, cfg: cfg, times: smtpTimes{idleTime, busyIdleTime, transferTime, sessionTime, stopTime}, conns: map[*smtpConn]bool{}, perPeer: map[string]int{}}
	s.server = smtp.NewServer(smtp.BackendFunc(s.session))
	s.server.Domain = cfg.Name
	s.server.MaxMessageBytes, s.server.MaxLineLength, s.server.MaxRecipients = maxInput, maxLine, maxRecipients
	s.server.WriteTimeout = replyTime // smtpConn limits reading: one limit for a command and for a whole mail would be too long or too short
	s.server.EnableSMTPUTF8 = true
	s.server.ErrorLog = smtpLog{in.log}
	if cfg.Certificate != "" {
		c, err := newCertificate(cfg.Certificate, cfg.Key, in.now, in.log)
		if err != nil {
			return nil, err
		}
		s.server.TLSConfig = &tls.Config{GetCertificate: c.get, MinVersion: tls.VersionTLS12}
	}
	l, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "nothing can listen for reports at %s", cfg.Listen).WithHint("ports below 1024 need CAP_NET_BIND_SERVICE; another mail server may listen there")
	}
	s.listener = l
	s.p = newProgress(report.BySMTP, l.Addr().String(), in.now)
	s.work, s.finish = context.WithCancel(context.Background())
	return s, nil
}

func (s *smtpServer) progress() *progress { return s.p }

// run serves until ctx ends. Mails that are being taken then get times.stop.
func (s *smtpServer) run(ctx context.Context) error {
	defer s.finish()
	s.p.up(true)
	served := make(chan error, 1)
	go func() { served <- s.server.Serve(smtpListener{s}) }()
	var failed error
	select {
	case failed = <-served:
		s.p.trouble(failed)
	case <-ctx.Done():
	}
	s.p.up(false)
	_ = s.listener.Close() // by ourselves: the library closes only what it has begun to serve
	idle := make(chan struct{})
	go func() {
		defer close(idle)
		_ = s.server.Shutdown(context.Background()) // waits for the connections
		s.taking.Wait()
	}()
	s.stop(false)
	timer := time.NewTimer(s.times.stop)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
		s.finish()
		s.stop(true)
		<-idle
	}
	if failed == nil {
		<-served
	}
	return failed
}

// stop ends the connections that no mail comes in by; all of them when nothing is waited for any more.
func (s *smtpServer) stop(all bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	for c := range s.conns {
		c.stop(all)
	}
}

// smtpListener turns away those that are too many.
type smtpListener struct{ s *smtpServer }

func (l smtpListener) Addr() net.Addr { return l.s.listener.Addr() }
func (l smtpListener) Close() error   { return l.s.listener.Close() }

func (l smtpListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.s.listener.Accept()
		if err != nil {
			return nil, err
		}
		if c := l.s.admit(conn); c != nil {
			return c, nil
		}
	}
}

// admit makes a connection of ours of one that came in; nil = it is one too many and was ended.
func (s *smtpServer) admit(conn net.Conn) *smtpConn {
	c := &smtpConn{Conn: conn, s: s, began: time.Now(), left: maxCommands}
	if a, err := netip.ParseAddrPort(conn.RemoteAddr().String()); err == nil {
		c.peer = a.Addr().Unmap().WithZone("")
		c.network = network(c.peer)
	}
	s.mu.Lock()
	refusal := ""
	switch {
	case s.stopping:
		refusal = "this server is being stopped"
	case len(s.conns) >= s.cfg.Connections:
		refusal = "too many connections"
	case s.perPeer[c.network] >= s.cfg.PerPeer:
		refusal = "too many connections from " + c.network
	default:
		s.conns[c] = true
		s.perPeer[c.network]++
	}
	s.mu.Unlock()
	if refusal != "" {
		s.p.count(func(n *Counts) { n.Busy++ })
		// It fits into the buffer of a connection that nothing was sent on.
		_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = conn.Write([]byte("421 4.3.2 " + s.cfg.Name + " " + refusal + "; try again later\r\n"))
		_ = conn.Close()
		return nil
	}
	s.p.count(func(n *Counts) { n.Connections++ })
	return c
}

// gone forgets a connection.
func (s *smtpServer) gone(c *smtpConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.conns[c] {
		return
	}
	delete(s.conns, c)
	if s.perPeer[c.network]--; s.perPeer[c.network] == 0 {
		delete(s.perPeer, c.network)
	}
}

// busy reports whether most connections are taken.
func (s *smtpServer) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return 4*len(s.conns) > 3*s.cfg.Connections
}

// smtpLog has the library's words: nearly all are about trouble of clients.
type smtpLog struct{ log *slog.Logger }

func (l smtpLog) Printf(format string, v ...any) {
	level := slog.LevelDebug
	if strings.HasPrefix(format, "panic") {
		level = slog.LevelError
	}
	l.log.Log(context.Background(), level, "SMTP: "+fmt.Sprintf(format, v...))
}

func (l smtpLog) Println(v ...any) { l.log.Debug("SMTP: " + strings.TrimSpace(fmt.Sprintln(v...))) }

// connOf finds our connection below TLS.
func connOf(c *smtp.Conn) (*smtpConn, error) {
	conn := c.Conn()
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	if ours, ok := conn.(*smtpConn); ok {
		return ours, nil
	}
	return nil, errors.New("intake: a connection of another listener")
}
