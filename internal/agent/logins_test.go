package agent

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/fault"
)

func TestWhichLoginMayUseWhichDomain(t *testing.T) {
	s := settingsOf(t, `
logins:
  map:
    Ann@Example.com: [example.com, EXAMPLE.org]
    "*@example.net": ["*.example.net", example.net]
    "bob@example.net": other.example
    "*@exämple.de": exämple.de
    "app-??": ["*"]
    admin: "*"
    "*": [operator.example]
`)
	for _, c := range []struct {
		login, domain string
		want          bool
	}{
		{"ann@example.com", "example.com", true},
		{"ANN@EXAMPLE.COM", "example.org", true},
		{"ann@example.com", "sub.example.com", false},
		{"ann@example.com", "com", false},
		{"bob@example.com", "example.com", false},
		{"ann", "example.com", false},
		{"carol@example.net", "example.net", true},
		{"carol@example.net", "a.b.example.net", true},
		{"carol@example.net", "notexample.net", false},
		{"carol@sub.example.net", "example.net", false},
		{"bob@example.net", "other.example", true},
		{"bob@example.net", "example.net", true},
		{"ann@xn--exmple-cua.de", "xn--exmple-cua.de", true},
		{"ann@exämple.de", "xn--exmple-cua.de", true},
		{"app-01", "anything.example", true},
		{"app-001", "anything.example", false},
		{"admin", "anything.example", true},
		{"nobody", "operator.example", true},
		{"nobody", "example.com", false},
		{"*@example.net", "example.net", true}, // a login is no pattern: this one has the domain all the same
		{"*", "anything.example", false},
	} {
		if got := s.logins.may(c.login, c.domain); got != c.want {
			t.Errorf("%s, %s: %v", c.login, c.domain, got)
		}
	}
	// Below an assignment both names count, and so does each further signature.
	s = settingsOf(t, `
rules: [{match: {login: "op@*"}, also: [operator.example]}, {match: {header: {List-Id: a}}, domain: example.org}]
logins: {map: {"ann@a.example": [example.org], "bob@a.example": ["*.example.org"], "both@a.example": [example.org, "*.example.org"], "op@a.example": [x.example]}}
`)
	table := tableOf("example.org+subdomains", "operator.example", "x.example")
	list := []string{"List-Id: a"}
	for _, c := range []struct {
		m    messageCase
		want string
	}{
		{messageCase{from: "a@example.org", e: envelope{login: "ann@a.example"}}, "example.org"},
		{messageCase{from: "a@sub.example.org", e: envelope{login: "ann@a.example"}}, "login_not_allowed"},
		{messageCase{from: "a@sub.example.org", e: envelope{login: "bob@a.example"}}, "login_not_allowed"},
		{messageCase{from: "a@sub.example.org", e: envelope{login: "both@a.example"}}, "example.org"},
		{messageCase{from: "a@sub.example.org"}, "example.org"},
		{messageCase{from: "a@x.example", e: envelope{login: "op@a.example"}}, "x.example also_missing"},
		{messageCase{from: "a@elsewhere.example", header: list, e: envelope{login: "bob@a.example"}}, "login_not_allowed"},
		{messageCase{from: "a@elsewhere.example", header: list, e: envelope{login: "ann@a.example"}}, "example.org"},
		{messageCase{from: "a@elsewhere.example", e: envelope{login: "eve@a.example"}}, "not_assigned"},
		// What looks like the list's mail does not make somebody else's author of it.
		{messageCase{from: "a@x.example", header: list, e: envelope{login: "ann@a.example"}}, "login_not_allowed"},
		{messageCase{from: "a@sub.example.org", header: list, e: envelope{login: "ann@a.example"}}, "login_not_allowed"},
		{messageCase{from: "a@sub.example.org", header: list, e: envelope{login: "both@a.example"}}, "example.org"},
	} {
		if got := outcomeOf(choose(s, table, c.m.subject(s))); got != c.want {
			t.Errorf("%s by %q: %s; want %s", c.m.from, c.m.e.login, got, c.want)
		}
	}
}

// loginsIn writes a file of logins and reads it.
func loginsIn(t testing.TB, path, content string) (*settings, error) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o640); err != nil {
		t.Fatal(err)
	}
	s := settingsOf(t, "logins: {file: "+path+", map: {inline: inline.example}}")
	return s, s.openLogins()
}

