package journaltest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// writer writes journal files as journald does.
const writer = "/usr/lib/systemd/systemd-journal-remote"

// Dawn is about when the first entry of a Journal comes that says no time itself.
var Dawn = time.Date(2026, 11, 27, 9, 0, 0, 0, time.UTC)

// Need skips the test where a program that reads and writes journals, or one of these, is missing; it fails it where CI promised that they are there.
func Need(t testing.TB, more ...string) {
	t.Helper()
	for _, program := range append([]string{"journalctl", writer}, more...) {
		if _, err := exec.LookPath(program); err == nil {
			continue
		}
		if os.Getenv("POSTSEAL_REQUIRE_INTEGRATION") == "1" {
			t.Fatalf("%s is missing and POSTSEAL_REQUIRE_INTEGRATION=1", program)
		}
		t.Skipf("%s is missing; CI runs this test with it", program)
	}
}

// Journal is a folder with a real journal.
type Journal struct {
	Dir string

	t       testing.TB
	written int // entries
	turns   int
}

// Entry is what a program says.
type Entry struct {
	At                     time.Time // zero: a second after the one before
	Unit, Program, Message string    // "" = none; a message is always there
	More                   string    // further fields, as NAME=VALUE lines
}

// New makes a journal. Without entries it has no file.
func New(t testing.TB, entries ...Entry) *Journal {
	t.Helper()
	Need(t)
	j := &Journal{t: t, Dir: t.TempDir()}
	if len(entries) > 0 {
		j.Write(entries...)
	}
	return j
}

// Write adds entries.
func (j *Journal) Write(entries ...Entry) {
	j.t.Helper()
	var in bytes.Buffer
	for _, e := range entries {
		j.written++
		e.export(&in, j.written)
	}
	j.add(&in)
}

// Import adds entries of another Journal in the Journal Export Format. What is written later comes later.
func (j *Journal) Import(entries io.Reader) {
	j.t.Helper()
	j.written += 1000
	j.add(entries)
}

func (j *Journal) add(entries io.Reader) {
	j.t.Helper()
	j.run(entries, writer, "--output="+filepath.Join(j.Dir, "system.journal"), "-")
}

// export writes an entry in the Journal Export Format. Its message is given with its length, so that it may be anything.
func (e Entry) export(b *bytes.Buffer, n int) {
	at := e.At
	if at.IsZero() {
		at = Dawn.Add(time.Duration(n) * time.Second)
	}
	fmt.Fprintf(b, "__REALTIME_TIMESTAMP=%d\n__MONOTONIC_TIMESTAMP=%d\n_BOOT_ID=8a0a0f2c2b1a4d5eb3e8a1b2c3d4e5f6\n_MACHINE_ID=8a0a0f2c2b1a4d5eb3e8a1b2c3d4e5f7\n_HOSTNAME=mx1\nPRIORITY=6\nSYSLOG_FACILITY=2\n_TRANSPORT=syslog\n",
		at.UnixMicro(), (n+1)*1_000_000)
	if e.Unit != "" {
		slice := "system.slice"
		if name, _, instance := strings.Cut(e.Unit, "@"); instance {
			slice = "system-" + name + ".slice"
		}
		fmt.Fprintf(b, "_SYSTEMD_UNIT=%s\n_SYSTEMD_SLICE=%s\n", e.Unit, slice)
	}
	if e.Program != "" {
		fmt.Fprintf(b, "SYSLOG_IDENTIFIER=%s\nSYSLOG_PID=18\n", e.Program)
	}
	b.WriteString(e.More)
	b.WriteString("MESSAGE\n")
	_ = binary.Write(b, binary.LittleEndian, uint64(len(e.Message)))
	b.WriteString(e.Message + "\n\n")
}

// Rotate does what journald does: the file gets another name, and the next entry goes into a new one.
func (j *Journal) Rotate() {
	j.t.Helper()
	j.turns++
	name := fmt.Sprintf("system@8a0a0f2c2b1a4d5eb3e8a1b2c3d4e5f7-%016x-%016x.journal", j.turns, Dawn.Add(time.Duration(j.written)*time.Second).UnixMicro())
	if err := os.Rename(filepath.Join(j.Dir, "system.journal"), filepath.Join(j.Dir, name)); err != nil {
		j.t.Fatal(err)
	}
}

// Vacuum has journalctl delete everything that was rotated.
func (j *Journal) Vacuum() {
	j.t.Helper()
	j.run(nil, "journalctl", "--directory="+j.Dir, "--vacuum-files=1")
	if left, _ := filepath.Glob(filepath.Join(j.Dir, "system@*")); len(left) > 0 {
		j.t.Fatalf("%v are left", left)
	}
}

func (j *Journal) run(in io.Reader, program string, args ...string) {
	j.t.Helper()
	cmd := exec.Command(program, args...)
	cmd.Stdin = in
	if out, err := cmd.CombinedOutput(); err != nil {
		j.t.Fatalf("%s %v: %v\n%s", program, args, err, out)
	}
}
