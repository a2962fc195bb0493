package ticket

import (
	"bytes"
	"fmt"
	"io"
	"net/mail"
	"strings"
	"unicode/utf8"

	message "github.com/emersion/go-message/mail"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
)

// Envelope is what a mail needs besides its text.
type Envelope struct {
	From string // address, with or without a name; "" = whoever sends it on adds it
	To   string // addresses; "" = the ticket's contact
	ID   string // unique, letters and digits: for the Message-ID
}

// maxRecipients bounds the list of addresses.
const maxRecipients = 50

// Mail is the ticket as a message (RFC 5322), to be piped to a mail program: text/plain in UTF-8, quoted-printable, so that no relay cuts or reflows the
// values. All messages of a ticket are one conversation. fault.Invalid when there is no address to write to.
func Mail(v View, e Envelope) ([]byte, error) {
	to := e.To
	if to == "" {
		to = v.Contact
	}
	recipients, err := addresses(to)
	if fault.CodeOf(err) == fault.Invalid {
		return nil, err
	}
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "%q is not a mail address", to).WithHint("--to ADDRESS says whom to write to; a publisher's contact in fleet.yaml may be an address")
	}
	var h message.Header
	if e.From != "" {
		from, err := addresses(e.From)
		if fault.CodeOf(err) == fault.Invalid {
			return nil, err
		}
		if err != nil || len(from) != 1 {
			return nil, fault.New(fault.Invalid, "%q is not one mail address", e.From)
		}
		h.SetAddressList("From", from)
	}
	h.SetAddressList("To", recipients)
	h.SetSubject(Title(v))
	h.SetDate(v.Now.UTC())
	thread := fmt.Sprintf("ticket-%d.%d@%s", v.Ticket.Number, v.Ticket.Opened.Unix(), v.idDomain())
	h.SetMessageID(fmt.Sprintf("%s.%s", e.ID, thread))
	h.SetMsgIDList("References", []string{thread})
	h.Set("MIME-Version", "1.0")
	h.SetContentType("text/plain", map[string]string{"charset": "utf-8"})
	h.Set("Content-Transfer-Encoding", "quoted-printable")
	// RFC 3834 §5: no vacation notice answers what a program wrote.
	h.Set("Auto-Submitted", "auto-generated")
	var b bytes.Buffer
	w, err := message.CreateSingleInlineWriter(&b, h)
	if err != nil {
		return nil, fmt.Errorf("write the header of a mail: %w", err)
	}
	if _, err := io.WriteString(w, strings.ReplaceAll(Text(v), "\n", "\r\n")); err != nil {
		return nil, fmt.Errorf("write a mail: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("write a mail: %w", err)
	}
	return b.Bytes(), nil
}

func addresses(text string) ([]*message.Address, error) {
	list, err := mail.ParseAddressList(text)
	if err != nil {
		return nil, err
	}
	if len(list) > maxRecipients {
		return nil, fmt.Errorf("more than %d addresses", maxRecipients)
	}
	out := make([]*message.Address, len(list))
	for i, a := range list {
		address, err := plainAddress(a.Address)
		if err != nil {
			return nil, err
		}
		out[i] = &message.Address{Name: a.Name, Address: address}
	}
	return out, nil
}

// plainAddress is an address as a header without SMTPUTF8 has it: the domain in A-labels. What stands before the @ has no such form (RFC 6531).
func plainAddress(address string) (string, error) {
	at := strings.LastIndexByte(address, '@')
	local, domain := address[:at], address[at+1:]
	if !ascii(local) {
		return "", fault.New(fault.Invalid, "the mail address %q has letters beyond ASCII before the @, which many mail servers do not take (RFC 6531)", address).WithHint("name another address of the same person")
	}
	if ascii(domain) {
		return address, nil
	}
	name, err := inventory.DomainName(domain)
	if err != nil {
		return "", fault.New(fault.Invalid, "the mail address %q cannot be written to: its domain %v", address, err).WithHint("--to ADDRESS says whom to write to")
	}
	return local + "@" + name, nil
}

func ascii(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool { return r >= utf8.RuneSelf })
}

// idDomain is the right side of message ids: a domain of the ticket, which nobody else may use.
func (v View) idDomain() string {
	for _, i := range v.Ticket.Items {
		return i.Domain
	}
	return "localhost"
}
