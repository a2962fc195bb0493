package agent

import (
	"fmt"
	"log/slog"
	"net/netip"
	"runtime/debug"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/milter"
)

// deferText is what a sender gets whose message cannot be signed now (X.7.5: cryptographic failure, RFC 3463).
const deferText = "4.7.5 The message cannot be signed at the moment, please try again later"

// The macros that decide what becomes of a message, as Postfix and Sendmail name them.
const (
	macroQueueID = "i"
	macroDaemon  = "{daemon_name}"
	macroLogin   = "{auth_authen}"
	macroHost    = "j"
)

// options are what is asked of the MTAs that connect to a listener. Without replies to fields and pieces of the body an MTA sends
// them in one go.
//
// Where everything is ours nothing is decided at MAIL, and what the end of the header shows can wait for the end of the message: an MTA
// that need not wait for these replies sends the whole message in one go.
func (s *settings) options(l *listenSpec) milter.Options {
	actions := milter.ActAddHeader
	if s.stream.remove {
		actions |= milter.ActChangeHeader
	}
	protocol := milter.NoHelo
	if l.outbound {
		protocol |= milter.NoMailReply | milter.NoEOHReply
	}
	connect := []string{macroDaemon}
	if l.verify {
		actions |= milter.ActChangeHeader
		if s.verify.quarantines {
			actions |= milter.ActQuarantine
		}
		protocol = milter.NoHeloReply
		connect = append(connect, macroHost)
	}
	return milter.Options{
		Actions: actions,
		Protocol: protocol | milter.NoRcpt | milter.NoUnknown | milter.NoData | milter.NoConnectReply |
			milter.NoHeaderReply | milter.NoBodyReply | milter.LeadingSpace | milter.Skip,
		Macros: map[milter.Stage][]string{
			milter.StageConnect: connect,
			milter.StageMail:    append([]string{macroLogin, macroQueueID}, s.macros...),
			milter.StageEOH:     append([]string{macroQueueID}, s.macros...),
			milter.StageEOM:     {macroQueueID},
		},
	}
}

// transaction is one message on its way through a session.
type transaction interface {
	header(name, value []byte)
	fault(milter.FieldFault)
	endOfHeaders(*milter.Session) milter.Reply
	body(piece []byte) milter.Reply
	endOfMessage(*milter.Session) milter.Reply
	// broken ends the message after a mistake of ours.
	broken() milter.Reply
	// done lets go of the message; it comes once, last.
	done()
}

// session is one connection of an MTA.
type session struct {
	agent  *Agent
	socket *socket
	log    *slog.Logger

	client netip.Addr
	daemon string
	helo   string      // on listeners that verify
	now    transaction // the message under way; nil between messages, and for mail that is nothing to us

	verifier *dkim.Verifier // of one message after the other; nil before the first
	dns      *timedResolver // the verifier's
}

var _ milter.Handler = (*session)(nil)

// guarded runs one step. A panic is our own trouble: it is logged with its place, and the message goes the way of all that cannot
// be dealt with.
func (s *session) guarded(step func() milter.Reply) (reply milter.Reply) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		s.log.Error("panic in a milter session", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		reply = milter.Accept
		if s.now == nil {
			return
		}
		defer func() {
			_ = recover() // even the way out is broken
			s.done()
		}()
		reply = s.now.broken()
	}()
	return step()
}

func (s *session) Connect(m *milter.Session, _ string, client netip.Addr) milter.Reply {
	s.done()
	s.client, s.daemon, s.helo = client, m.Macro(macroDaemon), ""
	return milter.Continue
}

func (s *session) Helo(_ *milter.Session, name string) milter.Reply {
	s.helo = name[:min(len(name), maxHelo)]
	return milter.Continue
}

// maxHelo is the longest HELO name that is kept: that of a domain (RFC 5321 §4.5.3.1.2).
const maxHelo = 255

// Mail decides whether the message is ours. That of others is waved through without seeing it.
func (s *session) Mail(m *milter.Session, from string) milter.Reply {
	return s.guarded(func() milter.Reply {
		s.done()
		if s.daemon == "" {
			s.daemon = m.Macro(macroDaemon)
		}
		set := s.agent.settings.Load()
		e := envelope{outboundListener: s.socket.spec.Load().outbound, login: m.Macro(macroLogin), daemonName: s.daemon, client: s.client, from: from}
		if len(set.Outbound.Macros) > 0 {
			e.ourMacro = set.ourMacro(m.Macro)
		}
		if !ours(set, e) {
			if !s.socket.spec.Load().verify || !set.verify.verifies(e.login, s.client) {
				return milter.Accept
			}
			if s.verifier == nil {
				s.dns = &timedResolver{MailResolver: s.agent.mail, now: s.agent.now}
				s.verifier = dkim.NewVerifier(dkim.VerifyOptions{Resolver: s.dns, Now: s.agent.now})
			}
			s.verifier.Reset()
			s.dns.spent = 0
			s.now = newIncoming(s.agent, s.log, set, sender{s.client, s.helo, from}, m, s.verifier, s.dns)
			return milter.Continue
		}
		s.now = newOutgoing(s.agent, s.log, s.socket, set, e, m)
		return milter.Continue
	})
}

func (s *session) Rcpt(*milter.Session, string) milter.Reply { return milter.Continue }

func (s *session) Header(_ *milter.Session, name, value []byte) {
	s.guarded(func() milter.Reply {
		if s.now != nil {
			s.now.header(name, value)
		}
		return milter.Continue
	})
}

func (s *session) Fault(_ *milter.Session, f milter.FieldFault) {
	if s.now != nil {
		s.now.fault(f)
	}
}

func (s *session) EndOfHeaders(m *milter.Session) milter.Reply {
	return s.guarded(func() milter.Reply {
		if s.now == nil {
			return milter.Accept
		}
		reply := s.now.endOfHeaders(m)
		if reply != milter.Continue {
			s.done()
		}
		return reply
	})
}

func (s *session) Body(_ *milter.Session, piece []byte) milter.Reply {
	return s.guarded(func() milter.Reply {
		if s.now == nil {
			return milter.SkipBody
		}
		return s.now.body(piece)
	})
}

func (s *session) EndOfMessage(m *milter.Session) milter.Reply {
	return s.guarded(func() milter.Reply {
		if s.now == nil {
			return milter.Accept
		}
		defer s.done()
		return s.now.endOfMessage(m)
	})
}

func (s *session) Abort(*milter.Session) { s.done() }

func (s *session) Close(*milter.Session) {
	s.done()
	s.agent.open.Add(-1)
}

// done lets go of the message under way, if any.
func (s *session) done() {
	if t := s.now; t != nil {
		s.now = nil
		t.done()
	}
}
