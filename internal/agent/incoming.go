package agent

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/authres"
	"github.com/postseal/postseal/internal/mailauth"
	"github.com/postseal/postseal/internal/milter"
	"github.com/postseal/postseal/internal/resolver"
)

// sender is what the SMTP session says of who sends.
type sender struct {
	client netip.Addr // invalid when unknown
	helo   string
	from   string // MAIL FROM without its brackets
}

// incoming is one message of others on its way through a listener that verifies.
type incoming struct {
	agent  *Agent
	log    *slog.Logger
	set    *settings
	sender sender
	spaced bool // header values come with the blank after the colon
	light  bool // over the limit of messages: it is not verified

	id       string // our authserv-id
	verifier *dkim.Verifier
	dns      *timedResolver
	raw      []byte   // scratch for one field
	from     []string // at most two From fields
	begins   []string // b= of the signatures, the first octets
	results  int      // Authentication-Results fields so far
	forged   []int    // which of them claim to be ours
	tags     int      // fields of our tag's name
	lost     int      // fields that could not be looked at
	looked   bool     // the header is over

	queueID string
	hashing time.Duration // the body
	judging time.Duration // all that follows the end of the message
}

func newIncoming(a *Agent, log *slog.Logger, set *settings, who sender, s *milter.Session, v *dkim.Verifier, dns *timedResolver) *incoming {
	m := &incoming{agent: a, log: log, set: set, sender: who, spaced: s.SpaceKept(), verifier: v, dns: dns, light: a.slots.Add(1) > int64(set.MaxMessages)}
	if m.id = set.verify.id; m.id == "" {
		m.id = set.verify.hostname
		if name, err := resolver.ToASCII(s.Macro(macroHost)); err == nil && name != "." {
			m.id = name
		}
	}
	return m
}

// maxForged bounds the fields of our own names that are taken out of one message: for each of them an MTA goes through the whole header.
// Honest mail has none; what has more is refused, because what is left would be believed in our place.
const maxForged = 100

// header takes one field as the MTA passed it.
func (m *incoming) header(name, value []byte) {
	switch {
	case equalFold(name, authres.Name):
		m.results++
		if m.ours(authres.ID(string(value))) && len(m.forged) <= maxForged {
			m.forged = append(m.forged, m.results)
		}
	case equalFold(name, tagField):
		m.tags++
	case len(m.from) < 2 && equalFold(name, "From"):
		m.from = append(m.from, string(value[:min(len(value), mailauth.MaxFrom+1)]))
	}
	if m.light {
		return
	}
	m.raw = m.appendAsSent(m.raw[:0], name, value)
	if err := m.verifier.Header(m.raw); err == nil && len(m.begins) < dkim.MaxSignatures && equalFold(name, "DKIM-Signature") {
		m.begins = append(m.begins, signatureBegin(value))
	}
}

// ours reports whether an authserv-id is ours.
func (m *incoming) ours(id string) bool {
	if id == "" {
		return false
	}
	if ascii, err := resolver.ToASCII(id); err == nil {
		id = ascii
	}
	if authres.SameID(id, m.id) {
		return true
	}
	for _, other := range m.set.verify.remove {
		if authres.SameID(id, other) {
			return true
		}
	}
	return false
}

// appendAsSent appends a field as it was sent: the blank after the colon back in its place, CRLF at the folds. What else it holds
// is left as it is: it is for the signature to say whether that is what was signed.
func (m *incoming) appendAsSent(dst, name, value []byte) []byte {
	dst = append(append(dst, name...), ':')
	if !m.spaced {
		dst = append(dst, ' ')
	}
	for {
		i := bytes.IndexByte(value, '\n')
		if i < 0 {
			return append(append(dst, value...), '\r', '\n')
		}
		dst = append(dst, value[:i]...)
		if i == 0 || value[i-1] != '\r' {
			dst = append(dst, '\r')
		}
		dst = append(dst, '\n')
		value = value[i+1:]
	}
}

// maxBegin is how much of b= is kept to tell signatures apart; real ones differ long before.
const maxBegin = 64

// signatureBegin finds the first octets of b= in the value of a signature field.
func signatureBegin(value []byte) string {
	for tag := range bytes.SplitSeq(value, []byte(";")) {
		name, text, ok := bytes.Cut(tag, []byte("="))
		if !ok || string(bytes.TrimSpace(name)) != "b" {
			continue
		}
		out := make([]byte, 0, maxBegin)
		for _, c := range text {
			if c > ' ' && c < 0x7f && len(out) < maxBegin {
				out = append(out, c)
			}
		}
		return string(out)
	}
	return ""
}

