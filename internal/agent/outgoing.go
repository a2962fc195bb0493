package agent

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/mailauth"
	"github.com/postseal/postseal/internal/milter"
)

// Limits of one message. What goes beyond is not signed and passes by the assignment's no_key.
const (
	maxHeaderBytes  = milter.MaxHeader // Postfix itself keeps 100 kB per field; reference/standards.md A15
	maxHeaderFields = 1000             // Postfix and its peers stop mail in loops at 50 to 100 Received fields
)

// outgoing is one message of ours on its way through the milter. Its signer keeps the header block until the message's end, because the
// keys are known only when the last From field has been seen, and nothing of the body.
type outgoing struct {
	outgoingParts
	agent  *Agent
	log    *slog.Logger
	socket *socket
	mta    *milter.Session
	set    *settings
	light  bool // over the limit of messages: only From is kept

	octetsKept int // of header, in the signer
	fieldsKept int // header fields in the signer
	subject
	lost   bool   // a field could not be looked at, and may have been the From field
	reason Reason // why it will not be signed; the first reason stands
	cause  error  // of reason, for the log

	table  *Table // held until done
	choice choice
	octets bodyScan
	times  messageTimes
}

// outgoingParts is what one message leaves to the next.
type outgoingParts struct {
	signer   dkim.Signer
	field    []byte // one header field as it will be sent
	prepared []*dkim.Prepared
	from     [2]string
}

// keptParts is the most header that is left to the next message: few messages have more, and what rests between messages shall be small.
const keptParts = 32 << 10

// newOutgoing begins a message.
func newOutgoing(a *Agent, log *slog.Logger, on *socket, set *settings, e envelope, mta *milter.Session) *outgoing {
	m := a.outgoing.Get().(*outgoing)
	m.agent, m.log, m.socket, m.mta, m.set, m.light = a, log, on, mta, set, a.slots.Add(1) > int64(set.MaxMessages)
	m.author.from = m.from[:0]
	m.envelope = e
	m.seen.strip = set.stream.remove && mta.Actions()&milter.ActChangeHeader != 0
	return m
}

// header takes one field as the MTA passed it.
func (m *outgoing) header(name, value []byte) {
	if len(m.author.from) < 2 && equalFold(name, "From") {
		// One octet too many makes it unparsable, which it is.
		m.author.from = append(m.author.from, string(value[:min(len(value), mailauth.MaxFrom+1)]))
	}
	if m.seen.field(m.set, name, value) || m.reason != signed || m.light {
		return
	}
	switch {
	case m.fieldsKept == maxHeaderFields:
		m.fail(ReasonTooManyFields)
		return
	case m.octetsKept+len(name)+len(value) > maxHeaderBytes:
		m.fail(ReasonHeaderTooLarge)
		return
	}
	var reason Reason
	m.field, reason = appendField(m.field[:0], name, value, m.mta.SpaceKept(), m.set.signLong)
	if reason == signed && m.octetsKept+len(m.field) > maxHeaderBytes { // folds take an octet more than the MTA passed
		reason = ReasonHeaderTooLarge
	}
	if reason == signed && m.signer.Header(m.field) != nil {
		reason = ReasonHeaderSyntax
	}
	if reason != signed {
		m.fail(reason)
		return
	}
	m.octetsKept += len(m.field)
	m.fieldsKept++
}

// fault takes a field that cannot be looked at.
func (m *outgoing) fault(f milter.FieldFault) {
	m.lost = true
	if f == milter.FieldTooLarge {
		m.fail(ReasonHeaderTooLarge)
	} else {
		m.fail(ReasonHeaderSyntax)
	}
}

// fail notes why the message cannot be signed.
func (m *outgoing) fail(r Reason) {
	if m.reason == signed {
		m.reason = r
	}
}

// endOfHeaders chooses the keys and starts to sign.
func (m *outgoing) endOfHeaders(s *milter.Session) milter.Reply {
	m.seen.atEnd(m.set, s)
	m.cause = m.start()
	if m.reason == signed && s.Actions()&milter.ActAddHeader == 0 {
		m.fail(ReasonMTARefused)
	}
	// An MTA that does not wait for this reply gets it at the end of the message; and to be rid of the field that names the stream it
	// takes the end of the message.
	if m.reason == signed || s.Agreed(milter.NoEOHReply) || m.seen.removed > 0 && !m.deferred() && !m.refused() {
		return milter.Continue
	}
	return m.unsigned()
}

// start chooses the keys and starts to sign. It returns the cause for the log where there is one.
func (m *outgoing) start() error {
	a := m.agent
	if m.light {
		m.fail(ReasonOverload)
	}
	m.table = a.tables.acquire()
	m.choice = choose(m.set, m.table, &m.subject)
	switch m.choice.reason {
	case signed:
	case ReasonNoKey:
		m.fail(ReasonNoKey)
	case ReasonFromMissing:
		if m.lost {
			break
		}
		fallthrough
	default:
		// What is wrong with the author says more than what is wrong with some octets.
		m.reason = m.choice.reason
	}
	if m.reason != signed {
		m.fail(m.reason)
		return nil
	}
	m.prepared = m.prepared[:0]
	began := a.now()
	for i, k := range m.choice.signing {
		p, err := a.prepared(k)
		if err != nil {
			a.keyFailed(k.id(), err)
			if i >= m.choice.primary {
				m.choice.leaveOut(k)
				continue
			}
			m.fail(ReasonKeyUnavailable)
			return fmt.Errorf("key %s: %w", k.id(), err)
		}
		m.prepared = append(m.prepared, p)
	}
	now := a.now()
	m.times.lookup = now.Sub(began)
	m.signer.Use(now, m.prepared...)
	m.octets.allowAny = m.set.signLong
	return nil
}

