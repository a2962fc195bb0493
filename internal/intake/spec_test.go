package intake

import (
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

func TestParseMailbox(t *testing.T) {
	m, err := ParseMailbox("imaps://reports%40example.org@imap.example.org/INBOX%2FDMARC?password=file:/etc/p&done=Done&unread=Odd&poll=1m&ca=/ca.pem", secretOf)
	if err != nil {
		t.Fatal(err)
	}
	want := Mailbox{Address: "imap.example.org:993", Encryption: ImplicitTLS, User: "reports@example.org", Password: password("file:/etc/p"), Name: "INBOX/DMARC", Done: "Done", Unread: "Odd", Poll: time.Minute, Roots: "/ca.pem"}
	if m != want {
		t.Errorf("%+v", m)
	}
	m, err = ParseMailbox("imap://ann@[::1]:1143?password=file:/etc/p", secretOf)
	if err != nil || m.Address != "[::1]:1143" || m.Encryption != StartTLS || m.Name != "INBOX" || m.Done != "Postseal" || m.Unread != "Postseal-unread" || m.Poll != defaultMailboxPoll {
		t.Errorf("%+v, %v", m, err)
	}
	if _, err := ParseMailbox("imap+insecure://ann@127.0.0.1/?password=file:/etc/p", secretOf); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{
		"", "INBOX", "pop3://ann@host/?password=file:/p", "imaps://ann:very-secret@host/?password=file:/p", "imaps://ann:very-secret%@host", "imaps://host/?password=file:/p", "imaps://ann@/?password=file:/p",
		"imaps://ann@host/", "imaps://ann@host/?password=very-secret", "imaps://ann@host/?password=file:/p&colour=red", "imaps://ann@host/?password=file:/p&password=file:/q",
		"imaps://ann@host/?password=file:/p&poll=1s", "imaps://ann@host/?password=file:/p&poll=soon", "imaps://ann@host/?password=file:/p&poll=1000h", "imap+insecure://ann@imap.example.org/?password=file:/p",
		"imaps://ann@host/Postseal?password=file:/p", "imaps://ann@host/?password=file:/p;x=%zz",
	} {
		_, err := ParseMailbox(bad, secretOf)
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
	}.Config(secretOf)
	if err != nil || c.SMTP.Name != "reports.example.org" || c.SMTP.PerPeer != defaultPerPeer || len(c.Mailboxes) != 3 || len(c.Folders) != 2 {
		t.Errorf("%+v, %v", c, err)
	}
	if c, err := (Settings{}).Config(secretOf); err != nil || c.SMTP.Listen != "" {
		t.Errorf("%+v, %v", c, err)
	}
	for _, bad := range []Settings{
		{Listen: ":25"}, {Name: "reports.example.org"}, {Listen: ":25", Name: "a.example", Certificate: "/c"}, {Folders: []string{"folder:/a", "maildir:/a/"}},
		{Mailboxes: []string{"imaps://a@host/?password=file:/p", "imaps://a@host:993/INBOX?password=file:/q"}}, {Mailboxes: []string{"x"}}, {Folders: []string{"x"}},
	} {
		if _, err := bad.Config(secretOf); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}
