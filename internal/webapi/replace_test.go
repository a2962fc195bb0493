package webapi

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/postseal/postseal/internal/fault"
)

// A secret is replaced whole, in its file, or not at all.
func TestReplace(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "secret")
	if err := os.WriteFile(name, []byte("one\n"), 0o640); err != nil {
		t.Fatal(err)
	}
	open := func(spec string) *Credential {
		c, err := NewCredential(spec, nil)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	holds := func(want string) {
		t.Helper()
		if text, err := os.ReadFile(name); err != nil || string(text) != want {
			t.Errorf("%q, %v", text, err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
			t.Errorf("%v, %v", left, err)
		}
	}
	c := open("file:" + name)
	if err := c.Replace("one", "two"); err != nil {
		t.Fatal(err)
	}
	holds("two")
	if secret, err := c.Secret(); secret != "two" || err != nil {
		t.Errorf("%q, %v", secret, err)
	}
	if err := c.Replace("one", "three"); fault.CodeOf(err) != fault.Conflict {
		t.Errorf("somebody changed it: %v", err)
	}
	holds("two")
	t.Setenv("POSTSEAL_TEST_SECRET", "one")
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	for _, spec := range []string{"env:POSTSEAL_TEST_SECRET", "systemd:secret", "file:" + dir, "file:" + name + "-absent"} {
		if err := open(spec).Replace("two", "three"); fault.CodeOf(err) != fault.Denied {
			t.Errorf("%s: %v", spec, err)
		}
	}
	holds("two")
	if os.Geteuid() != 0 {
		return // the rest needs another account
	}
	if err := os.Chown(name, 65534, -1); err != nil {
		t.Fatal(err)
	}
	if err := c.Replace("two", "three"); fault.CodeOf(err) != fault.Denied {
		t.Errorf("a file of another account: %v", err)
	}
	holds("two")
}
