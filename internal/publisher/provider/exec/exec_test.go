package exec_test

import (
	"encoding/json"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/libdns/libdns"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher"
	"github.com/postseal/postseal/internal/publisher/hosted"
	"github.com/postseal/postseal/internal/publisher/programs"
	"github.com/postseal/postseal/internal/publisher/provider/exec"
	"github.com/postseal/postseal/internal/publisher/providertest"
	"github.com/postseal/postseal/internal/webapi"
)

func install(t *testing.T, name, text string) (programs.Dir, string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	syscall.ForkLock.RLock() // a program that another test forks meanwhile would hold the file open for writing, and it would be busy
	err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	return programs.In(dir), dir
}

type record struct {
	Type  string `json:"type"`
	Value string `json:"value"`
	TTL   int    `json:"ttl"`
}

// The example of the documentation passes the suite that every provider passes.
func TestExample(t *testing.T) {
	if _, err := osexec.LookPath("python3"); err != nil {
		if os.Getenv("POSTSEAL_REQUIRE_INTEGRATION") == "1" {
			t.Fatal("python3 is missing (Debian package python3)")
		}
		t.Skip("python3 is missing (Debian package python3)")
	}
	text, err := os.ReadFile("example.py")
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../../../docs/exec-protocol.md")
	if err != nil || !strings.Contains(string(page), string(text)) {
		t.Errorf("docs/exec-protocol.md has another example: %v", err)
	}
	programs, dir := install(t, "example", string(text))
	file := filepath.Join(dir, "zones", "example.org.json")
	if err := os.Mkdir(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	provider, err := exec.New(hosted.Options{}, programs, "example")
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	providertest.Run(t, func(t *testing.T) providertest.Subject {
		return providertest.Subject{Provider: provider, Zone: "example.org", Plant: func(t *testing.T, name, rrtype, value string) {
			mu.Lock()
			defer mu.Unlock()
			var zone map[string][]record
			text, _ := os.ReadFile(file)
			if err := json.Unmarshal(text, &zone); err != nil {
				t.Fatal(err)
			}
			owner := publisher.Absolute(name, "example.org")
			zone[owner] = append(zone[owner], record{rrtype, value, 3600})
			text, _ = json.Marshal(zone)
			if err := os.WriteFile(file, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}}
	})
}

func TestBadPrograms(t *testing.T) {
	wanted := publisher.Change{Name: "s1._domainkey", Type: "TXT", Want: []libdns.Record{publisher.NewRecord("s1._domainkey", "TXT", "v=DKIM1; p=A", time.Hour)}}
	for name, c := range map[string]struct {
		script string
		code   fault.Code
		words  string
	}{
		"fails":            {"echo cannot log in >&2; exit 3", fault.Unavailable, "cannot log in"},
		"silent":           {"true", fault.Unavailable, "not one JSON document"},
		"chatty":           {"echo hello; echo {}", fault.Unavailable, "not one JSON document"},
		"two documents":    {"echo '{}{}'", fault.Unavailable, "not one JSON document"},
		"unknown field":    {`echo '{"recordz":[]}'`, fault.Unavailable, "not one JSON document"},
		"denied":           {`echo '{"error":{"code":"denied","message":"wrong key"}}'`, fault.Denied, "wrong key"},
		"unknown code":     {`echo '{"error":{"code":"whatever","message":"x"}}'`, fault.Unavailable, "says: x"},
		"endless":          {"yes {}", fault.Unavailable, "more than"},
		"forgets a change": {`echo '{"records":[]}'`, fault.Unavailable, "still shows nothing"},
		"reads nothing":    {`exec <&-; echo '{"error":{"code":"not_found","message":"no zone"}}'`, fault.NotFound, "does not have the zone"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			programs, _ := install(t, "bad", "#!/bin/sh\n"+c.script+"\n")
			clock := providertest.NewClock()
			p, err := exec.New(hosted.Options{Timing: webapi.Timing{Now: clock.Now, Sleep: clock.Sleep}}, programs, "bad")
			if err != nil {
				t.Fatal(err)
			}
			outcome, err := p.Set(t.Context(), "example.org", wanted)
			if message, _ := fault.Show(err); fault.CodeOf(err) != c.code || outcome != "" || !strings.Contains(message, c.words) {
				t.Errorf("%q, %s: %q; want %s with %q", outcome, fault.CodeOf(err), message, c.code, c.words)
			}
		})
	}
}

// What others could change, or what is no program, does not run.
func TestWhatRuns(t *testing.T) {
	programs, dir := install(t, "good", "#!/bin/sh\necho '{}'\n")
	if _, err := programs.Path("good"); err != nil {
		t.Fatal(err)
	}
	os.WriteFile(filepath.Join(dir, "open"), []byte("#!/bin/sh\n"), 0o755)
	os.Chmod(filepath.Join(dir, "open"), 0o777)
	os.WriteFile(filepath.Join(dir, "text"), []byte("#!/bin/sh\n"), 0o644)
	os.Symlink("/bin/true", filepath.Join(dir, "link"))
	os.Mkdir(filepath.Join(dir, "folder"), 0o755)
	for _, name := range []string{"", "absent", "../good", ".good", "open", "text", "link", "folder", "/bin/true"} {
		if _, err := exec.New(hosted.Options{}, programs, name); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%q: %v", name, err)
		}
	}
	os.Chmod(dir, 0o777)
	if _, err := programs.Path("good"); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("in a directory that others can write: %v", err)
	}
}
