package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// rspamdKeys is how many keys rspamd may keep: as many as ours does. By default it keeps fewer.
const rspamdKeys = 4096

// warmCache is as many messages as fill the caches of keys; opendkim has none.
const (
	warmCache = 5000
	warmFiles = 600
)

// manyMilters are those that can hold many domains.
func manyMilters(t tools) []*manyMilter {
	return []*manyMilter{
		{oursMilter, func(ctx context.Context, dir string, keys *manyKeys) (func() (*milterServer, error), error) {
			return preparePostseal(ctx, dir, t.postseal, keys)
		}, warmCache},
		{"rspamd maps", func(ctx context.Context, dir string, keys *manyKeys) (func() (*milterServer, error), error) {
			return prepareRspamd(ctx, dir, t.rspamdCache, keys)
		}, warmCache},
		{"opendkim db", func(ctx context.Context, dir string, keys *manyKeys) (func() (*milterServer, error), error) {
			return prepareOpenDKIM(ctx, dir, "db", keys)
		}, warmFiles},
		{"opendkim file", func(ctx context.Context, dir string, keys *manyKeys) (func() (*milterServer, error), error) {
			return prepareOpenDKIM(ctx, dir, "file", keys)
		}, warmFiles},
	}
}

func preparePostseal(ctx context.Context, dir, binary string, keys *manyKeys) (func() (*milterServer, error), error) {
	dir, err := os.MkdirTemp(dir, "agent-")
	if err != nil {
		return nil, err
	}
	m := &milterServer{name: oursMilter, socket: filepath.Join(dir, "agent.sock"), lookup: keys.lookup}
	config, err := writeAgent(dir, agentSetup{socket: m.socket, keys: keys, listener: "sign: outbound"})
	return func() (*milterServer, error) {
		m.program, err = startProgram(ctx, binary, "agent", "run", "--config", config)
		return m, err
	}, err
}

func prepareRspamd(ctx context.Context, dir, cache string, keys *manyKeys) (func() (*milterServer, error), error) {
	path, err := daemonPath("rspamd")
	if err != nil {
		return nil, err
	}
	if !hasCompiled(cache) { // when the other parts were left out
		first, err := startRspamd(ctx, dir, milterSetup{signs: true, rspamdCache: cache})
		if err != nil {
			return nil, err
		}
		first.stopAll()
	}
	m, dir, err := newMilter("rspamd", dir, milterSetup{signs: true})
	if err != nil {
		return nil, err
	}
	keyPath, err := keys.linkKeys(filepath.Join(dir, "keys"))
	if err != nil {
		return nil, err
	}
	selectors, paths := filepath.Join(dir, "selectors.map"), filepath.Join(dir, "paths.map")
	if err := keys.table(selectors, func(i int) string { return keys.domain(i) + " " + selector }); err != nil {
		return nil, err
	}
	if err := keys.table(paths, func(i int) string { return keys.domain(i) + " " + keyPath(i) }); err != nil {
		return nil, err
	}
	config, err := writeRspamd(dir, cache, "", fmt.Sprintf(rspamdSigning, rspamdPlugins, fmt.Sprintf("selector_map = %q; path_map = %q;", selectors, paths), rspamdKeys))
	if err != nil {
		return nil, err
	}
	return m.launcher(ctx, dir, nil, path, rspamdArgs(dir, config)...)
}

// prepareOpenDKIM writes KeyTable and SigningTable of the kind: file or db.
func prepareOpenDKIM(ctx context.Context, dir, kind string, keys *manyKeys) (func() (*milterServer, error), error) {
	path, err := daemonPath("opendkim")
	if err != nil {
		return nil, err
	}
	m, dir, err := newMilter("opendkim", dir, milterSetup{signs: true})
	if err != nil {
		return nil, err
	}
	keyPath, err := keys.linkKeys(filepath.Join(dir, "keys"))
	if err != nil {
		return nil, err
	}
	tables := map[string]func(i int) string{
		"KeyTable":     func(i int) string { return fmt.Sprintf("k%06d %s:%s:%s", i, keys.domain(i), selector, keyPath(i)) },
		"SigningTable": func(i int) string { return fmt.Sprintf("%s k%06d", keys.domain(i), i) },
	}
	text := openDKIMConf(dir, m.socket) + fmt.Sprintf("Mode s\nCanonicalization relaxed/relaxed\nInternalHosts csl:%s\n", ownClient)
	for name, line := range tables {
		file := filepath.Join(dir, name)
		if err := keys.table(file, line); err != nil {
			return nil, err
		}
		if kind == "db" {
			file += ".db"
			if err := makeDB(ctx, filepath.Join(dir, name), file); err != nil {
				return nil, err
			}
		}
		text += fmt.Sprintf("%s %s:%s\n", name, kind, file)
	}
	config := filepath.Join(dir, "opendkim.conf")
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return nil, err
	}
	return m.launcher(ctx, dir, nil, path, "-f", "-x", config)
}

// toDB turns lines of key and value into a Berkeley DB of the kind that opendkim opens.
const toDB = `use DB_File; my %h; tie %h, "DB_File", $ARGV[1], O_RDWR|O_CREAT, 0644, $DB_HASH or die "$!"; open my $f, "<", $ARGV[0] or die "$!";
while (<$f>) { chomp; my ($k, $v) = split / /, $_, 2; $h{$k} = $v } untie %h;`

// makeDB writes a Berkeley DB with Perl, which has the library in Debian.
func makeDB(ctx context.Context, from, to string) error {
	if out, err := exec.CommandContext(ctx, "perl", "-e", toDB, from, to).CombinedOutput(); err != nil {
		return fmt.Errorf("a Berkeley DB cannot be made (perl with DB_File): %w: %s", err, out)
	}
	return nil
}
