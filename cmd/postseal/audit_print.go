package main

import (
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/audit"
)

// printAudit prints reports for people: the worst first, what was seen below, and the mend.
func printAudit(out io.Writer, reports []audit.Report) error {
	var b strings.Builder
	for i, r := range reports {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s: %s\n", clean(r.Domain), verdict(r))
		for _, s := range r.Selectors {
			whose := ""
			if s.Signer != "" {
				whose = ", " + s.Signer
			}
			fmt.Fprintf(&b, "  selector %s: %s%s\n", clean(s.Selector), clean(s.State), clean(whose))
		}
		for _, f := range r.Findings {
			fmt.Fprintf(&b, "\n  %-7s %s  %s%s\n          %s.\n", f.Severity, f.ID, clean(f.Subject), marked(f), clean(f.Message))
			for _, s := range f.Seen {
				fmt.Fprintf(&b, "          %s: %s\n", clean(s.Server), clean(short(s.Answer)))
			}
			fmt.Fprintf(&b, "          → %s\n", clean(f.Fix))
			for _, m := range f.Mend {
				fmt.Fprintf(&b, "            %s\n", clean(m.String()))
			}
		}
		for _, f := range r.Resolved {
			fmt.Fprintf(&b, "\n  resolved %s  %s\n", f.ID, clean(f.Subject))
		}
		for _, what := range r.NotChecked {
			fmt.Fprintf(&b, "\n  not checked: %s\n", clean(what))
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// marked says in brackets whether a finding is new, and who muted it.
func marked(f audit.Finding) string {
	s := ""
	if f.State == audit.Opened {
		s = " (new)"
	}
	if m := f.Muted; m != nil {
		s += " (muted"
		if m.By != "" {
			s += " by " + clean(m.By)
		}
		s += " until " + m.Until.UTC().Format(time.DateOnly) + ": " + clean(m.Reason) + ")"
	}
	return s
}

// verdict counts what was found.
func verdict(r audit.Report) string {
	count := map[audit.Severity]int{}
	for _, f := range r.Findings {
		count[f.Severity]++
	}
	if len(r.Findings) == 0 {
		if len(r.NotChecked) > 0 && len(r.Selectors) == 0 {
			return "not audited"
		}
		return fmt.Sprintf("nothing found, score %d", r.Score())
	}
	var parts []string
	for _, s := range []audit.Severity{audit.Error, audit.Warning, audit.Info} {
		if n := count[s]; n == 1 {
			parts = append(parts, fmt.Sprintf("1 %s", s))
		} else if n > 1 {
			parts = append(parts, fmt.Sprintf("%d %ss", n, s))
		}
	}
	return fmt.Sprintf("%s, score %d", strings.Join(parts, ", "), r.Score())
}

// short keeps a key from filling the screen.
func short(s string) string {
	const most = 160
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}

// version is that of the program, as the build knows it; "" when it does not.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "(devel)" {
		return ""
	}
	return info.Main.Version
}
