package agent

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/agentapi"
)

const probeTo = "probe+abcdefghijklmnopqrstuvwx23@reports.example.com"

// order asks the agent for a probe and waits for what it says of it.
func (r *rig) order(id, domain, to string) agentapi.ProbeReport {
	r.t.Helper()
	r.plane.want(func(in *agentapi.Instructions) {
		in.Probes = append([]agentapi.ProbeOrder(nil), in.Probes...)
		in.Probes = append(in.Probes, agentapi.ProbeOrder{ID: id, Domain: domain, To: to})
	})
	return r.answer(id)
}

func (r *rig) answer(id string) (found agentapi.ProbeReport) {
	r.t.Helper()
	r.plane.awaitReport(r.t, "an answer to probe "+id, func(report agentapi.Report) bool {
		for _, p := range report.Probes {
			if p.ID == id {
				found = p
				return true
			}
		}
		return false
	})
	return found
}

func TestProbeConfig(t *testing.T) {
	for text, want := range map[string]string{
		"probe: {smtp: '127.0.0.1:25'}":                                              "",
		"probe: {smtp: '[::1]:25', from: dkim-probe}":                                "",
		"probe: {sendmail: /usr/sbin/sendmail, address: Probe@Reports.example.com}":  "",
		"probe: {smtp: '127.0.0.1:25', sendmail: /usr/sbin/sendmail}":                "smtp or sendmail, not both",
		"probe: {smtp: 127.0.0.1}":                                                   "not host:port",
		"probe: {smtp: '127.0.0.1:0'}":                                               "not host:port",
		"probe: {sendmail: sendmail}":                                                "not a complete path",
		"probe: {smtp: '127.0.0.1:25', from: 'a b'}":                                 "before the @",
		"probe: {smtp: '127.0.0.1:25', from: '-oQ'}":                                 "before the @",
		"probe: {smtp: '127.0.0.1:25', address: reports.example.com}":                "not an address",
		"probe: {smtp: '127.0.0.1:25', address: 'probe@*.example.com'}":              "not an address",
		"probe: {smtp: '127.0.0.1:25', to: x@example.com}":                           "unknown field",
		"probe: {smtp: '127.0.0.1:25'}\ndomains: [example.org]\nmax_messages: 10000": "",
	} {
		if _, err := ParseConfig([]byte(text)); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestProbeRecipients(t *testing.T) {
	any, err := Probe{SMTP: "127.0.0.1:25"}.compile()
	if err != nil {
		t.Fatal(err)
	}
	one, err := Probe{SMTP: "127.0.0.1:25", Address: "probe@reports.example.com"}.compile()
	if err != nil {
		t.Fatal(err)
	}
	token := "abcdefghijklmnopqrstuvwx23"
	for _, c := range []struct {
		to       string
		any, one bool
	}{
		{probeTo, true, true},
		{"probe+" + token + "@elsewhere.example.net", true, false},
		{"other+" + token + "@reports.example.com", true, false},
		{"probe@reports.example.com", false, false},
		{"probe+" + token[1:] + "@reports.example.com", false, false},
		{"probe+" + strings.ToUpper(token) + "@reports.example.com", false, false},
		{"probe+" + token + "@reports.example.com,victim@example.net", false, false},
		{"probe+" + token + "@reports.example.com> SIZE=1", false, false},
		{"-f+" + token + "@reports.example.com", false, false},
		{"probe+" + token + "@localhost", false, false},
		{"", false, false},
	} {
		if any.admits(c.to) != c.any || one.admits(c.to) != c.one {
			t.Errorf("%q: %v, %v; want %v, %v", c.to, any.admits(c.to), one.admits(c.to), c.any, c.one)
		}
	}
}

// What the agent does not do by itself it says, and does not do.
func TestProbeRefusals(t *testing.T) {
	s := startSink(t)
	r := newRig(t, func(c *Config) {
		c.Probe = Probe{SMTP: s.addr, Address: "probe@reports.example.com"}
		c.Domains = []string{"example.org", "free.example"}
	})
	r.assign("example.org")
	r.assign("other.example")
	r.start()
	for _, c := range []struct{ id, domain, to, want string }{
		{"p1", "example.org", "probe+abcdefghijklmnopqrstuvwx23@elsewhere.example", "not the address of a probe"},
		{"p2", "other.example", probeTo, "not among the domains"},
		{"p3", "free.example", probeTo, "not assigned"},
	} {
		if got := r.order(c.id, c.domain, c.to); got.State != agentapi.ProbeRefused || !strings.Contains(got.Reply, c.want) || strings.Contains(got.Reply, "abcdefghijklmnopqrstuvwx23") {
			t.Errorf("%s: %+v, want %q", c.id, got, c.want)
		}
	}
	if got := r.order("p4", "example.org", probeTo); got.State != agentapi.ProbeSubmitted || !strings.HasPrefix(got.Reply, "250 ") {
		t.Errorf("a good one: %+v", got)
	}
	if n := s.count(); n != 1 {
		t.Errorf("%d messages were sent, want 1", n)
	}
}

func (s *sink) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.mail)
}

