package intake

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"testing"
)

// postfix is a Postfix with folders of its own, that sends mail for one host on by SMTP and delivers that for another into a Maildir.
type postfix struct{ conf, addr, log string }

// startPostfix sends mail for example.org to next, and delivers mail for USER@maildir.example into boxes/USER.
func startPostfix(t *testing.T, next, boxes string, uid, gid int, extra string) *postfix {
	t.Helper()
	need(t, "postfix", haveProgram("postfix") && haveProgram("postconf"))
	need(t, "root, which Postfix needs to start,", os.Geteuid() == 0)
	owner, err := user.Lookup("postfix")
	if err != nil {
		t.Fatal(err)
	}
	var owned int
	_, _ = fmt.Sscan(owner.Uid, &owned)
	dir, err := os.MkdirTemp("", "psp")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p := &postfix{conf: filepath.Join(dir, "conf"), addr: freeAddr(t), log: filepath.Join(dir, "mail.log")}
	queue, data := filepath.Join(dir, "queue"), filepath.Join(dir, "data")
	for _, d := range []string{dir, p.conf, queue, data} {
		if err := errors.Join(os.MkdirAll(d, 0o755), os.Chmod(d, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chown(data, owned, -1); err != nil {
		t.Fatal(err)
	}
	host, port, _ := net.SplitHostPort(next)
	main := fmt.Sprintf(`compatibility_level = 3.6
queue_directory = %[1]s
data_directory = %[2]s
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
maillog_file = %[3]s
maillog_file_prefixes = %[4]s
myhostname = mx.reporter.example
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
transport_maps = inline:{ { example.org = smtp:[%[5]s]:%[6]s } }
virtual_mailbox_domains = maildir.example
virtual_mailbox_base = %[7]s
virtual_mailbox_maps = inline:{ { ann@maildir.example = ann/ } { bob@maildir.example = bob/ } }
virtual_uid_maps = static:%[8]d
virtual_gid_maps = static:%[9]d
virtual_minimum_uid = 1
smtp_dns_support_level = disabled
smtp_host_lookup = native
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_client_connection_count_limit = 0
alias_maps =
alias_database =
local_recipient_maps =
minimal_backoff_time = 1s
maximal_backoff_time = 2s
queue_run_delay = 1s
%[10]s
`, queue, data, p.log, dir, host, port, boxes, uid, gid, extra)
	_, own, _ := net.SplitHostPort(p.addr)
	master := fmt.Sprintf(`127.0.0.1:%s inet n - n - - smtpd
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
flush unix n - n 1000? 0 flush
proxymap unix - - n - - proxymap
smtp unix - - n - - smtp
relay unix - - n - - smtp
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
virtual unix - n n - - virtual
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
tlsmgr unix - - n 1000? 1 tlsmgr
postlog unix-dgram n - n - 1 postlogd
`, own)
	for name, text := range map[string]string{"main.cf": main, "master.cf": master} {
		if err := os.WriteFile(filepath.Join(p.conf, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("postfix", "-c", p.conf, "start").CombinedOutput(); err != nil {
		t.Fatalf("postfix start: %v\n%s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("postfix", "-c", p.conf, "stop").CombinedOutput(); err != nil {
			t.Errorf("postfix stop: %v\n%s", err, out)
		}
		if t.Failed() {
			log, _ := os.ReadFile(p.log)
			t.Logf("Postfix: %s", log[max(0, len(log)-4000):])
		}
	})
	await(t, "Postfix answers", func() bool {
		conn, err := net.Dial("tcp", p.addr)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return p
}
