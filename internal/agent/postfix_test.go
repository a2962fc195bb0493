package agent

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/agentapi"
)

// need skips the test where a part is missing, or fails it where CI promised that it is there.
func need(t *testing.T, what string, there bool) {
	t.Helper()
	if there {
		return
	}
	if os.Getenv("POSTSEAL_REQUIRE_INTEGRATION") == "1" {
		t.Fatalf("%s is missing and POSTSEAL_REQUIRE_INTEGRATION=1", what)
	}
	t.Skipf("%s is missing; CI runs this test with it", what)
}

func haveProgram(name string) bool {
	_, err := exec.LookPath(name)
	return err == nil
}

// sink is the receiver at the end: it keeps each message as it was transmitted, by the value of X-Case.
type sink struct {
	addr string

	mu   sync.Mutex
	mail map[string]string
}

type sinkSession struct{ s *sink }

func (s *sink) NewSession(*smtp.Conn) (smtp.Session, error) { return &sinkSession{s}, nil }
func (*sinkSession) Mail(string, *smtp.MailOptions) error   { return nil }
func (*sinkSession) Reset()                                 {}
func (*sinkSession) Logout() error                          { return nil }

func (*sinkSession) Rcpt(string, *smtp.RcptOptions) error { return nil }

func (s *sinkSession) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	head, _, _ := strings.Cut(string(raw), "\r\n\r\n")
	if strings.Contains(head, "X-Refuse:") {
		return &smtp.SMTPError{Code: 550, Message: "not wanted"}
	}
	name := "?"
	for line := range strings.SplitSeq(head, "\r\n") {
		if v, ok := strings.CutPrefix(line, "X-Case:"); ok {
			name = strings.TrimSpace(v)
		}
	}
	s.s.mu.Lock()
	defer s.s.mu.Unlock()
	s.s.mail[name] = string(raw)
	return nil
}

func startSink(t *testing.T) *sink {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{addr: ln.Addr().String(), mail: map[string]string{}}
	server := smtp.NewServer(s)
	server.Domain, server.AllowInsecureAuth, server.EnableSMTPUTF8 = "sink.example", true, true
	server.MaxLineLength = 1 << 20 // 8BITMIME is always announced
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(ln)
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return s
}

func (s *sink) await(t testing.TB, name string) string {
	t.Helper()
	var raw string
	await(t, "delivery of "+name, func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		raw = s.mail[name]
		return raw != ""
	})
	return raw
}

// startAuth speaks the server's side of Dovecot's authentication protocol well enough for Postfix: everyone is who they say.
func startAuth(t *testing.T, path string, uid int) {
	t.Helper()
	ln, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(path, 0o600), os.Chown(path, uid, -1)); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	conns := map[net.Conn]bool{}
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			conns[conn] = true
			mu.Unlock()
			wg.Go(func() {
				fmt.Fprint(conn, "VERSION\t1\t1\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t0123456789abcdef0123456789abcdef\nDONE\n")
				for lines := bufio.NewScanner(conn); lines.Scan(); {
					if f := strings.Split(lines.Text(), "\t"); f[0] == "AUTH" && len(f) > 1 {
						response, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(f[len(f)-1], "resp="))
						fmt.Fprintf(conn, "OK\t%s\tuser=%s\n", f[1], bytes.Split(append(response, 0, 0), []byte{0})[1])
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		mu.Lock()
		for c := range conns {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
}

// postfixInstance is a Postfix with folders of its own: one port for submission, one declared outbound, one for everybody else.
type postfixInstance struct {
	conf                         string
	submission, declared, public string
}

func freeAddr(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func startPostfix(t *testing.T, outbound, auto string, nextHop string, extra string) *postfixInstance {
	t.Helper()
	need(t, "postfix", haveProgram("postfix") && haveProgram("postconf"))
	need(t, "root, which Postfix needs to start,", os.Geteuid() == 0)
	owner, err := user.Lookup("postfix")
	if err != nil {
		t.Fatal(err)
	}
	var uid int
	fmt.Sscan(owner.Uid, &uid)
	dir, err := os.MkdirTemp("", "postseal-postfix")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	p := &postfixInstance{conf: filepath.Join(dir, "conf"), submission: freeAddr(t), declared: freeAddr(t), public: freeAddr(t)}
	queue, data := filepath.Join(dir, "queue"), filepath.Join(dir, "data")
	for _, d := range []string{dir, p.conf, queue, data} {
		if err := errors.Join(os.MkdirAll(d, 0o755), os.Chmod(d, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(data, uid, -1); err != nil {
		t.Fatal(err)
	}
	authSocket := filepath.Join(dir, "auth.sock")
	startAuth(t, authSocket, uid)
	hop, hopPort, _ := net.SplitHostPort(nextHop)
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(p.conf, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("main.cf", fmt.Sprintf(`compatibility_level = 3.6
queue_directory = %[1]s
data_directory = %[2]s
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
maillog_file = %[3]s/mail.log
maillog_file_prefixes = %[3]s
myhostname = mx1.example.org
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
relayhost = [%[4]s]:%[5]s
smtp_dns_support_level = disabled
smtp_host_lookup = native
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, permit_sasl_authenticated, reject
smtpd_sasl_type = dovecot
smtpd_sasl_path = %[6]s
alias_maps =
alias_database =
local_recipient_maps =
disable_mime_output_conversion = yes
internal_mail_filter_classes = bounce
milter_default_action = tempfail
milter_protocol = 6
non_smtpd_milters = %[7]s
smtp_tls_security_level = none
smtputf8_enable = yes
%[8]s
`, queue, data, dir, hop, hopPort, authSocket, outbound, extra))
	write("master.cf", fmt.Sprintf(`%[1]s inet n - n - - smtpd -o smtpd_milters=%[4]s -o smtpd_sasl_auth_enable=yes
%[2]s inet n - n - - smtpd -o smtpd_milters=%[4]s -o milter_macro_daemon_name=ORIGINATING
%[3]s inet n - n - - smtpd -o smtpd_milters=%[4]s
pickup unix n - n 1 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
verify unix - - n - 1 verify
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
`, p.submission, p.declared, p.public, auto))
	for _, pattern := range []string{"/etc/postfix/dynamicmaps.cf*", "/etc/postfix/postfix-files*", "/etc/postfix/postfix-script", "/etc/postfix/post-install"} {
		matches, _ := filepath.Glob(pattern)
		for _, m := range matches {
			run(t, "cp", "-r", m, p.conf)
		}
	}
	run(t, "postfix", "-c", p.conf, "start")
	t.Cleanup(func() {
		_ = exec.Command("postfix", "-c", p.conf, "stop").Run()
		if t.Failed() {
			log, _ := os.ReadFile(filepath.Join(dir, "mail.log"))
			t.Logf("mail.log:\n%s", log)
		}
	})
	await(t, "Postfix accepts SMTP", func() bool {
		conn, err := net.Dial("tcp", p.public)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return p
}

func run(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// smtpSend speaks SMTP octet by octet, so that nothing is repaired on the way; dots are stuffed at line starts.
func smtpSend(t *testing.T, addr string, login bool, content string) (reply string) {
	t.Helper()
	user := ""
	if login {
		user = "ann"
	}
	return smtpSendAs(t, addr, user, "ann@example.org", content)
}

// smtpSendAs is smtpSend with a login, if there is one, and an envelope sender.
func smtpSendAs(t *testing.T, addr, user, sender, content string) (reply string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	c := textproto.NewConn(conn)
	expect := func(code int) {
		t.Helper()
		if _, _, err := c.ReadResponse(code); err != nil {
			t.Fatalf("SMTP: %v", err)
		}
	}
	say := func(code int, line string) {
		t.Helper()
		if err := c.PrintfLine("%s", line); err != nil {
			t.Fatal(err)
		}
		expect(code)
	}
	expect(220)
	say(250, "EHLO client.example")
	if user != "" {
		say(235, "AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00secret")))
	}
	say(250, "MAIL FROM:<"+sender+"> BODY=8BITMIME")
	say(250, "RCPT TO:<someone@example.net>")
	say(354, "DATA")
	stuffed := strings.ReplaceAll("\r\n"+content, "\r\n.", "\r\n..")[2:]
	if !strings.HasSuffix(stuffed, "\r\n") {
		stuffed += "\r\n"
	}
	if _, err := io.WriteString(conn, stuffed+".\r\n"); err != nil {
		t.Fatal(err)
	}
	code, message, err := c.ReadResponse(0)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", code, message)
}

// dkimpy verifies a message with Debian's python3-dkim.
func dkimpy(t *testing.T, raw string, records map[string][]string) bool {
	t.Helper()
	const script = `
import sys, dkim
raw = open(sys.argv[1], 'rb').read()
records = dict(a.split('=', 1) for a in sys.argv[2:])
def dns(name, timeout=5):
    name = name.decode() if isinstance(name, bytes) else name
    return records.get(name.rstrip('.'), '').encode() or None
n = raw.lower().split(b'\r\n\r\n')[0].count(b'dkim-signature:')
d = dkim.DKIM(raw)
print(n > 0 and all(d.verify(idx=i, dnsfunc=dns) for i in range(n)))
`
	file := filepath.Join(t.TempDir(), "message")
	if err := os.WriteFile(file, []byte(raw), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"-c", script, file}
	for name, txt := range records {
		args = append(args, name+"="+txt[0])
	}
	cmd := exec.Command("/usr/bin/python3", args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("dkimpy: %v\n%s", err, errs.String())
	}
	return strings.TrimSpace(out.String()) == "True"
}

// postfixHead is a header that nothing is wrong with.
const postfixHead = "From: Ann <ann@example.org>\r\nTo: someone@example.net\r\nSubject: test\r\nDate: Thu, 12 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@example.org>\r\n"

func caseText(name, header, body string) string {
	return header + "X-Case: " + name + "\r\n\r\n" + body
}

// postfixRig is an agent with two keys, a Postfix and a sink.
func postfixRig(t *testing.T, canon dkim.Canonicalization, extra string) (*rig, *postfixInstance, *sink) {
	need(t, "python3-dkim", exec.Command("/usr/bin/python3", "-c", "import dkim").Run() == nil)
	r := newRig(t, func(c *Config) { c.Outbound.Listeners = []string{"ORIGINATING"} })
	r.canon = canon
	r.assign("example.org", rsaKey("k-rsa", "mx1-a"), edKey("k-ed", "mx1-b"))
	a := r.start()
	r.bring("example.org", "k-rsa", "mx1-a", 1)
	r.bring("example.org", "k-ed", "mx1-b", 1)
	s := startSink(t)
	inet := func(i int) string { return "inet:" + a.Addrs()[i].String() }
	return r, startPostfix(t, inet(0), inet(1), s.addr, extra), s
}

// accepted checks a delivered message with our verifier and with dkimpy.
func (r *rig) accepted(t *testing.T, raw string) {
	t.Helper()
	if got := strings.Join(r.verified(raw), " "); got != "mx1-a mx1-b" {
		t.Errorf("signatures of %q pass\n%.3000s", got, raw)
	}
	if !dkimpy(t, raw, r.dns.txt) {
		t.Errorf("dkimpy does not accept it\n%.3000s", raw)
	}
}

// What a real Postfix sends on is what was hashed, octet by octet.
func TestPostfixSignsWhatItSends(t *testing.T) {
	line := strings.Repeat("x", 998) + "\r\n"
	cases := []struct{ name, header, body string }{
		{"plain", postfixHead, "hello\r\n"},
		{"empty body", postfixHead, ""},
		{"only empty lines", postfixHead, "\r\n\r\n\r\n"},
		{"trailing blanks", postfixHead, "a  \r\n \t b\t\r\n\r\n\r\n"},
		{"dots", postfixHead, ".\r\n..\r\n.a\r\na.\r\n"},
		{"folded", postfixHead + "Subject:\r\n\tsecond subject\r\nReferences: <a@b>\r\n <c@d>\r\n\t<e@f>\r\nCc:bob@example.net,\r\n   carol@example.net\r\n", "hello\r\n"},
		{"odd white space", postfixHead + "X-Odd:   three\t \r\nSender:\tone@example.org  \r\n", "hello\r\n"},
		{"empty field", postfixHead + "Cc:\r\nReply-To: \r\n", "hello\r\n"},
		{"8-bit", postfixHead + "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n", "Grüße aus Köln\r\n"},
		{"8-bit header", strings.Replace(postfixHead, "Ann", "Jürgen", 1) + "Sender: Jürgen <j@example.org>\r\n", "hello\r\n"},
		{"lines of 998 octets", postfixHead, strings.Repeat(line, 500)},
		{"chunk ends between CR and LF", postfixHead, strings.Repeat(line, 65) + strings.Repeat("y", 534) + "\r\n" + line},
		{"multipart", postfixHead + "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n", "--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: x@example.net\r\nSubject: inner\r\n\r\ninner\r\n--b--\r\n"},
		{"blank before colon", postfixHead + "Sender : odd@example.org\r\n", "hello\r\n"},
		{"long field", postfixHead + "References: " + strings.Repeat("<0123456789@example.org>\r\n ", 3000) + "<end@example.org>\r\n", "hello\r\n"},
		{"missing fields", "From: ann@example.org\r\n", "hello\r\n"},
		{"bare LF, which Postfix repairs", postfixHead, "one\ntwo\n"},
		{"bare CR, which Postfix repairs", postfixHead + "Sender: one\rtwo\r\n", "one\rtwo\r\n"},
		{"no final line end", postfixHead, "hello"},
	}
	for name, canon := range map[string]dkim.Canonicalization{"relaxed": dkim.Relaxed, "simple": dkim.Simple} {
		t.Run(name, func(t *testing.T) {
			r, p, s := postfixRig(t, canon, "")
			for _, c := range cases {
				t.Run(c.name, func(t *testing.T) {
					r.t = t
					if reply := smtpSend(t, p.declared, false, caseText(c.name, c.header, c.body)); !strings.HasPrefix(reply, "250") {
						t.Fatal(reply)
					}
					raw := s.await(t, c.name)
					if c.name == "missing fields" && !strings.Contains(raw, "\r\nMessage-Id: <") {
						t.Errorf("Postfix added no Message-ID, so this shows nothing:\n%s", raw)
					}
					r.accepted(t, raw)
				})
			}
			r.t = t
		})
	}
}

// Whose mail it is decides, not where it goes: submission and declared listeners, local programs and bounces are ours; what a content
// filter hands back over loopback is not.
func TestPostfixWhoseMail(t *testing.T) {
	r, p, s := postfixRig(t, dkim.Relaxed, "always_add_missing_headers = yes")
	send := func(t *testing.T, addr string, login bool, name string) string {
		t.Helper()
		if reply := smtpSend(t, addr, login, caseText(name, postfixHead, "hello\r\n")); !strings.HasPrefix(reply, "250") {
			t.Fatal(reply)
		}
		return s.await(t, name)
	}
	within := func(t *testing.T, f func()) { r.t = t; f() }
	t.Run("authenticated", func(t *testing.T) {
		within(t, func() { r.accepted(t, send(t, p.submission, true, "authenticated")) })
	})
	t.Run("declared listener", func(t *testing.T) {
		within(t, func() { r.accepted(t, send(t, p.declared, false, "declared")) })
	})
	for name, addr := range map[string]string{"reinjected over loopback": p.public, "submission port without login": p.submission} {
		t.Run(name, func(t *testing.T) {
			if raw := send(t, addr, false, name); strings.Contains(raw, "DKIM-Signature:") {
				t.Errorf("it was signed:\n%s", raw)
			}
		})
	}
	t.Run("local program", func(t *testing.T) {
		cmd := exec.Command("/usr/sbin/sendmail", "-C", p.conf, "-f", "ann@example.org", "-i", "someone@example.net")
		cmd.Env = append(os.Environ(), "MAIL_CONFIG="+p.conf)
		cmd.Stdin = strings.NewReader("From: ann@example.org\nX-Case: pickup\n\n.\nlocal\nGrüße\n")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("sendmail: %v\n%s", err, out)
		}
		within(t, func() { r.accepted(t, s.await(t, "pickup")) })
	})
	t.Run("bounce", func(t *testing.T) {
		r.t = t
		r.assign("mx1.example.org", edKey("k-bounce", "mx1-c"))
		r.bring("mx1.example.org", "k-bounce", "mx1-c", 1)
		smtpSend(t, p.declared, false, strings.Replace(caseText("refused", postfixHead, "hello\r\n"), "X-Case: refused", "X-Refuse: yes", 1))
		raw := s.await(t, "?")
		if got := strings.Join(r.verified(raw), " "); got != "mx1-c" {
			t.Errorf("signatures of %q pass on the bounce:\n%s", got, raw)
		}
	})
	r.t = t
	if n := r.agent.counters.reasonTotals(); len(n) != 0 {
		t.Errorf("mail of others was counted: %v", n)
	}
}

// What cannot be signed safely passes or waits, as the assignment says, and is counted with its reason and queue id.
func TestPostfixDoesNotSignWhatWouldChange(t *testing.T) {
	r, p, s := postfixRig(t, dkim.Relaxed, "")
	cases := []struct {
		name, header, body string
		reason             Reason
	}{
		{"NUL in the body", postfixHead, "one\x00two\r\n", ReasonNUL},
		{"line of 999 octets", postfixHead, strings.Repeat("x", 999) + "\r\n", ReasonLongLine},
		{"long line in a field", postfixHead + "References: " + strings.Repeat("x", 990) + "\r\n", "hello\r\n", ReasonLongLine},
		{"two From fields", postfixHead + "From: eve@example.org\r\n", "hello\r\n", ReasonFromMultipleFields},
		{"two authors", strings.Replace(postfixHead, "Ann <ann@example.org>", "ann@example.org, eve@example.org", 1), "hello\r\n", ReasonFromMultiple},
		{"another domain", strings.Replace(postfixHead, "ann@example.org", "ann@sub.example.org", 1), "hello\r\n", ReasonNotAssigned},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			before := r.agent.counters.reasonTotals()[string(c.reason)]
			if reply := smtpSend(t, p.declared, false, caseText(c.name, c.header, c.body)); !strings.HasPrefix(reply, "250") {
				t.Fatal(reply)
			}
			if raw := s.await(t, c.name); strings.Contains(raw, "DKIM-Signature:") {
				t.Errorf("it was signed:\n%.2000s", raw)
			}
			if got := r.agent.counters.reasonTotals()[string(c.reason)]; got != before+1 {
				t.Errorf("%s counted %d times, all: %v", c.reason, got-before, r.agent.counters.reasonTotals())
			}
		})
	}
	if log := r.log.String(); !regexp.MustCompile(`not signed.* queue_id=[0-9A-F]{6,}.* reason=nul `).MatchString(log) {
		t.Errorf("the log does not name the message:\n%s", log)
	}
	version := r.plane.want(func(in *agentapi.Instructions) { in.Assignments[0].NoKey = agentapi.NoKeyTempfail })
	r.plane.awaitReport(t, "tempfail in force", func(rep agentapi.Report) bool { return rep.Applied == version })
	if reply := smtpSend(t, p.declared, false, caseText("deferred", postfixHead, "one\x00two\r\n")); !strings.HasPrefix(reply, "451 4.7.5") {
		t.Errorf("the reply is %q", reply)
	}
	if reply := smtpSend(t, p.declared, false, caseText("good", postfixHead, "one\r\n")); !strings.HasPrefix(reply, "250") {
		t.Errorf("the reply is %q", reply)
	}
}
