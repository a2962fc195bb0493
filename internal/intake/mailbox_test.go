package intake

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/report"
)

// Messages are taken and moved, those that come later at once (IDLE), in each way of protecting the connection.
func TestMailbox(t *testing.T) {
	d := startDovecot(t, "")
	for _, c := range []struct {
		encryption Encryption
		address    string
	}{{ImplicitTLS, d.tls}, {StartTLS, d.plain}, {NoTLS, d.plain}} {
		t.Run(string(c.encryption), func(t *testing.T) {
			r := newRig(t)
			user := "user-" + strings.ReplaceAll(string(c.encryption), "+", "-")
			client := d.client(user)
			good := r.signed(letter("reports@example.org", "one.xml", aReport(t, "1", 2)))
			d.appendMail(client, good)
			d.appendMail(client, []byte("From: a@stranger.example\r\nSubject: hello\r\n\r\nno report\r\n"))
			box := d.mailbox(user)
			box.Encryption, box.Address, box.Poll = c.encryption, c.address, time.Hour // so only IDLE tells
			in, stop := r.start(Config{Mailboxes: []Mailbox{box}})
			await(t, "both are moved", func() bool { return d.count(client, "Postseal") == 1 && d.count(client, "Postseal-unread") == 1 })
			got := r.shelf.kept()
			if len(got) != 2 || !bytes.Equal(got[0].Octets, good) {
				t.Fatalf("%d arrivals", len(got))
			}
			want := "dmarc=pass header.from=reporter.example; dkim=pass header.d=reporter.example header.s=s1"
			if a := got[0]; a.Way != report.ByIMAP || a.Trust != report.Verified || a.Verdict != want || a.Sender != "reporter.example" || fmt.Sprint(a.To) != "[reports@example.org]" ||
				!strings.Contains(a.Place, user) || strings.Contains(a.Place, imapPassword) {
				t.Errorf("%+v", a)
			}
			d.appendMail(client, r.signed(letter("reports@example.org", "two.xml", aReport(t, "2", 2))))
			await(t, "the new one is moved", func() bool { return d.count(client, "Postseal") == 2 })
			if n := d.count(client, "INBOX"); n != 0 {
				t.Errorf("%d are left", n)
			}
			s := in.Status()[0]
			if !s.Up || s.Counts.Stored != 3 || s.Counts.Unread != 1 || s.Counts.Verified != 2 || s.Counts.Connections != 1 || s.Error != "" {
				t.Errorf("%+v", s)
			}
			stop()
			if in.Status()[0].Up {
				t.Error("it says that it is up")
			}
		})
	}
}

// A message stays where it is until it is stored, whatever happens in between; and nothing is stored twice.
func TestMailboxLosesNothing(t *testing.T) {
	d := startDovecot(t, "")
	r := newRig(t)
	r.needs.Log = nil
	client := d.client("ann")
	const n = 2*mailboxBatch + 7
	for i := range n {
		d.appendMail(client, r.signed(letter("reports@example.org", fmt.Sprintf("%d.xml", i), aReport(t, fmt.Sprint(i), 1))))
	}
	cfg := Config{Mailboxes: []Mailbox{d.mailbox("ann")}}
	// The storage is away.
	r.shelf.fail(-1, errDown)
	in, stop := r.start(cfg)
	await(t, "it was tried", func() bool { return r.shelf.asked() > 0 })
	await(t, "the trouble is told", func() bool { return strings.Contains(in.Status()[0].Error, "the database is away") })
	if d.count(client, "INBOX") != n || d.count(client, "Postseal") > 0 {
		t.Errorf("messages were moved that are not stored")
	}
	stop()
	r.shelf.fail(0, nil)
	// The process ends at every tenth message.
	for len(r.shelf.kept()) < n {
		ctx, cancel := context.WithCancel(t.Context())
		before := len(r.shelf.kept())
		r.shelf.entered = func() {
			if len(r.shelf.kept()) >= before+10 {
				cancel()
			}
		}
		again, err := New(cfg, r.needs)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() { done <- again.Run(ctx) }()
		await(t, "some are stored, or none is left", func() bool { return len(r.shelf.kept()) > before && ctx.Err() != nil || len(r.shelf.kept()) == n })
		cancel()
		<-done
	}
	r.shelf.entered = nil
	r.start(cfg)
	await(t, "all are moved", func() bool { return d.count(client, "Postseal") == n })
	if got := len(r.shelf.kept()); got != n || d.count(client, "INBOX") != 0 {
		t.Errorf("%d are stored", got)
	}
	t.Logf("%d messages, asked %d times", n, r.shelf.asked())
}

