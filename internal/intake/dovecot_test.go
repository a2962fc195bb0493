package intake

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// dovecot is a real Dovecot with a folder of its own.
type dovecot struct {
	t          testing.TB
	dir        string
	plain, tls string // addresses
	roots      string
	cmd        *exec.Cmd
	uid, gid   int
	extra      string
}

const imapPassword = "not-a-secret-1234"

func freeAddr(t testing.TB) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// startDovecot starts it; extra are further settings.
func startDovecot(t *testing.T, extra string) *dovecot {
	t.Helper()
	need(t, "dovecot", haveProgram("dovecot"))
	dir, err := os.MkdirTemp("", "psd") // short: sockets are in it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	d := &dovecot{t: t, dir: dir, plain: freeAddr(t), tls: freeAddr(t), uid: os.Getuid(), gid: os.Getgid(), extra: extra}
	if d.uid == 0 { // it does not give out root's mail
		nobody, err := user.Lookup("nobody")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Sscan(nobody.Uid+" "+nobody.Gid, &d.uid, &d.gid)
	}
	certificateFiles(t, dir, 7)
	d.roots = filepath.Join(dir, "cert.pem")
	for _, sub := range []string{"run", "state", "mail"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Chmod(dir, 0o755), os.Chown(filepath.Join(dir, "mail"), d.uid, d.gid)); err != nil {
		t.Fatal(err)
	}
	d.start()
	t.Cleanup(d.stop)
	return d
}

func (d *dovecot) maildir(user string) string { return filepath.Join(d.dir, "mail", user) }

func (d *dovecot) start() {
	d.t.Helper()
	_, plain, _ := net.SplitHostPort(d.plain)
	_, secure, _ := net.SplitHostPort(d.tls)
	internal := ""
	if os.Getuid() != 0 {
		me, err := user.Current()
		if err != nil {
			d.t.Fatal(err)
		}
		internal = fmt.Sprintf("default_internal_user = %s\ndefault_login_user = %[1]s\ndefault_internal_group = %[1]s\n", me.Username)
	}
	conf := fmt.Sprintf(`base_dir = %[1]s/run
state_dir = %[1]s/state
log_path = %[1]s/log
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <%[1]s/cert.pem
ssl_key = <%[1]s/key.pem
disable_plaintext_auth = no
auth_mechanisms = plain login
mail_location = maildir:%[1]s/mail/%%u
mail_max_userip_connections = 50
first_valid_uid = 1
%[6]spassdb {
  driver = static
  mechanisms = plain login
  args = password=%[7]s
}
userdb {
  driver = static
  args = uid=%[4]d gid=%[5]d home=%[1]s/mail/%%u
}
service imap-login {
  chroot =
  inet_listener imap {
    port = %[2]s
  }
  inet_listener imaps {
    port = %[3]s
    ssl = yes
  }
}
service anvil {
  chroot =
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
auth_failure_delay = 0
%[8]s
`, d.dir, plain, secure, d.uid, d.gid, internal, imapPassword, d.extra)
	if !strings.Contains(d.extra, "namespace") {
		conf += "namespace inbox {\n  inbox = yes\n  separator = /\n}\n"
	}
	file := filepath.Join(d.dir, "dovecot.conf")
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		d.t.Fatal(err)
	}
	var out bytes.Buffer
	d.cmd = exec.Command("dovecot", "-F", "-c", file)
	d.cmd.Stdout, d.cmd.Stderr = &out, &out
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := d.cmd.Start(); err != nil {
		d.t.Fatal(err)
	}
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", d.plain)
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(end) {
			log, _ := os.ReadFile(filepath.Join(d.dir, "log"))
			d.t.Fatalf("Dovecot does not start: %s\n%s", out.String(), log)
		}
	}
}

// stop ends it with all its connections.
func (d *dovecot) stop() {
	if d.cmd == nil {
		return
	}
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	if _, err := d.cmd.Process.Wait(); err != nil {
		d.t.Error(err)
	}
	// Its processes that serve somebody would stay for half a minute; they are in its group.
	_ = syscall.Kill(-d.cmd.Process.Pid, syscall.SIGKILL)
	_ = d.cmd.Wait()
	d.cmd = nil
}

// client logs a user in.
func (d *dovecot) client(user string) *imapclient.Client {
	d.t.Helper()
	c, err := imapclient.DialInsecure(d.plain, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = c.Close() })
	if err := c.Login(user, imapPassword).Wait(); err != nil {
		d.t.Fatal(err)
	}
	return c
}

// appendMail puts a mail into INBOX.
func (d *dovecot) appendMail(c *imapclient.Client, mail []byte) {
	d.t.Helper()
	a := c.Append("INBOX", int64(len(mail)), nil)
	_, err := a.Write(mail)
	if err := errors.Join(err, a.Close()); err != nil {
		d.t.Fatal(err)
	}
	if _, err := a.Wait(); err != nil {
		d.t.Fatal(err)
	}
}

// count says how many messages that nobody deleted are in a mailbox; -1 = there is none.
func (d *dovecot) count(c *imapclient.Client, mailbox string) int {
	d.t.Helper()
	if _, err := c.Select(mailbox, &imap.SelectOptions{ReadOnly: true}).Wait(); err != nil {
		return -1
	}
	found, err := c.UIDSearch(&imap.SearchCriteria{NotFlag: []imap.Flag{imap.FlagDeleted}}, nil).Wait()
	if err != nil {
		d.t.Fatal(err)
	}
	return len(found.AllUIDs())
}

// log is what it wrote.
func (d *dovecot) log() string {
	d.t.Helper()
	text, err := os.ReadFile(filepath.Join(d.dir, "log"))
	if err != nil {
		d.t.Fatal(err)
	}
	return string(text)
}

// mailbox is how the intake is told of a user.
func (d *dovecot) mailbox(user string) Mailbox {
	return Mailbox{Address: d.tls, Encryption: ImplicitTLS, User: user, Password: password(imapPassword), Roots: d.roots, Poll: minMailboxPoll}
}

type password string

func (p password) Secret() (string, error) { return string(p), nil }
func (p password) String() string          { return "env:TEST" }
