package mtalog

import (
	"bytes"
	"time"
)

// postfix reads
//
//	… postfix/qmgr[17]: 9AE729C42D4: from=<ann@example.org>, size=274, nrcpt=1 (queue active)
//	… postfix/smtp[18]: 9AE729C42D4: to=<bob@example.net>, relay=mx.example.net[192.0.2.1]:25, …, dsn=5.7.26, status=bounced (host mx.example.net[192.0.2.1] said: 550-5.7.26 … (in reply to end of DATA command))
func (p *Parser) postfix(line []byte, now time.Time) (r Refusal, ok bool) {
	if !ofInterest(line) {
		return r, false
	}
	at, rest, ok := p.stamp(line, now)
	if !ok {
		return r, false
	}
	_, rest, _ = bytes.Cut(rest, []byte(" ")) // the machine
	tag, rest, found := bytes.Cut(rest, []byte(": "))
	if !found {
		return r, false
	}
	name, _, found := bytes.Cut(tag, []byte("["))
	if !found || !bytes.HasSuffix(tag, []byte("]")) {
		return r, false
	}
	return p.postfixSaid(at, name, rest)
}

// ofInterest reports whether a text may tell of a sender or a delivery: most do not.
func ofInterest(text []byte) bool {
	return isDelivery(text) || bytes.Contains(text, []byte(": from=<"))
}

func isDelivery(text []byte) bool {
	return bytes.Contains(text, []byte(", status=bounced (")) || bytes.Contains(text, []byte(", status=deferred ("))
}

// postfixSaid reads what a program of Postfix said, without time and name.
func (p *Parser) postfixSaid(at time.Time, name, said []byte) (r Refusal, ok bool) {
	instance, daemon, found := program(name)
	if !found {
		return r, false
	}
	id, rest, found := bytes.Cut(said, []byte(": "))
	if !found || !isQueueID(id) {
		return r, false
	}
	key := p.senders.key(instance, id)
	if !isDelivery(said) {
		if from, found := bytes.CutPrefix(rest, []byte("from=<")); found && string(daemon) == "qmgr" {
			if address, _, found := bytes.Cut(from, []byte(">, size=")); found {
				p.senders.learn(key, address)
			}
		}
		return r, false
	}
	if string(daemon) != "smtp" && string(daemon) != "lmtp" {
		return r, false
	}
	recipient, rest, found := bytes.Cut(bytes.TrimPrefix(rest, []byte("to=<")), []byte(">, "))
	if !found {
		return r, false
	}
	head, said, found := bytes.Cut(rest, []byte(", status="))
	if !found {
		return r, false
	}
	if said, r.Permanent = bytes.CutPrefix(said, []byte("bounced (")); !r.Permanent {
		if said, found = bytes.CutPrefix(said, []byte("deferred (")); !found {
			return r, false
		}
	}
	host, said, found := postfixReply(said)
	if !found {
		return r, false
	}
	if _, relay, found := bytes.Cut(head, []byte("relay=")); found && len(host) == 0 {
		host = relay
	}
	r.At, r.Queue, r.Envelope = at, string(id), p.senders.of(key)
	return p.refusal(r, string(host), string(recipient), string(said))
}

// postfixReply finds the reply in "host NAME[ADDRESS] said: … (in reply to RCPT TO command))".
func postfixReply(said []byte) (host, reply []byte, ok bool) {
	for _, verb := range []string{" said: ", " refused to talk to me: "} {
		before, after, found := bytes.Cut(said, []byte(verb))
		if !found {
			continue
		}
		after = bytes.TrimSuffix(bytes.TrimSpace(after), []byte(")"))
		if at := bytes.LastIndex(after, []byte(" (in reply to ")); at >= 0 {
			after = after[:at]
		}
		return bytes.TrimPrefix(before, []byte("host ")), after, true
	}
	return nil, nil, false
}

// program takes a name apart: "postfix/smtp", "postfix-out/smtp", "postfix/relay/smtp" (syslog_name).
func program(name []byte) (instance, daemon []byte, ok bool) {
	first, last := bytes.IndexByte(name, '/'), bytes.LastIndexByte(name, '/')
	if first < 0 {
		return nil, nil, false
	}
	return name[:first], name[last+1:], true
}

// maxQueueID: long queue ids of Postfix have up to 20 octets, those of Exim 23.
const maxQueueID = 32

func isQueueID(id []byte) bool {
	if len(id) < 5 || len(id) > maxQueueID {
		return false
	}
	for _, c := range id {
		if !(c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c == '-') {
			return false
		}
	}
	return true
}
