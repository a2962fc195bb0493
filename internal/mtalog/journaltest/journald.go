package journaltest

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long journald may take for anything.
const patience = 30 * time.Second

// Journald is a real systemd-journald that sees folders of ours where the machine's would be: nobody else's lines come to it, and its to nobody.
type Journald struct {
	Dir    string // with the journal
	Socket string // what is /dev/log elsewhere

	t    testing.TB
	conn net.Conn
	cmd  *exec.Cmd
}

// places gives journald a place of its own and becomes it. Without sockets of systemd it makes them itself.
const places = `set -e
mount --make-rprivate /
mount -t tmpfs none /run
mkdir -p /run/systemd /run/log/journal
mount --bind "$1/run" /run/systemd
mount --bind "$1/journal" /run/log/journal
exec "$2"`

const journaldConfig = `[Journal]
Storage=volatile
ForwardToSyslog=no
ForwardToConsole=no
ForwardToWall=no
ReadKMsg=no
Audit=no
RuntimeMaxUse=64M
RuntimeMaxFileSize=8M
`

// private skips the test where a process may have no mounts of its own.
func private(t testing.TB) {
	t.Helper()
	if out, err := exec.Command("unshare", "--mount", "mount", "--make-rprivate", "/").CombinedOutput(); err != nil {
		t.Skipf("mounts of its own are not allowed here: %v %s", err, out)
	}
}

// Start starts a journald, which ends with the test.
func Start(t testing.TB) *Journald {
	t.Helper()
	program := "/usr/lib/systemd/systemd-journald"
	Need(t, program, "unshare")
	if id, err := os.ReadFile("/etc/machine-id"); err != nil || len(id) < 32 {
		t.Skip("this machine has no id, by which journald names its folder")
	}
	private(t)
	dir := t.TempDir()
	for _, d := range []string{"journal", "run/journal", "run/journald.conf.d"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "run/journald.conf.d/test.conf"), []byte(journaldConfig), 0o644); err != nil {
		t.Fatal(err)
	}
	j := &Journald{t: t, Dir: filepath.Join(dir, "journal"), Socket: filepath.Join(dir, "run/journal/dev-log")}
	var out bytes.Buffer
	j.cmd = exec.Command("unshare", "--mount", "sh", "-c", places, "sh", dir, program)
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
	j.await("its socket", func() bool {
		select {
		case <-ended:
			t.Fatalf("journald has ended: %s", out.String())
		default:
		}
		conn, err := net.Dial("unixgram", j.Socket)
		if err == nil {
			j.conn = conn
		}
		return err == nil
	})
	return j
}

// await waits for what another process does.
func (j *Journald) await(what string, done func() bool) {
	j.t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			j.t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

// Say does what syslog(3) does.
func (j *Journald) Say(program, message string) {
	j.t.Helper()
	if _, err := fmt.Fprintf(j.conn, "<22>%s %s[18]: %s", time.Now().Format(time.Stamp), program, message); err != nil {
		j.t.Fatal(err)
	}
}

// Files are those of the journal.
func (j *Journald) Files() []string {
	files, _ := filepath.Glob(filepath.Join(j.Dir, "*", "*.journal"))
	return files
}

// Rotate tells journald to begin a new file, and waits for it.
func (j *Journald) Rotate() {
	j.t.Helper()
	before := len(j.Files())
	if err := j.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
		j.t.Fatal(err)
	}
	j.await("a new file", func() bool { return len(j.Files()) > before })
}

// Vacuum has journalctl delete everything that was rotated.
func (j *Journald) Vacuum() {
	j.t.Helper()
	if out, err := exec.Command("journalctl", "--directory="+filepath.Dir(j.Files()[0]), "--vacuum-files=1").CombinedOutput(); err != nil {
		j.t.Fatalf("%v\n%s", err, out)
	}
	if len(j.Files()) != 1 {
		j.t.Fatalf("%v", j.Files())
	}
}

// logHere runs a program that finds a socket of ours at /dev/log, and all else as it is.
const logHere = `set -e
mount --make-rprivate /
mkdir -p "$1"
mount -t tmpfs none "$1"
for device in null zero full random urandom tty; do
	[ -e "/dev/$device" ] || continue
	touch "$1/$device"
	mount --bind "/dev/$device" "$1/$device"
done
ln -s /proc/self/fd "$1/fd"
ln -s "$2" "$1/log"
mount --rbind "$1" /dev
shift 2
exec "$@"`

// Around is a shell script that runs a program so that what it and its children say to syslog(3) comes to this journald; its own arguments are the program's.
func (j *Journald) Around(program string) string {
	return fmt.Sprintf("#!/bin/sh\nexec unshare --mount sh -c '%s' sh '%s' '%s' '%s' \"$@\"\n", logHere, filepath.Join(filepath.Dir(j.Dir), "dev"), j.Socket, program)
}
