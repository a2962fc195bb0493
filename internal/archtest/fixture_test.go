package archtest

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

const fixturePolicy = `
floor 0 ground: words

fault: STD
	for everyone
dkim: STD
	public

floor 1 nouns: words

inventory:
	a noun
journal:
	another noun

floor 2 capabilities: words

audit: dkim NOUNS
	a capability
publisher: inventory
	another one
publisher/provider/*: publisher
	hangs on publisher

floor 3 top: words

agent: dkim
	small
server: BELOW -dkim
	knows everyone

floor 4 command: words

cmd/postseal: agent
	the command

floor test support: words

fakedns:
	answers DNS
`

// file writes a Go file that imports what is named; ~ stands for the module.
func file(name string, imports ...string) string {
	var b strings.Builder
	b.WriteString("package " + name + "\n\n")
	for _, imp := range imports {
		b.WriteString("import _ \"" + strings.Replace(imp, "~", module, 1) + "\"\n")
	}
	return b.String()
}

func TestCheckFindsEachViolation(t *testing.T) {
	tests := []struct {
		name string
		tree map[string]string
		want []string // beginnings of the violations, in order; none for a tree without any
	}{
		{"what is allowed", map[string]string{
			"dkim/dkim.go":                              file("dkim", "crypto/rsa", "strings"),
			"internal/audit/audit.go":                   file("audit", "~/dkim", "~/internal/inventory", "~/internal/journal", "~/internal/fault", "example.org/other"),
			"internal/publisher/provider/file/file.go":  file("file", "~/internal/publisher"),
			"internal/server/server.go":                 file("server", "~/internal/audit", "~/internal/publisher/provider/file"),
			"internal/audit/audit_test.go":              file("audit", "~/internal/server", "~/internal/fakedns"),
			"internal/audit/testdata/x/x.go":            file("x", "~/internal/server"),
			"internal/audit/lint.go":                    "package audit\n\nvar known = map[string]bool{\"a\": true}\n\nfunc (t table) init() {}\n",
			"internal/unlisted/only_test.go":            file("unlisted"),
			".cache/mod/util/util.go":                   file("util"),
			"internal/inventory/inventory_unix_only.go": "//go:build unix\n\n" + file("inventory"),
		}, nil},
		{"upwards", map[string]string{"internal/inventory/a.go": file("inventory", "~/internal/audit")},
			[]string{"internal/inventory/a.go:3: internal/inventory imports internal/audit; it may import internal/fault and nothing else"}},
		{"a sibling", map[string]string{"internal/audit/a.go": file("audit", "~/internal/publisher")},
			[]string{"internal/audit/a.go:3: internal/audit imports internal/publisher; it may import internal/fault, dkim"}},
		{"behind a build tag", map[string]string{"internal/inventory/a_windows.go": "//go:build windows\n\n" + file("inventory", "~/internal/journal")},
			[]string{"internal/inventory/a_windows.go:5: internal/inventory imports internal/journal"}},
		{"public package and another module", map[string]string{"dkim/a.go": file("dkim", "golang.org/x/text/cases")},
			[]string{"dkim/a.go:3: dkim imports golang.org/x/text/cases; it may import the standard library only"}},
		{"public package and fault", map[string]string{"dkim/a.go": file("dkim", "~/internal/fault")},
			[]string{"dkim/a.go:3: dkim imports internal/fault; it may import the standard library only"}},
		{"one provider and another", map[string]string{"internal/publisher/provider/a/a.go": file("a", "~/internal/publisher/provider/b")},
			[]string{"internal/publisher/provider/a/a.go:3: internal/publisher/provider/a imports internal/publisher/provider/b"}},
		{"taken out of everything below", map[string]string{"internal/server/a.go": file("server", "~/dkim")},
			[]string{"internal/server/a.go:3: internal/server imports dkim"}},
		{"test support in a program", map[string]string{"internal/audit/a.go": file("audit", "~/internal/fakedns")},
			[]string{"internal/audit/a.go:3: internal/audit imports internal/fakedns"}},
		{"unlisted", map[string]string{"internal/stuff/a.go": file("stuff")},
			[]string{"internal/stuff: the package has no entry"}},
		{"unlisted below a listed one", map[string]string{"internal/audit/deep/a.go": file("deep")},
			[]string{"internal/audit/deep: the package has no entry"}},
		{"a folder's name", map[string]string{"internal/util/a.go": file("text")},
			[]string{"internal/util: the package has no entry", "internal/util: a package called util"}},
		{"a clause's name", map[string]string{"internal/audit/a.go": file("helpers")},
			[]string{"internal/audit/a.go:1: a package called helpers"}},
		{"init", map[string]string{"internal/audit/a.go": "package audit\n\nfunc init() {}\n"},
			[]string{"internal/audit/a.go:3: func init"}},
		{"registries", map[string]string{"internal/audit/a.go": "package audit\n\nvar (\n\ta = map[string]int{}\n\tb = make(map[string]int)\n\tc map[string]int\n\td sync.Map\n\te = make([]int, 3)\n)\n"},
			[]string{"internal/audit/a.go:4: a is a package-level map", "internal/audit/a.go:5: b is", "internal/audit/a.go:6: c is", "internal/audit/a.go:7: d is"}},
		{"cgo", map[string]string{"internal/audit/a.go": file("audit", "C")},
			[]string{"internal/audit/a.go:3: import \"C\""}},
		{"cone", map[string]string{
			"internal/agent/a.go": file("agent", "~/dkim"),
			"dkim/a.go":           file("dkim", "~/internal/journal"),
		}, []string{
			"dkim/a.go:3: dkim imports internal/journal; it may import the standard library only",
			"internal/agent reaches internal/journal (internal/agent → dkim → internal/journal); its import cone is limited to dkim",
		}},
	}
	rs, err := parsePolicy(fixturePolicy)
	if err != nil {
		t.Fatal(err)
	}
	limits, err := parseCones("agent: dkim\n\tsmall\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tree := fstest.MapFS{}
			for name, text := range tt.tree {
				tree[name] = &fstest.MapFile{Data: []byte(text)}
			}
			pkgs, err := readTree(tree)
			if err != nil {
				t.Fatal(err)
			}
			got := check(rs, limits, pkgs)
			if !slices.EqualFunc(got, tt.want, strings.HasPrefix) {
				t.Errorf("got\n\t%s\nwant lines beginning with\n\t%s", strings.Join(got, "\n\t"), strings.Join(tt.want, "\n\t"))
			}
		})
	}
}

