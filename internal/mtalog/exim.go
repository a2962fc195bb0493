package mtalog

import (
	"bytes"
	"time"
)

// exim reads
//
//	2026-11-27 23:33:08 1xX5RE-0004A1-0w <= ann@example.org U=root P=local S=320
//	2026-11-27 23:33:08 1xX5RE-0004A1-0w ** bob@example.net R=r T=remote_smtp H=mx.example.net [192.0.2.1]: SMTP error from remote mail server after end of data: 550-5.7.26 …\n550 5.7.26 …
//	2026-11-27 23:33:08 1xX5RE-0004A1-0w == bob@example.net R=r T=remote_smtp defer (-46) H=mx.example.net [192.0.2.1]: SMTP error from remote mail server after …: 421 …
//
// with what log_selector adds to them, also where syslog has put its own time and name before.
func (p *Parser) exim(line []byte, now time.Time) (r Refusal, ok bool) {
	if !hasFlag(line) {
		return r, false
	}
	at, rest, ok := p.eximTime(line, now)
	if !ok {
		return r, false
	}
	return p.eximSaid(at, rest)
}

// hasFlag reports whether a text may be about an arrival or a delivery: most are not.
func hasFlag(text []byte) bool {
	return bytes.Contains(text, []byte(" ** ")) || bytes.Contains(text, []byte(" == ")) || bytes.Contains(text, []byte(" <= "))
}

// eximSaid reads what follows the time.
func (p *Parser) eximSaid(at time.Time, rest []byte) (r Refusal, ok bool) {
	if len(rest) > 0 && rest[0] == '[' { // log_selector = +pid
		_, rest, _ = bytes.Cut(rest, []byte(" "))
	}
	id, rest, _ := bytes.Cut(rest, []byte(" "))
	flag, rest, found := bytes.Cut(rest, []byte(" "))
	if !found || !isEximID(id) {
		return r, false
	}
	key := p.senders.key(nil, id)
	switch string(flag) {
	case "<=":
		address, _, _ := bytes.Cut(rest, []byte(" "))
		p.senders.learn(key, address)
		return r, false
	case "**":
		r.Permanent = true
	case "==":
	default:
		return r, false
	}
	head, said, found := bytes.Cut(rest, []byte("MTP error from remote mail server after ")) // SMTP or LMTP
	if !found {
		return r, false
	}
	if said, found = eximReply(said); !found {
		return r, false
	}
	recipient, _, _ := bytes.Cut(head, []byte(" "))
	r.At, r.Queue, r.Envelope = at, string(id), p.senders.of(key)
	if _, from, found := bytes.Cut(head, []byte(" F=<")); found { // log_selector = +sender_on_delivery
		from, _, _ = bytes.Cut(from, []byte("> "))
		r.Envelope = p.senders.domain(from)
	}
	host := []byte(nil)
	if at := bytes.LastIndex(head, []byte(" H=")); at >= 0 {
		host, _, _ = bytes.Cut(head[at+3:], []byte(" "))
	}
	return p.refusal(r, string(host), string(recipient), string(bytes.ReplaceAll(said, []byte(`\n`), []byte(" "))))
}

// eximTime reads the time of a line of the main log, or of syslog.
func (p *Parser) eximTime(line []byte, now time.Time) (at time.Time, rest []byte, ok bool) {
	if at, rest, ok = p.eximStamp(line); ok {
		return at, rest, true
	}
	if at, rest, ok = p.stamp(line, now); !ok {
		return at, nil, false
	}
	_, rest, _ = bytes.Cut(rest, []byte(" ")) // the machine
	tag, rest, found := bytes.Cut(rest, []byte(": "))
	if !found || !bytes.HasPrefix(tag, []byte("exim")) {
		return at, nil, false
	}
	if rest, ok = firstPiece(rest); !ok {
		return at, nil, false
	}
	if own, rest, ok := p.eximStamp(rest); ok { // syslog_timestamp
		return own, rest, true
	}
	return at, rest, true
}

// firstPiece takes "[1/2] " or "[1\2] " off the first piece of a line that Exim has cut for syslog, at 870 octets where it was built so. What a receiver says begins
// there; ok is false for the others, which begin anywhere in it.
func firstPiece(said []byte) (rest []byte, ok bool) {
	mark, rest, found := bytes.Cut(said, []byte("] "))
	if !found || len(mark) == 0 || mark[0] != '[' {
		return said, true
	}
	slash := bytes.IndexAny(mark, `/\`)
	if slash < 0 || !isNumber(mark[1:slash]) || !isNumber(mark[slash+1:]) {
		return said, true
	}
	return rest, string(mark[1:slash]) == "1"
}

func isNumber(text []byte) bool {
	return len(text) > 0 && !bytes.ContainsFunc(text, func(r rune) bool { return r < '0' || r > '9' })
}

// eximReply finds the reply behind the command that it answers: "RCPT TO:<bob@example.net>: 550 …".
func eximReply(after []byte) (reply []byte, ok bool) {
	for reply = after; ; {
		if _, reply, ok = bytes.Cut(reply, []byte(": ")); !ok {
			return nil, false
		}
		if len(reply) >= 3 && isDigit(reply[0]) && isDigit(reply[1]) && isDigit(reply[2]) {
			break
		}
	}
	if end := bytes.LastIndex(reply, []byte(" DT=")); end >= 0 && !bytes.Contains(reply[end+1:], []byte(" ")) { // log_selector = +deliver_time
		reply = reply[:end]
	}
	return reply, true
}

// isEximID reports whether a word is a message id: three parts of letters and digits, 6-6-2 of them, or 6-11-4 since Exim 4.97.
func isEximID(id []byte) bool {
	return (len(id) == 16 && id[6] == '-' && id[13] == '-' || len(id) == 23 && id[6] == '-' && id[18] == '-') && isQueueID(id)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }
