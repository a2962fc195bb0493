package agent

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/mtalog"
)

func TestMTALogSettings(t *testing.T) {
	for text, want := range map[string]string{
		"mta_log: {file: /var/log/mail.log, kind: postfix}":   "",
		"mta_log: {file: /var/log/exim4/mainlog, kind: exim}": "",
		"mta_log: {}": "",
		"mta_log: {journal: true, kind: postfix}": "",
		"mta_log: {journal: true, kind: exim, directory: /var/log/journal/x, units: [exim4.service], identifiers: [exim]}": "",
		"mta_log: {journal: true}": "neither postfix nor exim",
		"mta_log: {journal: true, kind: postfix, file: /var/log/mail.log}":            "not both",
		"mta_log: {file: /var/log/mail.log, kind: postfix, units: [a.service]}":       "belong to the journal",
		"mta_log: {directory: /var/log/journal}":                                      "belong to the journal",
		"mta_log: {journal: true, kind: postfix, directory: journal}":                 "mta_log.directory: \"journal\" is not an absolute path",
		"mta_log: {journal: true, kind: postfix, units: [\"postfix@*\"]}":             "mta_log.units",
		"mta_log: {journal: true, kind: postfix, identifiers: [\"--since=today x\"]}": "mta_log.identifiers",
		"mta_log: {file: mail.log, kind: postfix}":                                    "absolute",
		"mta_log: {kind: postfix}":                                                    "absolute",
		"mta_log: {file: /var/log/mail.log}":                                          "neither postfix nor exim",
		"mta_log: {file: /var/log/mail.log, kind: sendmail}":                          "neither postfix nor exim",
		"mta_log: {file: /var/log/mail.log, kind: exim, x: 1}":                        "unknown field",
		"mta_log: {file: /var/log/mail.log, kind: [postfix]}":                         "mta_log",
		"mta_log: {file: \"/var/log/mail.log\", kind: Postfix}":                       "neither postfix nor exim",
	} {
		_, err := ParseConfig([]byte(text))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}

// postfixLines are a message's two lines in Postfix's log.
func postfixLines(at time.Time, id, sender, host, said string) string {
	stamp := at.UTC().Format(time.RFC3339)
	return fmt.Sprintf("%[1]s mx1 postfix/qmgr[1]: %[2]s: from=<%[3]s>, size=1, nrcpt=1 (queue active)\n"+
		"%[1]s mx1 postfix/smtp[2]: %[2]s: to=<b@example.net>, relay=%[4]s[192.0.2.1]:25, delay=1, delays=1/0/0/0, dsn=5.7.26, status=bounced (host %[4]s[192.0.2.1] said: %[5]s (in reply to end of DATA command))\n",
		stamp, id, sender, host, said)
}

func appendTo(t *testing.T, path, text string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// total sums what was ever reported, as a control plane does.
func (p *fakePlane) refused() map[string]uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	hours := map[string]agentapi.Refusal{}
	for _, r := range p.reports {
		for _, f := range r.Refusals {
			key := fmt.Sprint(f.Hour, f.Domain, f.Receiver, f.Code)
			if hours[key].Messages <= f.Messages {
				hours[key] = f
			}
		}
	}
	sums := map[string]uint64{}
	for _, f := range hours {
		sums[strings.Join([]string{f.Domain, f.Receiver, f.Code, f.Cause}, " ")] += f.Messages
	}
	return sums
}

func TestWhatReceiversRefuseIsReported(t *testing.T) {
	log := filepath.Join(t.TempDir(), "mail.log")
	r := newRig(t, func(c *Config) { c.StatusSocket, c.MTALog = "", MTALog{File: log, Kind: "postfix"} })
	now := time.Now().UTC()
	appendTo(t, log, postfixLines(now, "AAAAA1", "a@old.example", "gmail-smtp-in.l.google.com", "550 5.7.26 before the agent"))
	a := r.start()
	reading := func() bool { s := a.Status(); return s.MTALog != nil && s.MTALog.Lines >= 2 }
	await(t, "the log is read", reading)

	appendTo(t, log, postfixLines(now, "AAAAA2", "a@Bounces.Exämple.org", "gmail-smtp-in.l.google.com", "550 5.7.26 SPF and DKIM"))
	appendTo(t, log, postfixLines(now, "AAAAA3", "a@bounces.xn--exmple-cua.org", "gmail-smtp-in.l.google.com", "550 5.7.26 SPF and DKIM"))
	appendTo(t, log, postfixLines(now, "AAAAA3", "a@bounces.xn--exmple-cua.org", "gmail-smtp-in.l.google.com", "550 5.7.26 SPF and DKIM")) // the next recipient
	appendTo(t, log, postfixLines(now.Add(-3*time.Hour), "AAAAA4", "a@bounces.xn--exmple-cua.org", "gmail-smtp-in.l.google.com", "550 5.7.26 SPF and DKIM"))
	appendTo(t, log, postfixLines(now, "AAAAA5", "a@bounces.example.org", "hotmail-com.olc.protection.outlook.com", "550 5.7.515 Access denied, sending domain EXAMPLE.ORG does not meet"))
	appendTo(t, log, postfixLines(now.Add(-8*24*time.Hour), "AAAAA6", "a@example.org", "mx.example.net", "550 5.7.26 long ago"))
	want := map[string]uint64{"bounces.xn--exmple-cua.org Gmail 5.7.26 authentication": 3, "example.org Microsoft 5.7.515 authentication": 1}
	await(t, "everything is reported", func() bool { return fmt.Sprint(r.plane.refused()) == fmt.Sprint(want) })

	s, err := ReadStatus(t.Context(), r.cfg)
	if err != nil || len(s.Refusals) != 2 || len(s.Conditions) != 0 || s.MTALog.Kind != "postfix" {
		t.Fatalf("%+v %v", s, err)
	}
	for _, f := range s.Refusals {
		if !f.Permanent || f.Text == "" || f.Domain == "bounces.xn--exmple-cua.org" && (f.Messages != 3 || f.Last.Sub(f.First) < 2*time.Hour) {
			t.Errorf("%+v", f)
		}
	}
	var out bytes.Buffer
	a.writeMetrics(&out)
	for _, line := range []string{`postseal_agent_refusals_total{receiver="Gmail",code="5.7.26"} 3`, `postseal_agent_refusals_total{receiver="Microsoft",code="5.7.515"} 1`, "postseal_agent_mta_log_lines_total 14"} {
		if !strings.Contains(out.String(), line+"\n") {
			t.Errorf("%s is missing in\n%s", line, out.String())
		}
	}

	// What comes while it is down counts when it is back, and nothing twice.
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	appendTo(t, log, postfixLines(now, "AAAAA7", "a@example.org", "mx.example.net", "550 SPF fail"))
	r.start()
	want["example.org example.net 550 spf"] = 1
	await(t, "the line in between", func() bool { return fmt.Sprint(r.plane.refused()) == fmt.Sprint(want) })
}

// A report that nobody took is said again, whole; what grew meanwhile is in it.
func TestRefusalsWaitForTheControlPlane(t *testing.T) {
	log := filepath.Join(t.TempDir(), "mail.log")
	r := newRig(t, func(c *Config) { c.MTALog = MTALog{File: log, Kind: "postfix"} })
	appendTo(t, log, "")
	a := r.start()
	await(t, "the log is read", func() bool { return a.Status().MTALog != nil })
	r.plane.setDown(true)
	now := time.Now()
	for i := range agentapi.MaxRefusals + 20 {
		appendTo(t, log, postfixLines(now, fmt.Sprintf("AAAA%d", i), fmt.Sprintf("a@d%d.example", i), "mx.example.net", "550 SPF fail"))
	}
	await(t, "all are counted", func() bool { return len(a.Status().Refusals) == agentapi.MaxRefusals+20 })
	r.plane.setDown(false)
	await(t, "all are reported", func() bool { return len(r.plane.refused()) == agentapi.MaxRefusals+20 })
	if len(a.refusals.pending()) > 0 {
		await(t, "nothing is left to say", func() bool { return len(a.refusals.pending()) == 0 })
	}
}

func TestRefusalsAreBounded(t *testing.T) {
	s := newRefusals()
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	for i := range 3 * maxRefusals {
		s.count(mtalog.Refusal{At: now.Add(-time.Duration(i%5) * time.Hour), Queue: fmt.Sprint(i), Envelope: fmt.Sprintf("d%d.example", i), Receiver: fmt.Sprintf("r%d.example", i), Code: fmt.Sprintf("5.7.%d", i%500), Cause: mtalog.SPF}, now)
	}
	if len(s.rows) != maxRefusals || s.missed != 2*maxRefusals || len(s.seen) > maxMessagesSeen || len(s.totals) > maxRefusalKinds+1 {
		t.Errorf("%d rows, %d missed, %d seen, %d totals", len(s.rows), s.missed, len(s.seen), len(s.totals))
	}
	// What the control plane has makes room.
	for range maxRefusals/agentapi.MaxRefusals + 1 {
		s.taken(s.pending())
	}
	s.count(mtalog.Refusal{At: now, Queue: "x", Envelope: "new.example", Receiver: "r.example", Code: "5.7.26"}, now)
	if len(s.rows) != maxRefusals || s.missed != 2*maxRefusals || len(s.pending()) != 1 {
		t.Errorf("%d rows, %d missed, %d pending", len(s.rows), s.missed, len(s.pending()))
	}
	// Hours that are over and done go.
	if left := s.snapshot(MTALog{}, mtalog.Position{}, now.Add(30*time.Hour)); len(left.Refusals) != 1 {
		t.Errorf("%d rows left", len(left.Refusals))
	}
	if left := s.snapshot(MTALog{}, mtalog.Position{}, now.Add(8*24*time.Hour)); len(left.Refusals) != 0 {
		t.Errorf("%d rows left", len(left.Refusals))
	}
}

func TestTroubleWithTheMTALogIsTold(t *testing.T) {
	log := filepath.Join(t.TempDir(), "mail.log")
	r := newRig(t, func(c *Config) { c.MTALog = MTALog{File: log, Kind: "postfix"} })
	var skew atomic.Int64
	r.now = func() time.Time { return time.Now().Add(time.Duration(skew.Load())) }
	a := r.start()
	condition := func() string {
		for _, c := range a.Status().Conditions {
			if c.Word == conditionMTALog {
				return c.Message
			}
		}
		return ""
	}
	await(t, "the file is missed", func() bool {
		return strings.Contains(condition(), "maillog_file") && strings.Contains(condition(), "{journal: true, kind: postfix}")
	})
	appendTo(t, log, "")
	await(t, "the file is there", func() bool { return condition() == "" })
	appendTo(t, log, postfixLines(time.Now(), "AAAAA1", "a@example.org", "mx.example.net", "550 SPF fail"))
	await(t, "it counts", func() bool { return len(a.Status().Refusals) == 1 })
	if err := os.Rename(log, log+".1"); err != nil {
		t.Fatal(err)
	}
	appendTo(t, log+".1", postfixLines(time.Now(), "AAAAA2", "a@example.com", "mx.example.net", "550 SPF fail"))
	await(t, "what came after it was moved counts", func() bool { return len(a.Status().Refusals) == 2 })
	if c := condition(); c != "" {
		t.Errorf("a rotation is no trouble: %s", c)
	}
	skew.Store(int64(logPatience))
	await(t, "it stays away", func() bool { return condition() != "" })

	// Another file, by a reload: from its end on.
	other := filepath.Join(t.TempDir(), "mainlog")
	appendTo(t, other, "2026-11-27 10:00:00 1xX5RE-0004A1-0w <= a@example.org U=root P=local S=320\n")
	cfg := r.cfg
	cfg.MTALog = MTALog{File: other, Kind: "exim"}
	if err := a.Reload(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	await(t, "the other file is read", func() bool { s := a.Status(); return s.MTALog != nil && s.MTALog.File == other && s.MTALog.Lines == 1 })
	appendTo(t, other, time.Now().Format("2006-01-02 15:04:05")+` 1xX5RE-0004A1-0w ** b@example.net R=r T=t H=mx.example.net [192.0.2.1]: SMTP error from remote mail server after end of data: 550 5.7.20 no signature`+"\n")
	await(t, "it counts", func() bool { return len(a.Status().Refusals) == 3 })
	if c := condition(); c != "" {
		t.Error(c)
	}
	cfg.MTALog = MTALog{}
	if err := a.Reload(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	await(t, "none is read", func() bool { return a.Status().MTALog == nil })
}

func TestWhatToDoAboutAnUnreadableLog(t *testing.T) {
	spec := MTALog{File: filepath.Join(t.TempDir(), "mail.log"), Kind: "postfix"}
	appendTo(t, spec.File, "")
	if text := logTrouble(spec, fault.New(fault.Denied, "x")); !strings.Contains(text, "may not be read") {
		t.Error(text)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(spec.File, 0, 4); err != nil { // adm, on every Debian
			t.Fatal(err)
		}
		if text := logTrouble(spec, fault.New(fault.Denied, "x")); !strings.Contains(text, "SupplementaryGroups=adm") {
			t.Error(text)
		}
	}
	if text := logTrouble(spec, fault.New(fault.Invalid, "it is a pipe")); !strings.Contains(text, "pipe") {
		t.Error(text)
	}
}

// Damage to the state of the log costs counting, not signing.
func TestDamagedStateOfTheLog(t *testing.T) {
	log := filepath.Join(t.TempDir(), "mail.log")
	appendTo(t, log, postfixLines(time.Now(), "AAAAA1", "a@example.org", "mx.example.net", "550 SPF fail"))
	r := newRig(t, func(c *Config) { c.MTALog = MTALog{File: log, Kind: "postfix"} })
	if err := os.WriteFile(filepath.Join(r.cfg.StateDirectory, fileMTALog), []byte(`{"file": "`), 0o600); err != nil {
		t.Fatal(err)
	}
	a := r.start()
	await(t, "the log is read", func() bool { s := a.Status(); return s.MTALog != nil && s.MTALog.Lines == 2 })
	if s := a.Status(); len(s.Refusals) != 0 || len(s.Conditions) != 1 || s.Conditions[0].Word != conditionState {
		t.Errorf("%+v", s)
	}
}