func TestProbeNotSetUp(t *testing.T) {
	r := newRig(t, nil)
	r.assign("example.org")
	r.start()
	got := r.order("p1", "example.org", probeTo)
	if got.State != agentapi.ProbeNotSetUp || !strings.Contains(got.Reply, "agent.yaml") {
		t.Errorf("%+v", got)
	}
	if r.plane.awaitReport(t, "any", func(agentapi.Report) bool { return true }).ProbesReady {
		t.Error("the agent says that it is ready for probes")
	}
}

// What an MTA answers is passed on, also when it is no yes, and when there is none.
func TestProbeReplies(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(conn, "554-go away\r\n554 and stay there\x07\r\n")
			conn.Close()
		}
	}()
	r := newRig(t, func(c *Config) { c.Probe.SMTP = ln.Addr().String() })
	r.assign("example.org")
	r.start()
	if got := r.order("p1", "example.org", probeTo); got.State != agentapi.ProbeRefused || got.Reply != "554 go away and stay there (to its greeting)" {
		t.Errorf("%+v", got)
	}
	ln.Close()
	<-served
	if got := r.order("p2", "example.org", probeTo); got.State != agentapi.ProbeRefused || !strings.Contains(got.Reply, "cannot be reached") {
		t.Errorf("%+v", got)
	}
}

// No more than the limit goes out within an hour, also across a restart; and a probe that was sent is not sent again.
func TestProbeLimitSurvivesRestart(t *testing.T) {
	s := startSink(t)
	r := newRig(t, func(c *Config) { c.Probe.SMTP = s.addr })
	var done []probeDone
	for i := range agentapi.ProbesPerHour - 1 {
		done = append(done, probeDone{ID: fmt.Sprint("old", i), At: time.Now(), MTA: true, State: agentapi.ProbeSubmitted})
	}
	done = append(done, probeDone{ID: "torn", At: time.Now().Add(-2 * time.Hour), MTA: true}, probeDone{ID: "ancient", At: time.Now().Add(-2 * time.Hour), MTA: true, State: agentapi.ProbeSubmitted})
	if err := writeState(r.cfg.StateDirectory, fileProbes, done); err != nil {
		t.Fatal(err)
	}
	r.assign("example.org")
	r.start()
	if got := r.order("torn", "example.org", probeTo); got.State != agentapi.ProbeSubmitted || !strings.Contains(got.Reply, "not known") {
		t.Errorf("one that was under way: %+v", got)
	}
	if got := r.order("last", "example.org", probeTo); got.State != agentapi.ProbeSubmitted {
		t.Errorf("the last within the limit: %+v", got)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	r.plane.mu.Lock()
	r.plane.reports = nil
	r.plane.mu.Unlock()
	r.start() // the control plane has nothing new to say
	if got := r.answer("last"); got.State != agentapi.ProbeSubmitted {
		t.Errorf("after the restart: %+v", got)
	}
	if got := r.order("beyond", "example.org", probeTo); got.State != agentapi.ProbeRefused || !strings.Contains(got.Reply, "limit") {
		t.Errorf("beyond the limit: %+v", got)
	}
	if n := s.count(); n != 1 {
		t.Errorf("%d messages were sent, want 1", n)
	}
	if raw, _ := os.ReadFile(filepath.Join(r.cfg.StateDirectory, fileProbes)); strings.Contains(string(raw), "ancient") {
		t.Error("what nobody asks about any more is kept")
	}
}

// A probe goes through a real Postfix by SMTP and by sendmail and is signed there like other mail.
func TestProbeThroughPostfix(t *testing.T) {
	r, p, s := postfixRig(t, dkim.Relaxed, "")
	for i, way := range []Probe{{SMTP: p.declared, From: "dkim"}, {Sendmail: sendmailOf(t, p)}} {
		r.cfg.Probe = way
		if err := r.agent.Reload(t.Context(), r.cfg); err != nil {
			t.Fatal(err)
		}
		id := fmt.Sprint("p", i)
		if got := r.order(id, "example.org", probeTo); got.State != agentapi.ProbeSubmitted {
			t.Fatalf("%+v: %+v", way, got)
		}
		raw := s.await(t, "?")
		for _, want := range []string{"To: <" + probeTo + ">", "Subject: Postseal probe " + id, "Auto-Submitted: auto-generated", "\r\nProbe: " + id + "\r\n"} {
			if !strings.Contains(raw, want) {
				t.Errorf("no %q in\n%s", want, raw)
			}
		}
		r.accepted(t, raw)
		s.mu.Lock()
		clear(s.mail)
		s.mu.Unlock()
	}
}

// sendmailOf is a program that hands mail to this Postfix, as the agent's own machine would have it.
func sendmailOf(t *testing.T, p *postfixInstance) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sendmail")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nexec /usr/sbin/sendmail -C "+p.conf+" \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// An MTA's reply often quotes the recipient, in whatever case.
func TestRepliesShowNoToken(t *testing.T) {
	const token = "abcdefghijklmnopqrstuvwx23"
	for text, want := range map[string]string{
		"554 5.7.1 <probe+" + token + "@reports.example.com>: no; probe+" + strings.ToUpper(token) + "=x": "554 5.7.1 <probe+…@reports.example.com>: no; probe+…=x",
		"250 2.0.0 queued as A1": "250 2.0.0 queued as A1",
		"":                       "",
	} {
		if got := withoutToken(text, "probe+"+token+"@reports.example.com"); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
	if got := withoutToken("a reply", "probe@reports.example.com"); got != "a reply" {
		t.Errorf("without a token: %q", got)
	}
}
