package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/postseal/postseal/internal/api/client"
)

// TestProbes sends probes through real Postfixes, whose agents sign, to the control plane's own listener: as it should be; with a body, and a header, that are changed after
// signing; not signed; from a console; and a rotation whose gate is a probe.
func TestProbes(t *testing.T) {
	need(t, "postfix", "postconf", "named", "rndc")
	dir := sandbox(t)
	o := &organisation{t: t, dir: dir, data: filepath.Join(dir, "control-plane"), agents: map[string]*process{}, agentConfigs: map[string]string{}, milters: map[string]string{}}
	o.bind = startBIND(t, dir)
	hop := net.JoinHostPort("127.0.0.1", freePort(t, "127.0.0.1"))
	o.listen = net.JoinHostPort("127.0.0.1", freePort(t, "127.0.0.1"))
	o.serveExtra = []string{"--report-listen", hop, "--report-name", "reports.example.com"}
	o.startServe()
	fleet := strings.Replace(o.fleet(""), "test_mode: true,", "test_mode: true, gate: probe,", 1) + "probes: {address: probe@reports.example.com, every: 0}\n"
	o.postseal("apply", "-f", o.file("fleet.yaml", fleet), "--yes")
	for _, name := range []string{"mx1", "mx2"} {
		o.join(name)
		o.startAgent(name)
		o.servers = append(o.servers, startPostfix(t, dir, name, "inet:"+o.milters[name], hop))
	}
	o.probes("mx1", "probe: {smtp: '"+o.servers[0].addr+"', address: probe@reports.example.com}")
	eventually(t, "both servers sign", func() bool {
		_, one := o.signing("mx1")
		_, two := o.signing("mx2")
		return one && two
	})
	selector, _ := o.signing("mx1")
	old, _ := o.signing("mx2")
	o.postseal("rotate", zone, "--signer", "mx2") // goes on while mx1 is looked at

	// As it should be.
	good, status := o.send("mx1")
	v := good.Verdict
	if status != 0 || !good.Good || v == nil || v.Outcome != "passed" || strings.Join(v.Proven, " ") != selector || good.Mail.Hops == 0 || good.Mail.Peer != "127.0.0.1" || !strings.HasPrefix(good.Reply, "250 ") {
		t.Fatalf("exit %d, %+v, %+v, %+v", status, good, v, good.Mail)
	}
	if text := o.postseal("probe", "show", good.Probe); !strings.Contains(text, "GOOD: signed by "+selector+" and aligned with example.com") {
		t.Errorf("%s", text)
	}

	// Something changes mail after it was signed.
	for _, c := range []struct{ parameter, rule, outcome, says string }{
		{"smtp_body_checks", `/^Probe: (.*)/ REPLACE Probe: $1 -- checked by the virus scanner`, "body_changed", "something changes the body after signing"},
		{"smtp_header_checks", `/^Subject: (.*)/ REPLACE Subject: [extern] $1`, "header_changed", "the body is whole"},
	} {
		table := filepath.Join(dir, c.parameter)
		write(t, table, c.rule+"\n")
		o.configure(o.servers[0], c.parameter+"=regexp:"+table)
		p, status := o.sendUntil("mx1", c.outcome)
		if status != 1 || p.Good || p.Verdict == nil || p.Verdict.Outcome != c.outcome || !strings.Contains(p.Verdict.Sentence, c.says) {
			t.Errorf("%s: exit %d, %+v, %+v", c.parameter, status, p, p.Verdict)
		}
		if out := o.postseal("finding", "list", "--json"); !strings.Contains(out, `"PRB-01"`) || !strings.Contains(out, c.says) {
			t.Errorf("%s: findings: %s", c.parameter, out)
		}
		o.configure(o.servers[0], c.parameter+"=")
	}
	o.configure(o.servers[0], "non_smtpd_milters=", "smtpd_milters=")
	if p, status := o.sendUntil("mx1", "not_signed"); status != 1 || p.Verdict == nil || p.Verdict.Outcome != "not_signed" {
		t.Errorf("without the milter: exit %d, %+v, %+v", status, p, p.Verdict)
	}
	o.configure(o.servers[0], "non_smtpd_milters=inet:"+o.milters["mx1"], "smtpd_milters=inet:"+o.milters["mx1"])
	if p, status := o.sendUntil("mx1", "passed"); status != 0 || !p.Good {
		t.Errorf("mended: exit %d, %+v, %+v", status, p, p.Verdict)
	}
	if out := o.postseal("finding", "list", "--json"); strings.Contains(out, `"PRB-0`) {
		t.Errorf("a finding stays: %s", out)
	}

	// The MTA does not want it; and an agent that nobody set up says what to do.
	o.configure(o.servers[0], "smtpd_sender_restrictions=check_sender_access inline:{{postmaster@example.com=REJECT not from here}}")
	if p, status := o.sendUntil("mx1", "refused"); status != 1 || p.State != "refused" || !strings.Contains(p.Reply, "554") || !strings.Contains(p.Reply, "not from here") {
		t.Errorf("refused: exit %d, %+v", status, p)
	}
	o.configure(o.servers[0], "smtpd_sender_restrictions=")
	if p, status := o.send("mx2"); status != 1 || p.State != "refused" || !p.NotSetUp || !strings.Contains(p.Reply, "agent.yaml") {
		t.Errorf("not set up: exit %d, %+v", status, p)
	}

	// A service's mail, which is not signed as the service should.
	out, err := o.try("probe", "service", "sendgrid", "--domain", zone, "--json")
	var asked client.Probes
	if err != nil || json.Unmarshal([]byte(out), &asked) != nil || len(asked.Probes) != 1 || asked.Probes[0].Address == "" {
		t.Fatalf("%v: %s", err, out)
	}
	console(t, hop, asked.Probes[0].Address)
	if out, err := o.try("probe", "show", asked.Probes[0].Probe); err == nil || !strings.Contains(out, "BAD: not signed at all") || !strings.Contains(out, "in the console of sendgrid") {
		t.Errorf("%v: %s", err, out)
	}

	// The rotation: the old key stands by until a probe has arrived with the new one.
	var fresh string
	eventually(t, "the new key of mx2 signs and the old one waits for a probe", func() bool {
		for _, r := range o.status() {
			if _, rest, ok := strings.Cut(r.Reason, "kept until a probe through mx2 has arrived signed by "); ok && r.Selector == old {
				fresh, _, _ = strings.Cut(rest, " ")
				fresh = strings.TrimRight(fresh, ";,:.")
			}
		}
		return fresh != ""
	})
	o.probes("mx2", "probe: {sendmail: "+o.sendmail("mx2")+"}")
	if p, status := o.send("mx2"); status != 0 || p.Verdict == nil || strings.Join(p.Verdict.Proven, " ") != fresh {
		t.Errorf("exit %d, %+v, %+v; the new key is %s", status, p, p.Verdict, fresh)
	}
	eventually(t, "the old key is retired", func() bool {
		for _, r := range o.status() {
			if r.Selector == old && r.State != "active" {
				return true
			}
		}
		return false
	})
	var ways client.Intake
	if err := json.Unmarshal([]byte(o.postseal("report", "intake", "--json")), &ways); err != nil || len(ways.Ways) != 1 || ways.Ways[0].Probes == 0 || ways.Ways[0].Stored+ways.Ways[0].Refused > 0 {
		t.Errorf("%v: %+v", err, ways)
	}
}

