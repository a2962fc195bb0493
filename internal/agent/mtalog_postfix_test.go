package agent

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// refusing is a receiver that says what large ones say; the sender's local part chooses whom it plays. Other mail is taken.
func refusing(t *testing.T) (addr string) {
	t.Helper()
	replies := map[string]struct{ after, text string }{
		"gmail": {"DATA", "550-5.7.26 Your email has been blocked because the sender is unauthenticated.\r\n550-5.7.26 Gmail requires all senders to authenticate with either SPF or DKIM.\r\n" +
			"550-5.7.26\r\n550-5.7.26  Authentication results:\r\n550-5.7.26  DKIM = did not pass\r\n550 5.7.26  SPF [example.org] with ip: [192.0.2.1] = did not pass ab12cd34.56 - gsmtp\r\n"},
		"microsoft": {"DATA", "550 5.7.515 Access denied, sending domain EXAMPLE.ORG doesn't meet the required authentication level. Spf= Fail , Dkim= Pass , DMARC= Fail [DB1]\r\n"},
		"gmx":       {"RCPT", "550 <someone@example.net>: Reject due to SPF policy. The originating IP of the message is not permitted by the domain owner\r\n"},
		"later":     {"MAIL", "421-4.7.30 Your email has been rate limited because DKIM authentication didn't\r\n421 4.7.30 pass for this message.\r\n"},
		"nobody":    {"RCPT", "550 5.1.1 there is no such mailbox\r\n"},
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	session := func(conn net.Conn) {
		defer conn.Close()
		say := func(text string) { fmt.Fprint(conn, text) }
		say("220 mx.example.net ESMTP\r\n")
		var reply struct{ after, text string }
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			verb := strings.ToUpper(lines.Text()[:min(4, len(lines.Text()))])
			answer := "250 2.0.0 Ok\r\n"
			switch verb {
			case "MAIL":
				_, address, _ := strings.Cut(lines.Text(), "<")
				name, _, _ := strings.Cut(address, "@")
				reply = replies[name]
			case "DATA":
				say("354 go on\r\n")
				for lines.Scan() && lines.Text() != "." {
				}
			case "QUIT":
				say("221 2.0.0 Bye\r\n")
				return
			}
			if reply.after == verb {
				answer = reply.text
			}
			say(answer)
		}
	}
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				wg.Go(func() { session(conn) })
			}
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		wg.Wait()
	})
	return ln.Addr().String()
}

// What receivers say to a real Postfix is counted, through its own rotation of the log.
func TestPostfixLogIsFollowed(t *testing.T) {
	r := newRig(t, nil)
	r.assign("example.org")
	a := r.start()
	inet := func(i int) string { return "inet:" + a.Addrs()[i].String() }
	p := startPostfix(t, inet(0), inet(1), refusing(t), "")
	cfg := r.cfg
	cfg.MTALog = MTALog{File: filepath.Join(filepath.Dir(p.conf), "mail.log"), Kind: "postfix"}
	if err := a.Reload(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	await(t, "the log is read", func() bool { s := a.Status(); return s.MTALog != nil && s.MTALog.Lines > 0 })
	send := func(who string) {
		t.Helper()
		if reply := smtpSendAs(t, p.public, "", who+"@bounces.example.org", caseText(who, postfixHead, "hello\r\n")); !strings.HasPrefix(reply, "250") {
			t.Fatal(reply)
		}
	}
	reported := func(want map[string]uint64) func() bool {
		return func() bool { return fmt.Sprint(r.plane.refused()) == fmt.Sprint(want) }
	}
	for _, who := range []string{"gmail", "microsoft", "gmx", "later", "nobody", "welcome"} {
		send(who)
	}
	want := map[string]uint64{
		"bounces.example.org 127.0.0.1 5.7.26 authentication": 1, "example.org 127.0.0.1 5.7.515 authentication": 1,
		"bounces.example.org 127.0.0.1 550 spf": 1, "bounces.example.org 127.0.0.1 4.7.30 dkim": 1,
	}
	for key, n := range want { // the receiver has no name here: that of the recipient's domain counts
		delete(want, key)
		want[strings.Replace(key, "127.0.0.1", "example.net", 1)] = n
	}
	await(t, "four refusals", reported(want))

	run(t, "postfix", "-c", p.conf, "logrotate")
	if _, err := os.Stat(cfg.MTALog.File + ".1"); err != nil {
		matches, _ := filepath.Glob(cfg.MTALog.File + "*")
		t.Logf("rotated to %v", matches)
	}
	send("gmail")
	want["bounces.example.org example.net 5.7.26 authentication"] = 2
	await(t, "one more after the rotation", reported(want))
	if s := a.Status(); s.MTALog.Gaps != 0 || len(s.Conditions) != 0 {
		t.Errorf("%+v %+v", s.MTALog, s.Conditions)
	}
}
