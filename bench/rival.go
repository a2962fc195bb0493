package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// daemonPath finds a daemon, also where daemons lie that are not in every user's PATH.
func daemonPath(name string) (string, error) {
	for _, try := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(try); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("not installed (Debian: %s)", name)
}

// newMilter makes a folder for a rival; its socket is there.
func newMilter(name, dir string, setup milterSetup) (*milterServer, string, error) {
	work := "verify"
	if setup.signs {
		work = "sign"
	}
	dir, err := os.MkdirTemp(dir, name+"-"+work+"-")
	if err != nil {
		return nil, "", err
	}
	return &milterServer{name: name, socket: filepath.Join(dir, "milter.sock")}, dir, nil
}

// ready waits until a rival does its work, and ends it when it does not.
func (m *milterServer) ready(ctx context.Context, setup milterSetup) (*milterServer, error) {
	var err error
	if setup.signs {
		err = m.awaitSigning(ctx, domain)
	} else {
		err = m.awaitAnswers(ctx)
	}
	if err != nil {
		m.stopAll()
		return nil, err
	}
	return m, nil
}

// launcher starts a prepared rival when it is called. Its folder is given away before, so that this is not part of the start.
func (m *milterServer) launcher(ctx context.Context, dir string, env []string, path string, args ...string) (func() (*milterServer, error), error) {
	cmd, err := unprivileged(ctx, dir, env, path, args...)
	return func() (*milterServer, error) {
		m.program, err = start(cmd)
		return m, err
	}, err
}

// lastLines is the end of a log.
func lastLines(text string) string {
	const most = 2000
	text = strings.TrimSpace(text)
	return text[max(0, len(text)-most):]
}