func (m *incoming) fault(milter.FieldFault) { m.lost++ }

func (m *incoming) endOfHeaders(s *milter.Session) milter.Reply {
	m.queueID, m.looked = s.Macro(macroQueueID), true
	if !m.light {
		m.verifier.EndOfHeaders()
	}
	return milter.Continue
}

func (m *incoming) body(piece []byte) milter.Reply {
	if m.light || len(m.begins) == 0 {
		return milter.SkipBody
	}
	start := m.agent.now()
	m.verifier.Body(piece)
	m.hashing += m.agent.now().Sub(start)
	return milter.Continue
}

// endOfMessage asks what has to be asked, and says what came of it.
func (m *incoming) endOfMessage(s *milter.Session) milter.Reply {
	if id := s.Macro(macroQueueID); id != "" {
		m.queueID = id
	}
	if !m.looked {
		m.endOfHeaders(s)
	}
	v := verdict{overload: m.light}
	if !m.light {
		ctx, cancel := context.WithTimeout(context.Background(), m.set.verify.timeout)
		defer cancel()
		v = m.judge(ctx)
	}
	v.decide(&m.set.verify)
	return m.answer(s, &v)
}

// answer makes the message say what was found, and does what is wanted of it.
func (m *incoming) answer(s *milter.Session, v *verdict) milter.Reply {
	c := &m.agent.counters.verdicts
	if m.tooManyForged() {
		c.add("field", "too_many_forged")
		m.log.Warn("refused: too many fields claim to be ours", "queue_id", m.queueID)
		return milter.Refuse(550, tooManyForgedText)
	}
	if err := m.clear(s); err != nil {
		// On top of it a reader of the first field still finds the truth.
		m.log.Error("a forged field cannot be removed", "queue_id", m.queueID, "error", err)
		c.add("field", "forged_stays")
	}
	if v.action == actQuarantine {
		if err := s.Quarantine("postseal: " + v.because); err != nil {
			c.add("action", "quarantine_refused")
			v.action = actTag
		}
	}
	if v.action != actReject && v.action != actTempfail && !v.overload {
		if err := m.insert(s, v); err != nil {
			m.log.Error("the MTA does not let a field be added", "queue_id", m.queueID, "error", err)
			c.add("field", "not_added")
		}
	}
	m.count(v)
	m.report(v)
	switch v.action {
	case actReject:
		return milter.Refuse(550, v.refusal())
	case actTempfail:
		return milter.Refuse(451, v.refusal())
	}
	return milter.Accept
}

const tooManyForgedText = "5.7.1 Too many Authentication-Results fields claim to be written by this server"

// tooManyForged reports whether more claims to be ours than is taken out.
func (m *incoming) tooManyForged() bool {
	return len(m.forged) > maxForged || m.tags > maxForged || m.lost > 0 && m.results+m.lost > maxForged
}

// clear removes what claims to be ours. A field that could not be looked at may have been one of them, and then the others are not where
// they were counted: so all of that name go.
func (m *incoming) clear(s *milter.Session) error {
	c := &m.agent.counters.verdicts
	forged := m.forged
	if m.lost > 0 {
		c.add("field", "unreadable")
		forged = nil
		for i := range m.results + m.lost {
			forged = append(forged, i+1)
		}
	}
	for i := len(forged) - 1; i >= 0; i-- { // Postfix counts anew after each
		if err := s.DeleteHeader(forged[i], authres.Name); err != nil {
			return err
		}
		c.add("field", "forged_removed")
	}
	for i := m.tags; i > 0; i-- {
		if err := s.DeleteHeader(i, tagField); err != nil {
			return err
		}
		c.add("field", "tag_removed")
	}
	return nil
}

// insert puts the verdict on top of the message.
func (m *incoming) insert(s *milter.Session, v *verdict) error {
	text := v.field(m.id).String()
	if v.action == actTag {
		if err := s.InsertHeader(0, tagField, m.value(" "+v.because)); err != nil {
			return err
		}
	}
	return s.InsertHeader(0, authres.Name, m.value(text))
}

// value is a field's value as the MTA wants it.
func (m *incoming) value(text string) string {
	if !m.spaced {
		return strings.TrimPrefix(text, " ")
	}
	return text
}

// broken ends the message after a mistake of ours: it is delivered as it is.
func (m *incoming) broken() milter.Reply {
	m.agent.counters.verdicts.add("trouble", "internal")
	return milter.Accept
}

func (m *incoming) done() { m.agent.slots.Add(-1) }
