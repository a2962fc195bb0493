package main

import (
	"bufio"
	"bytes"
	"context"
	"embed"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// peer is an implementation that can be measured. CPU time is that of the process that does the work.
type peer interface {
	name() string
	// sign signs a message count times and returns every DKIM-Signature field.
	sign(m *message, count int) (signatures [][]byte, used cost, err error)
	// verify verifies a signed message count times; a verdict other than pass is an error.
	verify(m *message, count int) (used cost, err error)
}

// cost is what count operations took together.
type cost struct {
	cpu    time.Duration
	allocs uint64 // heap objects; 0 for child processes
}

//go:embed peers
var peerSources embed.FS

// child is an implementation in a process of its own. Each line of its input is a command: what (sign, verify, rsasign, rsaverify),
// the message's file, how often, and the file that gets the signatures, each ended by NUL. Each line of its output is "ok"
// with the CPU seconds that the operations took, or "err" with a sentence.
type child struct {
	label string
	dir   string
	in    io.WriteCloser
	out   *bufio.Reader
	cmd   *exec.Cmd
}

// startChild starts one of peers/ with its interpreter.
func startChild(ctx context.Context, dir, label string, key *keyPair, command ...string) (*child, error) {
	c := &child{label: label, dir: dir}
	c.cmd = exec.CommandContext(ctx, command[0], append(command[1:], key.path, key.recordPath, domain, selector)...)
	c.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = bufio.NewReader(out)
	return c, c.cmd.Start()
}

func (c *child) stop() {
	_ = c.in.Close()
	_ = c.cmd.Wait()
}

func (c *child) name() string { return c.label }

// ask sends one command and waits for its end.
func (c *child) ask(what, path string, count int, out string) (cost, error) {
	if _, err := fmt.Fprintf(c.in, "%s %s %d %s\n", what, path, count, out); err != nil {
		return cost{}, fmt.Errorf("%s: %w", c.label, err)
	}
	line, err := c.out.ReadString('\n')
	if err != nil {
		return cost{}, fmt.Errorf("%s ended: %w", c.label, err)
	}
	word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	seconds, err := strconv.ParseFloat(rest, 64)
	if word != "ok" || err != nil {
		return cost{}, fmt.Errorf("%s: %s", c.label, strings.TrimSpace(line))
	}
	return cost{cpu: time.Duration(seconds * float64(time.Second))}, nil
}

func (c *child) sign(m *message, count int) ([][]byte, cost, error) {
	file := filepath.Join(c.dir, "signatures")
	used, err := c.ask("sign", m.path, count, file)
	if err != nil {
		return nil, used, err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, used, err
	}
	var out [][]byte
	for field := range bytes.SplitSeq(bytes.TrimSuffix(text, []byte{0}), []byte{0}) {
		out = append(out, append(bytes.TrimRight(field, "\r\n"), "\r\n"...))
	}
	return out, used, nil
}

func (c *child) verify(m *message, count int) (cost, error) {
	return c.ask("verify", m.path, count, "-")
}

// children starts every child process that this machine can run; why says what is missing for the others.
func children(ctx context.Context, dir string, key *keyPair) (running []*child, missing []string) {
	for _, x := range []struct {
		label, file, wants string
		command            func(path string) ([]string, error)
	}{
		{"libopendkim", "libopendkim.c", "gcc and libopendkim-dev, libssl-dev", func(path string) ([]string, error) {
			program := filepath.Join(dir, "libopendkim")
			out, err := exec.CommandContext(ctx, "gcc", "-O2", "-o", program, path, "-lopendkim", "-lcrypto").CombinedOutput()
			if err != nil {
				return nil, fmt.Errorf("%w: %s", err, out)
			}
			return []string{program}, nil
		}},
		{"Mail::DKIM", "maildkim.pl", "libmail-dkim-perl", func(path string) ([]string, error) {
			return []string{"perl", path}, exec.CommandContext(ctx, "perl", "-MMail::DKIM::Signer", "-e", "1").Run()
		}},
		{"dkimpy", "dkimpy.py", "python3-dkim", func(path string) ([]string, error) {
			return []string{"/usr/bin/python3", path}, exec.CommandContext(ctx, "/usr/bin/python3", "-c", "import dkim").Run()
		}},
	} {
		c, err := func() (*child, error) {
			source, err := peerSources.ReadFile("peers/" + x.file)
			if err != nil {
				return nil, err
			}
			path := filepath.Join(dir, x.file)
			if err := os.WriteFile(path, source, 0o600); err != nil {
				return nil, err
			}
			command, err := x.command(path)
			if err != nil {
				return nil, err
			}
			return startChild(ctx, dir, x.label, key, command...)
		}()
		if err != nil {
			missing = append(missing, fmt.Sprintf("%s (Debian: %s): %v", x.label, x.wants, err))
			continue
		}
		running = append(running, c)
	}
	return running, missing
}
