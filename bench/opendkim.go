package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// startOpenDKIM starts Debian's opendkim as a signing milter with a key of its own, or as a verifying one.
func startOpenDKIM(ctx context.Context, dir string, setup milterSetup) (*milterServer, error) {
	path, err := daemonPath("opendkim")
	if err != nil {
		return nil, err
	}
	m, dir, err := newMilter("opendkim", dir, setup)
	if err != nil {
		return nil, err
	}
	text := openDKIMConf(dir, m.socket)
	if setup.signs {
		key, err := makeKey(dir)
		if err != nil {
			return nil, err
		}
		m.lookup = func(string) ([]string, error) { return []string{key.record}, nil }
		text += fmt.Sprintf("Mode s\nDomain %s\nSelector %s\nKeyFile %s\nCanonicalization relaxed/relaxed\nInternalHosts csl:%s\n", domain, selector, key.path, ownClient)
	} else {
		text += fmt.Sprintf("Mode v\nAuthservID %s\nNameservers %s\nOn-BadSignature accept\n", authServer, setup.resolver)
	}
	config := filepath.Join(dir, "opendkim.conf")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	if m.program, err = startUnprivileged(ctx, dir, nil, path, "-f", "-x", config); err != nil {
		return nil, err
	}
	return m.ready(ctx, setup)
}

// openDKIMConf is what every opendkim here is told.
func openDKIMConf(dir, socket string) string {
	return fmt.Sprintf("Socket local:%s\nPidFile %s\nRequireSafeKeys no\nBackground no\nSyslog no\nAutoRestart no\nUMask 000\n", socket, filepath.Join(dir, "pid"))
}
