package integration

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/emersion/go-smtp"
)

// postfix is one mail server instance with folders of its own.
type postfix struct {
	name, conf, addr string
}

// startPostfix starts an instance whose milter listens at milter (in Postfix's notation) and that relays to nextHop.
func startPostfix(t *testing.T, dir, name, milter, nextHop string) *postfix {
	t.Helper()
	need(t, "postfix", "postconf")
	p := &postfix{name: name, conf: filepath.Join(dir, name, "conf")}
	port := freePort(t, "127.0.0.1")
	p.addr = net.JoinHostPort("127.0.0.1", port)
	queue, data := filepath.Join(dir, name, "queue"), filepath.Join(dir, name, "data")
	for _, d := range []string{p.conf, queue, data} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	run(t, "chown", "postfix", data)
	hop, hopPort, _ := net.SplitHostPort(nextHop)
	write(t, filepath.Join(p.conf, "main.cf"), fmt.Sprintf(`compatibility_level = 3.6
queue_directory = %s
data_directory = %s
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
maillog_file = %s/mail.log
maillog_file_prefixes = %s
myhostname = %s.example.com
mydestination =
mynetworks = 127.0.0.0/8
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
relayhost = [%s]:%s
smtp_dns_support_level = disabled
smtp_host_lookup = native
smtpd_peername_lookup = no
smtpd_relay_restrictions = permit_mynetworks, reject
alias_maps =
alias_database =
local_recipient_maps =
disable_mime_output_conversion = yes
milter_default_action = tempfail
milter_protocol = 6
milter_connect_timeout = 30s
smtpd_milters = %s
non_smtpd_milters = %s
internal_mail_filter_classes = bounce
queue_run_delay = 5s
minimal_backoff_time = 2s
maximal_backoff_time = 5s
`, queue, data, filepath.Join(dir, name), dir, name, hop, hopPort, milter, milter))
	master, err := os.ReadFile("/usr/share/postfix/master.cf.dist")
	if err != nil {
		if master, err = os.ReadFile("/etc/postfix/master.cf"); err != nil {
			t.Fatal(err)
		}
	}
	write(t, filepath.Join(p.conf, "master.cf"), masterCF(string(master), port))
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
			log, _ := os.ReadFile(filepath.Join(dir, name, "mail.log"))
			t.Logf("%s mail.log:\n%s", name, tail(string(log), 4000))
		}
	})
	eventually(t, name+" accepts SMTP", func() bool {
		c, err := smtp.Dial(p.addr)
		if err != nil {
			return false
		}
		_ = c.Close()
		return true
	})
	return p
}

// masterCF puts smtpd on another port and takes every service out of its chroot.
func masterCF(text, port string) string {
	var out []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		fields := strings.Fields(line)
		if len(fields) >= 8 && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, " ") {
			if fields[0] == "smtp" && fields[1] == "inet" {
				fields[0] = "127.0.0.1:" + port
			}
			fields[4] = "n"
			line = strings.Join(fields, "\t")
		}
		out = append(out, line)
	}
	return strings.Join(out, "\n") + "\n"
}

// flush makes Postfix try deferred mail again at once.
func (p *postfix) flush() { _ = exec.Command("postqueue", "-c", p.conf, "-f").Run() }
