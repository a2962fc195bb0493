package intake

import (
	"errors"
	"io"

	"github.com/emersion/go-smtp"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/report"
)

// smtpSession is the conversation with one client.
type smtpSession struct {
	s    *smtpServer
	c    *smtpConn
	helo string
	tls  bool
	from string
	to   []recipient
}

func (s *smtpServer) session(c *smtp.Conn) (smtp.Session, error) {
	conn, err := connOf(c)
	if err != nil {
		return nil, err
	}
	_, secure := c.TLSConnectionState()
	return &smtpSession{s: s, c: conn, helo: c.Hostname(), tls: secure}, nil
}

// Reset implements smtp.Session. It is called behind the reply to a mail, too.
func (x *smtpSession) Reset() {
	x.from, x.to = "", nil
	x.c.end()
}

// Logout implements smtp.Session.
func (x *smtpSession) Logout() error { return nil }

// Mail implements smtp.Session.
func (x *smtpSession) Mail(from string, _ *smtp.MailOptions) error {
	if !x.c.another() {
		return reply(421, smtp.EnhancedCode{4, 7, 0}, "That is enough for one connection; open another one")
	}
	x.from, x.to = from, nil
	return nil
}

// Rcpt takes report and probe addresses, and no others.
func (x *smtpSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	address, ok := normalAddress(to)
	var purpose Purpose
	if ok {
		var err error
		if purpose, err = x.s.in.needs.Book.Recipient(x.s.work, address); err != nil {
			x.s.p.trouble(err)
			x.s.p.count(func(c *Counts) { c.Deferred++ })
			return reply(451, smtp.EnhancedCode{4, 3, 0}, "It cannot be told now whether there is such an address; try again later")
		}
	}
	if purpose.Kind == NoAddress || purpose.Kind == ForProbes && x.s.in.needs.Prober == nil {
		x.s.p.count(func(c *Counts) { c.Refused++ })
		if !x.c.refuse() {
			return reply(421, smtp.EnhancedCode{4, 7, 0}, "Too many unknown addresses; goodbye")
		}
		return reply(550, smtp.EnhancedCode{5, 1, 1}, "There is no such address: this server takes DMARC and TLS reports for domains that it knows, and nothing else")
	}
	x.to = append(x.to, recipient{address, purpose})
	return nil
}

// Data takes the mail. It returns without an error when it is stored.
func (x *smtpSession) Data(r io.Reader) error {
	x.s.taking.Add(1)
	defer x.s.taking.Done()
	x.c.begin() // until Reset, because what is left of a mail that is not taken is still read
	octets, done, err := x.s.in.room.read(r)
	if err != nil {
		return x.unreceived(err)
	}
	defer done()
	i := &input{
		way: report.BySMTP, place: x.c.peer.String(), octets: octets, mail: octets, at: x.s.in.now(),
		envelope: &envelope{peer: x.c.peer, helo: x.helo, from: x.from, tls: x.tls, to: x.to},
	}
	if _, err := x.s.in.take(x.s.work, x.s.p, i); err != nil {
		message, hint := fault.Show(err)
		switch {
		case never(err):
			return reply(554, smtp.EnhancedCode{5, 6, 0}, oneLine(message))
		case fault.CodeOf(err) != fault.Unavailable: // what happened inside is for our log
			x.s.in.log.Error("a report could not be stored", "peer", x.c.peer, "error", err)
			return reply(451, smtp.EnhancedCode{4, 3, 0}, "It could not be stored; try again later")
		}
		if hint == "" {
			hint = "try again later"
		}
		return reply(451, smtp.EnhancedCode{4, 3, 0}, oneLine(message+"; "+hint))
	}
	return nil
}

// unreceived is the reply to a mail that did not come in as a whole.
func (x *smtpSession) unreceived(err error) error {
	var known *smtp.SMTPError
	switch {
	case errors.Is(err, errNoRoom):
		x.s.p.count(func(c *Counts) { c.Deferred++ })
		return reply(452, smtp.EnhancedCode{4, 3, 1}, "Too much is arriving at once; try again later")
	case errors.Is(err, errTooLarge), errors.Is(err, smtp.ErrDataTooLarge):
		x.s.p.count(func(c *Counts) { c.Refused++ })
		return smtp.ErrDataTooLarge
	case errors.Is(err, smtp.ErrTooLongLine):
		x.s.p.count(func(c *Counts) { c.Refused++ })
		return reply(554, smtp.EnhancedCode{5, 6, 0}, "A line is too long")
	case errors.As(err, &known):
		return known
	}
	return reply(451, smtp.EnhancedCode{4, 4, 2}, "The mail broke off")
}

func reply(code int, enhanced smtp.EnhancedCode, text string) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: enhanced, Message: text}
}
