package audit

import (
	"slices"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/resolver"
)

// lintCase is a record, what is found, and the record as it should be ("" = it cannot be told).
type lintCase struct {
	record    string
	valid     bool
	ids       string
	corrected string
}

func checkLint(t *testing.T, lint func(Value) RecordLint, cases []lintCase) {
	t.Helper()
	for _, c := range cases {
		l := lint(ReadValue(c.record))
		if got := strings.Join(ids(l), " "); got != c.ids || l.Valid != c.valid || l.Corrected != c.corrected {
			t.Errorf("%q: valid %v, %s, corrected %q; want %v, %s, %q\n%+v", c.record, l.Valid, got, l.Corrected, c.valid, c.ids, c.corrected, l.Findings)
		}
		for _, f := range l.Findings {
			if f.Message == "" || f.Fix == "" {
				t.Errorf("%q: %+v", c.record, f)
			}
		}
		mendsMend(t, lint, c.record)
		if l.Corrected == "" {
			continue
		}
		again := lint(Value{Text: l.Corrected})
		if !again.Valid {
			t.Errorf("%q: the corrected record %q is not valid: %+v", c.record, l.Corrected, again.Findings)
		}
	}
}

// mendsMend checks every fix that is a record: it is not what stood there, and looking at it does not give the same finding.
func mendsMend(t *testing.T, lint func(Value) RecordLint, record string) {
	t.Helper()
	have := ReadValue(record)
	for _, f := range lint(have).Findings {
		text, ok := strings.CutPrefix(f.Fix, "publish ")
		if !ok || !strings.HasPrefix(strings.TrimLeft(text, `"`), "v=") {
			continue
		}
		mended := ReadValue(text)
		if mended.Text == have.Text && slices.Equal(mended.Strings, have.Strings) {
			t.Errorf("%.200q: the mend of %s is what stands there", record, f.ID)
		}
		if again := lint(mended); slices.Contains(ids(again), f.ID) {
			t.Errorf("%.200q: the mend of %s, %.200q, has the same finding", record, f.ID, text)
		}
	}
}

