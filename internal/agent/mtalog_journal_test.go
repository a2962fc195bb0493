package agent

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/mtalog/journaltest"
)

// mailJournal is a real journal of a mail server.
type mailJournal struct{ *journaltest.Journal }

func newMailJournal(t *testing.T) mailJournal {
	t.Helper()
	j := mailJournal{journaltest.New(t)}
	j.says("cron", "job")
	return j
}

func (j mailJournal) says(program, message string) {
	unit, _, _ := strings.Cut(program, "/")
	j.Write(journaltest.Entry{At: time.Now(), Unit: unit + ".service", Program: program, Message: message})
}

// refused is a message that a receiver refuses: the two lines that Postfix says about it.
func (j mailJournal) refused(id, sender, host, said string) {
	for line := range strings.Lines(postfixLines(time.Now(), id, sender, host, said)) {
		tag, message, _ := strings.Cut(strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 3)[2], ": ")
		program, _, _ := strings.Cut(tag, "[")
		j.says(program, message)
	}
}

// childrenOf are the ids of this process's children that have a text among their arguments.
func childrenOf(t *testing.T, text string) (pids []int) {
	t.Helper()
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, dir := range dirs {
		args, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		stat, _ := os.ReadFile(filepath.Join(dir, "stat"))
		_, behind, _ := strings.Cut(string(stat), ") ")
		var state string
		var pid, parent int
		_, _ = fmt.Sscan(behind, &state, &parent)
		_, _ = fmt.Sscan(filepath.Base(dir), &pid)
		if parent == os.Getpid() && bytes.Contains(args, []byte(text)) {
			pids = append(pids, pid)
		}
	}
	return pids
}

