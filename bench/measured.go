package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// measureCommand makes this program start a command, wait for it, and say what it took. The kernel counts the memory of whoever starts a process as the process's own peak;
// so the one that starts it has to be small, and the comparison itself is not.
const measureCommand = "measure"

// taken is what a process took: CPU time, user and system, and the most memory it had in RAM.
type taken struct {
	CPU    time.Duration `json:"cpu"`
	Memory float64       `json:"memory_mb"`
}

// measureHere is the work of such a process. The figures go to file 3, after the command's own output to standard output.
func measureHere(command []string) error {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		return err
	}
	usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		return errors.New("the system does not say what a process took")
	}
	return json.NewEncoder(os.NewFile(3, "figures")).Encode(taken{cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), float64(usage.Maxrss) / 1024})
}

// measured runs a command on the processor for milters, where it has one thread of Go, and returns what it printed and took.
func measured(ctx context.Context, self string, command []string) (out []byte, used taken, err error) {
	figures, theirs, err := os.Pipe()
	if err != nil {
		return nil, used, err
	}
	defer figures.Close()
	cmd := on(ctx, milterProcessor(), self, append([]string{measureCommand}, command...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = &stdout, &stderr, []*os.File{theirs}
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	err = cmd.Run()
	_ = theirs.Close()
	if err != nil {
		return nil, used, fmt.Errorf("%w: %s", err, lastLines(stderr.String()))
	}
	return stdout.Bytes(), used, json.NewDecoder(figures).Decode(&used)
}
