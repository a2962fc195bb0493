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
)

// journalRemote writes journal files as journald does.
const journalRemote = "/usr/lib/systemd/systemd-journal-remote"

// mailJournal is a folder with a real journal.
type mailJournal struct {
	t       *testing.T
	dir     string
	written int
}

func newMailJournal(t *testing.T) *mailJournal {
	t.Helper()
	_, err := os.Stat(journalRemote)
	need(t, "systemd-journal-remote", err == nil)
	need(t, "journalctl", haveProgram("journalctl"))
	j := &mailJournal{t: t, dir: t.TempDir()}
	j.write("cron", "job")
	return j
}

func (j *mailJournal) write(program, message string) {
	j.t.Helper()
	j.written++
	unit := program
	if strings.HasPrefix(program, "postfix") {
		unit = "postfix"
	}
	cmd := exec.Command(journalRemote, "--output="+filepath.Join(j.dir, "system.journal"), "-")
	cmd.Stdin = strings.NewReader(fmt.Sprintf("__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=8a0a0f2c2b1a4d5eb3e8a1b2c3d4e5f6\n_TRANSPORT=syslog\n_SYSTEMD_UNIT=%s.service\n_SYSTEMD_SLICE=system.slice\nSYSLOG_IDENTIFIER=%s\nMESSAGE=%s\n\n",
		time.Now().UnixMicro(), j.written*1_000_000, unit, program, message))
	if out, err := cmd.CombinedOutput(); err != nil {
		j.t.Fatalf("%v\n%s", err, out)
	}
}

// refused is a message that a receiver refuses: the two lines that Postfix says about it.
func (j *mailJournal) refused(id, sender, host, said string) {
	j.t.Helper()
	for line := range strings.Lines(postfixLines(time.Now(), id, sender, host, said)) {
		tag, message, _ := strings.Cut(strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 3)[2], ": ")
		program, _, _ := strings.Cut(tag, "[")
		j.write(program, message)
	}
}

func (j *mailJournal) rotate() {
	j.t.Helper()
	name := fmt.Sprintf("system@8a0a0f2c2b1a4d5eb3e8a1b2c3d4e5f7-%016x-%016x.journal", j.written, time.Now().UnixMicro())
	if err := os.Rename(filepath.Join(j.dir, "system.journal"), filepath.Join(j.dir, name)); err != nil {
		j.t.Fatal(err)
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
		c.StatusSocket, c.MTALog = "", MTALog{Journal: true, Kind: "postfix", Directory: j.dir}
	})
	j.refused("AAAAA1", "a@old.example", "gmail-smtp-in.l.google.com", "550 5.7.26 before the agent")
	a := r.start()
	lines := func(n uint64) func() bool {
		return func() bool { s := a.Status(); return s.MTALog != nil && s.MTALog.Lines >= n }
	}
	await(t, "the journal is read", lines(2))

	j.refused("AAAAA2", "a@bounces.example.org", "gmail-smtp-in.l.google.com", "550 5.7.26 SPF and DKIM")
	j.refused("AAAAA3", "a@bounces.example.org", "hotmail-com.olc.protection.outlook.com", "550 5.7.515 Access denied, sending domain EXAMPLE.ORG does not meet")
	j.write("cron", "4T1abc2xyzz1: to=<b@example.net>, relay=x.example[192.0.2.1]:25, dsn=5.7.26, status=bounced (host x.example[192.0.2.1] said: 550 5.7.26 forged)")
	j.rotate()
	j.refused("AAAAA4", "a@bounces.example.org", "gmail-smtp-in.l.google.com", "550 5.7.26 SPF and DKIM")
	want := map[string]uint64{"bounces.example.org Gmail 5.7.26 authentication": 2, "example.org Microsoft 5.7.515 authentication": 1}
	reported := func() bool { return fmt.Sprint(r.plane.refused()) == fmt.Sprint(want) }
	await(t, "everything is reported", reported)
	s, err := ReadStatus(t.Context(), r.cfg)
	if err != nil || len(s.Refusals) != 2 || len(s.Conditions) != 0 || !s.MTALog.Journal || s.MTALog.File != "" || s.MTALog.Kind != "postfix" || s.MTALog.Lines != 8 {
		t.Fatalf("%+v %+v %v", s, s.MTALog, err)
	}

	// Its journalctl is killed: what comes meanwhile is read by the next one.
	pids := childrenOf(t, "--directory="+j.dir)
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
	if pids := childrenOf(t, "--directory="+j.dir); len(pids) != 0 {
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
	await(t, "none is read", func() bool { return a.Status().MTALog == nil && len(childrenOf(t, "--directory="+j.dir)) == 0 })
}

// A gap while the agent was away is counted and told in the log, and counting goes on.
func TestJournalWasVacuumed(t *testing.T) {
	j := newMailJournal(t)
	r := newRig(t, func(c *Config) { c.MTALog = MTALog{Journal: true, Kind: "postfix", Directory: j.dir} })
	j.refused("AAAAA1", "a@example.org", "mx.example.net", "550 SPF fail")
	a := r.start()
	await(t, "the journal is read", func() bool { s := a.Status(); return s.MTALog != nil && s.MTALog.Lines == 2 })
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	j.rotate()
	j.refused("AAAAA2", "a@example.org", "mx.example.net", "550 SPF fail")
	if out, err := exec.Command("journalctl", "--directory="+j.dir, "--vacuum-files=1").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
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
	if err := os.Symlink(j.dir, dir); err != nil {
		t.Fatal(err)
	}
	j.refused("AAAAA1", "a@example.org", "mx.example.net", "550 SPF fail")
	await(t, "the journal is read", func() bool { s := a.Status(); return s.MTALog != nil && s.MTALog.Lines == 2 })
	j.refused("AAAAA2", "a@example.org", "mx.example.net", "550 SPF fail")
	await(t, "it counts", func() bool { return len(a.Status().Refusals) == 1 })
	await(t, "the trouble is over", func() bool { return condition() == "" })
}
