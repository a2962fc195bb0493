package main

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
)

// resolverForPython is a sitecustomize.py. dkimpy-milter has no option for a name server and would ask that of /etc/resolv.conf. %[1]q: the
// name server.
const resolverForPython = `
try:
    import dns.resolver
    dns.resolver.default_resolver = dns.resolver.Resolver(configure=False)
    dns.resolver.default_resolver.nameservers = [%[1]q]
except ImportError:
    pass
try:
    import DNS
    def discover(): DNS.defaults["server"] = [%[1]q]
    DNS.DiscoverNameServers = discover
except ImportError:
    pass
`

// startDkimpyMilter starts Debian's dkimpy-milter.
func startDkimpyMilter(ctx context.Context, dir string, setup milterSetup) (*milterServer, error) {
	path, err := daemonPath("dkimpy-milter")
	if err != nil {
		return nil, err
	}
	m, dir, err := newMilter("dkimpy-milter", dir, setup)
	if err != nil {
		return nil, err
	}
	m.share = 8
	who, err := whoRuns()
	if err != nil {
		return nil, err
	}
	text := fmt.Sprintf("Socket local:%s\nPidFile %s\nUserID %s\nSyslog no\nUMask 0\n", m.socket, filepath.Join(dir, "pid"), who)
	if setup.signs {
		key, err := makeKey(dir)
		if err != nil {
			return nil, err
		}
		m.lookup = func(string) ([]string, error) { return []string{key.record}, nil }
		text += fmt.Sprintf("Mode s\nDomain %s\nSelector %s\nKeyFile %s\nCanonicalization relaxed/relaxed\nInternalHosts %s\n", domain, selector, key.path, ownClient)
	} else {
		text += fmt.Sprintf("Mode v\nAuthservID %s\n", authServer)
		if err := os.WriteFile(filepath.Join(dir, "sitecustomize.py"), fmt.Appendf(nil, resolverForPython, setup.resolver), 0o600); err != nil {
			return nil, err
		}
	}
	config := filepath.Join(dir, "dkimpy-milter.conf")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	if m.program, err = startUnprivileged(ctx, dir, []string{"PYTHONPATH=" + dir, "PYTHONDONTWRITEBYTECODE=1"}, path, config); err != nil {
		return nil, err
	}
	return m.ready(ctx, setup)
}

// whoRuns is the user and the group that it runs as: it gives its pid file to them, even when they have it.
func whoRuns() (string, error) {
	if os.Getuid() == 0 {
		return "nobody:nogroup", nil
	}
	u, err := user.Current()
	if err != nil {
		return "", err
	}
	g, err := user.LookupGroupId(u.Gid)
	if err != nil {
		return "", err
	}
	return u.Username + ":" + g.Name, nil
}