// signing returns the selector of a signer's newest key once the agent is known to sign with it.
func (o *organisation) signing(signer string) (string, bool) {
	r, ok := o.key(signer, "active")
	return r.Selector, ok && strings.HasPrefix(r.Reason, "signing")
}

// probes adds how probes are submitted to an agent's settings.
func (o *organisation) probes(name, line string) {
	o.t.Helper()
	text := must(os.ReadFile(o.agentConfigs[name]))
	write(o.t, o.agentConfigs[name], string(text)+line+"\n")
	if err := o.agents[name].cmd.Process.Signal(syscall.SIGHUP); err != nil {
		o.t.Fatal(err)
	}
	eventually(o.t, name+" has taken its settings", func() bool { return strings.Contains(o.agents[name].out.String(), "configuration taken") })
}

// sendmail is the sendmail program of one of the Postfixes.
func (o *organisation) sendmail(name string) string {
	path := filepath.Join(o.dir, name+".sendmail")
	if err := os.WriteFile(path, []byte("#!/bin/sh\nexec /usr/sbin/sendmail -C "+filepath.Join(o.dir, name, "conf")+" \"$@\"\n"), 0o755); err != nil {
		o.t.Fatal(err)
	}
	return path
}

// configure changes a Postfix.
func (o *organisation) configure(p *postfix, parameters ...string) {
	o.t.Helper()
	// A delivery that meets a process on its way out would have to wait a minute.
	run(o.t, "postconf", append([]string{"-c", p.conf, "-e", "transport_retry_time=1s"}, parameters...)...)
	run(o.t, "postfix", "-c", p.conf, "reload")
}

// sendUntil sends probes until one shows this outcome, or ends in this state, a few times at most: processes of a Postfix that was told to reload may still be at work.
func (o *organisation) sendUntil(server, want string) (p client.Probe, status int) {
	o.t.Helper()
	for range 4 {
		if p, status = o.send(server); p.State == want || p.Verdict != nil && p.Verdict.Outcome == want {
			break
		}
	}
	return p, status
}

// send sends a probe as a person does and returns what came of it, with the exit status.
func (o *organisation) send(server string) (client.Probe, int) {
	o.t.Helper()
	out, err := o.try("probe", "send", server, "--domain", zone, "--wait", "30s", "--json")
	status := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		status = exit.ExitCode()
	}
	var answer client.Probes
	if err := json.Unmarshal([]byte(out), &answer); err != nil || len(answer.Probes) != 1 {
		o.t.Fatalf("exit %d: %v in %s", status, err, out)
	}
	return answer.Probes[0], status
}

// console sends an unsigned message, as a service does where nobody has finished its set-up.
func console(t *testing.T, addr, to string) {
	t.Helper()
	raw := fmt.Sprintf("From: News <news@%s>\r\nTo: <%s>\r\nSubject: a test of our campaign\r\nDate: %s\r\n\r\nhello\r\n", zone, to, time.Now().Format(time.RFC1123Z))
	c := must(smtp.Dial(addr))
	defer c.Close()
	if err := errors.Join(c.Mail("bounce@sendgrid.example", nil), c.Rcpt(to, nil)); err != nil {
		t.Fatal(err)
	}
	w := must(c.Data())
	if _, err := io.WriteString(w, raw); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.Close(), c.Quit()); err != nil {
		t.Fatal(err)
	}
}
