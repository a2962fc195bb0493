package ticket

import (
	"bytes"
	"io"
	"net/mail"
	"strings"
	"testing"

	"mime/quotedprintable"

	"github.com/postseal/postseal/internal/fault"
)

func TestMail(t *testing.T) {
	v := view(t, "", everything()...)
	raw, err := Mail(v, Envelope{From: "Mail Team <postmaster@example.com>", ID: "a1b2"})
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "all.mail", strings.ReplaceAll(string(raw), "\r\n", "\n"))
	for _, line := range bytes.Split(raw, []byte("\r\n")) {
		if len(line) > 78 || bytes.ContainsAny(line, "\r\n") {
			t.Errorf("a line of %d octets: %q", len(line), line)
		}
	}
	m, err := mail.ReadMessage(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(quotedprintable.NewReader(m.Body))
	if err != nil || strings.ReplaceAll(string(body), "\r\n", "\n") != Text(v) {
		t.Errorf("the text does not arrive as it is: %v", err)
	}
	to, err := m.Header.AddressList("To")
	if err != nil || len(to) != 1 || to[0].Address != "dns-team@example.com" || to[0].Name != "DNS-Team" {
		t.Errorf("to %v, %v", to, err)
	}
	if date, err := m.Header.Date(); err != nil || !date.Equal(v.Now) {
		t.Errorf("date %v, %v", date, err)
	}
	for field, want := range map[string]string{
		"Message-Id": "<a1b2.ticket-3.1795426200@example.com>", "References": "<ticket-3.1795426200@example.com>", "Content-Type": "text/plain; charset=utf-8",
	} {
		if got := m.Header.Get(field); got != want {
			t.Errorf("%s: %q, want %q", field, got, want)
		}
	}
}

func TestMailAddresses(t *testing.T) {
	v := view(t, "", everything()[0])
	if raw, err := Mail(v, Envelope{To: "ann@example.com, Bob <bob@example.com>", ID: "x"}); err != nil || !bytes.Contains(raw, []byte("<ann@example.com>, \"Bob\" <bob@example.com>")) || bytes.Contains(raw, []byte("\r\nFrom:")) {
		t.Errorf("%s %v", raw, err)
	}
	raw, err := Mail(v, Envelope{To: "Ünal <u@bücher.example>", From: "ops@bücher.example", ID: "x"})
	head, _, _ := bytes.Cut(raw, []byte("\r\n\r\n"))
	if err != nil || !bytes.Contains(head, []byte("<u@xn--bcher-kva.example>")) || !bytes.Contains(head, []byte("<ops@xn--bcher-kva.example>")) || bytes.ContainsFunc(head, func(r rune) bool { return r > '~' }) {
		t.Errorf("%s %v", head, err)
	}
	if _, err := Mail(v, Envelope{To: "ü@bücher.example", ID: "x"}); fault.CodeOf(err) != fault.Invalid || !strings.Contains(err.Error(), "before the @") {
		t.Errorf("a local part beyond ASCII: %v", err)
	}
	for _, e := range []Envelope{{To: "the people of the second floor"}, {To: "ann@example.com\r\nBcc: eve@example.net"}, {From: "a@example.com, b@example.com"}, {From: "nobody"},
		{To: strings.Repeat("a@example.com, ", 60) + "b@example.com"}} {
		if raw, err := Mail(v, e); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%+v made %s, %v", e, raw, err)
		}
	}
	v.Contact = "the people of the second floor"
	_, err = Mail(v, Envelope{})
	if _, hint := fault.Show(err); fault.CodeOf(err) != fault.Invalid || !strings.Contains(hint, "--to") {
		t.Errorf("%v, %q", err, hint)
	}
}
