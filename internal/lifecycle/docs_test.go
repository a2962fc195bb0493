package lifecycle

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/inventory"
)

func readFile(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestThePagesNameEveryFile: who reads doc.go or docs/lifecycle.md finds the code, and nothing that is not there.
func TestThePagesNameEveryFile(t *testing.T) {
	doc, page := readFile(t, "doc.go"), readFile(t, "../../docs/lifecycle.md")
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	known := map[string]bool{"policy.go": true}
	for _, f := range files {
		known[f] = true
		if strings.HasSuffix(f, "_test.go") || f == "doc.go" {
			continue
		}
		if !strings.Contains(doc, f) {
			t.Errorf("doc.go does not name %s", f)
		}
		if !strings.Contains(page, "`"+f+"`") {
			t.Errorf("docs/lifecycle.md does not name %s", f)
		}
	}
	for _, word := range strings.FieldsFunc(doc+page, func(r rune) bool { return strings.ContainsRune(" \n`,;()|", r) }) {
		if name := filepath.Base(word); strings.HasSuffix(name, ".go") && !known[name] {
			t.Errorf("%s is named and does not exist", name)
		}
	}
}

// TestThePageTellsTheTruth: every state and step is on the page, and the numbers on it are those of the code.
func TestThePageTellsTheTruth(t *testing.T) {
	page := readFile(t, "../../docs/lifecycle.md")
	for _, s := range []State{Generated, Published, Propagated, Proven, Active, Retired, Revoked, Removed} {
		if !strings.Contains(page, "\n| "+string(s)+" |") {
			t.Errorf("no line for the state %s", s)
		}
	}
	steps := regexp.MustCompile(`StepKind = "(\w+)"`).FindAllStringSubmatch(readFile(t, "situation.go"), -1)
	if len(steps) < 15 {
		t.Fatalf("only %d steps found in situation.go", len(steps))
	}
	_, held, _ := strings.Cut(page, "planned changes of the domain wait")
	held, _, _ = strings.Cut(held, "\n")
	for _, m := range steps {
		if !strings.Contains(page, "`"+m[1]+"`") {
			t.Errorf("the step %s is not named", m[1])
		}
		if strings.Contains(held, "`"+m[1]+"`") != gated[StepKind(m[1])] {
			t.Errorf("holds and %s: the page and the code disagree", m[1])
		}
	}
	days := func(d interface{ Hours() float64 }) string { return fmt.Sprintf("%.0f days", d.Hours()/24) }
	for _, want := range []string{
		fmt.Sprintf("| `rotate_every` | %s ±%d %%", days(inventory.DefaultRotateEvery), inventory.DefaultJitterPercent),
		fmt.Sprintf("| `retention` | %s after the last signature, never under %.0f", days(inventory.DefaultRetention), inventory.MinRetention.Hours()/24),
		fmt.Sprintf("| `tombstone` | %s", days(inventory.DefaultTombstone)),
		fmt.Sprintf("`min_wait` of %.0f minutes", inventory.DefaultMinWait.Minutes()),
		fmt.Sprintf("| compromise | %.0f seconds", inventory.CompromiseDeadline.Seconds()),
		fmt.Sprintf("| `ttl` | %.0f hour", inventory.DefaultTTL.Hours()),
		fmt.Sprintf("| `check_every` | %.0f hour", inventory.DefaultCheckEvery.Hours()),
		fmt.Sprintf("wrong by more than %.0f minutes", inventory.MaxClockSkew.Minutes()),
		fmt.Sprintf("the question is repeated every %.0f hours", askAgainEvery.Hours()),
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page should say %q", want)
		}
	}
}
