package mtalog

import (
	"bytes"
	"time"
)

// Entry is what a journal keeps of one line. Its texts are a stranger's, as those of a file are, and are valid until the next one is read.
type Entry struct {
	Cursor  string    // where it lies
	At      time.Time // when it was said, by the kernel's clock and not by the text
	Program []byte    // who says so of itself (SYSLOG_IDENTIFIER): "postfix/smtp"
	Message []byte    // without time, machine and program

	dropped     bool   // not a line but journald's word that it did not take some
	unit, slice []byte // whose they were
	tooLong     bool   // Message was, and is left out
}

func (p *Parser) postfixEntry(e Entry) (r Refusal, ok bool) {
	if !ofInterest(e.Message) {
		return r, false
	}
	return p.postfixSaid(e.At, e.Program, e.Message)
}

func (p *Parser) eximEntry(e Entry) (r Refusal, ok bool) {
	if !bytes.HasPrefix(e.Program, []byte("exim")) || !hasFlag(e.Message) {
		return r, false
	}
	rest, whole := firstPiece(e.Message)
	if !whole {
		return r, false
	}
	if _, said, stamped := p.eximStamp(rest); stamped { // syslog_timestamp
		rest = said
	}
	return p.eximSaid(e.At, rest)
}
