package audit

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func someReports() []Report {
	return []Report{
		{Domain: "example.org", Selectors: []Selector{{"s1", "mx1", "published", "asked"}}, Findings: []Finding{
			{ID: "SPF-06", Severity: Error, Subject: "example.org", Message: "+all lets everybody send", Fix: "publish v=spf1 ~all", Seen: []Seen{{"ns1 (192.0.2.1:53)", `has <script>alert("x")</script>`}},
				Mend: []Mend{{true, "example.org", "TXT", `v=spf1 "+all`}, {false, "example.org", "TXT", "v=spf1 ~all"}}},
			{ID: "DMARC-12", Severity: Warning, Subject: "_dmarc.example.org", Message: "there is no rua=", Fix: "add it"},
			{ID: "DKIM-D14", Severity: Info, Subject: "example.org", Message: "not signed", Fix: "sign it"},
		}, NotChecked: []string{"the weather"}},
		{Domain: "example.net", Findings: []Finding{{ID: "SPF-06", Severity: Error, Subject: "example.net", Message: "p= is no base64", Fix: "f"}}},
	}
}

// A SARIF log has what the specification requires of one (§3.13, §3.14, §3.19, §3.27, §3.49), and a result's fingerprint is its own and stays.
func TestSARIF(t *testing.T) {
	var b bytes.Buffer
	if err := WriteSARIF(&b, someReports(), "1.2.3"); err != nil {
		t.Fatal(err)
	}
	var log struct {
		Schema  string `json:"$schema"`
		Version string
		Runs    []struct {
			Tool struct {
				Driver struct {
					Name, Version string
					Rules         []struct {
						ID   string
						Help struct{ Text string }
					}
				}
			}
			Results []struct {
				RuleID    string
				RuleIndex int
				Level     string
				Message   struct{ Text string }
				Locations []struct {
					LogicalLocations []struct{ FullyQualifiedName string }
				}
				PartialFingerprints map[string]string
			}
		}
	}
	if err := json.Unmarshal(b.Bytes(), &log); err != nil {
		t.Fatal(err)
	}
	run := log.Runs[0]
	if log.Version != "2.1.0" || !strings.HasSuffix(log.Schema, "sarif-schema-2.1.0.json") || run.Tool.Driver.Name == "" || run.Tool.Driver.Version != "1.2.3" || len(run.Tool.Driver.Rules) != 3 || len(run.Results) != 4 {
		t.Fatalf("%s", b.String())
	}
	seen := map[string]bool{}
	for i, r := range run.Results {
		if run.Tool.Driver.Rules[r.RuleIndex].ID != r.RuleID || r.Level != []string{"error", "warning", "note", "error"}[i] || r.Message.Text == "" || len(r.Locations) != 1 || seen[r.PartialFingerprints["finding/v1"]] {
			t.Errorf("%+v", r)
		}
		seen[r.PartialFingerprints["finding/v1"]] = true
	}
	if want := `- example.org. TXT "v=spf1 \"+all"`; !strings.Contains(run.Results[0].Message.Text, want) || run.Results[0].Locations[0].LogicalLocations[0].FullyQualifiedName != "example.org/example.org" {
		t.Errorf("%+v", run.Results[0])
	}
	changed := someReports()
	changed[0].Findings[0].Message = "said otherwise"
	if fingerprint("example.org", changed[0].Findings[0]) != run.Results[0].PartialFingerprints["finding/v1"] {
		t.Error("another wording is another finding")
	}
}

// The page needs nothing from elsewhere, and what came from DNS cannot become part of it.
func TestHTML(t *testing.T) {
	var b bytes.Buffer
	if err := WriteHTML(&b, someReports(), "1.2.3", time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for _, want := range []string{"<!DOCTYPE html>", "default-src 'none'", "27 November 2026, 12:00 UTC", "&lt;script&gt;", "SPF-06", "&#43;all lets everybody send.", "There is no rua=.", "p= is no base64.", "the weather",
		`<span class="minus">- example.org. TXT &#34;v=spf1 \&#34;&#43;all&#34;</span>`, "Postseal 1.2.3"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, bad := range []string{"<script", "http://", "https://", "<img", "url(", "@import", "ZgotmplZ"} {
		if strings.Contains(text, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
}

// Nobody gains by muting, for the score does not know of it; nor by hiding: what is not checked costs.
func TestScore(t *testing.T) {
	critical := Finding{ID: "DKIM-D03", Severity: Error}
	for name, c := range map[string]struct {
		r    Report
		want int
	}{
		"nothing wrong":    {Report{Selectors: []Selector{{}}}, 100},
		"as above":         {someReports()[0], 100 - 15 - 4 - 2},
		"critical":         {Report{Findings: []Finding{critical}}, 60},
		"not below zero":   {Report{Findings: []Finding{critical, critical, critical}}, 0},
		"nothing is known": {Report{NotChecked: []string{"all of it"}}, 0},
		"half is hidden":   {Report{Selectors: []Selector{{}}, NotChecked: []string{"a", "b"}}, 96},
	} {
		if got := c.r.Score(); got != c.want {
			t.Errorf("%s: %d, want %d", name, got, c.want)
		}
	}
}
