package resolver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/miekg/dns"
)

// exchange asks one question at one address.
type exchange struct {
	timeout time.Duration
	tries   int
	dial    func(ctx context.Context, network, addr string) (net.Conn, error)
}

func newExchange(timeout time.Duration, tries int) exchange {
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	if tries <= 0 {
		tries = DefaultTries
	}
	return exchange{timeout: timeout, tries: tries, dial: (&net.Dialer{}).DialContext}
}

// question is what is asked: recursion desired or not, validation switched off or not.
type question struct {
	name    string
	qtype   uint16
	recurse bool
	noCheck bool
}

// reply is the message that came back.
type reply struct {
	msg       *dns.Msg
	truncated bool // UDP said TC, and TCP was used
	size      int  // octets
}

// trouble is an exchange without a usable reply; its detail goes into Answer.Detail.
type trouble struct {
	detail string
	err    error
}

func (t *trouble) Error() string {
	if t.err != nil {
		return fmt.Sprintf("%s: %v", t.detail, t.err)
	}
	return t.detail
}

func (t *trouble) Unwrap() error { return t.err }

// do asks over UDP, again when nothing comes, and over TCP when the reply was truncated. Every error is a *trouble. When
// truncation was seen, the reply says so even beside an error.
func (x exchange) do(ctx context.Context, addr string, q question) (reply, error) {
	r, err := x.edns(ctx, addr, q, true)
	if err == nil && refusesEDNS(r.msg) {
		return x.edns(ctx, addr, q, false)
	}
	return r, err
}

// refusesEDNS reports a server from before EDNS, to be asked once more without it (RFC 6891 §7).
func refusesEDNS(m *dns.Msg) bool {
	return (m.Rcode == dns.RcodeFormatError || m.Rcode == dns.RcodeNotImplemented) && m.IsEdns0() == nil
}

func (x exchange) edns(ctx context.Context, addr string, q question, edns bool) (reply, error) {
	var r reply
	var err error
	for range x.tries {
		r, err = x.once(ctx, "udp", addr, q, edns)
		var t *trouble
		if err == nil || ctx.Err() != nil || !errors.As(err, &t) || !worthRepeating(t.detail) {
			break
		}
	}
	if err != nil || !r.msg.Truncated {
		return r, err
	}
	r, err = x.once(ctx, "tcp", addr, q, edns)
	r.truncated = true
	var t *trouble
	if errors.As(err, &t) {
		err = &trouble{detail: "TCP after truncation: " + t.detail, err: t.err}
	}
	return r, err
}

// worthRepeating: what a lost or forged datagram looks like. Anything else the server has said for itself.
func worthRepeating(detail string) bool {
	return slices.Contains([]string{DetailTimeout, DetailMismatch, DetailMalformed}, detail)
}

// once makes one attempt. Over UDP it goes on listening past datagrams that are no reply to this question, since anyone may
// send those; what they were names the trouble when nothing better comes.
func (x exchange) once(ctx context.Context, network, addr string, q question, edns bool) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, x.timeout)
	defer cancel()
	raw, err := x.dial(ctx, network, addr)
	if err != nil {
		return reply{}, classify(ctx, err)
	}
	defer raw.Close()
	// Deadlines of the context and its cancellation both end a read this way.
	stop := context.AfterFunc(ctx, func() { raw.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	query := q.message(edns)
	conn := &dns.Conn{Conn: raw, UDPSize: udpBuffer}
	if err := conn.WriteMsg(query); err != nil {
		return reply{}, classify(ctx, err)
	}
	var stray *trouble
	for {
		b, err := conn.ReadMsgHeader(nil)
		if err != nil && !errors.Is(err, dns.ErrShortRead) {
			t := classify(ctx, err)
			if stray != nil && t.detail == DetailTimeout {
				t = stray
			}
			return reply{}, t
		}
		msg, t := accept(b, query)
		if t == nil {
			return reply{msg: msg, size: len(b)}, nil
		}
		if network == "tcp" {
			return reply{}, t
		}
		stray = t
	}
}

// accept decides whether the bytes are the reply to the query.
func accept(b []byte, query *dns.Msg) (*dns.Msg, *trouble) {
	msg := new(dns.Msg)
	if err := msg.Unpack(b); err != nil {
		return nil, &trouble{detail: DetailMalformed, err: err}
	}
	if !msg.Response || msg.Id != query.Id || msg.Opcode != dns.OpcodeQuery {
		return nil, &trouble{detail: DetailMismatch}
	}
	// A server that could not read the question may leave it out.
	if len(msg.Question) == 0 && msg.Rcode != dns.RcodeSuccess && msg.Rcode != dns.RcodeNameError {
		return msg, nil
	}
	want := query.Question[0]
	if len(msg.Question) != 1 || canonical(msg.Question[0].Name) != canonical(want.Name) ||
		msg.Question[0].Qtype != want.Qtype || msg.Question[0].Qclass != want.Qclass {
		return nil, &trouble{detail: DetailMismatch}
	}
	return msg, nil
}

// message builds the query. The AD bit asks for the AD bit (RFC 6840 §5.7) without the signatures that DO would bring.
func (q question) message(edns bool) *dns.Msg {
	m := new(dns.Msg)
	m.SetQuestion(dns.Fqdn(q.name), q.qtype)
	m.RecursionDesired = q.recurse
	m.AuthenticatedData = q.recurse
	m.CheckingDisabled = q.noCheck
	if edns {
		m.SetEdns0(udpSize, false)
	}
	return m
}

// classify names the trouble behind an error of package net.
func classify(ctx context.Context, err error) *trouble {
	var netErr net.Error
	switch {
	case ctx.Err() != nil, errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return &trouble{detail: DetailTimeout, err: err}
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EAFNOSUPPORT):
		return &trouble{detail: DetailNoRoute, err: err}
	}
	return &trouble{detail: DetailUnreachable, err: err}
}
