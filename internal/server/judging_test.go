package server

import (
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/api/client"
)

// Where the inventory has no policy, reports say which one stands in DNS: it is not called missing, and nobody is told to publish a weaker one.
func TestPolicyThatOnlyReportersSee(t *testing.T) {
	s := startFirst(t)
	defer s.stop(t)
	c := s.client(t)
	before, err := c.NextDMARC(t.Context(), "example.com")
	if err != nil || before.Step != "none, with reports" {
		t.Fatalf("without reports: %+v, %v", before, err)
	}
	text := strings.Replace(string(googleSays(time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, -3), 800)), "<p>none</p>", "<p>reject</p><sp>quarantine</sp>", 1)
	if _, err := c.ImportReports(t.Context(), "google", []byte(text)); err != nil {
		t.Fatal(err)
	}
	summary, err := c.ReportSummary(t.Context(), "example.com", time.Time{}, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, x := range summary.Compliance {
		if x.Rule == "there is a DMARC policy" {
			found = true
			if x.Met != "kept" || x.Why != "p=reject" {
				t.Errorf("%+v", x)
			}
		}
	}
	next, err := c.NextDMARC(t.Context(), "example.com")
	if err != nil {
		t.Fatal(err)
	}
	for name, step := range map[string]client.DMARCStep{"summary": summary.NextPolicy, "next": next} {
		if !found || !strings.HasPrefix(step.Command, "postseal dmarc set example.com --policy reject --subdomains quarantine") || step.Ready || !strings.Contains(step.Reasons[0], "p=reject; sp=quarantine") {
			t.Errorf("%s: %+v", name, step)
		}
	}
}
