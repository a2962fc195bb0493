package archtest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// root is the module's root as seen from this package's folder.
var root = filepath.Join("..", "..")

func loadPolicy(t *testing.T) (rules, []rule) {
	t.Helper()
	rs, err := parsePolicy(policy)
	if err != nil {
		t.Fatalf("the policy contradicts itself: %v", err)
	}
	limits, err := parseCones(cones)
	if err != nil {
		t.Fatalf("the limits of the import cones: %v", err)
	}
	return rs, limits
}

func TestModuleObeysThePolicy(t *testing.T) {
	rs, limits := loadPolicy(t)
	pkgs, err := readTree(os.DirFS(root))
	if err != nil {
		t.Fatal(err)
	}
	if len(pkgs) < 2 {
		t.Fatalf("only %d packages found: the tree was not read", len(pkgs))
	}
	for _, violation := range check(rs, limits, pkgs) {
		t.Error(violation)
	}
}

// The table of docs/architecture.md says the same as the policy, so that people can trust the page.
func TestArchitecturePageSaysTheSame(t *testing.T) {
	rs, _ := loadPolicy(t)
	page, err := os.ReadFile(filepath.Join(root, "docs", "architecture.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := make(map[string]string)
	for line := range strings.Lines(string(page)) {
		cells := strings.Split(line, "|")
		if len(cells) < 4 || !strings.HasPrefix(strings.TrimSpace(cells[1]), "`") {
			continue
		}
		rows[strings.Trim(strings.TrimSpace(cells[1]), "`")] = strings.TrimSpace(cells[2])
	}
	for _, r := range rs {
		want := r.text
		if want == "" {
			want = "–"
		}
		got, found := rows[r.name]
		switch {
		case !found:
			t.Errorf("docs/architecture.md has no row for %s; add: | `%s` | %s | … |", r.name, r.name, want)
		case got != want:
			t.Errorf("docs/architecture.md: %s may import %q, the policy says %q", r.name, got, want)
		}
		delete(rows, r.name)
	}
	for name := range rows {
		t.Errorf("docs/architecture.md has a row for %s, which has no entry in the policy", name)
	}
}
