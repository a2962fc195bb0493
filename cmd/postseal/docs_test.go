package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/agent"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/services"
)

const moduleRoot = "../.."

// page is a Markdown file, taken apart.
type page struct {
	path   string // relative to the module
	text   string
	blocks []block
}

// block is a code block: indented by four or fenced.
type block struct {
	line     int // of its first line of code
	language string
	lines    []string
}

// TestDocumentedCommandsExist parses every command line of the product that the pages show: the command is known, so are its flags, and the
// arguments are as many as it takes.
func TestDocumentedCommandsExist(t *testing.T) {
	found := 0
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			for _, c := range b.commands() {
				found++
				if err := parses(c.words); err != nil {
					t.Errorf("%s:%d: postseal %s: %v", p.path, c.line, strings.Join(c.words, " "), err)
				}
			}
		}
	}
	if found < 40 { // the pages show more; less means that this test does not see them any more
		t.Errorf("only %d command lines were found", found)
	}
}

// TestNamedCommandsExist does the same for commands that are named in the running text, which may leave out what a person adds.
func TestNamedCommandsExist(t *testing.T) {
	span := regexp.MustCompile("`postseal ([a-z][^`|]*)`")
	for _, p := range pages(t) {
		for _, m := range span.FindAllStringSubmatch(p.text, -1) {
			words, _ := split(m[1])
			cmd, rest, err := newRoot().Find(words)
			if err != nil || cmd.HasSubCommands() && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
				t.Errorf("%s: `postseal %s` is no command", p.path, m[1])
				continue
			}
			for _, w := range rest {
				name, _, _ := strings.Cut(strings.TrimPrefix(w, "--"), "=")
				if strings.HasPrefix(w, "--") && cmd.Flag(name) == nil {
					t.Errorf("%s: `postseal %s` has no flag --%s", p.path, m[1], name)
				}
			}
		}
	}
}

// TestFindingsNameCommands does so for the commands that findings of reports tell people to run.
func TestFindingsNameCommands(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(moduleRoot, "internal", "report", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`postseal ([a-z]+)(?: ([a-z]+))?`)
	seen := 0
	for _, path := range files {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		for _, m := range named.FindAllStringSubmatch(strings.ReplaceAll(read(t, path), "postseal/postseal", ""), -1) {
			seen++
			cmd, _, err := newRoot().Find(m[1:2])
			if err == nil && cmd.HasSubCommands() {
				cmd, _, err = newRoot().Find(m[1:3])
			}
			if err != nil || cmd.HasSubCommands() {
				t.Errorf("%s: there is no command %q", path, m[0])
			}
		}
	}
	if seen < 10 {
		t.Errorf("only %d commands were found", seen)
	}
}

// TestUnitsStartCommands parses what the systemd units start, and the options of serve that the pages put into its environment.
func TestUnitsStartCommands(t *testing.T) {
	units, err := filepath.Glob(filepath.Join(moduleRoot, "packaging", "systemd", "*.service"))
	if err != nil || len(units) < 2 {
		t.Fatalf("%v, %v", units, err)
	}
	start := regexp.MustCompile(`(?m)^ExecStart=/usr/local/bin/postseal (.*)$`)
	for _, path := range units {
		m := start.FindStringSubmatch(read(t, path))
		if m == nil {
			t.Errorf("%s starts something else", path)
			continue
		}
		words, _ := split(strings.ReplaceAll(m[1], "$POSTSEAL_OPTIONS", ""))
		if err := parses(words); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	options := regexp.MustCompile(`POSTSEAL_OPTIONS=([^'\n]*)`)
	seen := 0
	for _, p := range pages(t) {
		for _, m := range options.FindAllStringSubmatch(p.text, -1) {
			seen++
			words, _ := split(m[1])
			if err := parses(append([]string{"serve"}, words...)); err != nil {
				t.Errorf("%s: %s: %v", p.path, m[0], err)
			}
		}
	}
	if seen < 3 {
		t.Errorf("only %d lines with options of serve were found", seen)
	}
}

// TestDocumentedConfigurationParses reads the YAML of the pages as the programs do. (fleet-yaml.md has a stricter test of its own.)
func TestDocumentedConfigurationParses(t *testing.T) {
	catalogue, err := services.Load()
	if err != nil {
		t.Fatal(err)
	}
	fleets, agents := 0, 0
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			text := strings.Join(b.lines, "\n")
			var err error
			switch {
			case b.language != "yaml":
			case hasKey(b, "publishers") || hasKey(b, "domains") || hasKey(b, "dns"):
				fleets++
				_, err = inventory.ParseFleet(p.path, []byte(text), catalogue)
			case hasKey(b, "listeners") || hasKey(b, "outbound"):
				agents++
				_, err = agent.ParseConfig([]byte(text))
			}
			if err != nil {
				t.Errorf("%s:%d: %v", p.path, b.line, err)
			}
		}
	}
	if fleets < 5 || agents < 2 {
		t.Errorf("only %d fleets and %d agents were found", fleets, agents)
	}
}

