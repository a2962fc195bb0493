package agent

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime/debug"

	milter "github.com/d--j/go-milter"
)

// What the milter asks of the MTA. Without replies to fields and chunks the MTA sends them in one go.
const (
	wantActions  = milter.OptAddHeader
	wantProtocol = milter.OptNoHelo | milter.OptNoRcptTo | milter.OptNoUnknown | milter.OptNoData | milter.OptNoConnReply |
		milter.OptNoHeaderReply | milter.OptNoBodyReply | milter.OptHeaderLeadingSpace | milter.OptSkip

	oldestProtocol = 2
)

// deferText is what a sender gets whose message cannot be signed now (X.7.5: cryptographic failure, RFC 3463).
const deferText = "4.7.5 The message cannot be signed at the moment, please try again later"

// negotiate takes what the MTA offers of what we want; what it lacks only costs time, or is made up for.
func negotiate(mtaVersion, ourVersion uint32, mtaActions, _ milter.OptAction, mtaProtocol, _ milter.OptProtocol, _ milter.DataSize) (uint32, milter.OptAction, milter.OptProtocol, milter.DataSize, error) {
	if mtaVersion < oldestProtocol {
		return 0, 0, 0, 0, fmt.Errorf("the MTA speaks version %d of the milter protocol", mtaVersion)
	}
	return min(mtaVersion, ourVersion), mtaActions & (wantActions | milter.OptSetMacros), mtaProtocol & wantProtocol, milter.DataSize64K, nil
}

// session is one connection of an MTA. Its methods are called one after the other.
type session struct {
	agent  *Agent
	socket *socket
	log    *slog.Logger

	client netip.Addr
	daemon string
	msg    *message // the message of ours under way, nil between messages and for other people's mail
}

var _ milter.Milter = (*session)(nil)

