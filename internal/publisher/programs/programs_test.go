package programs

import (
	"os"
	"path/filepath"
	"testing"
)

// A directory that is named relative to the working directory stays the same one, although programs run elsewhere.
func TestRelativeDir(t *testing.T) {
	start := t.TempDir()
	t.Chdir(start)
	if err := os.Mkdir("progs", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("progs", "my-dns"), []byte("#!/bin/sh\ncat\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	dir := In("progs")
	t.Chdir(t.TempDir())
	if path, err := dir.Path("my-dns"); err != nil || !filepath.IsAbs(path) {
		t.Errorf("%q, %v", path, err)
	}
	if out, err := dir.Run(t.Context(), "my-dns", []byte("hello")); err != nil || string(out) != "hello" {
		t.Errorf("%q, %v", out, err)
	}
}
