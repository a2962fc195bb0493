package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/access"
)

func TestSessionsEnd(t *testing.T) {
	b := newBench(t)
	ann := b.as(t, "ann", access.Viewer)
	in := func(x *browser) bool {
		t.Helper()
		status, text := x.get(t, "/console/")
		if status != http.StatusOK {
			t.Fatalf("%d %s", status, text)
		}
		return strings.Contains(text, "ann, viewer")
	}
	// Used every 29 minutes it lives for half a day, and no longer.
	for range 24 {
		b.pass(29 * time.Minute)
		if !in(ann) {
			t.Fatal("a session that is used has ended")
		}
	}
	b.pass(29 * time.Minute)
	if in(ann) {
		t.Error("a session lives longer than half a day")
	}
	idle := b.browser(t)
	token, _, err := b.access.AddToken(t.Context(), "ann", "", 0, "test")
	must(t, err)
	idle.login(t, token)
	if !in(idle) {
		t.Fatal("it is not logged in")
	}
	b.pass(30 * time.Minute)
	if in(idle) {
		t.Error("a session that nobody used for half an hour is open")
	}

	// Its token is asked each time: without it the session is over.
	idle.login(t, token)
	if !in(idle) {
		t.Fatal("it is not logged in")
	}
	must(t, b.access.RevokeToken(t.Context(), strings.Split(token, ".")[1], "test"))
	if in(idle) {
		t.Error("a session outlives its token")
	}
	other := b.browser(t)
	token, _, err = b.access.AddToken(t.Context(), "ann", "", 0, "test")
	must(t, err)
	other.login(t, token)
	if !in(other) {
		t.Fatal("it is not logged in")
	}
	must(t, b.access.DisableUser(t.Context(), "ann", "test"))
	if in(other) {
		t.Error("a session outlives its user")
	}
}

func TestLogoutEndsTheSession(t *testing.T) {
	b := newBench(t)
	ann := b.as(t, "ann", access.Viewer)
	at, err := url.Parse(ann.url)
	must(t, err)
	cookies := ann.Jar.Cookies(at)
	if len(cookies) != 1 || !strings.HasPrefix(cookies[0].Name, "__Host-") {
		t.Fatalf("cookies: %v", cookies)
	}
	status, text := ann.send(t, http.MethodPost, "/console/logout", "", nil, nil)
	if status != http.StatusOK || !strings.Contains(text, "Access token") || len(ann.Jar.Cookies(at)) != 0 {
		t.Errorf("%d, cookies %v", status, ann.Jar.Cookies(at))
	}
	ann.Jar.SetCookies(at, cookies) // somebody kept it
	if _, text := ann.get(t, "/console/"); strings.Contains(text, "ann, viewer") {
		t.Error("the cookie is good for something after logging out")
	}
	if status, _ := ann.get(t, "/console/logout"); status == http.StatusOK {
		ann.login(t, b.token(t, "bob", access.Viewer))
		ann.get(t, "/console/logout")
		if _, text := ann.get(t, "/console/"); !strings.Contains(text, "bob, viewer") {
			t.Error("a link logs people out")
		}
	}
}

func TestLoginRefusesAndLimits(t *testing.T) {
	b := newBench(t)
	good := b.token(t, "ann", access.Viewer)
	x := b.browser(t)
	parts := strings.Split(good, ".")
	for _, token := range []string{"", "hunter2", strings.Repeat("x", 1000), parts[0] + "." + parts[1] + "." + strings.Repeat("A", 43)} {
		status, text := x.login(t, token)
		if status != http.StatusUnauthorized || !strings.Contains(text, "missing, unknown, expired or revoked") || token != "" && strings.Contains(text, token) {
			t.Errorf("%q: %d %s", token, status, text)
		}
	}
	if status, _ := x.login(t, strings.Repeat("x", 1<<20)); status != http.StatusBadRequest {
		t.Errorf("a huge form: %d", status)
	}
	if status, text := x.login(t, " "+good+"\n"); status != http.StatusOK || !strings.Contains(text, "ann, viewer") {
		t.Errorf("the right token: %d %s", status, text)
	}
	for i := range 10 {
		if status, _ := x.login(t, "hunter2"); status != http.StatusUnauthorized {
			t.Fatalf("attempt %d: %d", i, status)
		}
	}
	status, text := x.login(t, good)
	if status != http.StatusTooManyRequests || !strings.Contains(text, "Too many attempts") {
		t.Errorf("after ten failures: %d %s", status, text)
	}
	b.pass(10 * time.Minute)
	if status, _ := x.login(t, good); status != http.StatusOK {
		t.Errorf("ten minutes later: %d", status)
	}
}

// The cookie is for this host, for TLS, and for no script; the login leads to where one wanted to go, and nowhere else.
func TestLoginLeadsToOwnPagesOnly(t *testing.T) {
	b := newBench(t)
	token := b.token(t, "ann", access.Viewer)
	x := b.browser(t)
	x.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for next, want := range map[string]string{
		"":                                    "/console/",
		"/console/domains/example.org?days=7": "/console/domains/example.org?days=7",
		"https://evil.example/console/":       "/console/",
		"//evil.example/console/":             "/console/",
		`/\evil.example/console/`:             "/console/",
		"/console/../v1/users":                "/console/",
		"javascript:alert(1)":                 "/console/",
		"/v1/users":                           "/console/",
		"/console/\r\nSet-Cookie: a=b":        "/console/",
	} {
		form := url.Values{"token": {token}, "next": {next}}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, x.url+"/console/login", strings.NewReader(form.Encode()))
		must(t, err)
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		answer, err := x.Do(r)
		must(t, err)
		answer.Body.Close()
		if got := answer.Header.Get("Location"); got != want || answer.StatusCode != http.StatusSeeOther {
			t.Errorf("%q leads to %q (%d), want %q", next, got, answer.StatusCode, want)
		}
		c := answer.Header.Get("Set-Cookie")
		for _, word := range []string{"__Host-postseal=", "; Path=/;", "HttpOnly", "Secure", "SameSite=Strict"} {
			if !strings.Contains(c, word) {
				t.Errorf("the cookie is %q without %s", c, word)
			}
		}
		if strings.Contains(c, token) || strings.Contains(c, "Max-Age") {
			t.Errorf("the cookie is %q", c)
		}
	}
}