// TestLinksLead follows every link between the pages, to the heading where it names one.
func TestLinksLead(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, p := range pages(t) {
		for _, m := range link.FindAllStringSubmatch(p.text, -1) {
			target, anchor, _ := strings.Cut(m[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			path := filepath.Join(moduleRoot, p.path)
			if target != "" {
				path = filepath.Join(filepath.Dir(path), target)
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s: the link %s leads nowhere", p.path, m[1])
				continue
			}
			if anchor != "" && !slices.Contains(anchors(read(t, path)), anchor) {
				t.Errorf("%s: the link %s leads to no heading", p.path, m[1])
			}
		}
	}
}

// TestReadmeBegins holds the README to its first promise: two commands, typed as they stand.
func TestReadmeBegins(t *testing.T) {
	text := read(t, filepath.Join(moduleRoot, "README.md"))
	makefile := read(t, filepath.Join(moduleRoot, "Makefile"))
	for _, line := range []string{"    go run ./cmd/postseal demo\n", "    make test\n", "    make build\n"} {
		if !strings.Contains(text, "\n"+line) {
			t.Errorf("the README does not show %q", strings.TrimSpace(line))
		}
		if target, ok := strings.CutPrefix(strings.TrimSpace(line), "make "); ok && !strings.Contains(makefile, "\n"+target+":") {
			t.Errorf("the Makefile has no target %s", target)
		}
	}
}

// parses finds the command and checks its flags and arguments, without running it.
func parses(words []string) error {
	cmd, rest, err := newRoot().Find(words)
	switch {
	case err != nil:
		return err
	case !cmd.Runnable():
		return fmt.Errorf("%s needs one of %s", cmd.CommandPath(), verbs(cmd))
	}
	if err := cmd.ParseFlags(rest); err != nil {
		return err
	}
	if err := cmd.ValidateRequiredFlags(); err != nil {
		return err
	}
	return cmd.ValidateArgs(cmd.Flags().Args())
}

func verbs(cmd *cobra.Command) string {
	var names []string
	for _, c := range cmd.Commands() {
		names = append(names, c.Name())
	}
	return strings.Join(names, ", ")
}

// commandLine is one use of the program.
type commandLine struct {
	line  int
	words []string
}

// commands returns the uses of the program in a block: at the start of a line, behind && or |, or as what another program starts.
func (b block) commands() []commandLine {
	var all []commandLine
	if b.language != "" && b.language != "sh" {
		return nil
	}
	for i := 0; i < len(b.lines); i++ {
		line, at := b.lines[i], b.line+i
		for strings.HasSuffix(line, `\`) && i+1 < len(b.lines) {
			i++
			line = strings.TrimSuffix(line, `\`) + " " + strings.TrimSpace(b.lines[i])
		}
		for text := line; ; {
			words, rest := split(text)
			if own, ok := ownWords(words); ok {
				all = append(all, commandLine{at, own})
			}
			if rest == "" {
				break
			}
			text = rest
		}
	}
	return all
}

// ownWords cuts off what stands before the program's own arguments.
func ownWords(words []string) ([]string, bool) {
	for i, w := range words {
		switch {
		case w == "postseal" && i == 0, w == "/usr/local/bin/postseal" && i > 0 && words[0] == "systemd-run", w == "./cmd/postseal" && i == 2 && words[0] == "go" && words[1] == "run":
			return words[i+1:], true
		}
	}
	return nil, false
}

// split reads one simple command of a shell line: words up to a comment, a redirection or an operator. rest is what follows an operator.
// Two blanks and more before a letter begin the explanation in a synopsis.
func split(line string) (words []string, rest string) {
	word, has := "", false
	end := func() {
		if has {
			words = append(words, word)
		}
		word, has = "", false
	}
	for i := 0; i < len(line); i++ {
		switch c := line[i]; c {
		case '\'', '"':
			close := strings.IndexByte(line[i+1:], c)
			if close < 0 {
				return words, ""
			}
			word, has = word+line[i+1:i+1+close], true
			i += close + 1
		case ' ', '\t':
			end()
			if blanks := len(line[i:]) - len(strings.TrimLeft(line[i:], " ")); blanks >= 3 && len(words) > 0 {
				return words, ""
			}
		case '#':
			if !has {
				return words, ""
			}
			word += "#"
		case '>', '<':
			end()
			return words, ""
		case '|', '&', ';':
			end()
			return words, strings.TrimSpace(strings.TrimLeft(line[i:], "|&;"))
		default:
			word, has = word+string(c), true
		}
	}
	end()
	return words, ""
}

// pages returns the README and everything in docs.
func pages(t *testing.T) []page {
	t.Helper()
	paths := []string{filepath.Join(moduleRoot, "README.md"), filepath.Join(moduleRoot, "CONTRIBUTING.md")}
	for _, pattern := range []string{"docs/*.md", "docs/decisions/*.md"} {
		more, err := filepath.Glob(filepath.Join(moduleRoot, pattern))
		if err != nil || len(more) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		paths = append(paths, more...)
	}
	var all []page
	for _, path := range paths {
		name, err := filepath.Rel(moduleRoot, path)
		if err != nil {
			t.Fatal(err)
		}
		text := read(t, path)
		all = append(all, page{path: filepath.ToSlash(name), text: text, blocks: blocksOf(text)})
	}
	return all
}

// blocksOf finds the code blocks. Inside of a list they are indented further; what counts is at least four blanks.
func blocksOf(text string) []block {
	var all []block
	var fence, indent string
	var b *block
	done := func() {
		if b != nil && len(b.lines) > 0 {
			all = append(all, *b)
		}
		b = nil
	}
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimLeft(line, " ")
		switch {
		case fence != "" && strings.HasPrefix(trimmed, fence):
			done()
			fence = ""
		case fence != "":
			b.lines = append(b.lines, strings.TrimPrefix(line, indent))
		case strings.HasPrefix(trimmed, "```"):
			done()
			fence, indent = "```", line[:len(line)-len(trimmed)]
			b = &block{line: i + 2, language: strings.TrimPrefix(trimmed, "```")}
		case strings.HasPrefix(line, "    "):
			if b == nil {
				b = &block{line: i + 1}
			}
			b.lines = append(b.lines, trimmed)
		default:
			done()
		}
	}
	done()
	return all
}

func hasKey(b block, key string) bool {
	return slices.ContainsFunc(b.lines, func(line string) bool { return strings.HasPrefix(line, key+":") })
}

// anchors returns the names under which headings can be linked to.
func anchors(text string) []string {
	var all []string
	drop := regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
			name = drop.ReplaceAllString(strings.ToLower(strings.TrimSpace(name)), "")
			all = append(all, strings.ReplaceAll(name, " ", "-"))
		}
	}
	return all
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// TestZoneFileDropIn holds the example of a zone file against the unit: a directory that the unit shows read-only needs the drop-in beside it.
func TestZoneFileDropIn(t *testing.T) {
	read := func(path ...string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(append([]string{"..", ".."}, path...)...))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	_, section, _ := strings.Cut(read("docs", "dns-providers.md"), "\n## zonefile\n")
	section, _, _ = strings.Cut(section, "\n## ")
	files := regexp.MustCompile(`\{file: (/[^,}]+)`).FindAllStringSubmatch(section, -1)
	if len(files) == 0 {
		t.Fatal("the section about zone files has no example")
	}
	unit := read("packaging", "systemd", "postseal.service")
	if !strings.Contains(unit, "\nProtectSystem=strict\n") {
		t.Fatal("the unit is not read-only any more: the drop-in in docs/dns-providers.md may go")
	}
	for _, f := range files {
		want := "ReadWritePaths=" + filepath.Dir(f[1])
		if !strings.Contains(section, want+"\n") && !strings.Contains(unit, "\n"+want+"\n") {
			t.Errorf("%s cannot be written under the unit, and no %s is named", f[1], want)
		}
	}
	if !strings.Contains(read("docs", "operations.md"), "`ReadWritePaths=`") {
		t.Error("docs/operations.md describes the unit without ReadWritePaths=")
	}
}
