package mtalog_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/mtalog"
	"github.com/postseal/postseal/internal/mtalog/journaltest"
)

func TestJournalctlIsStartedAgain(t *testing.T) {
	j := newJournal(t, saidLine(1))
	f := j.follow(mtalog.Position{}).begin()
	j.Write(saidLine(2))
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
		j.Write(saidLine(n))
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
		j := newJournal(t, entry{Unit: "user@65534.service", Program: "sh", Message: "mine"})
		if err := os.Rename(filepath.Join(j.Dir, "system.journal"), filepath.Join(j.Dir, "user-65534.journal")); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(j.Dir, "user-65534.journal"), 0o644); err != nil {
			t.Fatal(err)
		}
		j.Write(saidLine(1))
		testMayNotBeRead(t, j)
	})
}

func testMayNotBeRead(t *testing.T, j *journal) {
	f := j.follow(mtalog.Position{})
	if os.Geteuid() == 0 {
		journaltest.Need(t, "setpriv")
		setpriv := "setpriv"
		for dir := j.Dir; dir != "/" && dir != os.TempDir(); dir = filepath.Dir(dir) {
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
			if err := os.Chown(filepath.Join(j.Dir, "system.journal"), 0, 65533); err != nil {
				t.Fatal(err)
			}
			t.Setenv("PATH", path)
			wrapped(t, "exec "+setpriv+` --reuid=65534 --regid=65534 --groups=65533 --no-new-privs --bounding-set=-all JOURNALCTL "$@"`)
			f := j.follow(mtalog.Position{})
			if f.begin(); !slices.Equal(f.old, []string{"line 1"}) {
				t.Errorf("%q", f.old)
			}
		}()
	} else if err := os.Chmod(filepath.Join(j.Dir, "system.journal"), 0); err != nil {
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
	journaltest.Need(t)
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