func TestJournalIsFollowed(t *testing.T) {
	j := newMailJournal(t)
	r := newRig(t, func(c *Config) {
		c.StatusSocket, c.MTALog = "", MTALog{Journal: true, Kind: "postfix", Directory: j.Dir}
	})
	j.refused("AAAAA1", "a@old.example", "gmail-smtp-in.l.google.com", "550 5.7.26 before the agent")
	a := r.start()
	lines := func(n uint64) func() bool {
		return func() bool { s := a.Status(); return s.MTALog != nil && s.MTALog.Lines >= n }
	}
	await(t, "the journal is read", lines(2))

	j.refused("AAAAA2", "a@bounces.example.org", "gmail-smtp-in.l.google.com", "550 5.7.26 SPF and DKIM")
	j.refused("AAAAA3", "a@bounces.example.org", "hotmail-com.olc.protection.outlook.com", "550 5.7.515 Access denied, sending domain EXAMPLE.ORG does not meet")
	j.says("cron", "4T1abc2xyzz1: to=<b@example.net>, relay=x.example[192.0.2.1]:25, dsn=5.7.26, status=bounced (host x.example[192.0.2.1] said: 550 5.7.26 forged)")
	j.Rotate()
	j.refused("AAAAA4", "a@bounces.example.org", "gmail-smtp-in.l.google.com", "550 5.7.26 SPF and DKIM")
	want := map[string]uint64{"bounces.example.org Gmail 5.7.26 authentication": 2, "example.org Microsoft 5.7.515 authentication": 1}
	reported := func() bool { return fmt.Sprint(r.plane.refused()) == fmt.Sprint(want) }
	await(t, "everything is reported", reported)
	s, err := ReadStatus(t.Context(), r.cfg)
	if err != nil || len(s.Refusals) != 2 || len(s.Conditions) != 0 || !s.MTALog.Journal || s.MTALog.File != "" || s.MTALog.Kind != "postfix" || s.MTALog.Lines != 8 {
		t.Fatalf("%+v %+v %v", s, s.MTALog, err)
	}

	// Its journalctl is killed: what comes meanwhile is read by the next one.
	pids := childrenOf(t, "--directory="+j.Dir)
	if len(pids) != 1 {
		t.Fatalf("%d children", len(pids))
	}
	if err := syscall.Kill(pids[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	j.refused("AAAAA5", "a@example.com", "mx.example.net", "550 SPF fail")
	want["example.com example.net 550 spf"] = 1
	await(t, "the line after it was killed", reported)

	// What comes while the agent is down counts when it is back, and nothing twice.
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	if pids := childrenOf(t, "--directory="+j.Dir); len(pids) != 0 {
		t.Errorf("%v are left", pids)
	}
	j.refused("AAAAA6", "a@example.org", "mx.example.net", "550 SPF fail")
	a = r.start()
	want["example.org example.net 550 spf"] = 1
	await(t, "the line in between", reported)
	j.refused("AAAAA7", "a@example.org", "mx.example.net", "550 SPF fail")
	want["example.org example.net 550 spf"] = 2
	await(t, "the line after it", reported)
	if s := a.Status(); s.MTALog.Gaps != 0 || len(s.Conditions) != 0 {
		t.Errorf("%+v %+v", s.MTALog, s.Conditions)
	}

	// Another choice is another log: it begins at the end.
	cfg := r.cfg
	cfg.MTALog.Units = []string{"postfix.service", "cron.service"}
	if err := a.Reload(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	await(t, "the other choice is read", func() bool { s := a.Status(); return s.MTALog != nil && s.MTALog.Lines == 16 })
	if !reported() {
		t.Errorf("%v", r.plane.refused())
	}
	cfg.MTALog = MTALog{}
	if err := a.Reload(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	await(t, "none is read", func() bool { return a.Status().MTALog == nil && len(childrenOf(t, "--directory="+j.Dir)) == 0 })
}

// A gap while the agent was away is counted and told in the log, and counting goes on.
func TestJournalWasVacuumed(t *testing.T) {
	j := newMailJournal(t)
	r := newRig(t, func(c *Config) { c.MTALog = MTALog{Journal: true, Kind: "postfix", Directory: j.Dir} })
	j.refused("AAAAA1", "a@example.org", "mx.example.net", "550 SPF fail")
	a := r.start()
	await(t, "the journal is read", func() bool { s := a.Status(); return s.MTALog != nil && s.MTALog.Lines == 2 })
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	j.Rotate()
	j.refused("AAAAA2", "a@example.org", "mx.example.net", "550 SPF fail")
	j.Vacuum()
	a = r.start()
	await(t, "the gap and what is left are counted", func() bool { s := a.Status(); return len(s.Refusals) == 1 && s.MTALog.Gaps == 1 })
	var out bytes.Buffer
	a.writeMetrics(&out)
	if s := a.Status(); !strings.Contains(out.String(), "postseal_agent_mta_log_gaps_total 1\n") {
		t.Errorf("%+v\n%s", s.MTALog, out.String())
	}
}

func TestTroubleWithTheJournalIsTold(t *testing.T) {
	j := newMailJournal(t)
	dir := filepath.Join(t.TempDir(), "journal")
	r := newRig(t, func(c *Config) { c.MTALog = MTALog{Journal: true, Kind: "postfix", Directory: dir} })
	var skew atomic.Int64
	r.now = func() time.Time { return time.Now().Add(time.Duration(skew.Load())) }
	path := os.Getenv("PATH")
	t.Setenv("PATH", "")
	a := r.start()
	condition := func() string {
		for _, c := range a.Status().Conditions {
			if c.Word == conditionMTALog {
				return c.Message
			}
		}
		return ""
	}
	await(t, "journalctl is missed", func() bool {
		return strings.HasPrefix(condition(), "mta_log: there is no program journalctl in PATH: it comes with systemd")
	})
	if err := os.Setenv("PATH", path); err != nil {
		t.Fatal(err)
	}
	await(t, "the folder is missed", func() bool {
		return strings.HasPrefix(condition(), "mta_log: there is no such journal") && strings.Contains(condition(), dir) && strings.Contains(condition(), "mta_log.directory")
	})
	if err := os.Symlink(j.Dir, dir); err != nil {
		t.Fatal(err)
	}
	j.refused("AAAAA1", "a@example.org", "mx.example.net", "550 SPF fail")
	await(t, "the journal is read", func() bool { s := a.Status(); return s.MTALog != nil && s.MTALog.Lines == 2 })
	j.refused("AAAAA2", "a@example.org", "mx.example.net", "550 SPF fail")
	await(t, "it counts", func() bool { return len(a.Status().Refusals) == 1 })
	await(t, "the trouble is over", func() bool { return condition() == "" })
}

// What receivers say to a real Postfix that logs to a real journald, and to no file.
func TestPostfixLogsToTheJournal(t *testing.T) {
	need(t, "postfix", haveProgram("postfix"))
	d := journaltest.Start(t)
	postfix, err := exec.LookPath("postfix")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "postfix"), []byte(d.Around(postfix)), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	r := newRig(t, func(c *Config) {
		// Here nothing has a unit: there is no systemd that runs.
		c.MTALog = MTALog{Journal: true, Kind: "postfix", Directory: d.Dir, Identifiers: []string{"postfix/qmgr", "postfix/smtp"}}
	})
	r.assign("example.org")
	a := r.start()
	inet := func(i int) string { return "inet:" + a.Addrs()[i].String() }
	p := startPostfix(t, inet(0), inet(1), refusing(t), "maillog_file =")
	want := map[string]uint64{}
	reported := func() bool { return fmt.Sprint(r.plane.refused()) == fmt.Sprint(want) }
	send := func(who, key string) {
		t.Helper()
		if reply := smtpSendAs(t, p.public, "", who+"@bounces.example.org", caseText(who, postfixHead, "hello\r\n")); !strings.HasPrefix(reply, "250") {
			t.Fatal(reply)
		}
		if key != "" {
			want[key]++
		}
	}
	const gmail = "bounces.example.org example.net 5.7.26 authentication"
	send("gmail", gmail)
	send("microsoft", "example.org example.net 5.7.515 authentication")
	send("gmx", "bounces.example.org example.net 550 spf")
	send("later", "bounces.example.org example.net 4.7.30 dkim")
	send("nobody", "")
	send("welcome", "")
	await(t, "four refusals", reported)
	d.Rotate()
	send("gmail", gmail)
	await(t, "one more after the rotation", reported)
	if s := a.Status(); s.MTALog.Gaps != 0 || len(s.Conditions) != 0 {
		t.Errorf("%+v %+v", s.MTALog, s.Conditions)
	}
	if _, err := os.Stat(filepath.Join(filepath.Dir(p.conf), "mail.log")); err == nil {
		t.Error("it logs to a file")
	}
}