func TestLintDMARC(t *testing.T) {
	t.Parallel()
	const good = "v=DMARC1; p=reject; rua=mailto:a@example.org"
	checkLint(t, LintDMARC, []lintCase{
		{good, true, "", good},
		{`"v=DMARC1; p=reject; " "rua=mailto:a@example.org"`, true, "", good},
		{`v=DMARC1\; p=reject\; rua=mailto:a@example.org`, false, "DMARC-04", good},
		{"v=DMARC1; p=“reject”; rua=mailto:a@example.org", true, "DMARC-04", ""},
		{"v=DMARC1 p=reject; rua=mailto:a@example.org", false, "DMARC-03", good},
		{"v=dmarc1; p=none; rua=mailto:a@example.org", false, "DMARC-03", "v=DMARC1; p=none; rua=mailto:a@example.org"},
		{"p=none; v=DMARC1; rua=mailto:a@example.org", false, "DMARC-03", "v=DMARC1; p=none; rua=mailto:a@example.org"},
		{"v=spf1 -all", false, "DMARC-03", ""},
		{"hello", false, "DMARC-03", ""},
		{"", false, "DMARC-03", ""},
		{"v=DMARC1; p=none; p=reject", false, "DMARC-04", ""},
		{"v=DMARC1; p=rejct; rua=mailto:a@example.org", true, "DMARC-04", ""},
		{"v=DMARC1; p=rejct", false, "DMARC-04 DMARC-12", ""},
		{"v=DMARC1; rua=mailto:a@example.org", true, "DMARC-05", "v=DMARC1; rua=mailto:a@example.org"},
		{"v=DMARC1; sp=none", false, "DMARC-05 DMARC-12", ""},
		{"v=DMARC1; adkim=s; p=reject; rua=mailto:a@example.org", true, "DMARC-06", "v=DMARC1; p=reject; adkim=s; rua=mailto:a@example.org"},
		{"v=DMARC1; p=reject; sp=quarantine; rua=mailto:a@example.org", true, "DMARC-08 DMARC-09", "v=DMARC1; p=reject; sp=quarantine; rua=mailto:a@example.org"},
		{"v=DMARC1; p=reject; sp=none; np=reject; rua=mailto:a@example.org", true, "DMARC-08", "v=DMARC1; p=reject; sp=none; np=reject; rua=mailto:a@example.org"},
		{"v=DMARC1; p=quarantine; sp=reject; np=none; rua=mailto:a@example.org", true, "DMARC-08", "v=DMARC1; p=quarantine; sp=reject; np=none; rua=mailto:a@example.org"},
		{"v=DMARC1; p=reject; pct=50; rua=mailto:a@example.org", true, "DMARC-10", good},
		{"v=DMARC1; p=reject; t=y; rua=mailto:a@example.org", true, "DMARC-11", good + "; t=y"},
		{"v=DMARC1; p=none; t=y; rua=mailto:a@example.org", true, "DMARC-11", "v=DMARC1; p=none; rua=mailto:a@example.org; t=y"},
		{"v=DMARC1; p=reject", true, "DMARC-12", "v=DMARC1; p=reject"},
		{"v=DMARC1; p=reject; rua=mailto:a@example.org!10m", true, "DMARC-15", good},
		{"v=DMARC1; p=reject; rua=mailto:a@a.example,mailto:b@b.example,mailto:c@c.example", true, "DMARC-16", "v=DMARC1; p=reject; rua=mailto:a@a.example,mailto:b@b.example,mailto:c@c.example"},
		{"v=DMARC1; p=reject; rua=a@example.org", true, "DMARC-12 DMARC-17", ""},
		{"v=DMARC1; p=reject; rua=https://example.org/", true, "DMARC-17", "v=DMARC1; p=reject; rua=https://example.org/"},
		{good + "; ruf=mailto:a@example.org", true, "DMARC-18", good + "; ruf=mailto:a@example.org"},
		{good + "; psd=y", true, "DMARC-23", good + "; psd=y"},
		{good + "; a=1; b=2", true, "DMARC-26", good},
		{good + "; fo=1", true, "DMARC-29", good + "; fo=1"},
		{strings.Repeat("v=DMARC1; ", 2000), false, "DMARC-04", ""},
	})
}

func TestLintSPF(t *testing.T) {
	t.Parallel()
	checkLint(t, LintSPF, []lintCase{
		{"v=spf1 -all", true, "", "v=spf1 -all"},
		{"V=SPF1 A MX:mail.example.org/24//64 include:_spf.example.net exists:%{ir}.x.example.org redirect=example.org", true, "",
			"v=spf1 A MX:mail.example.org/24//64 include:_spf.example.net exists:%{ir}.x.example.org redirect=example.org"},
		{"v=spf1", true, "SPF-06", "v=spf1"},
		{"v=spf1 +all", true, "SPF-06", "v=spf1 +all"},
		{"v=spf1 all", true, "SPF-06", "v=spf1 all"},
		{"v=spf1 mx ?all", true, "SPF-06", "v=spf1 mx ?all"},
		{"v=spf1 ptr -all", true, "SPF-07", "v=spf1 ptr -all"},
		{"v=spf1 ipv4:192.0.2.1 ip6=2001:db8::1 include=example.org -all", false, "SPF-08", "v=spf1 ip4:192.0.2.1 ip6:2001:db8::1 include:example.org -all"},
		{"v=spf1 192.0.2.1 -all", false, "SPF-08", "v=spf1 ip4:192.0.2.1 -all"},
		{"v=spf1 ip4:192.0.2.0/33 -all", false, "SPF-08", ""},
		{"v=spf1 ip4:2001:db8::1 -all", false, "SPF-08", ""},
		{"v=spf1 include: -all", false, "SPF-08", ""},
		{"v=spf1 a:exa_mple -all", false, "SPF-08", ""},
		{"v=spf1 exists:%{x}.example.org -all", false, "SPF-08", ""},
		{"v=spf1 exists:%{d0}.example.org -all", false, "SPF-08", ""},
		{"v=spf1 redirect=a.example redirect=b.example", false, "SPF-08", ""},
		{"v=spf1\tmx -all", false, "SPF-08", "v=spf1 mx -all"},
		{" v=spf1 mx -all", false, "SPF-08", "v=spf1 mx -all"},
		{"v=spf1 mx “-all”", false, "SPF-08", "v=spf1 mx -all"},
		{"v=spf10 -all", false, "SPF-08", ""},
		{"v=DKIM1; p=", false, "SPF-08", ""},
		{"v=spf1 -all mx redirect=example.org", true, "SPF-10", "v=spf1 -all mx redirect=example.org"},
		{"v=spf1 ip4:10.0.0.0/8 -all", true, "SPF-11", "v=spf1 ip4:10.0.0.0/8 -all"},
		{"v=spf1 " + strings.Repeat("mx ", 11) + "-all", false, "SPF-02", ""},
		{"v=spf1 " + strings.Repeat("ip4:192.0.2.1 ", 40) + "-all", true, "SPF-09", "v=spf1 " + strings.Repeat("ip4:192.0.2.1 ", 40) + "-all"},
	})
}

