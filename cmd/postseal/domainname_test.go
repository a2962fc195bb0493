package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/fault"
)

// TestNoDomain gives every command that takes a domain what is none: wrong usage, said with the word that was typed.
func TestNoDomain(t *testing.T) {
	t.Setenv(envURL, "https://127.0.0.1:1")
	t.Setenv(envToken, "none")
	wrong := map[string]string{
		".": "is the root of DNS", "example.org/": "may hold letters", "*.example.org": "is a wildcard", "a.*.example.org": "may hold letters", "-a.org": "hyphen", "a-.org": "hyphen",
		"192.0.2.1": "ends with a number", "com": "only one part", "a..org": "two dots", "mx1._domainkey.example.org": "example.org", "_dmarc.example.org": "is the name of a record",
		"x@example.org": "may hold letters", strings.Repeat("a.", 127) + "org": "longer than",
	}
	commands := 0
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			walk(sub)
		}
		if !takesDomain(cmd) {
			return
		}
		commands++
		for name, why := range wrong {
			err := cmd.RunE(cmd, []string{name, "x", "y"}) // it must not come as far as to need a context
			message, _ := fault.Show(err)
			if fault.CodeOf(err) != fault.Invalid || !strings.Contains(message, why) {
				t.Errorf("%s %s: %v, want %q", cmd.CommandPath(), name, err, why)
			}
		}
	}
	walk(newRoot())
	if commands < 20 {
		t.Errorf("only %d commands take a domain", commands)
	}
	for name, why := range wrong {
		for _, line := range [][]string{{"service", "add", "sendgrid"}, {"service", "remove", "sendgrid"}, {"service", "check", "sendgrid", "--credential", "env:X"}} {
			status, out, errs := runCommand(t, append(line, "--domain="+name)...)
			if status != exitUsage || !strings.Contains(errs, why) || out != "" {
				t.Errorf("%q --domain=%s: exit %d, %q, %q; want %q", line, name, status, out, errs, why)
			}
		}
		list := filepath.Join(t.TempDir(), "list")
		if err := os.WriteFile(list, []byte("example.org\n"+name+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, line := range [][]string{{"audit", "--", "example.org", name}, {"audit", "-f", list}} {
			if status, out, errs := runCommand(t, line...); status != exitUsage || !strings.Contains(errs, why) || out != "" {
				t.Errorf("%q: exit %d, %q, %q; want %q", line, status, out, errs, why)
			}
		}
	}
}
