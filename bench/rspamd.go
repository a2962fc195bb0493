package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// rspamdConf is all of rspamd's configuration: the proxy worker as a milter that scans by itself, and no module but those that are named.
// %[1]s: its folder; %[2]s: name servers; %[3]s: the folder for what it compiles; %[4]s: modules.
const rspamdConf = `
options {
  pidfile = "%[1]s/rspamd.pid"; tempdir = "%[1]s"; hs_cache_dir = "%[3]s"; cache_file = "%[1]s/symbols.cache"; dynamic_conf = "%[1]s/dynamic";
  history_file = "%[1]s/history"; stats_file = "%[1]s/stats.ucl"; control_socket = "%[1]s/control.sock mode=0600";
  filters = "dkim"; local_addrs = ["127.0.0.0/8"];
  dns_max_requests = 64; max_lua_urls = 1024; max_urls = 10240; max_recipients = 1024; words_decay = 600; url_tld = "/usr/share/rspamd/effective_tld_names.dat";
  dns { timeout = 1s; sockets = 16; retransmits = 5; %[2]s }
}
logging { type = "console"; level = "error"; systemd = true; }
actions { reject = null; add_header = null; greylist = null; rewrite_subject = null; soft_reject = null; }
worker "rspamd_proxy" {
  bind_socket = "%[1]s/milter.sock mode=0666"; milter = yes; timeout = 120s; count = 1;
  upstream "local" { default = yes; self_scan = yes; }
}
%[4]s
`

// rspamdSigning and rspamdVerifying are its modules: %[1]s is the folder of the plug-ins.
const (
	rspamdSigning = `
modules { path = "%[1]s/dkim_signing.lua"; }
dkim { sign_cache_size = %[3]d; }
dkim_signing {
  sign_networks = ["` + ownClient + `/32"]; sign_authenticated = false; sign_local = false; use_domain = "header"; use_esld = false; allow_hdrfrom_mismatch = true;
  allow_username_mismatch = true; check_pubkey = false; try_fallback = false; %[2]s
}`
	rspamdVerifying = `
modules { path = "%[1]s/milter_headers.lua"; }
dkim { trusted_only = false; }
milter_headers { use = ["authentication-results"]; skip_local = false; skip_authenticated = false; }`
	rspamdPlugins = "/usr/share/rspamd/plugins"
)

// startRspamd starts rspamd with its dkim modules only.
func startRspamd(ctx context.Context, dir string, setup milterSetup) (*milterServer, error) {
	path, err := daemonPath("rspamd")
	if err != nil {
		return nil, err
	}
	m, dir, err := newMilter("rspamd", dir, setup)
	if err != nil {
		return nil, err
	}
	var names, modules string
	if setup.signs {
		key, err := makeKey(dir)
		if err != nil {
			return nil, err
		}
		m.lookup = func(string) ([]string, error) { return []string{key.record}, nil }
		modules = fmt.Sprintf(rspamdSigning, rspamdPlugins, fmt.Sprintf("domain { %q { selector = %q; path = %q; } }", domain, selector, key.path), rspamdKeys)
	} else {
		names = fmt.Sprintf("nameserver = [%q];", setup.resolver)
		modules = fmt.Sprintf(rspamdVerifying, rspamdPlugins)
	}
	config, err := writeRspamd(dir, setup.rspamdCache, names, modules)
	if err != nil {
		return nil, err
	}
	if !hasCompiled(setup.rspamdCache) {
		if err := m.runRspamd(ctx, dir, path, config, setup); err != nil {
			return nil, err
		}
		m.stop()
	}
	return m, m.runRspamd(ctx, dir, path, config, setup)
}

// hasCompiled reports whether rspamd has been started before. What it compiles at its first start makes that start slow and its memory two and a half
// times as large, so every milter that is measured is a later one.
func hasCompiled(cache string) bool {
	entries, err := os.ReadDir(cache)
	return err == nil && len(entries) > 0
}

// runRspamd starts it and waits until it does its work.
func (m *milterServer) runRspamd(ctx context.Context, dir, path, config string, setup milterSetup) (err error) {
	if m.program, err = startUnprivileged(ctx, dir, nil, path, rspamdArgs(dir, config)...); err != nil {
		return err
	}
	_, err = m.ready(ctx, setup)
	return err
}

func writeRspamd(dir, cache, names, modules string) (config string, err error) {
	config = filepath.Join(dir, "rspamd.conf")
	err = os.WriteFile(config, fmt.Appendf(nil, rspamdConf, dir, names, cache, modules), 0o600)
	if err == nil && os.Getuid() == 0 {
		err = giveAway(cache)
	}
	return config, err
}

func rspamdArgs(dir, config string) []string {
	return []string{"-f", "-c", config, "--var=DBDIR=" + dir, "--var=RUNDIR=" + dir, "--var=LOGDIR=" + dir}
}
