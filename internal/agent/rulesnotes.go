package agent

// Note is a stable word for something about a message that was signed all the same. Like the reasons, none is ever reused.
type Note string

const (
	NoteAlsoMissing   Note = "also_missing"   // a further signature of a rule was left out: not assigned, not allowed, no key
	NoteStreamUnknown Note = "stream_unknown" // the stream that was named has no assignment; the default stream signed
	NoteStreamKept    Note = "stream_kept"    // the MTA does not let the field be removed that names the stream
)

// note counts what is worth knowing about a message that was signed.
func (m *outgoing) note() {
	c := m.agent.counters
	if m.choice.alsoMissing > 0 {
		c.note(NoteAlsoMissing)
		m.log.Warn("a further signature was left out", "queue_id", m.queueID(), "rule", m.choice.rule)
	}
	if m.choice.streamUnknown {
		c.note(NoteStreamUnknown)
		m.log.Warn("signed on the default stream, because the one that was named has no assignment", "queue_id", m.queueID(), "domain", m.choice.domain)
	}
	if m.set.stream.remove && !m.seen.strip && len(m.seen.stream) > 0 {
		c.note(NoteStreamKept)
	}
}

// refusal is what the sender is told whose message is refused for good (X.7.1: delivery not authorized, RFC 3463).
func (m *outgoing) refusal() string {
	switch m.reason {
	case ReasonEnvelopeMismatch:
		return "5.7.1 The domain in From (" + m.choice.domain + ") is not that of the envelope sender"
	case ReasonLoginMismatch:
		return "5.7.1 The domain in From (" + m.choice.domain + ") is not that of the login"
	}
	return "5.7.1 This login may not send mail with From in " + m.choice.domain
}

// notes are all that are counted.
var notes = [...]Note{NoteAlsoMissing, NoteStreamUnknown, NoteStreamKept}
