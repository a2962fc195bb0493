package mtalog

import (
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/postseal/postseal/internal/fault"
)

const (
	// journalProgram is part of systemd, as the journal is.
	journalProgram = "journalctl"
	// maxSaid is what is kept of the program's complaints, in octets: a sentence or two.
	maxSaid = 2 << 10
	// maxShown is how much of that is shown, in characters.
	maxShown = 300
	// endGrace is how long it may take to end after it has closed its output.
	endGrace = 2 * time.Second
)

// child is one journalctl. Nothing but a pipe lies between: what is not read waits there, and the program with it. It ends by itself when the pipe is closed, also when
// that is because this process was killed.
type child struct {
	cmd  *exec.Cmd
	out  *os.File
	said *beginning
}

// startChild starts journalctl without a shell and without our environment. fault.NotFound: there is none; fault.Unavailable: it cannot be started.
func startChild(args []string) (*child, error) {
	path, err := exec.LookPath(journalProgram)
	if err != nil {
		return nil, fault.Wrap(fault.NotFound, err, "there is no program %s in PATH", journalProgram).WithHint("it comes with systemd; where there is none, name the file that the MTA logs to")
	}
	out, in, err := os.Pipe()
	if err != nil {
		return nil, fault.Wrap(fault.Unavailable, err, "%s cannot be started", journalProgram)
	}
	defer in.Close()
	c := &child{cmd: exec.Command(path, args...), out: out, said: &beginning{}}
	c.cmd.Dir = "/"
	c.cmd.Env = []string{"LC_ALL=C"}
	c.cmd.Stdout, c.cmd.Stderr = in, c.said
	c.cmd.WaitDelay = endGrace
	// Ctrl-C at a terminal is for us; we end it.
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := c.cmd.Start(); err != nil {
		_ = out.Close()
		return nil, fault.Wrap(fault.Unavailable, err, "%s cannot be started", path)
	}
	return c, nil
}

// read reads what is there, and waits no longer than to a time for something. os.ErrDeadlineExceeded: nothing came; io.EOF: nothing will.
func (c *child) read(buffer []byte, until time.Time) (int, error) {
	if err := c.out.SetReadDeadline(until); err != nil {
		return 0, err
	}
	return c.out.Read(buffer)
}

// wait is for a child that has closed its output. It returns how it ended, nil for well.
func (c *child) wait() error {
	late := time.AfterFunc(endGrace, func() { _ = c.cmd.Process.Kill() })
	defer late.Stop()
	_ = c.out.Close()
	if err := c.cmd.Wait(); err != nil {
		return c.trouble(err)
	}
	return nil
}

// kill ends a child.
func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.out.Close()
	_ = c.cmd.Wait()
}

// blind says why a child that ended well saw nothing; nil where there was nothing to see.
func (c *child) blind() error {
	said := c.said.String()
	switch {
	case strings.Contains(said, "insufficient permissions"), strings.Contains(said, "not seeing messages from"):
		return fault.New(fault.Denied, "the journal may not be read").WithHint("add SupplementaryGroups=systemd-journal to the agent's unit and restart it (or usermod -aG systemd-journal)")
	case strings.Contains(said, "No journal files were found"):
		return fault.New(fault.NotFound, "there is no journal").WithHint("is systemd-journald running, and does it keep anything (Storage= in journald.conf)?")
	}
	return nil
}

// trouble says why a child ended that should not have.
func (c *child) trouble(err error) error {
	if blind := c.blind(); blind != nil {
		return blind
	}
	said := oneLine(c.said.String())
	switch {
	case strings.Contains(said, "No such file or directory"):
		return fault.Wrap(fault.NotFound, err, "there is no such journal: %s", said).WithHint("correct mta_log.directory, or leave it out for the machine's own journal")
	case said != "":
		return fault.Wrap(fault.Unavailable, err, "%s has ended: %s", journalProgram, said)
	case err != nil:
		return fault.Wrap(fault.Unavailable, err, "%s has ended (%v)", journalProgram, err)
	}
	return fault.New(fault.Unavailable, "%s has ended", journalProgram)
}

// oneLine makes what a program said fit for a sentence.
func oneLine(said string) string {
	text := strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, said)), " ")
	if r := []rune(text); len(r) > maxShown {
		text = string(r[:maxShown]) + "…"
	}
	return strings.TrimSuffix(text, ".")
}

// beginning keeps the first octets of what is written. It is safe for concurrent use.
type beginning struct {
	mu   sync.Mutex
	text []byte
}

func (b *beginning) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text = append(b.text, p[:min(len(p), maxSaid-len(b.text))]...)
	return len(p), nil
}

func (b *beginning) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return string(b.text)
}
