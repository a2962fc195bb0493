package mtalog

import (
	"strings"
	"time"

	"github.com/postseal/postseal/internal/fault"
)

// Kind is whose log it is.
type Kind string

// The kinds of logs that are understood.
const (
	Postfix Kind = "postfix" // of a syslog daemon or of postlogd, one instance or several
	Exim    Kind = "exim"    // the main log
)

// Kinds are all of them.
func Kinds() []Kind { return []Kind{Postfix, Exim} }

// Refusal is one delivery that a receiver refused because of authentication. All of its text is short, printable and a stranger's.
type Refusal struct {
	At        time.Time // of the line
	Queue     string    // the MTA's id of the message
	Envelope  string    // domain of the envelope sender, lower case as it was written; "" when there is none, or it is not known
	Author    string    // domain of the author where the receiver names it; "" = it does not
	Host      string    // that refused, lower case; an address when it has no name
	Receiver  string    // who runs it as people know them, else the domain of its name
	Code      string    // enhanced status code (RFC 3463), else the reply's three digits
	Cause     Cause
	Text      string // the reply without its codes
	Permanent bool   // bounced; else the MTA tries again
}

// Domain is the domain that the refusal is about: the author's, else that of the envelope sender.
func (r Refusal) Domain() string {
	if r.Author != "" {
		return r.Author
	}
	return r.Envelope
}

// Parser reads the lines of one log in their order. It is for one goroutine.
type Parser struct {
	entry   func(e Entry) (Refusal, bool)
	line    func(line []byte, now time.Time) (Refusal, bool)
	zone    *time.Location
	senders *senders
}

// NewParser makes a parser; zone is that of times that have none, the machine's own. fault.Invalid: there is no such kind.
func NewParser(kind Kind, zone *time.Location) (*Parser, error) {
	p := &Parser{zone: zone, senders: newSenders()}
	switch kind {
	case Postfix:
		p.line, p.entry = p.postfix, p.postfixEntry
	case Exim:
		p.line, p.entry = p.exim, p.eximEntry
	default:
		return nil, fault.New(fault.Invalid, "%.40q is no kind of log", kind).WithHint("write postfix or exim")
	}
	return p, nil
}

// Line reads one line. ok says that it tells of a refusal because of authentication. now is for times without a year. The line may be anything.
func (p *Parser) Line(line []byte, now time.Time) (r Refusal, ok bool) { return p.line(line, now) }

// Entry reads one entry of the journal. ok says that it tells of a refusal because of authentication. The entry may be anything.
func (p *Parser) Entry(e Entry) (r Refusal, ok bool) { return p.entry(e) }

// refusal completes what a line says by what its reply says; ok is false when it is about something else.
func (p *Parser) refusal(r Refusal, host, recipient, said string) (Refusal, bool) {
	reply := readReply(said)
	if reply.status < 400 || reply.status > 599 {
		return r, false
	}
	r.Host = hostOf(host)
	r.Receiver = receiver(r.Host)
	lower := strings.ToLower(reply.text)
	cause, ok := causeOf(r.Receiver, reply, lower)
	if !ok {
		return r, false
	}
	r.Cause, r.Code = cause, reply.shownCode()
	r.Author = author(lower)
	r.Text = shown(reply.text)
	if r.Receiver == "" { // no name, as through a private network
		r.Receiver = receiver(domainOf(recipient))
	}
	return r, true
}
