package agent

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/milter"
)

// Limits of one message. What goes beyond is not signed and passes by the assignment's no_key.
const (
	maxHeaderBytes  = milter.MaxHeader // Postfix itself keeps 100 kB per field; reference/standards.md A15
	maxHeaderFields = 1000             // Postfix and its peers stop mail in loops at 50 to 100 Received fields
)

// outgoing is one message of ours on its way through the milter. It keeps the header block until its end, because the keys are
// known only when the last From field has been seen, and nothing of the body.
type outgoing struct {
	agent  *Agent
	log    *slog.Logger
	socket *socket
	set    *settings
	spaced bool // header values come with the blank after the colon
	light  bool // over the limit of messages: only From is kept

	block []byte // header fields as they will be sent, one after the other
	ends  []int  // end of each field in block
	subject
	lost   bool   // a field could not be looked at, and may have been the From field
	reason Reason // why it will not be signed; the first reason stands
	cause  error  // of reason, for the log

	queueID string
	table   *Table // held until done
	choice  choice
	signer  *dkim.Signer
	octets  bodyScan
}

// newOutgoing begins a message.
func newOutgoing(a *Agent, log *slog.Logger, on *socket, set *settings, e envelope, s *milter.Session) *outgoing {
	m := &outgoing{agent: a, log: log, socket: on, set: set, spaced: s.SpaceKept(), light: a.slots.Add(1) > int64(set.MaxMessages)}
	m.envelope = e
	m.seen.strip = set.stream.remove && s.Actions()&milter.ActChangeHeader != 0
	return m
}

// header takes one field as the MTA passed it.
func (m *outgoing) header(name, value []byte) {
	if len(m.author.from) < 2 && equalFold(name, "From") {
		// One octet too many makes it unparsable, which it is.
		m.author.from = append(m.author.from, string(value[:min(len(value), maxFrom+1)]))
	}
	if m.seen.field(m.set, name, value) || m.reason != signed || m.light {
		return
	}
	switch {
	case len(m.ends) == maxHeaderFields:
		m.fail(ReasonTooManyFields)
		return
	case len(m.block)+len(name)+len(value) > maxHeaderBytes:
		m.fail(ReasonHeaderTooLarge)
		return
	}
	block, reason := appendField(m.block, name, value, m.spaced, m.set.signLong)
	if reason == signed && len(block) > maxHeaderBytes { // folds take an octet more than the MTA passed
		reason = ReasonHeaderTooLarge
	}
	if reason != signed {
		m.fail(reason)
		return
	}
	m.block = block
	m.ends = append(m.ends, len(block))
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

// fail notes why the message cannot be signed and lets go of what was kept for it.
func (m *outgoing) fail(r Reason) {
	if m.reason == signed {
		m.reason = r
	}
	m.block, m.ends, m.signer = nil, nil, nil
}

// endOfHeaders chooses the keys and starts to sign.
func (m *outgoing) endOfHeaders(s *milter.Session) milter.Reply {
	m.queueID = s.Macro(macroQueueID)
	m.seen.atEnd(m.set, s)
	m.cause = m.start()
	if m.reason == signed && s.Actions()&milter.ActAddHeader == 0 {
		m.fail(ReasonMTARefused)
	}
	// To be rid of the field that names the stream it takes the end of the message.
	if m.reason == signed || m.seen.removed > 0 && !m.deferred() && !m.refused() {
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
	now := a.now()
	var signings []dkim.Signing
	for i, k := range m.choice.signing {
		key, err := a.keys.Signer(k.id)
		if err != nil {
			a.keyFailed(k.id, err)
			if i >= m.choice.primary {
				m.choice.leaveOut(k)
				continue
			}
			m.fail(ReasonKeyUnavailable)
			return fmt.Errorf("key %s: %w", k.id, err)
		}
		signings = append(signings, k.with(key, now))
	}
	signer, err := dkim.NewSigner(signings...)
	if err != nil {
		m.fail(ReasonSignFailed)
		return err
	}
	start := 0
	for _, end := range m.ends {
		if err := signer.Header(m.block[start:end]); err != nil {
			m.fail(ReasonHeaderSyntax)
			return err
		}
		start = end
	}
	m.signer, m.block, m.ends = signer, nil, nil
	m.octets.allowAny = m.set.signLong
	return nil
}

// body takes the next octets of the body.
func (m *outgoing) body(piece []byte) milter.Reply {
	if m.reason != signed || m.signer == nil {
		return milter.SkipBody
	}
	if r := m.octets.scan(piece); r != signed {
		m.fail(r)
		return milter.SkipBody
	}
	m.signer.Body(piece)
	return milter.Continue
}

// endOfMessage puts the signatures on top of the message.
func (m *outgoing) endOfMessage(s *milter.Session) milter.Reply {
	if id := s.Macro(macroQueueID); id != "" {
		m.queueID = id
	}
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
		name, value := headerOf(fields[i], m.spaced)
		if err := s.InsertHeader(0, name, value); err != nil {
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
	fields, err := m.signer.Finish()
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
		m.log.Error("cannot sign", "queue_id", m.queueID, "domain", m.choice.domain, "error", m.cause)
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
	attributes := []slog.Attr{slog.String("queue_id", m.queueID), slog.String("domain", m.choice.domain)}
	if m.choice.rule > 0 {
		attributes = append(attributes, slog.Int("rule", m.choice.rule))
	}
	if m.reason == signed {
		var selectors []string
		for _, k := range m.choice.signing {
			c.signed(k.count)
			selectors = append(selectors, k.selector)
		}
		if m.octets.eightBit {
			c.warned.Add(1)
			m.socket.warnEightBit(m.log, m.queueID)
		}
		m.note()
		m.log.LogAttrs(context.Background(), slog.LevelInfo, "signed", append(attributes, slog.Any("selectors", selectors))...)
		return
	}
	c.unsigned(m.reason)
	level := slog.LevelWarn
	switch m.reason {
	case ReasonNotAssigned, ReasonRule:
		level = slog.LevelInfo // forwarded mail, bounces: nothing to mend
	case ReasonLoginMismatch, ReasonLoginNotAllowed:
		attributes = append(attributes, slog.String("login", m.envelope.login))
	}
	if m.refused() {
		attributes = append(attributes, slog.Bool("refused", true))
	}
	m.log.LogAttrs(context.Background(), level, "not signed", append(attributes, slog.String("reason", string(m.reason)), slog.Bool("deferred", m.deferred()))...)
}

// done lets go of the table and of the place among the messages held at once.
func (m *outgoing) done() {
	if m.table != nil {
		m.agent.tables.release(m.table)
	}
	m.agent.slots.Add(-1)
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
