package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/audit"
	"github.com/postseal/postseal/internal/services"
)

// TestServicesPage: the table of docs/services.md is that of the catalogue, and the page names every finding about services. To write the table anew
// after a change of the catalogue: POSTSEAL_WRITE_DOCS=1 go test ./cmd/postseal -run TestServicesPage
func TestServicesPage(t *testing.T) {
	path := filepath.Join(moduleRoot, "docs/services.md")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := string(raw)
	for _, id := range audit.ServiceIDs() {
		if !strings.Contains(page, "\n| `"+id+"` |") {
			t.Errorf("the page does not name %s", id)
		}
	}
	c := catalogue(t)
	if !strings.Contains(page, fmt.Sprintf("knows how %d of them", len(c.All()))) {
		t.Errorf("the page does not say that there are %d services", len(c.All()))
	}
	const start, end = "<!-- services: kept by TestServicesPage -->\n", "<!-- end -->"
	before, rest, ok := strings.Cut(page, start)
	_, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("the page has no place for the table")
	}
	want := before + start + servicesTable(c) + end + after
	if want == page {
		return
	}
	if os.Getenv("POSTSEAL_WRITE_DOCS") == "" {
		t.Fatal("the table of docs/services.md is not that of the catalogue: POSTSEAL_WRITE_DOCS=1 go test ./cmd/postseal -run TestServicesPage")
	}
	if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
		t.Fatal(err)
	}
}

func servicesTable(c *services.Catalogue) string {
	var b strings.Builder
	b.WriteString("\n| name | service | signs with | selectors | records | key changed by | return path | known from |\n|---|---|---|---|---|---|---|---|\n")
	for _, s := range c.All() {
		var selectors []string
		for _, r := range s.Records {
			if r.Legacy {
				continue
			}
			for _, p := range r.Selectors {
				selectors = append(selectors, "`"+string(p)+"`")
			}
		}
		count := "?"
		if s.Count > 0 {
			count = fmt.Sprint(s.Count)
		}
		text := strings.Join(selectors, " ")
		if text == "" {
			text = s.SelectorHint
		}
		mark := func(field, text string) string {
			if s.EvidenceOf(field) != services.Confirmed && text != "unknown" && text != "?" {
				return text + " (memory)"
			}
			return text
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s | %s | %s |\n", s.ID, s.Title, s.Signs, dash(text), mark("count", count), mark("rotation", string(s.Rotation)),
			mark("return_path", string(s.ReturnPath)), s.Evidence)
	}
	return b.String() + "\n"
}
