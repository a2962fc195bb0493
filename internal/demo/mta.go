package demo

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/d--j/go-milter"
	"github.com/emersion/go-smtp"
)

// Limits of the demo's mail servers.
const (
	maxMessage  = 1 << 20
	smtpTimeout = 20 * time.Second
)

// mta is a mail server: it takes mail by SMTP, shows it to its milter as an MTA does, applies what the milter asks for,
// and hands the result to the next hop by SMTP. Mail that the milter cannot be asked about goes out unsigned.
type mta struct {
	name     string
	address  string // that it sends from
	nextHop  string
	footer   atomic.Bool // something adds a footer after the message was signed
	milter   *milter.Client
	server   *smtp.Server
	listener net.Listener
	queue    atomic.Int64
	done     chan struct{}
}

// startMTA listens on a free loopback port. milterNetwork and milterAddr are where the agent listens.
func startMTA(name, address, milterNetwork, milterAddr, nextHop string) (*mta, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	m := &mta{name: name, address: address, nextHop: nextHop, listener: listener, done: make(chan struct{}),
		milter: milter.NewClient(milterNetwork, milterAddr, milter.WithActions(milter.OptAddHeader|milter.OptChangeHeader|milter.OptSetMacros), milter.WithReadTimeout(smtpTimeout))}
	m.server = newSMTP(name, smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &mtaSession{m: m}, nil }))
	go func() {
		defer close(m.done)
		_ = m.server.Serve(listener)
	}()
	return m, nil
}

func newSMTP(name string, backend smtp.Backend) *smtp.Server {
	s := smtp.NewServer(backend)
	s.Domain = name
	s.MaxMessageBytes = maxMessage
	s.ReadTimeout, s.WriteTimeout = smtpTimeout, smtpTimeout
	return s
}

func (m *mta) addr() string { return m.listener.Addr().String() }

func (m *mta) stop() {
	_ = m.server.Close()
	<-m.done
}

type mtaSession struct {
	m    *mta
	from string
	to   []string
}

func (s *mtaSession) Reset()        { s.from, s.to = "", nil }
func (s *mtaSession) Logout() error { return nil }

func (s *mtaSession) Mail(from string, _ *smtp.MailOptions) error {
	s.from = from
	return nil
}

func (s *mtaSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.to = append(s.to, to)
	return nil
}

func (s *mtaSession) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	id := fmt.Sprintf("%s-%d", strings.ToUpper(s.m.name), s.m.queue.Add(1))
	raw = append([]byte("Received: from client by "+s.m.name+" with ESMTP id "+id+"; "+time.Now().Format(time.RFC1123Z)+"\r\n"), raw...)
	signed, err := s.m.filter(id, s.from, s.to, raw)
	if err != nil {
		signed = raw // our own trouble never loses mail
	}
	if s.m.footer.Load() {
		signed = append(signed, "-- \r\nsent by the list\r\n"...)
	}
	return deliver(s.m.address, s.m.nextHop, s.from, s.to, signed)
}

// filter shows one message to the milter and returns it with the header fields that the milter inserted.
func (m *mta) filter(id, from string, to []string, raw []byte) ([]byte, error) {
	macros := milter.NewMacroBag()
	macros.Set(milter.MacroMTAFQDN, m.name)
	macros.Set(milter.MacroDaemonName, "submission")
	macros.Set(milter.MacroQueueId, id)
	session, err := m.milter.Session(macros)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	if err := firstError(
		func() error { return settle(session.Conn("localhost", milter.FamilyInet, 25, "127.0.0.1")) },
		func() error { return settle(session.Helo("localhost")) },
		func() error { return settle(session.Mail("<"+from+">", "")) },
		func() error { return settle(session.Rcpt("<"+to[0]+">", "")) },
		func() error { return settle(session.DataStart()) },
	); err != nil {
		return nil, err
	}
	head, body, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	for _, field := range splitFields(head) {
		name, value, _ := strings.Cut(field, ":")
		if err := settle(session.HeaderField(name, value, nil)); err != nil {
			return nil, err
		}
	}
	if err := settle(session.HeaderEnd()); err != nil {
		return nil, err
	}
	if len(body) == 0 { // the client library insists on a chunk before the end
		if err := settle(session.BodyChunk(nil)); err != nil {
			return nil, err
		}
	}
	changes, action, err := session.BodyReadFrom(bytes.NewReader(body))
	if err := settle(action, err); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	for _, c := range changes {
		if c.Type == milter.ActionInsertHeader && c.HeaderIndex <= 1 {
			fmt.Fprintf(&out, "%s:%s\r\n", c.HeaderName, strings.ReplaceAll(strings.ReplaceAll(c.HeaderValue, "\r\n", "\n"), "\n", "\r\n"))
		}
	}
	out.Write(raw)
	return out.Bytes(), nil
}

var errStopped = errors.New("the milter ended the message")

func settle(action *milter.Action, err error) error {
	if err == nil && action != nil && action.StopProcessing() {
		return errStopped
	}
	return err
}

func firstError(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// splitFields cuts a header into fields, folding kept.
func splitFields(head []byte) []string {
	var fields []string
	scanner := bufio.NewScanner(bytes.NewReader(head))
	scanner.Buffer(nil, maxMessage)
	for scanner.Scan() {
		line := strings.TrimSuffix(scanner.Text(), "\r")
		if len(fields) > 0 && (strings.HasPrefix(line, " ") || strings.HasPrefix(line, "\t")) {
			fields[len(fields)-1] += "\r\n" + line
			continue
		}
		fields = append(fields, line)
	}
	return fields
}

// deliver hands a message to an SMTP server. local is the address that it comes from, "" = any; systems that have only one loopback address use that.
func deliver(local, addr, from string, to []string, raw []byte) error {
	d := net.Dialer{Timeout: smtpTimeout}
	if local != "" {
		d.LocalAddr = &net.TCPAddr{IP: net.ParseIP(local)}
	}
	conn, err := d.Dial("tcp", addr)
	if err != nil && local != "" {
		conn, err = net.DialTimeout("tcp", addr, smtpTimeout)
	}
	if err != nil {
		return err
	}
	client := smtp.NewClient(conn)
	defer client.Close()
	if err := client.SendMail(from, to, bytes.NewReader(raw)); err != nil {
		return err
	}
	return client.Quit()
}
