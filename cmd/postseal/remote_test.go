package main

import (
	"bytes"
	"context"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fakedns"
	"github.com/postseal/postseal/internal/server"
)

// TestRemoteScripts runs testdata/remote/*.txtar, each against a control plane of its own in this process. $DATA is its
// data directory, with the administrator's file; POSTSEAL_DATA names it too. In *.yaml and in/*.xml @RESOLVER@ and @PORT@ are those of a
// DNS on loopback, which has example.org and nothing in it, @BEGIN@ and @END@ the seconds of yesterday. $SENDGRID is a stand-in of SendGrid's API, and $SENDGRID_KEY its key.
func TestRemoteScripts(t *testing.T) {
	network := fakedns.New(t)
	network.Zone("example.org", 1)
	sendgrid := httptest.NewServer(sendGridAccount())
	t.Cleanup(sendgrid.Close)
	today := time.Now().UTC().Truncate(24 * time.Hour)
	place := strings.NewReplacer("@RESOLVER@", network.Recursive(), "@PORT@", network.Port(),
		"@BEGIN@", strconv.FormatInt(today.Add(-24*time.Hour).Unix(), 10), "@END@", strconv.FormatInt(today.Unix()-1, 10))
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/remote",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			var files []string
			for _, pattern := range []string{"*.yaml", "in/*.xml", "in/*/*.xml"} {
				found, err := filepath.Glob(filepath.Join(env.WorkDir, pattern))
				if err != nil {
					return err
				}
				files = append(files, found...)
			}
			for _, file := range files {
				content, err := os.ReadFile(file)
				if err != nil {
					return err
				}
				if err := os.WriteFile(file, []byte(place.Replace(string(content))), 0o600); err != nil {
					return err
				}
			}
			data := filepath.Join(env.WorkDir, "data")
			s, err := server.New(t.Context(), server.Config{Data: data, Listen: "127.0.0.1:0", Hosts: []string{"127.0.0.1"}, Poll: 20 * time.Millisecond, DiagnoseAfter: 20 * time.Millisecond})
			if err != nil {
				return err
			}
			ctx, stop := context.WithCancel(context.Background())
			ended := make(chan error, 1)
			go func() { ended <- s.Run(ctx) }()
			env.Defer(func() {
				stop()
				if err := <-ended; err != nil {
					t.Errorf("the control plane: %v", err)
				}
			})
			a, err := client.ReadAdmin(data)
			if err != nil {
				return err
			}
			env.Setenv("DATA", data)
			env.Setenv("POSTSEAL_DATA", data)
			env.Setenv("URL", a.URL)
			env.Setenv("SENDGRID", sendgrid.URL)
			env.Setenv("SENDGRID_KEY", sendGridKey)
			if err := os.WriteFile(filepath.Join(env.WorkDir, "ca.pem"), []byte(a.CA), 0o600); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(env.WorkDir, "token"), []byte(a.Token+"\n"), 0o600)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){"eventually": eventually},
	})
}

// eventually runs this program until its output contains a text: eventually TEXT postseal ARGS…
func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: eventually TEXT COMMAND [ARGS…]")
	}
	const patience = 20 * time.Second
	program := ""
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if path := filepath.Join(dir, args[1]); program == "" {
			if _, err := os.Stat(path); err == nil {
				program = path
			}
		}
	}
	var out []byte
	var err error
	for end := time.Now().Add(patience); time.Now().Before(end); {
		cmd := exec.Command(program, args[2:]...)
		cmd.Dir = ts.MkAbs(".")
		cmd.Env = append(os.Environ(), "PATH="+ts.Getenv("PATH"), envData+"="+ts.Getenv(envData))
		if out, err = cmd.CombinedOutput(); err == nil && strings.Contains(string(out), args[0]) {
			return
		}
	}
	ts.Fatalf("%q never came; the last output, with %v:\n%s", args[0], err, out)
}

func TestParseUntil(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"":                          {},
		"12h":                       now.Add(12 * time.Hour),
		"3d":                        now.Add(72 * time.Hour),
		"2026-12-24T06:00:00Z":      time.Date(2026, 12, 24, 6, 0, 0, 0, time.UTC),
		"2026-12-24T06:00:00+02:00": time.Date(2026, 12, 24, 4, 0, 0, 0, time.UTC),
		"2026-12-24":                time.Date(2026, 12, 24, 0, 0, 0, 0, time.Local),
		"2026-12-24T06:30":          time.Date(2026, 12, 24, 6, 30, 0, 0, time.Local),
		"2026-12-24 06:30":          time.Date(2026, 12, 24, 6, 30, 0, 0, time.Local),
	} {
		if got, err := parseUntil(text, now); err != nil || !got.Equal(want) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"tomorrow", "-3d", "0", "2026-13-01", "3 days"} {
		if got, err := parseUntil(text, now); err == nil {
			t.Errorf("%q is taken as %v", text, got)
		}
	}
}

func TestTableInColumns(t *testing.T) {
	tb := table{head: []string{"A", "LONG", "C"}, group: true}
	tb.add(good, "x", "1", "wörter")
	tb.add(bad, "x", "12345", "\x1b[31mred\x1b[0m\nnext \u202e line")
	var out bytes.Buffer
	if err := tb.print(&out, "nobody"); err != nil {
		t.Fatal(err)
	}
	want := "A  LONG   C\nx  1      wörter\nx  12345   [31mred [0m next   line\n"
	if out.String() != want {
		t.Errorf("%q, want %q", out.String(), want)
	}
	out.Reset()
	empty := table{head: []string{"A"}}
	if err := empty.print(&out, "nobody is here"); err != nil || out.String() != "nobody is here\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}

func TestTableInAFrameFitsTheTerminal(t *testing.T) {
	tb := table{head: []string{"DOMAIN", "SIGNER", "WHY"}, group: true}
	tb.add(good, "example.org", "mx1", "waiting for mx1 to make the key, which takes a moment")
	tb.add(calm, "example.org", "google-workspace", "short")
	for width := 50; width < 120; width++ {
		var out bytes.Buffer
		if err := tb.framed(&out, width); err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(strings.TrimRight(out.String(), "\n"), "\n") {
			if n := len([]rune(line)); n > width || !strings.ContainsAny(line[len(line)-3:], "│┐┤┘") {
				t.Errorf("%d: %d wide, or without its border: %q", width, n, line)
			}
		}
		if strings.Count(out.String(), "example.org") != 1 {
			t.Errorf("the domain is repeated:\n%s", out.String())
		}
		if strings.Contains(out.String(), "\x1b") {
			t.Error("colours on something that is no terminal")
		}
	}
}

func TestAskWantsAYes(t *testing.T) {
	for answer, want := range map[string]bool{"yes\n": true, "Y\n": true, " yes \n": true, "no\n": false, "\n": false, "": false, "yes": false, "yesterday\n": false} {
		if err := ask(strings.NewReader(answer), new(bytes.Buffer), "Go on?"); (err == nil) != want {
			t.Errorf("%q: %v", answer, err)
		}
	}
}
