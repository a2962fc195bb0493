package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWrongUsageInOwnWords gives commands what they do not take: exit status 2, our sentence with what to do, and nothing of a library's.
func TestWrongUsageInOwnWords(t *testing.T) {
	t.Setenv(envURL, "")
	t.Setenv(envToken, "")
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("admin.json", `{"url":"https://127.0.0.1:1","token":"x","ca":"x"}`)
	program := write("program", "\x7fELF\x00\x00\xff: [\n"+strings.Repeat("x", 10_000))
	empty := write("empty.pem", "")
	for _, tt := range []struct{ args, want, hint string }{
		{"statsu", `"statsu" is no command of postseal`, "did you mean status?"},
		{"servcie list", "is no command", "did you mean service?"},
		{"completion tcsh", `"tcsh" is no command of postseal completion`, "--help lists them"},
		{"audit --view nonsense example.org", `--view "nonsense" is not an address`, "for example 192.0.2.53:53"},
		{"audit --resolver nonsense example.org", `--resolver "nonsense" is not an address`, "for example 192.0.2.53:53"},
		{"audit --resolver 127.0.0.1:1 --records x example.org", "--records and --resolver exclude each other", "leave one of them out"},
		{"audit --jsno example.org", "there is no flag --jsno", "did you mean --json?"},
		{"audit --selector", "--selector needs a value", "--help"},
		{"audit -f " + program, "is no list of domains", "one domain a line"},
		{"audit -f " + write("list", "example.org\n192.0.2.1\n"), "list, line 2: ", "one domain a line"},
		{"audit --mutes " + program + " example.org", "is no list of mutes", "until:"},
		{"audit --weak-keys " + program + " example.org", "no hash", "64 hexadecimal digits"},
		{"audit --weak-keys " + write("long", strings.Repeat("a", 5000)) + " example.org", "is no list of weak keys", "64 hexadecimal digits"},
		{"status --data " + dir + " --ca " + empty, "holds no certificate", "--ca"},
		{"status --data " + dir + " --ca /dev/null", "holds no certificate", "leave it out"},
		{"serve --poll x", `"x" is not a time such as 30s`, "--help"},
		{"serve --poll 0s", "--poll 0s is too short", "at least"},
		{"serve --poll -1s", "--poll -1s is too short", "at least"},
		{"serve --poll 9ms", "--poll 9ms is too short", "10ms at least"},
		{"serve --report-every -1s", "--report-every -1s is no time to wait", "such as 5m"},
		{"serve --log-level loud", `--log-level "loud" is not known`, "debug, info, warn or error"},
		{"serve --audit-fetch=maybe", `"maybe" is not true or false`, "--help"},
		{"service add newsletter-machine --domain example.org --print", `unknown service "newsletter-machine"`, "postseal service catalogue has the names; one that it does not have is added with --custom"},
		{"service add google-workspace --domain example.org --answer nosuch=1 --print", `has no question "nosuch"`, "it asks for: selector, txt"},
		{"service add sendgrid --domain example.org --answer nosuch=1 --print", `has no question "nosuch"`, "it asks for: "},
	} {
		status, out, errs := runCommand(t, strings.Fields(tt.args)...)
		if status != exitUsage || !strings.Contains(errs, tt.want) || !strings.Contains(errs, tt.hint) || out != "" {
			t.Errorf("%s: exit %d\n%s%s; want %q, %q", tt.args, status, out, errs, tt.want, tt.hint)
		}
		for _, raw := range []string{"strconv", "slog:", "in the group", "bufio", "invalid argument", "unknown flag", "cannot be read"} {
			if strings.Contains(errs, raw) {
				t.Errorf("%s: the words of a library: %s", tt.args, errs)
			}
		}
	}
}

func TestVersion(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"--version"}} {
		if status, out, errs := runCommand(t, args...); status != 0 || !strings.HasPrefix(out, "postseal ") || strings.Count(out, "\n") != 1 || !strings.Contains(out, "go1.") {
			t.Errorf("%q: exit %d, %q, %q", args, status, out, errs)
		}
	}
	var b build
	if status, out, _ := runCommand(t, "version", "--json"); status != 0 || json.Unmarshal([]byte(out), &b) != nil || b.Version == "" || b.Go == "" {
		t.Errorf("exit %d, %s", status, out)
	}
}
