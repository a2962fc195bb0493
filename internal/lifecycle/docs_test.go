package lifecycle

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestThePagesNameEveryFile: who reads doc.go or docs/lifecycle.md finds the code, and nothing that is not there.
func TestThePagesNameEveryFile(t *testing.T) {
	read := func(path string) string {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	doc, page := read("doc.go"), read("../../docs/lifecycle.md")
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	known := map[string]bool{"policy.go": true}
	for _, f := range files {
		known[f] = true
		if !strings.HasSuffix(f, "_test.go") && f != "doc.go" && !strings.Contains(doc, f) {
			t.Errorf("doc.go does not name %s", f)
		}
	}
	for _, word := range strings.FieldsFunc(doc+page, func(r rune) bool { return strings.ContainsRune(" \n`,;()|", r) }) {
		if name := filepath.Base(word); strings.HasSuffix(name, ".go") && !known[name] {
			t.Errorf("%s is named and does not exist", name)
		}
	}
	for _, s := range []State{Generated, Published, Propagated, Proven, Active, Retired, Revoked, Removed} {
		if !strings.Contains(page, "| "+string(s)+" |") {
			t.Errorf("docs/lifecycle.md has no line for %s", s)
		}
	}
}