func TestTreeThatCannotBeRead(t *testing.T) {
	tree := fstest.MapFS{"internal/audit/a.go": {Data: []byte("package")}}
	if _, err := readTree(tree); err == nil || !strings.Contains(err.Error(), "internal/audit/a.go") {
		t.Errorf("err = %v, want one that names the file", err)
	}
}

func TestPolicyThatContradictsItself(t *testing.T) {
	tests := map[string]struct{ text, want string }{
		"upwards":        {"floor 0 a:\n\nx: y\n\tr\n\nfloor 1 b:\n\ny:\n\tr\n", "not on a lower floor"},
		"sideways":       {"floor 0 a:\n\nx:\n\tr\ny: x\n\tr\n", "not on a lower floor"},
		"no entry":       {"floor 0 a:\n\nx: y\n\tr\n", "no entry"},
		"twice":          {"floor 0 a:\n\nx:\n\tr\nx:\n\tr\n", "two entries"},
		"no reason":      {"floor 0 a:\n\nx:\n", "no reason"},
		"STD and more":   {"floor 0 a:\n\nx:\n\tr\n\nfloor 1 b:\n\ny: STD x\n\tr\n", "STD"},
		"no colon":       {"floor 0 a:\n\nx y\n", "no entry"},
		"early reason":   {"\tr\n", "before the first entry"},
		"floor, no name": {"floor 0\n", "without a name"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := parsePolicy(tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("err = %v, want one with %q", err, tt.want)
			}
		})
	}
}
