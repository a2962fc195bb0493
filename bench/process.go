package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
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
	return start(on(ctx, milterProcessor(), name, args...))
}

// startUnprivileged starts what unprivileged makes.
func startUnprivileged(ctx context.Context, dir string, env []string, name string, args ...string) (*program, error) {
	cmd, err := unprivileged(ctx, dir, env, name, args...)
	if err != nil {
		return nil, err
	}
	return start(cmd)
}

// unprivileged is a command that runs as the user nobody where this program is root: daemons that would change their user, or refuse to be root,
// run as a plain user runs them. Their folder is given to that user.
func unprivileged(ctx context.Context, dir string, env []string, name string, args ...string) (*exec.Cmd, error) {
	cmd := on(ctx, milterProcessor(), name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	if os.Getuid() != 0 {
		return cmd, nil
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	return cmd, giveAway(dir)
}

// nobody is the user and group of that name on Linux.
const nobody = 65534

func giveAway(dir string) error {
	return filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
		return errors.Join(err, os.Lchown(path, nobody, nobody))
	})
}

func start(cmd *exec.Cmd) (*program, error) {
	p := &program{cmd: cmd, end: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = &p.log, &p.log
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	// A group of its own, so that what it starts itself can be ended with it.
	cmd.SysProcAttr.Pdeathsig, cmd.SysProcAttr.Setpgid = syscall.SIGKILL, true
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = stopPatience // a child that lives on must not keep the output open for ever
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = cmd.Wait()
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
	}
	_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // what is left of the group
	<-p.end
}

// ended reports whether the program is gone.
func (p *program) ended() bool {
	select {
	case <-p.end:
		return true
	default:
		return false
	}
}

// tree is the program's process and all that come from it. A daemon may work in children.
func (p *program) tree() []int {
	children := map[int][]int{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		f, err := statFields(path)
		if err != nil {
			continue // has ended meanwhile
		}
		pid, err1 := strconv.Atoi(filepath.Base(filepath.Dir(path)))
		parent, err2 := strconv.Atoi(f[1])
		if errors.Join(err1, err2) == nil {
			children[parent] = append(children[parent], pid)
		}
	}
	pids := []int{p.cmd.Process.Pid}
	for i := 0; i < len(pids); i++ {
		pids = append(pids, children[pids[i]]...)
	}
	return pids
}

// statFields are the fields of /proc/PID/stat from the third one, the state. The second is a name in parentheses and may hold anything.
func statFields(path string) ([]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	f := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(f) < 15 {
		return nil, errors.New(path + " is too short")
	}
	return f, nil
}

// clockTicks is what /proc counts in: USER_HZ, 100 on every Linux that Go runs on.
const clockTicks = 100

// cpu is the CPU time of a program so far, of all its threads and processes. Those that run are read to the nanosecond; children that have
// ended count as their parent waited for them.
func (p *program) cpu() (time.Duration, error) {
	if p.ended() {
		return 0, errors.New("the program has ended")
	}
	var sum time.Duration
	for i, pid := range p.tree() {
		var ts unix.Timespec
		// The clock of another process, as clock_getcpuclockid(3) makes it: all bits of the number inverted, and 2 for the scheduler's clock.
		err := unix.ClockGettime(int32(^pid)<<3|2, &ts)
		if err == nil {
			var waited time.Duration
			waited, err = waitedFor(pid)
			sum += time.Duration(ts.Nano()) + waited
		}
		if err != nil && i == 0 {
			return 0, err
		}
	}
	return sum, nil
}

// waitedFor is the CPU time of a process's children that have ended: cutime and cstime, the 16th and 17th field.
func waitedFor(pid int) (time.Duration, error) {
	f, err := statFields(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	user, err1 := strconv.ParseInt(f[13], 10, 64)
	system, err2 := strconv.ParseInt(f[14], 10, 64)
	return time.Duration(user+system) * time.Second / clockTicks, errors.Join(err1, err2)
}

// peakMemory is the most memory that a program had in RAM, in MB. Of several processes it is what they have together at this moment, pages that they
// share counted once: the kernel keeps no peak of that.
func (p *program) peakMemory() (float64, error) { return p.memory("VmHWM:") }

// residentMemory is what it has in RAM now, in MB; of several processes as above.
func (p *program) residentMemory() (float64, error) { return p.memory("VmRSS:") }

func (p *program) memory(field string) (sum float64, err error) {
	pids := p.tree()
	file := "status"
	if len(pids) > 1 {
		file, field = "smaps_rollup", "Pss:"
	}
	for i, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
		if err != nil && i > 0 {
			continue // a child that has just ended
		}
		if err != nil {
			return 0, err
		}
		for line := range strings.Lines(string(text)) {
			if value, ok := strings.CutPrefix(line, field); ok {
				kB, err := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 64)
				if err != nil {
					return 0, err
				}
				sum += kB / 1024
			}
		}
	}
	if sum == 0 {
		return 0, fmt.Errorf("/proc/PID/%s has no %s", file, field)
	}
	return sum, nil
}

// lookAgain is how exactly a start is timed.
const lookAgain = 10 * time.Millisecond

// until asks again and again whether something is so.
func until(ctx context.Context, limit time.Duration, what string, ok func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for !ok() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("after %s still not: %s", limit, what)
		case <-time.After(lookAgain):
		}
	}
	return nil
}
