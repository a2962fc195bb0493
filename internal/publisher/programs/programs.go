// Package programs runs the few programs that an administrator put beside the control plane for publishing. The inventory names one, never a path: who may
// change the inventory does not choose what runs.
package programs

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/postseal/postseal/internal/fault"
)

const (
	// DefaultDir is where programs are looked for.
	DefaultDir = "/etc/postseal/programs"

	// runTime bounds one run. What takes longer should answer "pending" and go on by itself.
	runTime = 15 * time.Second
	// graceTime is how long a program's children may hold its output open after it was ended.
	graceTime = time.Second

	// maxOutput is what is read of a program's answer, in octets; the records at one name have a few thousand.
	maxOutput = 1 << 20
	// maxErrors is what is kept of its messages: the end, where the reason usually stands.
	maxErrors = 4 << 10
	// shownErrors is how much of them is shown.
	shownErrors = 300

	// othersWrite are the permissions with which somebody else could change what runs.
	othersWrite fs.FileMode = 0o022
)

var errTooMuch = errors.New("more output than is read")

// Dir is a directory of programs.
type Dir struct{ path string }

// In makes a Dir; "" is DefaultDir. A relative path means the working directory of this moment: programs run in another one.
func In(path string) Dir {
	if path == "" {
		path = DefaultDir
	}
	if whole, err := filepath.Abs(path); err == nil {
		path = whole
	}
	return Dir{path}
}

// Path finds a program. It must be a regular file that can be run, and like its directory owned by root or by the account that the control plane runs
// as, and writable by nobody else. Errors are fault.Invalid.
func (d Dir) Path(name string) (string, error) {
	if name == "" || name != filepath.Base(name) || strings.HasPrefix(name, ".") {
		return "", fault.New(fault.Invalid, "%q is no name of a program", name).WithHint("write the name of a file in %s", d.path)
	}
	path := filepath.Join(d.path, name)
	for _, p := range []string{d.path, path} {
		info, err := os.Lstat(p)
		if err != nil {
			return "", fault.Wrap(fault.Invalid, err, "the program %s is not there", path).WithHint("put it there, owned by root, mode 755; serve --programs names another directory")
		}
		owner := info.Sys().(*syscall.Stat_t).Uid
		switch {
		case p == path && !info.Mode().IsRegular():
			return "", fault.New(fault.Invalid, "the program %s is no regular file", path).WithHint("copy it there; links are not followed")
		case p == path && info.Mode()&0o111 == 0:
			return "", fault.New(fault.Invalid, "the program %s cannot be run", path).WithHint("chmod 755 %s", path)
		case owner != 0 && int(owner) != os.Geteuid() || info.Mode().Perm()&othersWrite != 0:
			return "", fault.New(fault.Invalid, "%s can be changed by others", p).WithHint("chown root %s; chmod go-w %s", p, p)
		}
	}
	return path, nil
}

// Run runs a program with its input and returns its output. It gets no environment but a path, and no arguments but those named; no shell is involved.
// When its time is up, it and its children are ended. fault.Invalid: the program cannot be run; fault.Unavailable: it failed, with the end of its messages.
func (d Dir) Run(ctx context.Context, name string, input []byte, args ...string) ([]byte, error) {
	path, err := d.Path(name)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, runTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"}
	cmd.Stdin = bytes.NewReader(input)
	out, messages := &bounded{most: maxOutput}, &tail{}
	cmd.Stdout, cmd.Stderr = out, messages
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = graceTime
	err = cmd.Run()
	switch {
	case ctx.Err() != nil && errors.Is(ctx.Err(), context.DeadlineExceeded):
		return nil, fault.Wrap(fault.Unavailable, ctx.Err(), "the program %s did not answer within %s%s", name, runTime, messages.said())
	case ctx.Err() != nil:
		return nil, fault.Wrap(fault.Unavailable, context.Cause(ctx), "the program %s was interrupted", name)
	case out.over:
		return nil, fault.New(fault.Unavailable, "the program %s answers with more than %d octets", name, maxOutput)
	case err != nil:
		return nil, fault.Wrap(fault.Unavailable, err, "the program %s failed (%v)%s", name, err, messages.said()).WithHint("run it by hand as the control plane's account to see why")
	}
	return out.buf.Bytes(), nil
}

// bounded keeps output up to a limit; a program that writes more finds its output closed.
type bounded struct {
	buf  bytes.Buffer
	most int
	over bool
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.buf.Len()+len(p) > b.most {
		b.over = true
		return 0, errTooMuch
	}
	return b.buf.Write(p)
}

// tail keeps the end of what is written.
type tail struct{ text []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.text = append(t.text, p...)
	if over := len(t.text) - maxErrors; over > 0 {
		t.text = t.text[over:]
	}
	return len(p), nil
}

// said is the end of the messages in one line, for a sentence.
func (t *tail) said() string {
	text := strings.Join(strings.Fields(strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return -1
		}
		return r
	}, string(t.text)), "?")), " ")
	if r := []rune(text); len(r) > shownErrors {
		text = "…" + string(r[len(r)-shownErrors:])
	}
	if text == "" {
		return ""
	}
	return ": " + text
}
