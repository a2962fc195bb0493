package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestDMARCShowWithRecords(t *testing.T) {
	records := filepath.Join(t.TempDir(), "dns.json")
	if err := os.WriteFile(records, []byte(`{
		"_dmarc.example.com": ["v=DMARC1; p=quarantine; sp=reject; t=y; rua=mailto:d@example.com,mailto:x@reports.example.net"],
		"example.com._report._dmarc.reports.example.net": ["v=DMARC1; rua=mailto:z@reports.example.net"],
		"_dmarc.bad.example": ["v=DMARC1; p=none; rua=mailto:y@nobody.example.org"],
		"_dmarc.two.example": ["v=DMARC1; p=none", "v=DMARC1; p=reject"],
		"_dmarc.slow.example": {"error": "timeout"},
		"_dmarc.escape.example": ["v=DMARC1; p=none; x=\u001b[31m; rua=mailto:a@escape.example"]
	}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		args   []string
		code   int
		stdout []string
		stderr string
	}{
		{"by the tree walk", []string{"shop.example.com"}, 0, []string{"found at      _dmarc.example.com (there is none at the domain itself)", "asks for      reject, being tested: receivers act as for quarantine",
			"mail of the domain that fails is suspicious", "x@reports.example.net  stands", "sent to z@reports.example.net", "own     the same organisation"}, ""},
		{"a destination that says nothing", []string{"bad.example"}, exitBad, []string{"missing", `  bad.example._report._dmarc.nobody.example.org. TXT "v=DMARC1;"`}, ""},
		{"several", []string{"two.example"}, exitBad, []string{"2 DMARC records stand here", "none: no record that receivers can use"}, ""},
		{"none", []string{"none.example"}, exitBad, []string{"policy        none"}, ""},
		{"nobody answers", []string{"slow.example"}, exitUsage, nil, "cannot be looked up"},
		{"a name", []string{"x_y z"}, exitUsage, nil, "no domain for mail"},
		{"escapes", []string{"escape.example"}, 0, []string{"p=none"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			stdout, stderr := tryDMARC(t, tt.code, append([]string{"show", "--records", records}, tt.args...)...)
			for _, want := range tt.stdout {
				if !strings.Contains(stdout, want) {
					t.Errorf("%q is missing:\n%s", want, stdout)
				}
			}
			if !strings.Contains(stderr, tt.stderr) || strings.Contains(stdout, "\x1b") {
				t.Errorf("%s\n%s", stderr, stdout)
			}
		})
	}
	stdout, _ := tryDMARC(t, 0, "show", "--records", records, "--json", "Shop.Example.com.")
	var look dmarcLook
	if err := json.Unmarshal([]byte(stdout), &look); err != nil || look.Found != "example.com" || look.Organization != "example.com" || look.Policy != "reject" || look.Requested != "quarantine" ||
		len(look.Destinations) != 2 || look.Destinations[1].Record != "example.com._report._dmarc.reports.example.net" {
		t.Errorf("%v: %s", err, stdout)
	}
}

func TestDMARCSetPrints(t *testing.T) {
	for _, tt := range []struct {
		args   string
		code   int
		stdout []string
		stderr string
	}{
		{"--policy none --rua dmarc@example.net", 0, []string{`  _dmarc.example.com. TXT "v=DMARC1; p=none; rua=mailto:dmarc@example.net"`, "\n  v=DMARC1; p=none; rua=mailto:dmarc@example.net\n",
			`  example.com._report._dmarc.example.net. TXT "v=DMARC1;"`, `dmarc: "v=DMARC1; p=none; rua=mailto:dmarc@example.net"`}, ""},
		{"--policy reject --subdomains quarantine --nonexistent reject --strict-dkim --strict-spf --test --rua a@example.com --rua mailto:b@example.com --ruf c@example.com --fo 1:d --psd n", 0,
			[]string{`"v=DMARC1; p=reject; sp=quarantine; np=reject; adkim=s; aspf=s; rua=mailto:a@example.com,mailto:b@example.com; ruf=mailto:c@example.com; fo=1:d; psd=n; t=y"`, "DMARC-11"}, ""},
		{"--policy none", 0, []string{"DMARC-12"}, ""},
		{"", exitUsage, nil, "begin with --policy none"},
		{"--policy no", exitUsage, nil, "none, quarantine or reject"},
		{"--policy same", exitUsage, nil, "none, quarantine or reject"},
		{"--policy none --rua https://example.com", exitUsage, nil, "reports go nowhere else"},
		{"--policy none --fo 2", exitUsage, nil, "colons between"},
		{"--policy none --psd y;p=reject", exitUsage, nil, "y, n or u"},
		{"--policy none --test", exitUsage, nil, "nothing to test"},
		{"--policy none --subdomains reject --test", 0, []string{"p=none; sp=reject; t=y"}, ""},
		{"--policy reject --subdomains quarantine --rua a@example.com", 0, []string{"DMARC-08", "Fix: publish v=DMARC1; p=reject; rua=mailto:a@example.com\n"}, ""},
		{"--policy none --dry-run", exitUsage, nil, "print"},
	} {
		stdout, stderr := tryDMARC(t, tt.code, append([]string{"set", "example.com", "--print"}, strings.Fields(tt.args)...)...)
		for _, want := range tt.stdout {
			if !strings.Contains(stdout, want) {
				t.Errorf("%s: %q is missing:\n%s", tt.args, want, stdout)
			}
		}
		if !strings.Contains(stderr, tt.stderr) {
			t.Errorf("%s: %s", tt.args, stderr)
		}
	}
	// A long record is cut where DNS wants it.
	args := []string{"set", "example.com", "--print", "--json", "--policy", "none"}
	for _, c := range "abcdefgh" {
		args = append(args, "--rua", strings.Repeat(string(c), 40)+"@example.com")
	}
	stdout, _ := tryDMARC(t, 0, args...)
	var report dmarcSetReport
	if err := json.Unmarshal([]byte(stdout), &report); err != nil || len(report.New) < 400 || !strings.Contains(report.Zone[0], `" "`) || report.Applied {
		t.Errorf("%v: %s", err, stdout)
	}
}

// A tested policy that becomes none takes t=y along, and says so.
func TestDMARCSetLeavesTestOut(t *testing.T) {
	var errs strings.Builder
	s := &dmarcSet{cmd: &cobra.Command{}}
	s.cmd.SetErr(&errs)
	s.cmd.Flags().StringVar(&s.policy, "policy", "", "")
	if err := s.cmd.Flags().Set("policy", "none"); err != nil {
		t.Fatal(err)
	}
	value, err := s.value("v=DMARC1; p=quarantine; rua=mailto:a@example.com; t=y")
	if err != nil || value != "v=DMARC1; p=none; rua=mailto:a@example.com" || !strings.Contains(errs.String(), "t=y is left out") {
		t.Errorf("%q, %v, %q", value, err, errs.String())
	}
}

// tryDMARC runs postseal dmarc with these arguments.
func tryDMARC(t *testing.T, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	root := newRoot()
	root.SetOut(&out)
	root.SetErr(&errs)
	if got := run(t.Context(), root, append([]string{"dmarc"}, args...)); got != code {
		t.Errorf("%q: exit %d, want %d: %s %s", args, got, code, out.String(), errs.String())
	}
	return out.String(), errs.String()
}
