package intake

import (
	"bytes"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/report"
)

// The reports of other projects, sent through a real Postfix to the listener, into a Maildir, and into a mailbox of a real Dovecot, and put into a folder: each way gives the same rows. The
// storage is away at first, and the client asks for TLS.
func TestWaysAgree(t *testing.T) {
	boxes := startDovecot(t, "")
	rigs := map[string]*rig{}
	var mails map[string][]byte
	r := newRig(t)
	mails = r.corpus()
	for _, way := range []string{"smtp", "imap", "maildir", "folder"} {
		own := *r // one DNS and one key, four storages
		own.shelf = newShelf()
		own.needs.Sink = own.shelf
		rigs[way] = &own
	}

	cert, key := certificateFiles(t, t.TempDir(), 1)
	cfg := smtpConfig()
	cfg.SMTP.Certificate, cfg.SMTP.Key = cert, key
	rigs["smtp"].needs.Log = nil
	rigs["smtp"].shelf.fail(3, errDown)
	smtpIn, _ := rigs["smtp"].start(cfg)

	root := filepath.Join(boxes.dir, "mail")
	p := startPostfix(t, smtpIn.Addr(), root, boxes.uid, boxes.gid, "smtp_tls_security_level = encrypt")
	for _, sub := range []string{"", "new", "cur", "tmp"} { // bob's; ann's is Dovecot's
		dir := filepath.Join(root, "bob", sub)
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(dir, boxes.uid, boxes.gid); err != nil {
			t.Fatal(err)
		}
	}
	client := dialSMTP(t, p.addr)
	folder := t.TempDir()
	for _, name := range slices.Sorted(maps.Keys(mails)) {
		if err := send(client, "bounces@reporter.example", mails[name], "reports@example.org", "ann@maildir.example", "bob@maildir.example"); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		put(t, filepath.Join(folder, name+".eml"), mails[name])
	}
	rigs["imap"].start(Config{Mailboxes: []Mailbox{boxes.mailbox("ann")}})
	rigs["maildir"].start(Config{Folders: []Folder{{Kind: Maildir, Path: filepath.Join(root, "bob"), Poll: minFolderPoll}}})
	rigs["folder"].start(Config{Folders: []Folder{{Kind: Files, Path: folder, Poll: minFolderPoll}}})

	want := map[string]string{}
	readable, verified := 0, 0
	for name, mail := range mails {
		want[name] = content(t, mail)
		if !strings.HasPrefix(want[name], "problem") {
			readable++
		}
	}
	for way, own := range rigs {
		await(t, "all are there by "+way, func() bool { return len(own.shelf.kept()) == len(mails) })
		seen := map[string]bool{}
		for _, a := range own.shelf.kept() {
			name := caseOf(a.Octets)
			if name == "" || seen[name] {
				t.Errorf("%s: the mail %q is there twice, or has no name", way, name)
				continue
			}
			seen[name] = true
			if got := content(t, a.Octets); got != want[name] {
				t.Errorf("%s: %s differs\n%.500s\nwant\n%.500s", way, name, got, want[name])
			}
			// What we signed is verified, whatever a real MTA did to it.
			ours := bytes.HasPrefix(mails[name], []byte("DKIM-Signature:"))
			if ours != (a.Trust == report.Verified) {
				t.Errorf("%s: %s: %s (%s)", way, name, a.Trust, a.Verdict)
			}
			if ours {
				verified++
			}
			if way == "smtp" && (!strings.Contains(a.Verdict, "spf=fail smtp.mailfrom=reporter.example") || a.Place != "127.0.0.1") {
				t.Errorf("%s: %+v", name, a.Verdict)
			}
		}
	}
	if n := smtpIn.Status()[0].Counts.Deferred; n != 3 {
		t.Errorf("%d were put off", n)
	}
	t.Logf("%d mails by four ways: %d hold what can be read, %d arrivals are verified", len(mails), readable, verified)
	if len(mails) < 38 || readable < 30 {
		t.Errorf("only %d mails, %d can be read", len(mails), readable)
	}
}
