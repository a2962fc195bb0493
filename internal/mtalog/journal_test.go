package mtalog_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/mtalog"
)

// journalRemote writes journal files as journald does.
const journalRemote = "/usr/lib/systemd/systemd-journal-remote"

// journal is a folder with a real journal, and who writes it.
type journal struct {
	t       testing.TB
	dir     string
	written int // entries
	turns   int
}

func needJournal(t testing.TB) {
	t.Helper()
	_, noWriter := os.Stat(journalRemote)
	_, noReader := exec.LookPath("journalctl")
	if noWriter == nil && noReader == nil {
		return
	}
	if os.Getenv("POSTSEAL_REQUIRE_INTEGRATION") == "1" {
		t.Fatal("journalctl or systemd-journal-remote is missing and POSTSEAL_REQUIRE_INTEGRATION=1")
	}
	t.Skip("journalctl or systemd-journal-remote is missing; CI runs this test with them")
}

func newJournal(t testing.TB, lines ...entry) *journal {
	t.Helper()
	needJournal(t)
	j := &journal{t: t, dir: t.TempDir()}
	if len(lines) > 0 {
		j.write(lines...)
	}
	return j
}

// entry is what a program says to journald.
type entry struct {
	at                     time.Time // zero: when the one before came, and a second
	unit, program, message string
	more                   string // further fields, as NAME=VALUE lines
}

// said is a line of Postfix.
func said(message string) entry {
	return entry{unit: "postfix@-.service", program: "postfix/smtp", message: message}
}

func saidLine(n int) entry { return said(fmt.Sprintf("line %d", n)) }

// dawn is when the first entry of a journal comes.
var dawn = time.Date(2026, 11, 27, 9, 0, 0, 0, time.UTC)

// export gives an entry the form in which systemd-journal-remote takes it.
func (e entry) export(n int) []byte {
	var b bytes.Buffer
	at := e.at
	if at.IsZero() {
		at = dawn.Add(time.Duration(n) * time.Second)
	}
	fmt.Fprintf(&b, "__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=8a0a0f2c2b1a4d5eb3e8a1b2c3d4e5f6\n_MACHINE_ID=8a0a0f2c2b1a4d5eb3e8a1b2c3d4e5f7\n_HOSTNAME=mx1\nPRIORITY=6\nSYSLOG_FACILITY=2\n_TRANSPORT=syslog\n",
		at.UnixMicro(), (n+1)*1_000_000)
	if e.unit != "" {
		fmt.Fprintf(&b, "_SYSTEMD_UNIT=%s\n", e.unit)
		if name, _, instance := strings.Cut(e.unit, "@"); instance {
			fmt.Fprintf(&b, "_SYSTEMD_SLICE=system-%s.slice\n", name)
		} else {
			b.WriteString("_SYSTEMD_SLICE=system.slice\n")
		}
	}
	if e.program != "" {
		fmt.Fprintf(&b, "SYSLOG_IDENTIFIER=%s\nSYSLOG_PID=18\n", e.program)
	}
	b.WriteString(e.more)
	b.WriteString("MESSAGE\n")
	_ = binary.Write(&b, binary.LittleEndian, uint64(len(e.message)))
	b.WriteString(e.message + "\n\n")
	return b.Bytes()
}

func (j *journal) write(entries ...entry) {
	j.t.Helper()
	var in bytes.Buffer
	for _, e := range entries {
		j.written++
		in.Write(e.export(j.written))
	}
	j.run(&in, journalRemote, "--output="+filepath.Join(j.dir, "system.journal"), "-")
}