// body takes the next octets of the body.
func (m *outgoing) body(piece []byte) milter.Reply {
	if m.reason != signed || m.table == nil {
		return milter.SkipBody
	}
	began := m.agent.now()
	if r := m.octets.scan(piece); r != signed {
		m.fail(r)
		return milter.SkipBody
	}
	m.signer.Body(piece)
	m.times.hash += m.agent.now().Sub(began)
	return milter.Continue
}

// endOfMessage puts the signatures on top of the message.
func (m *outgoing) endOfMessage(s *milter.Session) milter.Reply {
	if m.table == nil { // an MTA without an event at end of headers
		if r := m.endOfHeaders(s); r != milter.Continue {
			return r
		}
	}
	fields := m.finish()
	if !m.deferred() && !m.refused() {
		m.removeStream(s)
	}
	if m.reason != signed {
		return m.unsigned()
	}
	// Each goes to the very top, so the last one goes first.
	for i := len(fields) - 1; i >= 0; i-- {
		if err := s.InsertField(0, fields[i]); err != nil {
			m.fail(ReasonMTARefused)
			return m.unsigned()
		}
	}
	m.settle()
	return milter.Accept
}

// finish returns the signatures, the one for the top first; none when there is a reason against them.
func (m *outgoing) finish() [][]byte {
	if m.reason == signed {
		if r := m.octets.end(); r != signed {
			m.fail(r)
		}
	}
	if m.reason != signed {
		return nil
	}
	began := m.agent.now()
	fields, err := m.signer.Finish()
	m.times.sign = m.agent.now().Sub(began)
	if err != nil {
		m.fail(ReasonSignFailed)
		m.cause = err
		return nil
	}
	return fields
}

// deferred reports whether a message that was not signed is to come again later.
func (m *outgoing) deferred() bool {
	return m.reason != signed && m.choice.noKey == agentapi.NoKeyTempfail
}

// refused reports whether a message is not to come again.
func (m *outgoing) refused() bool { return m.choice.reject && m.reason == m.choice.reason }

// broken ends the message after a mistake of ours.
func (m *outgoing) broken() milter.Reply {
	m.fail(ReasonInternal)
	return m.unsigned()
}

// unsigned ends the message without a signature.
func (m *outgoing) unsigned() milter.Reply {
	if m.cause != nil {
		m.log.Error("cannot sign", "queue_id", m.queueID(), "domain", m.choice.domain, "error", m.cause)
	}
	m.settle()
	if m.refused() {
		return milter.Refuse(550, m.refusal())
	}
	if m.deferred() {
		return milter.Refuse(451, deferText)
	}
	return milter.Accept
}

// settle counts and logs what became of the message.
func (m *outgoing) settle() {
	c := m.agent.counters
	if m.reason == signed {
		for _, k := range m.choice.signing {
			c.signed(k)
		}
		if m.octets.eightBit {
			c.warned.Add(1)
			m.socket.warnEightBit(m.log, m.queueID())
		}
		m.note()
		c.times.add(m.times)
		if m.log.Enabled(context.Background(), slog.LevelInfo) {
			selectors := make([]string, 0, len(m.choice.signing))
			for _, k := range m.choice.signing {
				selectors = append(selectors, k.selector)
			}
			m.log.LogAttrs(context.Background(), slog.LevelInfo, "signed", append(m.attributes(), slog.Any("selectors", selectors))...)
		}
		return
	}
	c.unsigned(m.reason)
	level := slog.LevelWarn
	if m.reason == ReasonNotAssigned || m.reason == ReasonRule {
		level = slog.LevelInfo // forwarded mail, bounces: nothing to mend
	}
	if !m.log.Enabled(context.Background(), level) {
		return
	}
	attributes := m.attributes()
	if m.reason == ReasonLoginMismatch || m.reason == ReasonLoginNotAllowed {
		attributes = append(attributes, slog.String("login", m.envelope.login))
	}
	if m.refused() {
		attributes = append(attributes, slog.Bool("refused", true))
	}
	m.log.LogAttrs(context.Background(), level, "not signed", append(attributes, slog.String("reason", string(m.reason)), slog.Bool("deferred", m.deferred()))...)
}

// attributes name the message in the log.
func (m *outgoing) attributes() []slog.Attr {
	out := []slog.Attr{slog.String("queue_id", m.queueID()), slog.String("domain", m.choice.domain)}
	if m.choice.rule > 0 {
		out = append(out, slog.Int("rule", m.choice.rule))
	}
	return out
}

func (m *outgoing) queueID() string { return m.mta.Macro(macroQueueID) }

// done lets go of the table and of the place among the messages held at once, and leaves the parts to the next message.
func (m *outgoing) done() {
	a := m.agent
	if m.table != nil {
		a.tables.release(m.table)
	}
	a.slots.Add(-1)
	if m.octetsKept > keptParts || cap(m.field) > keptParts || m.reason == ReasonInternal {
		return
	}
	m.from = [2]string{}
	if m.signer.Reset() == nil {
		*m = outgoing{outgoingParts: m.outgoingParts}
		a.outgoing.Put(m)
	}
}

// equalFold compares field names; they are US-ASCII, and other letters that fold to it do not count.
func equalFold(a []byte, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		x, y := a[i], b[i]
		if 'A' <= x && x <= 'Z' {
			x |= 0x20
		}
		if 'A' <= y && y <= 'Z' {
			y |= 0x20
		}
		if x != y {
			return false
		}
	}
	return true
}
