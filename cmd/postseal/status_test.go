package main

import (
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/api/client"
)

// An error that only an audit found is counted, named by the command that lists it, and decides the exit status.
func TestStatusIsWrongWhenAnAuditFoundAnError(t *testing.T) {
	warning := client.Finding{ID: "DKIM-D13", Severity: "warning", Subject: "s", Message: "m"}
	for name, c := range map[string]struct {
		status client.Status
		wrong  bool
		says   string
	}{
		"counted only":    {client.Status{Domain: "example.org", Open: client.FindingCounts{Errors: 4, Warnings: 1}, Findings: []client.Finding{warning}}, true, "example.org: 4 errors and 1 warning open in all: postseal finding list example.org"},
		"shown":           {client.Status{Domain: "example.org", Findings: []client.Finding{{ID: "DMARC-01", Severity: "error", Subject: "_dmarc.example.org", Message: "none"}}}, true, "error DMARC-01 _dmarc.example.org: none"},
		"a warning":       {client.Status{Domain: "example.org", Open: client.FindingCounts{Warnings: 1, Infos: 7}, Findings: []client.Finding{warning}}, false, "warning DKIM-D13 s: m"},
		"nothing is open": {client.Status{Domain: "example.org"}, false, "nobody signs for it"},
	} {
		report := statusReport{Domains: []client.Status{c.status}}
		var out strings.Builder
		if err := report.print(&out); err != nil {
			t.Fatal(err)
		}
		if report.wrong() != c.wrong || !strings.Contains(out.String(), c.says) || !strings.Contains(c.says, "in all") && strings.Contains(out.String(), "in all") {
			t.Errorf("%s: wrong = %v\n%s", name, report.wrong(), out.String())
		}
	}
}
