package intake

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/fault"
)

func secretOf(spec string) (Secret, error) {
	if !strings.HasPrefix(spec, "file:/") {
		return nil, fault.New(fault.Invalid, "the credential does not say where it is")
	}
	return password(spec), nil
}

var secretsOf = Secrets{Password: secretOf, OAuth: func(user, spec string) (Tokens, error) {
	if _, err := secretOf(spec); err != nil {
		return nil, err
	}
	return heldToken(user + " " + spec), nil
}}

// heldToken is an access token that is always the same.
type heldToken string

func (t heldToken) Token(context.Context) (string, bool, error) { return string(t), true, nil }
func (heldToken) Forget()                                       {}
func (heldToken) String() string                                { return "env:TEST" }

func TestParseMailboxWithOAuth(t *testing.T) {
	m, err := ParseMailbox("imaps://dmarc%40example.org@outlook.office365.com/INBOX?oauth=file:/etc/o.json", secretsOf)
	if err != nil || m.Password != nil || m.OAuth != heldToken("dmarc@example.org file:/etc/o.json") {
		t.Errorf("%+v, %v", m, err)
	}
	for bad, want := range map[string]string{
		"imaps://ann@host/?oauth=file:/o&password=file:/p":   "mailbox at host: there is a password and a credential for OAuth, and only one of both is used",
		"imaps://ann@host/?oauth=very-secret":                "the credential does not say where it is",
		"imaps://ann@host/":                                  "mailbox at host: it is not said where the password is, or the credential for OAuth",
		"imaps://ann@host/?oauth=file:/o&oauth=file:/p":      `the setting "oauth" is there twice`,
		"imap+insecure://ann@imap.example.org/?oauth=file:/": "mailbox ann at imap.example.org:143: the password or token would be sent for everybody to read",
		"imaps://ann%01auth=x@host/?oauth=file:/o":           `the user "ann\x01auth=x" of a mailbox holds a control character`,
	} {
		if _, err := ParseMailbox(bad, secretsOf); fault.CodeOf(err) != fault.Invalid || err.Error() != want {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if _, err := New(Config{Mailboxes: []Mailbox{{Address: "host:993", Encryption: ImplicitTLS, User: "ann", Password: password("p"), OAuth: heldToken("t")}}}, newRig(t).needs); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("both: %v", err)
	}
}

func TestParseMailbox(t *testing.T) {
	m, err := ParseMailbox("imaps://reports%40example.org@imap.example.org/INBOX%2FDMARC?password=file:/etc/p&done=Done&unread=Odd&poll=1m&ca=/ca.pem", secretsOf)
	if err != nil {
		t.Fatal(err)
	}
	want := Mailbox{Address: "imap.example.org:993", Encryption: ImplicitTLS, User: "reports@example.org", Password: password("file:/etc/p"), Name: "INBOX/DMARC", Done: "Done", Unread: "Odd", Poll: time.Minute, Roots: "/ca.pem"}
	if m != want {
		t.Errorf("%+v", m)
	}
	m, err = ParseMailbox("imap://ann@[::1]:1143?password=file:/etc/p", secretsOf)
	if err != nil || m.Address != "[::1]:1143" || m.Encryption != StartTLS || m.Name != "INBOX" || m.Done != "Postseal" || m.Unread != "Postseal-unread" || m.Poll != defaultMailboxPoll {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := ParseMailbox("imap+insecure://ann@127.0.0.1/?password=file:/etc/p", secretsOf); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{
		"", "INBOX", "pop3://ann@host/?password=file:/p", "imaps://ann:very-secret@host/?password=file:/p", "imaps://ann:very-secret%@host", "imaps://host/?password=file:/p", "imaps://ann@/?password=file:/p",
		"imaps://ann@host/", "imaps://ann@host/?password=very-secret", "imaps://ann@host/?password=file:/p&colour=red", "imaps://ann@host/?password=file:/p&password=file:/q",
		"imaps://ann@host/?password=file:/p&poll=1s", "imaps://ann@host/?password=file:/p&poll=soon", "imaps://ann@host/?password=file:/p&poll=1000h", "imap+insecure://ann@imap.example.org/?password=file:/p",
		"imaps://ann@host/Postseal?password=file:/p", "imaps://ann@host/?password=file:/p;x=%zz",
	} {
		_, err := ParseMailbox(bad, secretsOf)
		if fault.CodeOf(err) != fault.Invalid || strings.Contains(err.Error(), "very-secret") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestParseFolder(t *testing.T) {
	f, err := ParseFolder("folder:/srv/a%20b?poll=1m&trust=no")
	if err != nil || f != (Folder{Kind: Files, Path: "/srv/a b", Poll: time.Minute, Doubted: true}) {
		t.Errorf("%+v, %v", f, err)
	}
	f, err = ParseFolder("maildir:/var/mail/reports/")
	if err != nil || f != (Folder{Kind: Maildir, Path: "/var/mail/reports", Poll: defaultFolderPoll}) {
		t.Errorf("%+v, %v", f, err)
	}
	for _, bad := range []string{"", "/srv", "folder:", "folder:srv", "mbox:/srv", "folder:/srv?trust=perhaps", "folder:/srv?x=y", "folder:/srv?poll=1ns", "folder:/srv%zz"} {
		if _, err := ParseFolder(bad); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestSMTPConfigIsChecked(t *testing.T) {
	r := newRig(t)
	taken := dialable(t)
	for name, c := range map[string]SMTP{
		"no name":        {Listen: "127.0.0.1:0"},
		"half of TLS":    {Listen: "127.0.0.1:0", Name: "r.example.org", Key: "/k"},
		"no certificate": {Listen: "127.0.0.1:0", Name: "r.example.org", Certificate: "/nowhere", Key: "/nowhere"},
		"in use":         {Listen: taken, Name: "r.example.org"},
	} {
		if _, err := New(Config{SMTP: c}, r.needs); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// dialable is an address at which something listens.
func dialable(t *testing.T) string {
	t.Helper()
	r := newRig(t)
	in, _ := r.start(smtpConfig())
	return in.Addr()
}

func TestSettings(t *testing.T) {
	c, err := Settings{
		Listen: ":25", Name: "Reports.example.org", Mailboxes: []string{"imaps://a@host/?password=file:/p", "imaps://a@host/Other?password=file:/p", "imaps://b@host/?password=file:/p"}, Folders: []string{"folder:/a", "maildir:/b"},
	}.Config(secretsOf)
	if err != nil || c.SMTP.Name != "reports.example.org" || c.SMTP.PerPeer != defaultPerPeer || len(c.Mailboxes) != 3 || len(c.Folders) != 2 {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := (Settings{}).Config(secretsOf); err != nil || c.SMTP.Listen != "" {
		t.Errorf("%+v, %v", c, err)
	}
	for _, bad := range []Settings{
		{Listen: ":25"}, {Name: "reports.example.org"}, {Listen: ":25", Name: "a.example", Certificate: "/c"}, {Folders: []string{"folder:/a", "maildir:/a/"}},
		{Mailboxes: []string{"imaps://a@host/?password=file:/p", "imaps://a@host:993/INBOX?password=file:/q"}}, {Mailboxes: []string{"x"}}, {Folders: []string{"x"}},
	} {
		if _, err := bad.Config(secretsOf); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
