package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// stopPatience is how long a program may take to end before it is killed.
const stopPatience = 5 * time.Second

// program is a program that was started.
type program struct {
	cmd *exec.Cmd
	log lockedBuffer
	end chan struct{}
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// maxLog is how much of a program's output is kept: its first complaint, not its every one.
const maxLog = 256 << 10

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.b.Len() < maxLog {
		l.b.Write(p)
	}
	return len(p), nil
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// startProgram starts a program on the processor for milters, if there is one.
func startProgram(ctx context.Context, name string, args ...string) (*program, error) {
	p := &program{cmd: on(ctx, milterProcessor(), name, args...), end: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = &p.log, &p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait()
		close(p.end)
	}()
	return p, nil
}

func (p *program) stop() { p.endWith(syscall.SIGTERM) }

// quit ends a program in a way that lets it say where it stood.
func (p *program) quit() { p.endWith(syscall.SIGQUIT) }

func (p *program) endWith(with syscall.Signal) {
	_ = p.cmd.Process.Signal(with)
	select {
	case <-p.end:
	case <-time.After(stopPatience):
		_ = p.cmd.Process.Kill()
		<-p.end
	}
}

// clockTicks is what /proc counts in: USER_HZ, 100 on every Linux that Go runs on.
const clockTicks = 100

// cpu is the CPU time of a program so far, all its threads, to ten milliseconds.
func (p *program) cpu() (time.Duration, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	// The second field is a name in parentheses and may hold anything; utime and stime are the 14th and 15th.
	_, rest, _ := strings.Cut(string(text[bytes.LastIndexByte(text, ')'):]), " ")
	f := strings.Fields(rest)
	if len(f) < 13 {
		return 0, errors.New("/proc/PID/stat is too short")
	}
	user, err1 := strconv.ParseInt(f[11], 10, 64)
	system, err2 := strconv.ParseInt(f[12], 10, 64)
	return time.Duration(user+system) * time.Second / clockTicks, errors.Join(err1, err2)
}

// peakMemory is the most memory that a program had in RAM, in MB.
func (p *program) peakMemory() (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kB, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
			return kB / 1024, err
		}
	}
	return 0, errors.New("/proc/PID/status has no VmHWM")
}

// until asks again and again whether something is so.
func until(ctx context.Context, limit time.Duration, what string, ok func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for !ok() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("after %s still not: %s", limit, what)
		case <-time.After(50 * time.Millisecond):
		}
	}
	return nil
}