// guarded runs one step. A panic is our own trouble: it is logged with its place, and the message goes the way of all that cannot
// be signed.
func (s *session) guarded(step func() (*milter.Response, error)) (response *milter.Response, err error) {
	defer func() {
		p := recover()
		if p == nil {
			return
		}
		s.log.Error("panic in a milter session", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
		response, err = milter.RespAccept, nil
		msg := s.msg
		if msg == nil {
			return
		}
		defer func() {
			if recover() != nil { // even the way out is broken
				s.done()
			}
		}()
		msg.fail(ReasonInternal)
		response, err = s.unsigned(msg, nil)
	}()
	return step()
}

func (s *session) NewConnection(milter.Modifier) error {
	s.done()
	s.client, s.daemon = netip.Addr{}, ""
	return nil
}

func (s *session) Connect(_ string, _ string, _ uint16, addr string, m milter.Modifier) (*milter.Response, error) {
	s.client = netip.Addr{}
	if a, err := netip.ParseAddr(addr); err == nil {
		s.client = a.Unmap().WithZone("")
	}
	s.daemon = m.Get(milter.MacroDaemonName)
	return milter.RespContinue, nil
}

func (s *session) Helo(string, milter.Modifier) (*milter.Response, error) {
	return milter.RespContinue, nil
}

// MailFrom decides whether the message is ours. That of others is waved through without seeing it.
func (s *session) MailFrom(_ string, _ string, m milter.Modifier) (*milter.Response, error) {
	return s.guarded(func() (*milter.Response, error) {
		s.done()
		if s.daemon == "" {
			s.daemon = m.Get(milter.MacroDaemonName)
		}
		set := s.agent.settings.Load()
		e := envelope{outboundListener: s.socket.spec.Load().outbound, authenticated: m.Get(milter.MacroAuthAuthen) != "", daemonName: s.daemon, client: s.client}
		if !ours(set, e) {
			return milter.RespAccept, nil
		}
		s.msg = &message{set: set, spaced: m.Protocol()&milter.OptHeaderLeadingSpace != 0, light: s.agent.slots.Add(1) > int64(set.MaxMessages)}
		return milter.RespContinue, nil
	})
}

func (s *session) RcptTo(string, string, milter.Modifier) (*milter.Response, error) {
	return milter.RespContinue, nil
}

func (s *session) Data(milter.Modifier) (*milter.Response, error) { return milter.RespContinue, nil }

func (s *session) Unknown(string, milter.Modifier) (*milter.Response, error) {
	return milter.RespContinue, nil
}

func (s *session) Header(name, value string, _ milter.Modifier) (*milter.Response, error) {
	return s.guarded(func() (*milter.Response, error) {
		if s.msg != nil {
			s.msg.header(name, value)
		}
		return milter.RespContinue, nil
	})
}

func (s *session) Headers(m milter.Modifier) (*milter.Response, error) {
	return s.guarded(func() (*milter.Response, error) {
		msg := s.msg
		if msg == nil {
			return milter.RespAccept, nil
		}
		msg.queueID = m.Get(milter.MacroQueueId)
		err := msg.endOfHeaders(s.agent)
		if msg.reason == signed && m.Actions()&milter.OptAddHeader == 0 {
			msg.fail(ReasonMTARefused)
		}
		if msg.reason == signed {
			return milter.RespContinue, nil
		}
		return s.unsigned(msg, err)
	})
}

func (s *session) BodyChunk(chunk []byte, m milter.Modifier) (*milter.Response, error) {
	return s.guarded(func() (*milter.Response, error) {
		if s.msg != nil {
			s.msg.bodyChunk(chunk)
		}
		return milter.RespContinue, nil
	})
}

// EndOfMessage puts the signatures on top of the message.
func (s *session) EndOfMessage(m milter.Modifier) (*milter.Response, error) {
	return s.guarded(func() (*milter.Response, error) {
		msg := s.msg
		if msg == nil {
			return milter.RespAccept, nil
		}
		if id := m.Get(milter.MacroQueueId); id != "" {
			msg.queueID = id
		}
		if msg.table == nil { // an MTA without an event at end of headers
			if err := msg.endOfHeaders(s.agent); msg.reason != signed {
				return s.unsigned(msg, err)
			}
		}
		fields, err := msg.finish()
		if msg.reason != signed {
			return s.unsigned(msg, err)
		}
		// Each goes to the very top, so the last one goes first.
		for i := len(fields) - 1; i >= 0; i-- {
			name, value := headerOf(fields[i], msg.spaced)
			if err := m.InsertHeader(0, name, value); err != nil {
				msg.fail(ReasonMTARefused)
				_, _ = s.unsigned(msg, err)
				return nil, err
			}
		}
		s.settle(msg)
		return milter.RespAccept, nil
	})
}

func (s *session) Abort(milter.Modifier) error {
	s.done()
	return nil
}

func (s *session) Cleanup(milter.Modifier) {
	s.done()
	s.agent.open.Add(-1)
}

// unsigned ends a message of ours without a signature.
func (s *session) unsigned(msg *message, cause error) (*milter.Response, error) {
	deferred := msg.deferred()
	if cause != nil {
		s.log.Error("cannot sign", "queue_id", msg.queueID, "domain", msg.choice.domain, "error", cause)
	}
	s.settle(msg)
	if deferred {
		return milter.RejectWithCodeAndReason(451, deferText)
	}
	return milter.RespAccept, nil
}

// settle counts and logs what became of the message and lets go of it.
func (s *session) settle(msg *message) {
	attributes := []slog.Attr{slog.String("queue_id", msg.queueID), slog.String("domain", msg.choice.domain)}
	if msg.reason == signed {
		var selectors []string
		for _, k := range msg.choice.signing {
			s.agent.counters.signed(k.count)
			selectors = append(selectors, k.selector)
		}
		if msg.body.eightBit {
			s.agent.counters.warned.Add(1)
		}
		s.log.LogAttrs(context.Background(), slog.LevelInfo, "signed", append(attributes, slog.Any("selectors", selectors))...)
	} else {
		s.agent.counters.unsigned(msg.reason)
		level := slog.LevelWarn
		if msg.reason == ReasonNotAssigned {
			level = slog.LevelInfo // forwarded mail, bounces: nothing to mend
		}
		s.log.LogAttrs(context.Background(), level, "not signed", append(attributes, slog.String("reason", string(msg.reason)), slog.Bool("deferred", msg.deferred()))...)
	}
	s.done()
}

// done lets go of the message under way, if any.
func (s *session) done() {
	if s.msg == nil {
		return
	}
	if s.msg.table != nil {
		s.agent.tables.release(s.msg.table)
	}
	s.agent.slots.Add(-1)
	s.msg = nil
}
