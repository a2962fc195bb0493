package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	milter "github.com/d--j/go-milter"
)

// The SMTP clients that the milters are told of (RFC 5737): one whose mail is signed, and one that is nobody's own.
const (
	ownClient     = "192.0.2.7"
	foreignClient = "198.51.100.9"
)

// milterPatience bounds one read or write: a milter that hangs ends the run.
const milterPatience = 20 * time.Second

// milterClient is the MTA's end of one connection; it speaks as Postfix does.
type milterClient struct {
	client  *milter.Client
	session *milter.ClientSession
}

func dialMilter(socket, address string) (*milterClient, error) {
	macros := milter.NewMacroBag()
	macros.Set(milter.MacroQueueId, "4B3FQK1bench")
	c := &milterClient{client: milter.NewClient("unix", socket, milter.WithReadTimeout(milterPatience), milter.WithWriteTimeout(milterPatience))}
	var err error
	if c.session, err = c.client.Session(macros); err != nil {
		return nil, err
	}
	if _, err := c.session.Conn("client.example", milter.FamilyInet, 2525, address); err != nil {
		c.close()
		return nil, err
	}
	if _, err := c.session.Helo("client.example"); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

func (c *milterClient) close() { _ = c.session.Close() }

// field is a header field that a milter inserts: name, and value with its leading space and CRLF at the folds.
type field struct{ name, value string }

// send passes one message through the milter and returns what it inserts.
func (c *milterClient) send(m *message) ([]field, error) {
	s := c.session
	act, err := s.Mail("ann@"+m.domain, "") // it puts the brackets itself
	if err != nil {
		return nil, fmt.Errorf("MAIL: %w", err)
	}
	if act.Type == milter.ActionAccept { // wants to see no more of it
		return nil, s.Abort(nil)
	}
	if _, err := s.Rcpt("bob@receive.example", ""); err != nil {
		return nil, fmt.Errorf("RCPT: %w", err)
	}
	if _, err := s.DataStart(); err != nil {
		return nil, fmt.Errorf("DATA: %w", err)
	}
	leading := s.ProtocolOption(milter.OptHeaderLeadingSpace)
	for _, f := range m.header {
		name, value, _ := strings.Cut(f, ":")
		if !leading {
			value = strings.TrimPrefix(value, " ")
		}
		// Postfix passes LF at the folds.
		if _, err := s.HeaderField(name, strings.ReplaceAll(value, "\r\n", "\n"), nil); err != nil {
			return nil, fmt.Errorf("header: %w", err)
		}
	}
	if act, err = s.HeaderEnd(); err != nil {
		return nil, fmt.Errorf("end of header: %w", err)
	}
	if act.Type == milter.ActionAccept {
		return nil, s.Abort(nil)
	}
	chunks(m.body, func(b []byte) {
		if err == nil {
			_, err = s.BodyChunk(b)
		}
	})
	if err != nil {
		return nil, fmt.Errorf("body: %w", err)
	}
	changes, act, err := s.End()
	if err != nil {
		return nil, fmt.Errorf("end of message: %w", err)
	}
	if act.StopProcessing() {
		return nil, errors.New("the milter does not accept the message: " + act.SMTPReply)
	}
	var inserted []field
	for _, change := range changes {
		if change.Type != milter.ActionInsertHeader && change.Type != milter.ActionAddHeader {
			continue
		}
		value := change.HeaderValue
		if !leading {
			value = " " + value
		}
		inserted = append(inserted, field{change.HeaderName, strings.ReplaceAll(strings.ReplaceAll(value, "\r\n", "\n"), "\n", "\r\n")})
	}
	return inserted, nil
}

// signatureIn is the DKIM-Signature field among those inserted; nil when there is none.
func signatureIn(inserted []field) []byte {
	for _, f := range inserted {
		if strings.EqualFold(f.name, "DKIM-Signature") {
			return []byte(f.name + ":" + f.value + "\r\n")
		}
	}
	return nil
}
