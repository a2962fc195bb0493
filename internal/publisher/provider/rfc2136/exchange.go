package rfc2136

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/fault"
)

const (
	// exchangeTimeout is the time for one message and its reply: a primary with a large zone signs and journals within a second or
	// two; one that needs more is in trouble that should be seen.
	exchangeTimeout = 10 * time.Second

	// fudge is how many seconds the two clocks may differ (RFC 8945 §10 recommends 300).
	fudge = 300
)

// session is one connection to the primary, about one zone. One goroutine uses it.
type session struct {
	p    *Provider
	ctx  context.Context
	zone string
	key  key // zero = unsigned
	conn net.Conn
	stop func() bool
}

// open reads the key and connects.
func (p *Provider) open(ctx context.Context, zone string) (*session, error) {
	s := &session{p: p, ctx: ctx, zone: canonical(zone)}
	if p.keyFile != "" {
		var err error
		if s.key, err = readKey(p.keyFile); err != nil {
			return nil, err
		}
	}
	dialer := &net.Dialer{Timeout: exchangeTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", p.server)
	if err != nil {
		return nil, p.silent(err)
	}
	s.conn = conn
	s.stop = context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	return s, nil
}

func (s *session) close() {
	s.stop()
	s.conn.Close()
}

// exchange sends one message and returns the reply, whose signature was checked if we sign. A reply that says that our signature was not
// accepted is an error already; other codes are for the caller.
func (s *session) exchange(m *dns.Msg) (*dns.Msg, error) {
	// The library keeps the signature of a message for that of the next one, which belongs to zone transfers only.
	conn := &dns.Conn{Conn: s.conn}
	if s.key.name != "" {
		conn.TsigSecret = map[string]string{s.key.name: s.key.secret}
		m.SetTsig(s.key.name, s.key.algorithm, fudge, s.p.now().Unix())
	}
	conn.SetDeadline(time.Now().Add(exchangeTimeout))
	if err := s.ctx.Err(); err != nil {
		return nil, s.p.silent(err)
	}
	if err := conn.WriteMsg(m); err != nil {
		return nil, s.p.silent(err)
	}
	r, err := conn.ReadMsg()
	switch {
	case r == nil:
		return nil, s.p.silent(err)
	case r.Id != m.Id || !r.Response || r.Opcode != m.Opcode:
		return nil, fault.Wrap(fault.Unavailable, err, "the server %s sent something else than a reply", s.p.server)
	case s.key.name == "" && err != nil:
		return nil, s.p.silent(err)
	case s.key.name == "":
		return r, nil
	}
	return r, s.trust(r, err)
}

// trust checks the signature of a reply.
func (s *session) trust(r *dns.Msg, verified error) error {
	if t := r.IsTsig(); t != nil && t.Error != dns.RcodeSuccess {
		return s.rejected(t)
	} else if t == nil && r.Rcode != dns.RcodeSuccess && r.Rcode != dns.RcodeNameError {
		// Errors come unsigned from a server that could not read our signature. The caller turns them into a refusal, and
		// a refusal that an attacker made up costs no more than a lost connection.
		return nil
	} else if t != nil && verified == nil && dns.CanonicalName(t.Hdr.Name) == s.key.name {
		return nil
	}
	return fault.Wrap(fault.Unavailable, errors.Join(errors.New("TSIG of the reply"), verified), "the reply of %s is not signed with the key %s", s.p.server, s.key.name).
		WithHint("the server must know this key; if it does, something between here and there changes DNS messages")
}

// silent is the error when no reply came.
func (p *Provider) silent(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return fault.Wrap(fault.Unavailable, err, "talking to %s was interrupted", p.server)
	}
	return fault.Wrap(fault.Unavailable, err, "the server %s cannot be reached over TCP", p.server).
		WithHint("check that it runs, that server in the publisher is its address and port, and that no firewall is between")
}
