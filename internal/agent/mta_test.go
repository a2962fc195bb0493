package agent

import (
	"bytes"
	"fmt"
	"net"
	"strings"
	"testing"

	milter "github.com/d--j/go-milter"
)

// mail is a message as an MTA has it: CRLF line ends, header and body.
type mail struct {
	header []string // fields with folding, without the final CRLF
	body   string
}

func (m mail) raw() string { return strings.Join(m.header, "\r\n") + "\r\n\r\n" + m.body }

// simpleMail is mail that nothing is wrong with.
func simpleMail(from, text string) mail {
	return mail{
		header: []string{"From: " + from, "To: someone@example.net", "Subject: a folded\r\n\tsubject", "Date: Thu, 12 Nov 2026 10:00:00 +0000", "Message-ID: <1@example.org>", "MIME-Version: 1.0"},
		body:   text,
	}
}

// mta is the MTA's end of one milter connection; it speaks as Postfix does.
type mta struct {
	t       testing.TB
	sender  string // of the messages to come; "" for none
	client  *milter.Client
	session *milter.ClientSession
	macros  *milter.MacroBag
}

type mtaOptions struct {
	daemon, auth, client string
	macros               map[string]string // others
	options              []milter.Option
}

func dialMTA(t testing.TB, a *Agent, listener int, o mtaOptions) *mta {
	t.Helper()
	addr := a.Addrs()[listener]
	macros := milter.NewMacroBag()
	macros.Set(milter.MacroQueueId, "4B3FQK1test")
	if o.daemon != "" {
		macros.Set(milter.MacroDaemonName, o.daemon)
	}
	if o.auth != "" {
		macros.Set(milter.MacroAuthAuthen, o.auth)
	}
	for name, value := range o.macros {
		macros.Set(milter.MacroName(name), value)
	}
	c := milter.NewClient(addr.Network(), addr.String(), append([]milter.Option{milter.WithOfferedMaxData(milter.DataSize64K)}, o.options...)...)
	s, err := c.Session(macros)
	if err != nil {
		t.Fatal(err)
	}
	m := &mta{t: t, sender: "sender@example.org", client: c, session: s, macros: macros}
	t.Cleanup(func() { _ = s.Close() })
	if o.client == "" {
		o.client = "192.0.2.7"
	}
	family := milter.FamilyInet
	if strings.Contains(o.client, ":") {
		family = milter.FamilyInet6
	}
	if _, err := s.Conn("client.example", family, 2525, o.client); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Helo("client.example"); err != nil {
		t.Fatal(err)
	}
	return m
}

// outcome is what the MTA does with a message after the milter.
type outcome struct {
	raw    string // what it sends on
	seen   bool   // the milter wanted the content
	status string // reply to the SMTP client when it is not accepted
	held   string // why it is in quarantine
}

// send passes one message through the milter, the body in chunks of the given size.
func (m *mta) send(msg mail, chunk int) outcome {
	m.t.Helper()
	o, err := m.trySend(msg, chunk)
	if err != nil {
		m.t.Fatal(err)
	}
	return o
}

// abandon begins a message and gives it up: after MAIL (0), after the fields (1) or in the body (2).
func (m *mta) abandon(sender string, stage int, fields ...string) {
	m.t.Helper()
	step := func(_ *milter.Action, err error) {
		m.t.Helper()
		if err != nil {
			m.t.Fatal(err)
		}
	}
	step(m.session.Mail(sender, ""))
	if stage > 0 {
		step(m.session.Rcpt("<bob@example.org>", ""))
		step(m.session.DataStart())
		for _, f := range fields {
			name, value, _ := strings.Cut(f, ":")
			step(m.session.HeaderField(name, value, nil))
		}
	}
	if stage > 1 {
		step(m.session.HeaderEnd())
		step(m.session.BodyChunk([]byte("half")))
	}
	step(nil, m.session.Abort(nil))
}

func (m *mta) trySend(msg mail, chunk int) (outcome, error) {
	act, err := m.session.Mail(m.sender, "")
	if err != nil {
		return outcome{}, fmt.Errorf("MAIL: %w", err)
	}
	if act.Type == milter.ActionAccept {
		return outcome{raw: msg.raw()}, m.session.Abort(nil)
	}
	if _, err := m.session.Rcpt("<someone@example.net>", ""); err != nil {
		return outcome{}, fmt.Errorf("RCPT: %w", err)
	}
	if _, err := m.session.DataStart(); err != nil {
		return outcome{}, fmt.Errorf("DATA: %w", err)
	}
	for _, f := range msg.header {
		name, value, _ := strings.Cut(f, ":")
		if !m.session.ProtocolOption(milter.OptHeaderLeadingSpace) {
			value = strings.TrimPrefix(value, " ")
		}
		// Postfix passes LF at the folds.
		if _, err := m.session.HeaderField(name, strings.ReplaceAll(value, "\r\n", "\n"), nil); err != nil {
			return outcome{}, fmt.Errorf("header: %w", err)
		}
	}
	act, err = m.session.HeaderEnd()
	if err != nil {
		return outcome{}, fmt.Errorf("end of headers: %w", err)
	}
	if act.Type == milter.ActionAccept || act.StopProcessing() {
		o := outcome{raw: msg.raw(), seen: true}
		if act.StopProcessing() {
			o.raw, o.status = "", act.SMTPReply
		}
		return o, m.session.Abort(nil)
	}
	if chunk <= 0 {
		chunk = 65535
	}
	for first, body := true, []byte(msg.body); first || len(body) > 0; first, body = false, body[min(chunk, len(body)):] {
		if _, err := m.session.BodyChunk(body[:min(chunk, len(body))]); err != nil {
			return outcome{}, fmt.Errorf("body: %w", err)
		}
	}
	changes, act, err := m.session.End()
	if err != nil {
		return outcome{}, fmt.Errorf("end of message: %w", err)
	}
	o := outcome{seen: true}
	if act.StopProcessing() {
		o.status = act.SMTPReply
		return o, nil
	}
	var top bytes.Buffer
	header := msg.header
	for _, c := range changes {
		if c.Type == milter.ActionChangeHeader && c.HeaderValue == "" {
			header = withoutField(header, c.HeaderName, int(c.HeaderIndex))
			continue
		}
		if c.Type == milter.ActionQuarantine {
			o.held = c.Reason
			continue
		}
		if c.Type != milter.ActionInsertHeader || c.HeaderIndex != 0 {
			return outcome{}, fmt.Errorf("the milter wants %v", c)
		}
		value := c.HeaderValue
		if !m.session.ProtocolOption(milter.OptHeaderLeadingSpace) {
			value = " " + value
		}
		header = append([]string{c.HeaderName + ":" + strings.ReplaceAll(value, "\n", "\r\n")}, header...)
	}
	top.WriteString(mail{header, msg.body}.raw())
	o.raw = top.String()
	return o, nil
}

// withoutField takes the index-th field of a name out, counted from 1, as Postfix does.
func withoutField(header []string, name string, index int) (out []string) {
	for _, f := range header {
		if n, _, _ := strings.Cut(f, ":"); strings.EqualFold(n, name) {
			if index--; index == 0 {
				continue
			}
		}
		out = append(out, f)
	}
	return out
}

// tryDial connects and hangs up.
func tryDial(addr net.Addr) (bool, error) {
	conn, err := net.Dial(addr.Network(), addr.String())
	if err != nil {
		return false, err
	}
	return true, conn.Close()
}
