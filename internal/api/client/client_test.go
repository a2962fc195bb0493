package client

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/fault"
)

func open(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c, err := New(Access{URL: s.URL, Token: "psa1.x.y"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func TestErrorsKeepTheirCode(t *testing.T) {
	for name, c := range map[string]struct {
		status       int
		body         string
		code         fault.Code
		message, tip string
	}{
		"a fault":       {409, `{"code":"conflict","message":"somebody was faster","hint":"look again"}`, fault.Conflict, "somebody was faster", "look again"},
		"no hint":       {404, `{"code":"not_found","message":"no such thing"}`, fault.NotFound, "no such thing", ""},
		"a proxy":       {502, `<html>Bad gateway</html>`, fault.Unavailable, "502 Bad Gateway", "address"},
		"nothing":       {500, ``, fault.Unavailable, "500", "address"},
		"other JSON":    {400, `{"error":"x"}`, fault.Unavailable, "400", "address"},
		"a redirection": {302, ``, fault.Unavailable, "302", "address"},
		"not ours":      {200, `<html>`, fault.Unavailable, "not what this version understands", "address"},
	} {
		t.Run(name, func(t *testing.T) {
			client := open(t, func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Authorization") != "Bearer psa1.x.y" {
					t.Errorf("Authorization: %q", r.Header.Get("Authorization"))
				}
				w.Header().Set("Location", "https://elsewhere.example/")
				w.WriteHeader(c.status)
				w.Write([]byte(c.body))
			})
			_, err := client.Me(t.Context())
			message, hint := fault.Show(err)
			if fault.CodeOf(err) != c.code || !strings.Contains(message, c.message) || !strings.Contains(hint, c.tip) {
				t.Errorf("%s: %q, %q", fault.CodeOf(err), message, hint)
			}
		})
	}
}

func TestNobodyThere(t *testing.T) {
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	c, err := New(Access{URL: s.URL, Token: "psa1.x.y"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Me(t.Context())
	if _, hint := fault.Show(err); fault.CodeOf(err) != fault.Unavailable || !strings.Contains(hint, "serve running") {
		t.Errorf("%v, %q", err, hint)
	}
}

func TestAnotherServersCertificate(t *testing.T) {
	s := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	c, err := New(Access{URL: s.URL, Token: "psa1.x.y"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Me(t.Context())
	if _, hint := fault.Show(err); fault.CodeOf(err) != fault.Unavailable || !strings.Contains(hint, "certificate") {
		t.Errorf("%v, %q", err, hint)
	}
}

func TestPathsAreEscaped(t *testing.T) {
	var got []string
	c := open(t, func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Method+" "+r.URL.EscapedPath()+" "+r.URL.RawQuery)
		w.Write([]byte(`{}`))
	})
	ctx := context.Background()
	for _, call := range []func() error{
		func() error { return c.Release(ctx, "a/b ?x") },
		func() error { return c.Approve(ctx, "example.org", "s/../1", "activate") },
		func() error { _, err := c.Journal(ctx, JournalQuery{Domain: "a&b", Before: 7, Limit: 3}); return err },
	} {
		if err := call(); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{
		"DELETE /v1/domains/a%2Fb%20%3Fx/hold ",
		"POST /v1/domains/example.org/keys/s%2F..%2F1/approve ",
		"GET /v1/journal before=7&domain=a%26b&limit=3",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("asked\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestPagesEnd(t *testing.T) {
	answers := []string{`{"domains":[{"name":"a"}],"next":"a"}`, `{"domains":[{"name":"b"}],"next":"b"}`, `{"domains":[]}`}
	asked := 0
	c := open(t, func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte(answers[min(asked, len(answers)-1)]))
		asked++
	})
	n := 0
	for page, err := range c.AllDomains(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		n += len(page.Domains)
	}
	if n != 2 || asked != 3 {
		t.Errorf("%d domains in %d pages", n, asked)
	}
	// A server that always names the same page does not keep us for ever.
	answers, asked = []string{`{"domains":[],"next":"a"}`}, 0
	for _, err := range c.AllDomains(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if asked != 2 {
		t.Errorf("asked %d times", asked)
	}
}

func TestAccessIsChecked(t *testing.T) {
	for name, a := range map[string]Access{
		"nothing":             {},
		"no scheme":           {URL: "localhost:8443", Token: "t"},
		"another scheme":      {URL: "ftp://localhost", Token: "t"},
		"in clear to others":  {URL: "http://postseal.example.org", Token: "t"},
		"no token":            {URL: "https://postseal.example.org"},
		"rubbish for a CA":    {URL: "https://postseal.example.org", Token: "t", CA: "rubbish"},
		"clear but loopback?": {URL: "http://127.0.0.1.example.org", Token: "t"},
	} {
		if _, err := New(a); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestReadAdmin(t *testing.T) {
	dir := t.TempDir()
	if _, err := ReadAdmin(dir); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("no file: %v", err)
	}
	path := filepath.Join(dir, AdminFile)
	if err := os.WriteFile(path, []byte(`{"url":"https://localhost:1","token":"t","ca":"c"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if a, err := ReadAdmin(dir); err != nil || a != (Access{URL: "https://localhost:1", Token: "t", CA: "c"}) {
		t.Errorf("%+v, %v", a, err)
	}
	if err := os.WriteFile(path, []byte(`{`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadAdmin(dir); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("rubbish: %v", err)
	}
}

func TestCancelled(t *testing.T) {
	waiting := make(chan struct{})
	c := open(t, func(_ http.ResponseWriter, r *http.Request) {
		close(waiting)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	go func() { <-waiting; cancel() }()
	if _, err := c.Me(ctx); err == nil {
		t.Error("no error")
	}
}
