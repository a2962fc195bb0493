package access_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/store"
)

type bench struct {
	*access.Access
	store *store.Store

	mu  sync.Mutex
	now time.Time
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{now: time.Now().Truncate(time.Second)}
	var err error
	b.store, err = store.Open(t.Context(), store.Options{Database: t.TempDir(), Clock: func() time.Time {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.now
	}})
	must(t, err)
	t.Cleanup(func() { must(t, b.store.Close()) })
	b.Access = access.New(b.store)
	return b
}

func (b *bench) sleep(d time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.now = b.now.Add(d)
}

func (b *bench) user(t *testing.T, name string, role access.Role, labels ...string) string {
	t.Helper()
	_, err := b.AddUser(t.Context(), name, role, labels, "ann")
	must(t, err)
	text, _, err := b.AddToken(t.Context(), name, "", 0, "ann")
	must(t, err)
	return text
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, err error, code fault.Code) {
	t.Helper()
	if err == nil || fault.CodeOf(err) != code {
		t.Fatalf("%v, want %s", err, code)
	}
}

func TestTokenTellsWhoAsks(t *testing.T) {
	b := newBench(t)
	token := b.user(t, "bob", access.Operator, "eu")
	who, err := b.Authenticate(t.Context(), token)
	must(t, err)
	if who.Name != "bob" || who.Role != access.Operator || !who.Sees([]string{"us", "eu"}) || who.Sees([]string{"us"}) || who.Sees(nil) {
		t.Errorf("it is %+v", who)
	}
	parts := strings.Split(token, ".")
	other := strings.Split(b.user(t, "eve", access.Viewer), ".")
	for name, text := range map[string]string{
		"none":                   "",
		"rubbish":                "hunter2",
		"huge":                   strings.Repeat("x", 1<<20),
		"another token's secret": parts[0] + "." + parts[1] + "." + other[2],
		"another token's id":     parts[0] + "." + other[1] + "." + parts[2],
		"unknown id":             "psa1.at_nobody." + parts[2],
		"a join token's prefix":  "psj1." + parts[1] + "." + parts[2],
		"secret cut short":       "psa1." + parts[1] + "." + parts[2][:20],
	} {
		_, err := b.Authenticate(t.Context(), text)
		if fault.CodeOf(err) != fault.Unauthenticated {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTokensEnd(t *testing.T) {
	b := newBench(t)
	forever := b.user(t, "bob", access.Viewer)
	short, _, err := b.AddToken(t.Context(), "bob", "for a script", time.Hour, "ann")
	must(t, err)
	revoked, token, err := b.AddToken(t.Context(), "bob", "", 0, "ann")
	must(t, err)
	for _, text := range []string{forever, short, revoked} {
		_, err := b.Authenticate(t.Context(), text)
		must(t, err)
	}
	must(t, b.RevokeToken(t.Context(), token.ID, "ann"))
	_, err = b.Authenticate(t.Context(), revoked)
	wantCode(t, err, fault.Unauthenticated)
	b.sleep(time.Hour)
	_, err = b.Authenticate(t.Context(), short)
	wantCode(t, err, fault.Unauthenticated)
	must(t, b.DisableUser(t.Context(), "bob", "ann"))
	_, err = b.Authenticate(t.Context(), forever)
	wantCode(t, err, fault.Unauthenticated)

	wantCode(t, b.RevokeToken(t.Context(), "at_nobody", "ann"), fault.NotFound)
	_, _, err = b.AddToken(t.Context(), "nobody", "", 0, "ann")
	wantCode(t, err, fault.NotFound)
	tokens, err := b.Tokens(t.Context(), "bob")
	must(t, err)
	if len(tokens) != 3 || tokens[0].LastUsed.IsZero() {
		t.Errorf("tokens: %+v", tokens)
	}
	entries, err := b.store.Entries(t.Context(), store.JournalFilter{Limit: 100})
	must(t, err)
	for _, e := range entries {
		for _, text := range []string{forever, short, revoked} {
			if strings.Contains(e.Why+string(e.Detail), strings.Split(text, ".")[2]) {
				t.Errorf("a secret is in the journal: %+v", e)
			}
		}
	}
	if len(entries) != 6 { // a user, three tokens, a revocation, a user disabled
		t.Errorf("%d acts in the journal", len(entries))
	}
}

func TestUsersAreChecked(t *testing.T) {
	b := newBench(t)
	b.user(t, "root", access.Admin)
	for name, role := range map[string]access.Role{
		"": access.Viewer, "Ann": access.Viewer, "two words": access.Viewer, "agent:mx1": access.Viewer, "planner": access.Viewer,
		"-x": access.Viewer, strings.Repeat("x", 70): access.Viewer, "bob": "emperor",
	} {
		if _, err := b.AddUser(t.Context(), name, role, nil, "root"); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%q as %q: %v", name, role, err)
		}
	}
	b.user(t, "bob", access.Viewer)
	_, err := b.AddUser(t.Context(), "bob", access.Admin, nil, "root")
	wantCode(t, err, fault.Conflict)
	wantCode(t, b.DisableUser(t.Context(), "root", "root"), fault.Conflict) // the last one
	wantCode(t, b.DisableUser(t.Context(), "nobody", "root"), fault.NotFound)
	must(t, b.DisableUser(t.Context(), "bob", "root"))
	must(t, b.DisableUser(t.Context(), "bob", "root"))
	_, err = b.AddUser(t.Context(), "bob", access.Viewer, nil, "root")
	wantCode(t, err, fault.Conflict) // the name stays taken
}

func TestRolesIncludeTheSmallerOnes(t *testing.T) {
	for _, c := range []struct {
		have, need access.Role
		want       bool
	}{
		{access.Admin, access.Operator, true}, {access.Operator, access.Operator, true}, {access.Operator, access.Admin, false},
		{access.Viewer, access.Operator, false}, {access.Viewer, access.Viewer, true}, {"", access.Viewer, false}, {access.Admin, "", false},
	} {
		if got := c.have.Includes(c.need); got != c.want {
			t.Errorf("%q includes %q: %t", c.have, c.need, got)
		}
		err := access.Principal{Name: "bob", Role: c.have}.Need(c.need, "do it")
		if (err == nil) != c.want || err != nil && fault.CodeOf(err) != fault.Denied {
			t.Errorf("%q needs %q: %v", c.have, c.need, err)
		}
	}
}

func TestLocalAdministratorsFile(t *testing.T) {
	b := newBench(t)
	dir := t.TempDir()
	read := func() (f struct{ URL, Token, CA string }) {
		t.Helper()
		raw, err := os.ReadFile(filepath.Join(dir, access.AdminFile))
		must(t, err)
		must(t, json.Unmarshal(raw, &f))
		return f
	}
	path, made, err := b.EnsureAdmin(t.Context(), dir, "https://localhost:1", []byte("CA 1"))
	must(t, err)
	if info, err := os.Stat(path); !made || err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("made %t, mode %v, %v", made, info.Mode(), err)
	}
	first := read()
	who, err := b.Authenticate(t.Context(), first.Token)
	must(t, err)
	if who.Role != access.Admin || who.Name != access.LocalAdmin || first.URL != "https://localhost:1" {
		t.Errorf("%+v for %+v", who, first)
	}
	// A later start keeps the token and brings the address and the authority up to date.
	_, made, err = b.EnsureAdmin(t.Context(), dir, "https://localhost:2", []byte("CA 2"))
	must(t, err)
	if second := read(); made || second.Token != first.Token || second.URL != "https://localhost:2" || second.CA != "CA 2" {
		t.Errorf("second start: made %t, %+v", made, second)
	}
	// A lost file, a broken one and a revoked token are replaced.
	must(t, os.Remove(path))
	_, made, err = b.EnsureAdmin(t.Context(), dir, "https://localhost:2", nil)
	must(t, err)
	if third := read(); !made || third.Token == first.Token {
		t.Error("no new token for a lost file")
	}
	must(t, os.WriteFile(path, []byte("{"), 0o600))
	_, made, err = b.EnsureAdmin(t.Context(), dir, "https://localhost:2", nil)
	must(t, err)
	if !made {
		t.Error("no new token for a broken file")
	}
	must(t, b.RevokeToken(t.Context(), strings.Split(read().Token, ".")[1], "ann"))
	_, made, err = b.EnsureAdmin(t.Context(), dir, "https://localhost:2", nil)
	must(t, err)
	if _, err := b.Authenticate(t.Context(), read().Token); !made || err != nil {
		t.Errorf("after its token was revoked: made %t, %v", made, err)
	}
	must(t, os.Chmod(path, 0o644))
	_, _, err = b.EnsureAdmin(t.Context(), dir, "https://localhost:2", nil)
	wantCode(t, err, fault.Invalid)
	b.user(t, "root", access.Admin)
	wantCode(t, b.DisableUser(t.Context(), access.LocalAdmin, "root"), fault.Conflict)
}