// The server goes away and comes back; in between the mailbox got another UIDVALIDITY.
func TestMailboxSurvivesTheServer(t *testing.T) {
	d := startDovecot(t, "")
	r := newRig(t)
	r.needs.Log = nil
	d.appendMail(d.client("ann"), r.signed(letter("reports@example.org", "1.xml", aReport(t, "1", 1))))
	in, err := New(Config{Mailboxes: []Mailbox{d.mailbox("ann")}}, r.needs)
	if err != nil {
		t.Fatal(err)
	}
	box := in.ways[0].(*mailbox)
	box.wait.first = 50 * time.Millisecond
	// What it remembers is of other messages that had these numbers.
	box.validity, box.taken, box.later = 12345, map[imap.UID]outcome{1: stored}, map[imap.UID]time.Time{1: time.Now().Add(time.Hour), 2: time.Now().Add(time.Hour)}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- in.Run(ctx) }()
	defer func() { cancel(); <-done }()
	await(t, "the first is stored", func() bool { return len(r.shelf.kept()) == 1 })
	before := in.Status()[0].Counts.Connections
	d.stop()
	await(t, "it is told", func() bool { s := in.Status()[0]; return !s.Up && s.Error != "" })
	// The index is lost with its numbers, as when a server is restored.
	for _, name := range []string{"dovecot-uidlist", "dovecot.index", "dovecot.index.log", "dovecot.index.cache", "dovecot-uidvalidity"} {
		_ = os.Remove(filepath.Join(d.maildir("ann"), name))
	}
	d.start()
	d.appendMail(d.client("ann"), r.signed(letter("reports@example.org", "2.xml", aReport(t, "2", 1))))
	await(t, "the second is stored", func() bool { return len(r.shelf.kept()) == 2 })
	if s := in.Status()[0]; s.Counts.Connections <= before {
		t.Errorf("%+v", s)
	}
}

// Where all mailboxes hang below INBOX, and the server can neither move nor idle.
func TestMailboxOfAPoorServer(t *testing.T) {
	d := startDovecot(t, "imap_capability = IMAP4rev1 NAMESPACE UIDPLUS\nnamespace inbox {\n  inbox = yes\n  separator = .\n  prefix = INBOX.\n}\n")
	r := newRig(t)
	client := d.client("ann")
	d.appendMail(client, r.signed(letter("reports@example.org", "1.xml", aReport(t, "1", 1))))
	in, err := New(Config{Mailboxes: []Mailbox{d.mailbox("ann")}}, r.needs)
	if err != nil {
		t.Fatal(err)
	}
	in.ways[0].(*mailbox).cfg.Poll = 100 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- in.Run(ctx) }()
	defer func() { cancel(); <-done }()
	await(t, "it is moved", func() bool { return d.count(client, "INBOX.Postseal") == 1 && d.count(client, "INBOX") == 0 })
	d.appendMail(client, []byte("From: a@stranger.example\r\nSubject: hello\r\n\r\nno report\r\n"))
	await(t, "it is found without IDLE", func() bool { return d.count(client, "INBOX.Postseal-unread") == 1 && d.count(client, "INBOX") == 0 })
}

// What cannot be moved is stored once and not asked for again.
func TestMailboxThatMayNotBeChanged(t *testing.T) {
	d := startDovecot(t, "mail_plugins = acl\nprotocol imap {\n  mail_plugins = acl imap_acl\n}\nplugin {\n  acl = vfile\n}\n")
	r := newRig(t)
	r.needs.Log = nil
	client := d.client("ann")
	if err := client.Create("Postseal", nil).Wait(); err != nil {
		t.Fatal(err)
	}
	if err := client.SetACL("Postseal", "ann", imap.RightModificationReplace, imap.RightSet("lr")).Wait(); err != nil {
		t.Fatal(err)
	}
	d.appendMail(client, r.signed(letter("reports@example.org", "1.xml", aReport(t, "1", 1))))
	in, err := New(Config{Mailboxes: []Mailbox{d.mailbox("ann")}}, r.needs)
	if err != nil {
		t.Fatal(err)
	}
	in.ways[0].(*mailbox).wait.first = 20 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- in.Run(ctx) }()
	defer func() { cancel(); <-done }()
	await(t, "it was tried again", func() bool { return in.Status()[0].Counts.Connections > 3 })
	if s := in.Status()[0]; !strings.Contains(s.Error, "cannot be moved to Postseal") {
		t.Errorf("%+v", s)
	}
	if r.shelf.asked() != 1 || d.count(client, "INBOX") != 1 {
		t.Errorf("stored %d times", r.shelf.asked())
	}
}