// Records that refer to themselves and to each other in all ways end within the bounds.
func TestWalkSPFIsBounded(t *testing.T) {
	t.Parallel()
	asked := 0
	tree := WalkSPF("a.example", []string{"v=spf1 " + strings.Repeat("include:x.example ", 100) + "-all"}, func(name, rrtype string) resolver.Answer {
		asked++
		return resolver.Answer{Status: resolver.StatusOK, TXT: []string{"v=spf1 include:x" + name + " include:y" + name + " a:" + name + " -all"}, Data: []string{"10 mail.example."}}
	})
	if asked > maxSPFAsked || !slices.ContainsFunc(tree.Findings, func(f Finding) bool { return f.ID == "SPF-02" }) {
		t.Errorf("%d questions, %+v", asked, tree.Findings)
	}
}

func FuzzLintDMARC(f *testing.F) {
	for _, s := range []string{"v=DMARC1; p=none; rua=mailto:a@b.example!10m,https://x", `"v=DMARC1\; p=“none”"`, "p=none; v=DMARC1", "v=DMARC1 p=none"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l := LintDMARC(ReadValue(s))
		if !l.Valid && len(l.Findings) == 0 {
			t.Errorf("%q is not valid, and nothing is said", s)
		}
		if l.Corrected != "" && !LintDMARC(Value{Text: l.Corrected}).Valid {
			t.Errorf("%q is corrected to %q, which is not valid", s, l.Corrected)
		}
	})
}

func FuzzLintSPF(f *testing.F) {
	for _, s := range []string{"v=spf1 a/24//64 mx:%{d2r}.example.org include:x.example ?all", "v=spf1 ipv4:192.0.2.1 exp=%{i}.x redirect=y.example", "“v=spf1\t-all”"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l := LintSPF(ReadValue(s))
		if !l.Valid && len(l.Findings) == 0 {
			t.Errorf("%q is not valid, and nothing is said", s)
		}
		for _, finding := range l.Findings {
			if l.Corrected != "" && finding.ID == "SPF-08" && slices.ContainsFunc(LintSPF(Value{Text: l.Corrected}).Findings, func(f Finding) bool { return f.ID == "SPF-08" }) {
				t.Errorf("%q is corrected to %q, which cannot be read either", s, l.Corrected)
			}
		}
		WalkSPF("a.example", []string{s}, func(string, string) resolver.Answer {
			return resolver.Answer{Status: resolver.StatusOK, TXT: []string{s}}
		})
	})
}
