package server

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fault"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const firstFleet = `policy: {test_mode: true, min_wait: 1s, ttl: 1s, retention: 2s, tombstone: 1s}
dns: {resolvers: ["127.0.0.1:1"], authorities: {example.com: ["127.0.0.1:1"]}}
publishers: {hand: {manual: {contact: dns@example.com}}}
servers: {mx1: {}}
domains: {example.com: {mode: managed, publisher: hand, signers: [{server: mx1}]}}
`

// running is a control plane that runs until the test ends or stop is called.
type running struct {
	*Server
	cancel context.CancelFunc
	done   chan error
}

func start(t *testing.T, c Config) *running {
	t.Helper()
	c.Listen, c.Hosts = "127.0.0.1:0", []string{"127.0.0.1"}
	s, err := New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{Server: s, cancel: cancel, done: make(chan error, 1)}
	go func() { r.done <- s.Run(ctx) }()
	return r
}

// startFirst is start with firstFleet and a data directory of its own.
func startFirst(t *testing.T) *running {
	t.Helper()
	data := t.TempDir()
	fleet := filepath.Join(data, "fleet.yaml")
	if err := os.WriteFile(fleet, []byte(firstFleet), 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, Config{Data: data, Fleet: fleet})
}

func (r *running) stop(t *testing.T) {
	t.Helper()
	r.cancel()
	select {
	case err := <-r.done:
		if err != nil {
			t.Errorf("stopping: %v", err)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("it does not stop")
	}
}

func (r *running) client(t *testing.T) *client.Client {
	t.Helper()
	access, err := client.ReadAdmin(filepath.Dir(r.AdminFile()))
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(access)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestFirstStartAppliesTheFleetOnce(t *testing.T) {
	data := t.TempDir()
	fleet := filepath.Join(data, "fleet.yaml")
	if err := os.WriteFile(fleet, []byte(firstFleet), 0o600); err != nil {
		t.Fatal(err)
	}
	first := start(t, Config{Data: data, Fleet: fleet})
	page, err := first.client(t).Status(t.Context(), "example.com")
	if err != nil || len(page.Domains) != 1 || !page.Domains[0].TestMode {
		t.Fatalf("status: %+v, %v", page, err)
	}
	token, err := os.ReadFile(first.AdminFile())
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(first.AdminFile()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the administrator's file has mode %v (%v)", info.Mode(), err)
	}
	first.stop(t)

	changed := strings.ReplaceAll(firstFleet, "example.com", "example.org")
	if err := os.WriteFile(fleet, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	second := start(t, Config{Data: data, Fleet: fleet})
	defer second.stop(t)
	if _, err := second.client(t).Status(t.Context(), "example.com"); err != nil {
		t.Errorf("the second start lost the inventory: %v", err)
	}
	if _, err := second.client(t).Status(t.Context(), "example.org"); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("the second start applied the file again: %v", err)
	}
	again, err := os.ReadFile(second.AdminFile())
	if err != nil || tokenOf(string(again)) != tokenOf(string(token)) || tokenOf(string(token)) == "" {
		t.Errorf("the administrator has another token after a restart (%v)", err)
	}
}

// tokenOf cuts the token out of the administrator's file.
func tokenOf(file string) string {
	_, rest, _ := strings.Cut(file, `"token"`)
	parts := strings.SplitN(rest, `"`, 3)
	if len(parts) < 3 {
		return ""
	}
	return parts[1]
}

func TestOneProcessForEachDataDirectory(t *testing.T) {
	data := t.TempDir()
	first := start(t, Config{Data: data})
	_, err := New(t.Context(), Config{Data: data, Listen: "127.0.0.1:0"})
	message, hint := fault.Show(err)
	if fault.CodeOf(err) != fault.Conflict || !strings.Contains(message, "another postseal serve") || !strings.Contains(hint, "--database") {
		t.Errorf("a second one: %v (%s)", err, hint)
	}
	first.stop(t)
	start(t, Config{Data: data}).stop(t)
}

func TestWhatCannotStartSaysWhy(t *testing.T) {
	taken := start(t, Config{Data: t.TempDir()})
	defer taken.stop(t)
	bad := filepath.Join(t.TempDir(), "fleet.yaml")
	if err := os.WriteFile(bad, []byte("domians: {}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		c    Config
		code fault.Code
		says string
	}{
		"no data directory":     {Config{}, fault.Invalid, "data directory"},
		"address in use":        {Config{Data: t.TempDir(), Listen: taken.listener.Addr().String()}, fault.Unavailable, "cannot listen"},
		"no such fleet.yaml":    {Config{Data: t.TempDir(), Fleet: "/nonexistent/fleet.yaml"}, fault.Invalid, "cannot be read"},
		"wrong fleet.yaml":      {Config{Data: t.TempDir(), Fleet: bad, Listen: "127.0.0.1:0"}, fault.Invalid, "fleet.yaml:1:1"},
		"database of no kind":   {Config{Data: t.TempDir(), Database: "mysql://x"}, fault.Invalid, "postgres://"},
		"nameserver, no name":   {Config{Data: t.TempDir(), Listen: "127.0.0.1:0", Nameserver: "127.0.0.1:0"}, fault.Invalid, "name"},
		"data is a plain file":  {Config{Data: bad}, fault.Invalid, "cannot be made"},
		"sealing key too short": {Config{Data: t.TempDir(), Listen: "127.0.0.1:0", SealingKey: bad}, fault.Invalid, ""},
	} {
		_, err := New(t.Context(), tc.c)
		message, _ := fault.Show(err)
		if fault.CodeOf(err) != tc.code || !strings.Contains(message, tc.says) {
			t.Errorf("%s: %s, %v", name, fault.CodeOf(err), err)
		}
	}
}
