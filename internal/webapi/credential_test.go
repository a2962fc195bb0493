package webapi_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/webapi"
)

func TestCredential(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	t.Setenv("POSTSEAL_TEST_SECRET", " s3cret\n")
	t.Setenv("POSTSEAL_TEST_EMPTY", "")
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		spec   string
		secret string
		code   fault.Code
	}{
		{"file:" + write("good", "\n s3cret \r\n"), "s3cret", ""},
		{"file:" + write("lines", "{\n\"key\": 1\n}\n"), "{\n\"key\": 1\n}", ""},
		{"systemd:good", "s3cret", ""},
		{"env:POSTSEAL_TEST_SECRET", "s3cret", ""},
		{"env:POSTSEAL_TEST_EMPTY", "", fault.Invalid},
		{"env:POSTSEAL_TEST_ABSENT", "", fault.Invalid},
		{"systemd:absent", "", fault.Invalid},
		{"file:" + write("empty", " \n"), "", fault.Invalid},
		{"file:" + write("large", strings.Repeat("x", 64<<10+1)), "", fault.Invalid},
		{"file:" + write("largest", strings.Repeat("x", 64<<10)), strings.Repeat("x", 64<<10), ""},
		{"file:" + filepath.Join(dir, "nowhere"), "", fault.Invalid},
		{"file:" + dir, "", fault.Invalid},
		{"file:" + pipe, "", fault.Invalid}, // must not wait for a writer
	}
	for _, tt := range tests {
		c, err := webapi.NewCredential(tt.spec, nil)
		if err != nil {
			t.Fatal(err)
		}
		secret, err := c.Secret()
		if secret != tt.secret || tt.code == "" && err != nil || tt.code != "" && (err == nil || fault.CodeOf(err) != tt.code) {
			t.Errorf("%s: %.40q, %v; want %.40q, %s", tt.spec, secret, err, tt.secret, tt.code)
		}
		if err != nil {
			if _, hint := fault.Show(err); hint == "" {
				t.Errorf("%v: no hint", err)
			}
		}
	}
}

func TestCredentialSpec(t *testing.T) {
	const secret = "s3cret-pasted-by-mistake"
	for _, spec := range []string{"", secret, "file:", "file:relative", "env:", "http://" + secret, "systemd:../etc/passwd", "systemd:a/b", "systemd:.."} {
		if _, err := webapi.NewCredential(spec, nil); err == nil || fault.CodeOf(err) != fault.Invalid || strings.Contains(fmt.Sprint(err), secret) {
			t.Errorf("%q: %v", spec, err)
		}
	}
}

func TestToken(t *testing.T) {
	for text, ok := range map[string]bool{"abc-_.~+/=": true, "two words": false, "two\nlines": false, "bell\a": false, "café": false} {
		t.Setenv("POSTSEAL_TEST_SECRET", text)
		c, err := webapi.NewCredential("env:POSTSEAL_TEST_SECRET", nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := c.Token(); (err == nil) != ok || ok && got != text || err != nil && strings.Contains(err.Error(), text) {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}

// A credential that was exchanged counts at once; one that others can read is warned about, once, without being shown.
func TestCredentialChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	var log bytes.Buffer
	c, err := webapi.NewCredential("file:"+path, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"first", "second"} {
		if err := os.WriteFile(path, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := c.Secret(); err != nil || got != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	if log.Len() > 0 {
		t.Errorf("warned about a file of its owner's: %s", &log)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := c.Secret(); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 || strings.Contains(log.String(), "second") || !strings.Contains(log.String(), path) {
		t.Errorf("%d warnings: %s", n, &log)
	}
	if fmt.Sprintf("%v %+v %s", c, c, c) != strings.Repeat("file:"+path+" ", 2)+"file:"+path {
		t.Errorf("it prints as %v %+v %s", c, c, c)
	}
}
