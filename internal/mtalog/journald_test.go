package mtalog_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postseal/postseal/internal/mtalog"
)

// journald is a real systemd-journald that sees folders of ours where the machine's would be: nobody else's lines come to it, and its to nobody.
type journald struct {
	t    *testing.T
	dir  string // with the journal
	conn net.Conn
	cmd  *exec.Cmd
}

// journaldPlaces gives journald a place of its own and becomes it. It waits for no socket of systemd: without one it makes them.
const journaldPlaces = `set -e
mount --make-rprivate /
mount -t tmpfs none /run
mkdir -p /run/systemd /run/log/journal
mount --bind "$1/run" /run/systemd
mount --bind "$1/journal" /run/log/journal
exec "$2"`

func startJournald(t *testing.T) *journald {
	t.Helper()
	needJournal(t)
	program := "/usr/lib/systemd/systemd-journald"
	if _, err := os.Stat(program); err != nil {
		t.Skip("systemd-journald is missing")
	}
	if id, err := os.ReadFile("/etc/machine-id"); err != nil || len(id) < 32 {
		t.Skip("this machine has no id, by which journald names its folder")
	}
	if out, err := exec.Command("unshare", "--mount", "mount", "--make-rprivate", "/").CombinedOutput(); err != nil {
		t.Skipf("mounts of its own are not allowed here: %v %s", err, out)
	}
	dir := t.TempDir()
	for _, d := range []string{"journal", "run/journal", "run/journald.conf.d"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	config := "[Journal]\nStorage=volatile\nForwardToSyslog=no\nForwardToConsole=no\nForwardToWall=no\nReadKMsg=no\nAudit=no\nSystemMaxUse=64M\nRuntimeMaxUse=64M\nRuntimeMaxFileSize=8M\n"
	if err := os.WriteFile(filepath.Join(dir, "run/journald.conf.d/test.conf"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	j := &journald{t: t, dir: filepath.Join(dir, "journal")}
	var out bytes.Buffer
	j.cmd = exec.Command("unshare", "--mount", "sh", "-c", journaldPlaces, "sh", dir, program)
	j.cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	j.cmd.Stdout, j.cmd.Stderr = &out, &out
	if err := j.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() { _ = j.cmd.Wait(); close(ended) })
	t.Cleanup(func() {
		_ = j.cmd.Process.Kill()
		wait.Wait()
		if j.conn != nil {
			_ = j.conn.Close()
		}
	})
	socket := filepath.Join(dir, "run/journal/dev-log")
	for deadline := time.Now().Add(30 * time.Second); j.conn == nil; time.Sleep(5 * time.Millisecond) {
		select {
		case <-ended:
			t.Fatalf("journald has ended: %s", out.String())
		default:
		}
		if conn, err := net.Dial("unixgram", socket); err == nil {
			j.conn = conn
		} else if time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
	return j
}

// say does what syslog(3) does.
func (j *journald) say(program, message string) {
	j.t.Helper()
	if _, err := fmt.Fprintf(j.conn, "<22>%s %s[18]: %s", time.Now().Format(time.Stamp), program, message); err != nil {
		j.t.Fatal(err)
	}
}

// files are those of the journal.
func (j *journald) files() []string {
	files, _ := filepath.Glob(filepath.Join(j.dir, "*", "*.journal"))
	return files
}

// rotate tells journald to begin a new file.
func (j *journald) rotate() {
	j.t.Helper()
	before := len(j.files())
	if err := j.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
		j.t.Fatal(err)
	}
	for deadline := time.Now().Add(30 * time.Second); len(j.files()) <= before; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			j.t.Fatal("no rotation")
		}
	}
}

// What Postfix says to the real journald is found as in a file, through journald's own rotation, a restart of ours and a vacuum.
func TestJournald(t *testing.T) {
	j := startJournald(t)
	spec := mtalog.Journal{Kind: mtalog.Postfix, Directory: j.dir, Identifiers: []string{"postfix/qmgr", "postfix/smtp"}}
	p := parser(t, mtalog.Postfix, time.UTC)
	var got []mtalog.Refusal
	var last string
	var f *mtalog.JournalFollower
	follow := func(from mtalog.Position) {
		f = mtalog.FollowJournal(spec, from)
		t.Cleanup(f.Close)
	}
	read := func(done func() bool) {
		t.Helper()
		for deadline := time.Now().Add(30 * time.Second); !done(); {
			if _, err := f.Read(func(e mtalog.Entry, old bool) {
				r, refused := p.Entry(e)
				if old {
					return
				}
				if last = string(e.Message); refused {
					got = append(got, r)
				}
			}); err != nil {
				t.Fatal(err)
			}
			if time.Now().After(deadline) {
				t.Fatal("not within 30 s")
			}
		}
	}
	until := func(message string) {
		t.Helper()
		j.say("postfix/smtp", message)
		read(func() bool { return last == message })
	}
	entries := logEntries(t, mtalog.Postfix, "postfix-3.7.log")
	want := refusals(t, mtalog.Postfix, time.UTC, testdata(t, "postfix-3.7.log"))
	start := time.Now().Add(-time.Second)

	follow(mtalog.Position{})
	read(func() bool { return f.Follows() })
	for i, e := range entries {
		if i == len(entries)/3 {
			j.rotate()
		}
		if i == len(entries)/2 { // it is stopped, and lines come meanwhile
			until("half of it")
			at := f.Position()
			f.Close()
			follow(at)
		}
		j.say(e.program, e.message)
	}
	until("all of it")
	for i := range got {
		if got[i].At.Before(start) || got[i].At.After(time.Now()) {
			t.Errorf("at %s", got[i].At)
		}
		got[i].At = want[min(i, len(want)-1)].At
	}
	if diff := cmp.Diff(want, got); diff != "" || f.Gaps() != 0 {
		t.Errorf("%d gaps, -want +got\n%s", f.Gaps(), diff)
	}

	// While it is away, what it read last and what it did not read is vacuumed.
	at := f.Position()
	f.Close()
	j.say("postfix/smtp", "never read")
	j.rotate()
	if out, err := exec.Command("journalctl", "--directory="+filepath.Dir(j.files()[0]), "--vacuum-files=1").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if len(j.files()) != 1 {
		t.Fatalf("%v", j.files())
	}
	j.say("postfix/smtp", "the first that is left")
	last = ""
	follow(at)
	read(func() bool { return last != "" })
	if last != "the first that is left" || f.Gaps() != 1 {
		t.Errorf("%q, %d gaps", last, f.Gaps())
	}
}

// journald writes what it held in memory to the disk once that is there: the entries get other sequence numbers, and so other cursors.
func TestJournalThatWasWrittenAnew(t *testing.T) {
	j := newJournal(t, saidLine(1), saidLine(2))
	f := j.follow(mtalog.Position{}).begin()
	at := f.Position()
	f.Close()
	entries, err := exec.Command("journalctl", "--directory="+j.dir, "--output=export").Output()
	if err != nil {
		t.Fatal(err)
	}
	k := &journal{t: t, dir: t.TempDir(), written: j.written}
	k.run(bytes.NewBuffer(entries), journalRemote, "--output="+filepath.Join(k.dir, "system.journal"), "-")
	k.write(saidLine(3))
	f = k.follow(at)
	f.expect("line 3")
	if now := f.Position().Cursor; f.Gaps() != 0 || !slices.Equal(f.old, []string{"line 1", "line 2"}) || strings.HasPrefix(now, at.Cursor[:10]) {
		t.Errorf("%d gaps, old %q, %s after %s", f.Gaps(), f.old, now, at.Cursor)
	}
}