func (j *journal) run(in *bytes.Buffer, program string, args ...string) {
	j.t.Helper()
	cmd := exec.Command(program, args...)
	if in != nil {
		cmd.Stdin = in
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		j.t.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
}

// rotate does what journald does: the file gets another name, and the next entry goes into a new one.
func (j *journal) rotate() {
	j.t.Helper()
	j.turns++
	name := fmt.Sprintf("system@8a0a0f2c2b1a4d5eb3e8a1b2c3d4e5f7-%016x-%016x.journal", j.turns, dawn.Add(time.Duration(j.written)*time.Second).UnixMicro())
	if err := os.Rename(filepath.Join(j.dir, "system.journal"), filepath.Join(j.dir, name)); err != nil {
		j.t.Fatal(err)
	}
}

// vacuum deletes everything that was rotated, with the real program.
func (j *journal) vacuum() {
	j.t.Helper()
	j.run(nil, "journalctl", "--directory="+j.dir, "--vacuum-files=1")
	if left, _ := filepath.Glob(filepath.Join(j.dir, "system@*")); len(left) > 0 {
		j.t.Fatalf("%v are left", left)
	}
}

// following is a follower and what it has handed out.
type following struct {
	*mtalog.JournalFollower
	t          testing.TB
	fresh, old []string
}

func (j *journal) follow(from mtalog.Position) *following {
	j.t.Helper()
	f := &following{t: j.t, JournalFollower: mtalog.FollowJournal(mtalog.Journal{Kind: mtalog.Postfix, Directory: j.dir}, from)}
	j.t.Cleanup(f.Close)
	return f
}

// until reads until a condition holds. Trouble that passes is none.
func (f *following) until(what string, done func() bool) {
	f.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !done() {
		_, err := f.Read(func(e mtalog.Entry, old bool) {
			if old {
				f.old = append(f.old, string(e.Message))
			} else {
				f.fresh = append(f.fresh, string(e.Message))
			}
		})
		if err != nil && fault.CodeOf(err) != fault.Unavailable {
			f.t.Fatal(err)
		}
		if time.Now().After(deadline) {
			f.t.Fatalf("%s: not within 30 s; fresh %q, old %q, %v", what, f.fresh, f.old, err)
		}
	}
}

// begin reads until journalctl waits for what comes.
func (f *following) begin() *following {
	f.t.Helper()
	f.until("it follows", func() bool { return f.Follows() })
	return f
}

// expect reads a line that is written last, and checks that these and no others came before it.
func (f *following) expect(want ...string) {
	f.t.Helper()
	f.until("the last line comes", func() bool { return len(f.fresh) > 0 && f.fresh[len(f.fresh)-1] == want[len(want)-1] })
	if !slices.Equal(f.fresh, want) {
		f.t.Errorf("got %q, want %q", f.fresh, want)
	}
	f.fresh = nil
}

func TestJournalFirstTimeBeginsAtTheEnd(t *testing.T) {
	j := newJournal(t, saidLine(1), saidLine(2))
	f := j.follow(mtalog.Position{}).begin()
	j.write(saidLine(3))
	f.expect("line 3")
	j.write(saidLine(4), saidLine(5))
	f.expect("line 4", "line 5")
	if !slices.Equal(f.old, []string{"line 1", "line 2"}) || f.Gaps() != 0 {
		t.Errorf("old %q, %d gaps", f.old, f.Gaps())
	}
}

// A journal that has nothing of the MTA yet is read from its first line on.
func TestJournalWithoutTheMTA(t *testing.T) {
	j := newJournal(t, entry{unit: "cron.service", program: "cron", message: "job"})
	f := j.follow(mtalog.Position{}).begin()
	if at := f.Position(); at.Cursor != "" {
		t.Errorf("%+v", at)
	}
	j.write(saidLine(1))
	f.expect("line 1")
}

// What comes while nobody reads is read later, and nothing twice, wherever the reader was stopped.
func TestJournalGoesOnAfterARestart(t *testing.T) {
	j := newJournal(t, saidLine(1))
	f := j.follow(mtalog.Position{}).begin()
	for n := 2; n < 6; n++ {
		at := f.Position()
		f.Close()
		for range n % 3 { // none, one or two while it is away
			j.write(said(fmt.Sprintf("away %d", n)))
		}
		f = j.follow(at).begin()
		j.write(saidLine(n))
		f.expect(append(slices.Repeat([]string{fmt.Sprintf("away %d", n)}, n%3), fmt.Sprintf("line %d", n))...)
		if f.Gaps() != 0 || len(f.old) == 0 {
			t.Errorf("%d gaps, old %q", f.Gaps(), f.old)
		}
	}
}

func TestJournalRotation(t *testing.T) {
	for _, restart := range []bool{false, true} {
		t.Run(fmt.Sprintf("restart %v", restart), func(t *testing.T) {
			j := newJournal(t, saidLine(0))
			f := j.follow(mtalog.Position{}).begin()
			for n := 1; n <= 6; n += 2 {
				at := f.Position()
				if restart {
					f.Close()
				}
				j.write(saidLine(n)) // unread in the old file
				j.rotate()
				j.write(saidLine(n + 1))
				if restart {
					f = j.follow(at)
				}
				f.expect(fmt.Sprintf("line %d", n), fmt.Sprintf("line %d", n+1))
				if f.Gaps() != 0 {
					t.Errorf("%d gaps", f.Gaps())
				}
			}
		})
	}
}

func TestJournalThatWasVacuumed(t *testing.T) {
	j := newJournal(t, saidLine(1))
	f := j.follow(mtalog.Position{}).begin()
	at := f.Position()
	f.Close()
	j.write(saidLine(2))
	j.rotate()
	j.write(saidLine(3), saidLine(4))
	j.vacuum()
	f = j.follow(at)
	f.expect("line 3", "line 4") // the first one that is left counts
	if f.Gaps() != 1 {
		t.Errorf("%d gaps", f.Gaps())
	}
	at = f.Position()
	f.Close()
	f = j.follow(at).begin()
	j.write(saidLine(5))
	f.expect("line 5")
	if f.Gaps() != 0 {
		t.Errorf("%d gaps", f.Gaps())
	}

	// Nothing of the MTA is left at all: it is known at once, and counted once.
	at = f.Position()
	f.Close()
	j.rotate()
	j.write(entry{unit: "cron.service", program: "cron", message: "job"})
	j.vacuum()
	f = j.follow(at).begin()
	if f.Gaps() != 1 {
		t.Errorf("%d gaps", f.Gaps())
	}
	j.write(saidLine(6))
	f.expect("line 6")
	if f.Gaps() != 1 {
		t.Errorf("%d gaps", f.Gaps())
	}
}

// A position that is damaged, or of another journal, costs a gap and nothing else.
func TestJournalPositionsThatMeanNothing(t *testing.T) {
	for cursor, gaps := range map[string]uint64{
		"--file=/etc/shadow": 1,
		"s=zz":               1, // journalctl does not take it
		"x\ny":               1,
		"s=0123456789abcdef0123456789abcdef;i=7;b=0123456789abcdef0123456789abcdef;m=1;t=1;x=1": 1,
	} {
		t.Run(cursor, func(t *testing.T) {
			j := newJournal(t, saidLine(1))
			f := j.follow(mtalog.Position{Cursor: cursor}).begin()
			j.write(saidLine(2))
			f.until("the line comes", func() bool { return slices.Contains(f.fresh, "line 2") })
			if f.Gaps() != gaps {
				t.Errorf("%d gaps", f.Gaps())
			}
		})
	}
}

func TestJournalctlIsStartedAgain(t *testing.T) {
	j := newJournal(t, saidLine(1))
	f := j.follow(mtalog.Position{}).begin()
	j.write(saidLine(2))
	f.expect("line 2")
	for n := 3; n <= 4; n++ {
		pid := f.ChildPID()
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_, err := f.Read(func(mtalog.Entry, bool) {})
		if message, _ := fault.Show(err); fault.CodeOf(err) != fault.Unavailable || !strings.Contains(message, "signal: killed") {
			t.Errorf("%v", err)
		}
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil {
			t.Error("it is still there")
		}
		j.write(saidLine(n))
		f.expect(fmt.Sprintf("line %d", n))
		if _, err := f.Read(func(mtalog.Entry, bool) {}); err != nil {
			t.Errorf("an entry shows that it works again: %v", err)
		}
	}
	if f.Gaps() != 0 {
		t.Errorf("%d gaps", f.Gaps())
	}
}

// journalctl ends when nobody reads it any more, also when this process could not end it.
func TestJournalctlEndsWithItsReader(t *testing.T) {
	j := newJournal(t, saidLine(1))
	f := j.follow(mtalog.Position{}).begin()
	pid := f.ChildPID()
	f.HangUp()
	deadline := time.Now().Add(30 * time.Second)
	for {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil || bytes.Contains(stat, []byte(") Z ")) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("it is still there")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestNoJournalctl(t *testing.T) {
	t.Setenv("PATH", "")
	f := mtalog.FollowJournal(mtalog.Journal{Kind: mtalog.Postfix}, mtalog.Position{})
	defer f.Close()
	for range 2 { // also while it waits
		_, err := f.Read(func(mtalog.Entry, bool) {})
		message, hint := fault.Show(err)
		if fault.CodeOf(err) != fault.NotFound || !strings.Contains(message, "journalctl") || hint == "" {
			t.Errorf("%v", err)
		}
	}
}

// wrapped puts a program of ours before the real journalctl.
func wrapped(t *testing.T, script string) {
	t.Helper()
	real, err := exec.LookPath("journalctl")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "journalctl"), []byte("#!/bin/sh\n"+strings.ReplaceAll(script, "JOURNALCTL", real)+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
}

func TestJournalThatMayNotBeRead(t *testing.T) {
	t.Run("none of it", func(t *testing.T) { testMayNotBeRead(t, newJournal(t, saidLine(1))) })
	t.Run("only what concerns others", func(t *testing.T) {
		j := newJournal(t, entry{unit: "user@65534.service", program: "sh", message: "mine"})
		if err := os.Rename(filepath.Join(j.dir, "system.journal"), filepath.Join(j.dir, "user-65534.journal")); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(j.dir, "user-65534.journal"), 0o644); err != nil {
			t.Fatal(err)
		}
		j.write(saidLine(1))
		testMayNotBeRead(t, j)
	})
}

func testMayNotBeRead(t *testing.T, j *journal) {
	f := j.follow(mtalog.Position{})
	if os.Geteuid() == 0 {
		setpriv, err := exec.LookPath("setpriv")
		if err != nil {
			t.Skip("setpriv is missing")
		}
		for dir := j.dir; dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		path := os.Getenv("PATH")
		wrapped(t, "exec "+setpriv+` --reuid=65534 --regid=65534 --clear-groups JOURNALCTL "$@"`)
		defer func() { // and the group of the files is what it takes
			if t.Failed() {
				return
			}
			if err := os.Chown(filepath.Join(j.dir, "system.journal"), 0, 65533); err != nil {
				t.Fatal(err)
			}
			t.Setenv("PATH", path)
			wrapped(t, "exec "+setpriv+` --reuid=65534 --regid=65534 --groups=65533 --no-new-privs --bounding-set=-all JOURNALCTL "$@"`)
			f := j.follow(mtalog.Position{})
			if f.begin(); !slices.Equal(f.old, []string{"line 1"}) {
				t.Errorf("%q", f.old)
			}
		}()
	} else if err := os.Chmod(filepath.Join(j.dir, "system.journal"), 0); err != nil {
		t.Fatal(err)
	}
	_, err := f.Read(func(mtalog.Entry, bool) {})
	for deadline := time.Now().Add(30 * time.Second); err == nil && time.Now().Before(deadline); {
		_, err = f.Read(func(mtalog.Entry, bool) {})
	}
	if _, hint := fault.Show(err); fault.CodeOf(err) != fault.Denied || !strings.Contains(hint, "systemd-journal") {
		t.Errorf("%v, %s", err, hint)
	}
}

// Complaints without end, and output that is none, are bounded and told.
func TestJournalctlThatIsNone(t *testing.T) {
	needJournal(t)
	for name, tt := range map[string]struct {
		script string
		code   fault.Code
		text   string
	}{
		"complains much": {`i=0; while [ $i -lt 5000 ]; do echo "a long complaint with a bell ` + "\a" + `" >&2; i=$((i+1)); done; exit 3`, fault.Unavailable, "a long complaint with a bell a long"},
		"is no such":     {`echo 'this is not what was asked for'; exec cat`, fault.Invalid, "cannot be read"},
		"says nothing":   {`exit 1`, fault.Unavailable, "exit status 1"},
		"no such folder": {`exec JOURNALCTL --directory=/nonexistent/journal`, fault.NotFound, "/nonexistent/journal"},
		"no journal":     {`exec JOURNALCTL --directory=` + t.TempDir() + ` "$@"`, fault.NotFound, "there is no journal"},
	} {
		t.Run(name, func(t *testing.T) {
			wrapped(t, tt.script)
			f := mtalog.FollowJournal(mtalog.Journal{Kind: mtalog.Postfix}, mtalog.Position{})
			defer f.Close()
			var err error
			for deadline := time.Now().Add(30 * time.Second); err == nil && time.Now().Before(deadline); {
				_, err = f.Read(func(mtalog.Entry, bool) { t.Error("an entry") })
			}
			message, _ := fault.Show(err)
			if fault.CodeOf(err) != tt.code || !strings.Contains(message, tt.text) || len(message) > 500 || strings.ContainsAny(message, "\a\n") {
				t.Errorf("%s %q", fault.CodeOf(err), message)
			}
		})
	}
}

// Messages that are no text, or have lines, or are long, as journald keeps them.
func TestJournalMessages(t *testing.T) {
	j := newJournal(t, saidLine(0))
	f := j.follow(mtalog.Position{}).begin()
	long := strings.Repeat("x", mtalog.MaxLine)
	odd := []string{"\xff\xfe octets \x00\x01", "two\nlines", "a=b\n\n__CURSOR=s=1\n", "", long, "\n" + long[1:]}
	var entries []entry
	for _, m := range odd {
		entries = append(entries, said(m))
	}
	j.write(append(entries, said(long+"x"), said("\n"+long), said(strings.Repeat("y\n", 1<<20)), saidLine(1))...)
	f.expect(append(odd, "line 1")...)
	if f.TooLong() != 3 || f.Gaps() != 0 {
		t.Errorf("%d too long, %d gaps", f.TooLong(), f.Gaps())
	}
}

// Only what the MTA's units say is read; others may call themselves what they like.
func TestJournalHasOtherPrograms(t *testing.T) {
	j := newJournal(t, saidLine(0))
	f := j.follow(mtalog.Position{}).begin()
	j.write(
		entry{unit: "user@1000.service", program: "postfix/smtp", message: "forged"},
		entry{unit: "cron.service", program: "cron", message: "job"},
		entry{program: "kernel", message: "oops"},
		entry{unit: "postfix.service", program: "postfix/smtp", message: "Red Hat"},
		entry{unit: "postfix@out.service", program: "postfix-out/smtp", message: "another instance"},
		saidLine(1))
	f.expect("Red Hat", "another instance", "line 1")

	for name, tt := range map[string]struct {
		spec mtalog.Journal
		want []string
	}{
		"a unit":                {mtalog.Journal{Units: []string{"postfix@out.service"}}, []string{"another instance"}},
		"a slice":               {mtalog.Journal{Units: []string{"system-postfix.slice"}}, []string{"line 0", "another instance", "line 1"}},
		"two units":             {mtalog.Journal{Units: []string{"postfix.service", "cron.service"}}, []string{"job", "Red Hat"}},
		"a name":                {mtalog.Journal{Identifiers: []string{"postfix/smtp"}}, []string{"line 0", "forged", "Red Hat", "line 1"}},
		"a name in a unit":      {mtalog.Journal{Units: []string{"postfix.service", "cron.service"}, Identifiers: []string{"postfix/smtp"}}, []string{"Red Hat"}},
		"Exim, which is not it": {mtalog.Journal{Kind: mtalog.Exim}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			tt.spec.Directory = j.dir
			if err := tt.spec.Check(); err != nil {
				t.Fatal(err)
			}
			g := &following{t: t, JournalFollower: mtalog.FollowJournal(tt.spec, mtalog.Position{})}
			defer g.Close()
			if g.begin(); !slices.Equal(g.old, tt.want) {
				t.Errorf("%q", g.old)
			}
		})
	}
}

// journald says when it drops lines because a unit says too much.
func TestJournaldDropsLines(t *testing.T) {
	j := newJournal(t, saidLine(0))
	f := j.follow(mtalog.Position{}).begin()
	dropped := func(unit, slice string) entry {
		return entry{unit: "systemd-journald.service", program: "systemd-journald", message: "Suppressed 12 messages from " + unit,
			more: "_TRANSPORT=driver\nMESSAGE_ID=a596d6fe7bfa4994828e72309e95d61e\nN_DROPPED=12\nOBJECT_SYSTEMD_UNIT=" + unit + "\nOBJECT_SYSTEMD_SLICE=" + slice + "\n"}
	}
	j.write(dropped("cron.service", "system.slice"), dropped("postfixadmin.service", "system.slice"), dropped("postfix@-.service", "system-postfix.slice"), dropped("postfix.service", "system.slice"), saidLine(1))
	f.expect("line 1")
	if f.Gaps() != 2 {
		t.Errorf("%d gaps", f.Gaps())
	}
}

func TestJournalCheck(t *testing.T) {
	for text, bad := range map[string]mtalog.Journal{
		"directory":                {Directory: "var/log/journal"},
		"units: \"--file=x\"":      {Units: []string{"--file=x"}},
		"units: \"postfix*\"":      {Units: []string{"postfix*"}},
		"units: \"postfix\"":       {Units: []string{"postfix"}},
		"units: \"\"":              {Units: []string{""}},
		"identifiers: \"a b\"":     {Identifiers: []string{"a b"}},
		"identifiers: \"\"":        {Identifiers: []string{""}},
		"units: 51":                {Units: slices.Repeat([]string{"a.service"}, 51)},
		"units: \"a\\nb.service\"": {Units: []string{"a\nb.service"}},
	} {
		if err := bad.Check(); fault.CodeOf(err) != fault.Invalid || !strings.HasPrefix(err.Error(), text) {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	good := mtalog.Journal{Kind: mtalog.Postfix, Directory: "/var/log/journal/x", Units: []string{"postfix@mx\\x2dout.service", "session-1.scope"}, Identifiers: []string{"postfix-out/smtp"}}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	if good.Names() == (mtalog.Journal{Kind: mtalog.Postfix}).Names() {
		t.Error("two journals have one name")
	}
}

// logEntries makes entries of the lines of a log, each as the program would have said it to journald.
func logEntries(t testing.TB, kind mtalog.Kind, name string) (entries []entry) {
	t.Helper()
	for l := range strings.Lines(string(testdata(t, name))) {
		l = strings.TrimSuffix(l, "\n")
		if kind == mtalog.Exim {
			stamp := strings.Fields(l)[:2]
			at, err := time.Parse("2006-01-02 15:04:05", strings.Join(stamp, " ")) // with or without a fraction
			if err != nil {
				t.Fatal(err)
			}
			entries = append(entries, entry{at: at, unit: "exim4.service", program: "exim", message: l})
			continue
		}
		at, err := time.Parse(time.Stamp, l[:15])
		if err != nil {
			t.Fatal(err)
		}
		tag, message, _ := strings.Cut(strings.SplitN(l[16:], " ", 2)[1], ": ")
		program, _, _ := strings.Cut(tag, "[")
		entries = append(entries, entry{at: at.AddDate(2026, 0, 0), unit: "postfix@-.service", program: program, message: message})
	}
	return entries
}

// The logs of real MTAs give the same through a journal as in a file.
func TestJournalAndFileSayTheSame(t *testing.T) {
	for name, kind := range map[string]mtalog.Kind{"postfix-3.7.log": mtalog.Postfix, "exim-4.96.log": mtalog.Exim, "exim-4.96-all.log": mtalog.Exim} {
		t.Run(name, func(t *testing.T) {
			want := refusals(t, kind, time.UTC, testdata(t, name))
			entries := logEntries(t, kind, name)
			j := newJournal(t, entry{unit: "cron.service", program: "cron", message: "job", at: dawn})
			f := mtalog.FollowJournal(mtalog.Journal{Kind: kind, Directory: j.dir}, mtalog.Position{})
			defer f.Close()
			p := parser(t, kind, time.UTC)
			var got []mtalog.Refusal
			read := 0
			look := func(e mtalog.Entry, old bool) {
				if read++; old {
					t.Error("the journal was empty")
				}
				if r, refused := p.Entry(e); refused {
					got = append(got, r)
				}
			}
			for !f.Follows() {
				if _, err := f.Read(look); err != nil {
					t.Fatal(err)
				}
			}
			j.write(entries...)
			for deadline := time.Now().Add(30 * time.Second); read < len(entries); {
				if _, err := f.Read(look); err != nil {
					t.Fatal(err)
				}
				if time.Now().After(deadline) {
					t.Fatalf("%d of %d entries", read, len(entries))
				}
			}
			if diff := cmp.Diff(want, got, cmpopts.EquateApproxTime(0)); diff != "" || len(got) == 0 {
				t.Errorf("%d refusals, -want +got\n%s", len(got), diff)
			}
		})
	}
}

// The time is the journal's: when it was sent where the kernel says so, else when it came.
func TestJournalTimes(t *testing.T) {
	j := newJournal(t, saidLine(0))
	f := mtalog.FollowJournal(mtalog.Journal{Kind: mtalog.Postfix, Directory: j.dir}, mtalog.Position{})
	defer f.Close()
	sent := dawn.Add(-time.Hour)
	message := "4T1abc2xyzz1: to=<bob@example.net>, relay=mx.example.net[192.0.2.1]:25, dsn=5.7.26, status=bounced (host mx.example.net[192.0.2.1] said: 550 5.7.26 no (in reply to end of DATA command))"
	with := func(more string) entry {
		return entry{at: dawn.Add(time.Minute), unit: "postfix@-.service", program: "postfix/smtp", message: message, more: more}
	}
	p := parser(t, mtalog.Postfix, time.UTC)
	var times []time.Time
	look := func(e mtalog.Entry, old bool) {
		if r, refused := p.Entry(e); refused {
			times = append(times, r.At)
		}
	}
	for !f.Follows() {
		if _, err := f.Read(look); err != nil {
			t.Fatal(err)
		}
	}
	j.write(with(""), with(fmt.Sprintf("_SOURCE_REALTIME_TIMESTAMP=%d\n", sent.UnixMicro())), with("_SOURCE_REALTIME_TIMESTAMP=never\n"))
	for deadline := time.Now().Add(30 * time.Second); len(times) < 3 && time.Now().Before(deadline); {
		if _, err := f.Read(look); err != nil {
			t.Fatal(err)
		}
	}
	if len(times) != 3 || !times[0].Equal(dawn.Add(time.Minute)) || !times[1].Equal(sent) || !times[2].Equal(dawn.Add(time.Minute)) {
		t.Errorf("%v", times)
	}
}
