package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// startOpenDKIM starts Debian's opendkim as a signing milter with a key of its own.
func startOpenDKIM(ctx context.Context, dir string) (*milterServer, error) {
	path, err := exec.LookPath("opendkim")
	if err != nil {
		path = "/usr/sbin/opendkim" // not in every user's PATH
		if _, err := os.Stat(path); err != nil {
			return nil, fmt.Errorf("opendkim is not installed (Debian: opendkim)")
		}
	}
	dir = filepath.Join(dir, "opendkim")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	key, err := makeKey(dir)
	if err != nil {
		return nil, err
	}
	m := &milterServer{name: "opendkim", socket: filepath.Join(dir, "milter.sock")}
	m.lookup = func(string) ([]string, error) { return []string{key.record}, nil }
	config := filepath.Join(dir, "opendkim.conf")
	text := fmt.Sprintf("Socket local:%s\nPidFile %s\nDomain %s\nSelector %s\nKeyFile %s\nMode s\nCanonicalization relaxed/relaxed\nInternalHosts csl:%s\n"+
		"RequireSafeKeys no\nBackground no\nSyslog no\nAutoRestart no\n", m.socket, filepath.Join(dir, "pid"), domain, selector, key.path, clientAddr)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	if m.program, err = startProgram(ctx, path, "-f", "-x", config); err != nil {
		return nil, err
	}
	if err := m.awaitSigning(ctx); err != nil {
		m.stopAll()
		return nil, fmt.Errorf("%w\n%s", err, m.log.String())
	}
	return m, nil
}
