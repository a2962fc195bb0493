package agent

import (
	"strings"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/milter"
)

// Stream says what names the stream of a message of ours; a rule goes before the header field, and that before the macro.
type Stream struct {
	Header string `yaml:"header"` // name of the field
	Macro  string `yaml:"macro"`  // name of the macro
	Remove *bool  `yaml:"remove"` // take the field out before signing; true when it is not said
}

// streamSource is Stream, checked.
type streamSource struct {
	header string // lower case; "" = none
	name   string // of the header field as it was written
	macro  string
	remove bool
}

func compileStream(in Stream) (streamSource, error) {
	s := streamSource{header: strings.ToLower(in.Header), name: in.Header, macro: in.Macro, remove: in.Header != "" && (in.Remove == nil || *in.Remove)}
	if in.Header != "" {
		if !validFieldName([]byte(in.Header)) {
			return s, fault.New(fault.Invalid, "stream.header: %q is not the name of a header field", in.Header)
		}
		for _, name := range append(dkim.DefaultOversign(), "DKIM-Signature", "Received", "Return-Path", "Authentication-Results") {
			if strings.EqualFold(name, in.Header) {
				return s, fault.New(fault.Invalid, "stream.header: %s has another meaning", name).WithHint("use a field of your own, such as X-Stream")
			}
		}
	}
	if in.Macro != "" {
		if err := validMacro(in.Macro); err != nil {
			return s, fault.New(fault.Invalid, "stream.macro: %s", err)
		}
	}
	return s, nil
}

// streamName is a stream's name as assignments have it.
func streamName(text string) string { return strings.ToLower(strings.TrimSpace(text)) }

// stream is the stream that a message of ours is meant for; "" when nobody says. Two header fields contradict each other: that is a
// stream that nobody knows.
func (m *subject) stream(r *rule) string {
	switch {
	case r != nil && r.stream != "":
		return r.stream
	case len(m.seen.stream) > 1:
		return strings.Join(m.seen.stream, ", ")
	case len(m.seen.stream) == 1 && m.seen.stream[0] != "":
		return streamName(m.seen.stream[0])
	}
	return streamName(m.seen.streamed)
}

// removeStream takes the fields that name the stream out of the message, as they were left out of what was signed.
func (m *outgoing) removeStream(s *milter.Session) {
	for i := m.seen.removed; i > 0; i-- {
		if err := s.DeleteHeader(i, m.set.stream.name); err != nil {
			m.log.Error("the stream's field cannot be removed", "queue_id", m.queueID(), "error", err)
			return
		}
	}
}
