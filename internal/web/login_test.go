package web_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/fault"
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
		"/console/login":                      "/console/",
		"/console/logout":                     "/console/",
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

// While nobody can say whether a token is good, attempts are not counted as guesses.
func TestTroubleIsNoGuess(t *testing.T) {
	b := newBench(t)
	good := b.token(t, "ann", access.Viewer)
	x := b.browser(t)
	b.access.fail(fault.New(fault.Unavailable, "the database cannot be reached"))
	for range 20 {
		if status, text := x.login(t, good); status != http.StatusServiceUnavailable || !strings.Contains(text, "The database cannot be reached") {
			t.Fatalf("%d %s", status, text)
		}
	}
	b.access.fail(nil)
	if status, _ := x.login(t, good); status != http.StatusOK {
		t.Errorf("when it is there again: %d", status)
	}
}

// A session that this control plane does not know may be another one's: the browser keeps its cookie. Whoever sent something learns that it was not done.
func TestUnknownSessions(t *testing.T) {
	b := newBench(t)
	x := b.as(t, "ann", access.Operator)
	x.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	at, err := url.Parse(x.url)
	must(t, err)
	own := x.Jar.Cookies(at)
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		r, err := http.NewRequestWithContext(t.Context(), method, x.url+"/console/upload", nil)
		must(t, err)
		r.AddCookie(&http.Cookie{Name: "__Host-postseal", Value: "ofanother"})
		answer, err := b.server.Client().Transport.RoundTrip(r)
		must(t, err)
		answer.Body.Close()
		want := map[string]string{http.MethodGet: "/console/login?next=%2Fconsole%2Fupload", http.MethodPost: "/console/login?over=yes"}[method]
		if answer.StatusCode != http.StatusSeeOther || answer.Header.Get("Location") != want || len(answer.Header.Values("Set-Cookie")) > 0 {
			t.Errorf("%s: %d to %s, %v", method, answer.StatusCode, answer.Header.Get("Location"), answer.Header.Values("Set-Cookie"))
		}
	}
	if status, text := x.get(t, "/console/login?over=yes"); status != http.StatusOK || !strings.Contains(text, "what was sent has not been done") {
		t.Errorf("%d %s", status, text)
	}
	if status, _ := x.get(t, "/console/"); status != http.StatusOK || len(own) != 1 {
		t.Errorf("the own session: %d", status)
	}
}