func TestTheFileOfLogins(t *testing.T) {
	path := filepath.Join(t.TempDir(), "logins")
	s, err := loginsIn(t, path, "# customers\n\nann@example.com\texample.com, example.org\r\n  *@example.net   *.example.net,example.net\nlast *")
	if err != nil {
		t.Fatal(err)
	}
	for login, domain := range map[string]string{"ann@example.com": "example.org", "x@example.net": "a.example.net", "last": "any.example", "inline": "inline.example"} {
		if !s.logins.may(login, domain) {
			t.Errorf("%s may not use %s", login, domain)
		}
	}
	for _, c := range []struct{ name, content, want string }{
		{"no domain", "ok a.example\nann@example.com\n", "line 2: \"ann@example.com\" has no domain"},
		{"no domain after a comma", "ann a.example,\n", "line 1: \"\" is not a domain"},
		{"wildcard", "\n\nann a.*.example\n", "line 3: \"a.*.example\" is not a domain"},
		{"twice", "ann a.example\nbob a.example\nANN b.example\n", "line 3: \"ANN\" is there twice"},
		{"twice with the map", "inline a.example\n", "line 1: \"inline\" is there twice"},
		{"not text", "ann \xff.example\n", "line 1: it is not UTF-8"},
		{"NUL", "a\x00b a.example\n", "line 1: it is not UTF-8"},
		{"long login", strings.Repeat("a", maxLogin+1) + " a.example\n", "is not a login"},
		{"many domains", "ann " + strings.Repeat("a.example,", maxLoginDomains) + "b.example\n", "more than 100 domains"},
		{"many globs", func() string {
			var b strings.Builder
			for i := range maxLoginGlobs + 1 {
				fmt.Fprintf(&b, "a%d* a.example\n", i)
			}
			return b.String()
		}(), "line 1001: more than 1000 globs"},
	} {
		_, err := loginsIn(t, path, c.content)
		message, _ := fault.Show(err)
		if fault.CodeOf(err) != fault.Invalid || !strings.Contains(message, c.want) || !strings.Contains(message, path) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]string{"everybody can write": path, "cannot be read": path + "-missing", "is not a file": t.TempDir()} {
		if err := settingsOf(t, "logins: {file: "+file+"}").openLogins(); fault.CodeOf(err) != fault.Invalid || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	huge, err := os.Create(path + "-huge")
	if err != nil {
		t.Fatal(err)
	}
	defer huge.Close()
	if _, err := huge.Write(bytes.Repeat([]byte{'\n'}, maxLoginsFile+1)); err != nil {
		t.Fatal(err)
	}
	if err := settingsOf(t, "logins: {file: "+path+"-huge}").openLogins(); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("a huge file: %v", err)
	}
}

// A new file is taken on reload; one with a mistake leaves the old map in force.
func TestLoginsAreReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "logins")
	write := func(content string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("ann example.org\n")
	r := rulesRig(t, "logins: {file: "+path+"}")
	r.put(agentapi.Assignment{Domain: "example.org", Keys: []agentapi.Key{edKey("k", "s1")}})
	signedFor := func(login string) bool {
		t.Helper()
		o := dialMTA(t, r.agent, 1, mtaOptions{auth: login}).send(simpleMail("a@example.org", "hello\r\n"), 0)
		return strings.Contains(o.raw, "DKIM-Signature:")
	}
	if !signedFor("ann") || signedFor("bob") {
		t.Error("the first map is not in force")
	}
	write("bob example.org\ncarol\n")
	if err := r.agent.Reload(t.Context(), r.cfg); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("a bad line: %v", err)
	}
	if !signedFor("ann") || signedFor("bob") {
		t.Error("the old map did not stay")
	}
	write("bob example.org\n")
	if err := r.agent.Reload(t.Context(), r.cfg); err != nil {
		t.Fatal(err)
	}
	if signedFor("ann") || !signedFor("bob") {
		t.Error("the new map is not in force")
	}
	// At the start there is no old map to fall back on.
	write("bob\n")
	if _, err := New(r.cfg, Deps{ControlPlane: r.plane, SealingKey: &r.key}); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("a start with a bad file: %v", err)
	}
	// A command that only looks needs no right to the file.
	cfg := r.cfg
	cfg.Logins.File = path + "-missing"
	if _, err := compile(cfg); err != nil {
		t.Error(err)
	}
}

// manyLogins is the content of a file with so many customers.
func manyLogins(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "user%06d@customer%d.example customer%d.example,*.customer%d.example\n", i, i/20, i/20, i/20)
	}
	return b.String()
}

// A hundred thousand logins take little memory.
func TestManyLoginsAreSmall(t *testing.T) {
	path := filepath.Join(t.TempDir(), "logins")
	content := manyLogins(100_000)
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	s, err := loginsIn(t, path, content)
	if err != nil {
		t.Fatal(err)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 24<<20 {
		t.Errorf("%d octets are held for a file of %d", grown, len(content))
	}
	if !s.logins.may("user099999@customer4999.example", "customer4999.example") || s.logins.may("user099999@customer4999.example", "customer4998.example") {
		t.Error("the map is wrong")
	}
	runtime.KeepAlive(content)
}

func BenchmarkLogins(b *testing.B) {
	path := filepath.Join(b.TempDir(), "logins")
	s, err := loginsIn(b, path, manyLogins(100_000))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s := settingsOf(b, "logins: {file: "+path+"}")
			if err := s.openLogins(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("may", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.logins.may("user050000@customer2500.example", "customer2500.example")
		}
	})
}