func TestMailboxNoLogin(t *testing.T) {
	d := startDovecot(t, "")
	cert := t.TempDir()
	certificateFiles(t, cert, 9)
	for name, c := range map[string]struct {
		change func(*Mailbox)
		want   string
	}{
		"wrong password":      {func(m *Mailbox) { m.Password = password("wrong-password-77") }, "no login"},
		"no such host":        {func(m *Mailbox) { m.Address = freeAddr(t) }, "no connection"},
		"another certificate": {func(m *Mailbox) { m.Roots = filepath.Join(cert, "cert.pem") }, "no login: tls"},
		"no secret":           {func(m *Mailbox) { m.Password = noSecret{} }, "there is no credential (look there)"},
		"no mailbox":          {func(m *Mailbox) { m.Name = "Elsewhere" }, "its mailboxes cannot be used"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.needs.Log = nil
			box := d.mailbox("ann")
			c.change(&box)
			in, _ := r.start(Config{Mailboxes: []Mailbox{box}})
			await(t, "the trouble is told", func() bool { return in.Status()[0].Error != "" })
			if s := in.Status()[0]; !strings.Contains(s.Error, c.want) || strings.Contains(s.Error, "wrong-password-77") || s.Up {
				t.Errorf("%+v", s)
			}
		})
	}
}

type noSecret struct{}

func (noSecret) Secret() (string, error) {
	return "", fault.New(fault.Denied, "there is no credential").WithHint("look there")
}
func (noSecret) String() string { return "file:/nowhere" }

// A probe is found by its address, and is no report.
func TestMailboxProbe(t *testing.T) {
	d := startDovecot(t, "")
	r := newRig(t)
	client := d.client("ann")
	token := "abcdefghijklmnop234567"
	d.appendMail(client, append([]byte("Delivered-To: probe+"+token+"@example.org\r\n"), r.signed(letter("somebody@example.net", "p", nil))...))
	r.start(Config{Mailboxes: []Mailbox{d.mailbox("ann")}})
	await(t, "it is told of", func() bool { _, ok := r.probes.verdict(token); return ok })
	await(t, "it is moved", func() bool { return d.count(client, "Postseal") == 1 })
	v, _ := r.probes.verdict(token)
	if _, selector, ok := v.Signed(); !ok || selector != "s1" || v.Way != report.ByIMAP || v.Peer.IsValid() || v.SPF.Result != "" || len(r.shelf.kept()) != 0 {
		t.Errorf("%+v", v)
	}
}

// Senders over their quota wait; others are taken.
func TestMailboxQuota(t *testing.T) {
	d := startDovecot(t, "")
	r := newRig(t)
	client := d.client("ann")
	r.needs.Quota = quotaFunc(func(sender string, _ int, _ time.Time) time.Duration {
		if sender == "unverified stranger.example" {
			return time.Hour
		}
		return 0
	})
	d.appendMail(client, []byte("From: a@stranger.example\r\nSubject: a flood\r\n\r\nx\r\n"))
	d.appendMail(client, r.signed(letter("reports@example.org", "1.xml", aReport(t, "1", 1))))
	in, _ := r.start(Config{Mailboxes: []Mailbox{d.mailbox("ann")}})
	await(t, "the other one is moved", func() bool { return d.count(client, "Postseal") == 1 })
	d.appendMail(client, r.signed(letter("reports@example.org", "2.xml", aReport(t, "2", 1))))
	await(t, "and the next", func() bool { return d.count(client, "Postseal") == 2 })
	if s := in.Status()[0]; s.Counts.OverRate != 1 || d.count(client, "INBOX") != 1 {
		t.Errorf("%+v", s)
	}
}
