package oauth

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/webapi"
)

// issuer is a token endpoint (RFC 6749 §3.2) over TLS. Each refresh token is taken once.
type issuer struct {
	t      *testing.T
	server *httptest.Server

	mu      sync.Mutex
	refresh string // the one that counts
	given   int
	forms   []url.Values
	odd     func(w http.ResponseWriter, r *http.Request) bool // true = that was the answer
}

func startIssuer(t *testing.T) *issuer {
	i := &issuer{t: t, refresh: "hush-1"}
	i.server = httptest.NewTLSServer(i)
	t.Cleanup(i.server.Close)
	return i
}

func reply(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if err := r.ParseForm(); err != nil || r.Method != http.MethodPost {
		reply(w, http.StatusBadRequest, map[string]string{"error": "invalid_request"})
		return
	}
	i.forms = append(i.forms, r.PostForm)
	if i.odd != nil && i.odd(w, r) {
		return
	}
	id, secret := r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	if name, password, ok := r.BasicAuth(); ok {
		id, secret = name, password
	}
	if id != "app" || secret != "hush-hush" {
		reply(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client", "error_description": "the secret is not " + secret})
		return
	}
	i.given++
	answer := map[string]any{"access_token": fmt.Sprintf("token-%d", i.given), "token_type": "bearer", "expires_in": 3600}
	if r.PostFormValue("grant_type") == refreshToken {
		if r.PostFormValue("refresh_token") != i.refresh {
			reply(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant"})
			return
		}
		i.refresh = fmt.Sprintf("hush-%d", i.given+1)
		answer["refresh_token"] = i.refresh
	}
	reply(w, http.StatusOK, answer)
}

// client has the tokens of a credential that names this issuer; at is the time.
func (i *issuer) client(spec string, log io.Writer, at *time.Time) *Mailbox {
	i.t.Helper()
	transport := i.server.Client().Transport.(*http.Transport).Clone()
	i.t.Cleanup(transport.CloseIdleConnections)
	o := webapi.Options{Credential: spec, Transport: transport}
	if log != nil {
		o.Log = slog.New(slog.NewTextHandler(log, nil))
	}
	if at != nil {
		o.Timing.Now = func() time.Time { return *at }
	}
	m, err := ForMailbox("ann@example.org", o)
	if err != nil {
		i.t.Fatal(err)
	}
	return m
}

func (i *issuer) text(text string) string {
	return strings.Replace(text, "https://login.example", i.server.URL, 1)
}

func (i *issuer) file(text string) string {
	i.t.Helper()
	name := filepath.Join(i.t.TempDir(), "oauth.json")
	if err := os.WriteFile(name, []byte(i.text(text)+"\n"), 0o640); err != nil {
		i.t.Fatal(err)
	}
	return name
}

func must(t *testing.T, m *Mailbox, want string, fresh bool) {
	t.Helper()
	if token, got, err := m.Token(t.Context()); token != want || got != fresh || err != nil {
		t.Fatalf("%q, %v, %v; want %q", token, got, err, want)
	}
}

// A token is kept until shortly before its end, until it is forgotten, and until the credential is another.
func TestTokenIsKept(t *testing.T) {
	for _, method := range []string{"", secretInBody, secretInHeader} {
		i := startIssuer(t)
		now := time.Now()
		name := i.file(strings.Replace(good, `"scope"`, `"token_endpoint_auth_method":"`+method+`","scope"`, 1))
		m := i.client("file:"+name, nil, &now)
		must(t, m, "token-1", true)
		must(t, m, "token-1", false)
		m.Forget()
		must(t, m, "token-2", true)
		now = now.Add(56 * time.Minute)
		must(t, m, "token-2", false)
		now = now.Add(3 * time.Minute)
		must(t, m, "token-3", true)
		if err := os.WriteFile(name, []byte(i.text(good)+"  "), 0o640); err != nil {
			t.Fatal(err)
		}
		if _, _, err := m.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		if f := i.forms[0]; f.Get("grant_type") != "client_credentials" || f.Get("scope") != "https://mail.example/.default" || f.Has("client_secret") != (method != secretInHeader) {
			t.Errorf("%q: it was asked %v", method, f)
		}
	}
}

// A refresh token that is exchanged is written into the file, and the next process goes on with it; what else is in the file stays.
func TestExchangedRefreshTokenIsWritten(t *testing.T) {
	i := startIssuer(t)
	name := i.file(strings.Replace(lent, `{`, `{"note":"of the IT department",`, 1))
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(name, link); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	m := i.client("file:"+link, &log, nil)
	must(t, m, "token-1", true)
	must(t, m, "token-1", false) // although the file is another now
	m.Forget()
	must(t, m, "token-2", true)
	must(t, i.client("file:"+name, &log, nil), "token-3", true)
	text, err := os.ReadFile(name)
	info, statErr := os.Stat(name)
	if err != nil || statErr != nil || !strings.Contains(string(text), `"refresh_token": "hush-4"`) || !strings.Contains(string(text), `"note": "of the IT department"`) || info.Mode().Perm() != 0o640 {
		t.Errorf("%s, %v, %v", text, err, info.Mode())
	}
	if target, err := os.Readlink(link); err != nil || target != name {
		t.Errorf("the link is %q, %v", target, err)
	}
	if left, _ := os.ReadDir(filepath.Dir(name)); len(left) != 1 || log.Len() > 0 {
		t.Errorf("%v, %s", left, &log)
	}
	// Somebody writes another one into it meanwhile: that one counts.
	i.mu.Lock()
	i.refresh = "hush-other"
	i.mu.Unlock()
	if err := os.WriteFile(name, []byte(i.text(strings.Replace(lent, "hush-1", "hush-other", 1))), 0o640); err != nil {
		t.Fatal(err)
	}
	must(t, m, "token-4", true)
}

// Where it cannot be written it is kept in memory, and that is said once.
func TestExchangedRefreshTokenIsKept(t *testing.T) {
	i := startIssuer(t)
	t.Setenv("POSTSEAL_TEST_OAUTH", i.text(lent))
	dir := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	if err := os.WriteFile(filepath.Join(dir, "imap"), []byte(i.text(lent)), 0o400); err != nil {
		t.Fatal(err)
	}
	for _, spec := range []string{"env:POSTSEAL_TEST_OAUTH", "systemd:imap"} {
		i.mu.Lock()
		i.refresh, i.given = "hush-1", 0
		i.mu.Unlock()
		var log bytes.Buffer
		m := i.client(spec, &log, nil)
		for n := range 4 {
			must(t, m, fmt.Sprintf("token-%d", n+1), true)
			m.Forget()
		}
		if said := log.String(); strings.Count(said, "\n") != 1 || !strings.Contains(said, "it is lost when the process ends") || !strings.Contains(said, spec) || strings.Contains(said, "hush") {
			t.Errorf("%s: %s", spec, said)
		}
	}
}

// Whatever a token endpoint answers is a sentence with something to do, and holds no secret.
func TestRefusals(t *testing.T) {
	secrets := "hush-hush hush-1 token_is_hush"
	refuse := func(status int, body string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
			return true
		}
	}
	for _, c := range []struct {
		name, credential string
		odd              func(http.ResponseWriter, *http.Request) bool
		code             fault.Code
		want             string
	}{
		{"client", good, refuse(401, `{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided `+secrets+`"}`), fault.Denied, "HOST refuses the client (401: invalid_client, AADSTS7000215)"},
		{"client, 200", good, refuse(200, `{"error":"unauthorized_client"}`), fault.Denied, "HOST refuses the client (200: unauthorized_client)"},
		{"grant", lent, refuse(400, `{"error":"invalid_grant","error_description":"`+secrets+`"}`), fault.Denied, "HOST refuses the refresh token (400: invalid_grant)"},
		{"scope", good, refuse(400, `{"error":"invalid_scope"}`), fault.Denied, "HOST refuses to give an access token (400: invalid_scope)"},
		{"a word that is none", good, refuse(400, `{"error":"`+secrets+`\u001b[31m"}`), fault.Denied, "HOST gives no access token (400: Bad Request)"},
		{"no such page", good, refuse(404, `<html>`+secrets), fault.Denied, "HOST gives no access token (404: Not Found)"},
		{"away", good, refuse(503, secrets), fault.Unavailable, "HOST gives no access token now (503: Service Unavailable)"},
		{"too often", good, refuse(429, `{"error":"slow_down"}`), fault.Unavailable, "HOST gives no access token now (429: slow_down)"},
		{"for now", good, refuse(400, `{"error":"temporarily_unavailable"}`), fault.Unavailable, "HOST gives no access token now (400: temporarily_unavailable)"},
		{"a page", good, refuse(200, `<html>`+secrets), fault.Unavailable, "HOST answers with something that is no access token"},
		{"nothing", good, refuse(200, `{}`), fault.Unavailable, "HOST answers with something that is no access token"},
		{"another type", good, refuse(200, `{"access_token":"token_is_hush","token_type":"mac"}`), fault.Unavailable, "HOST gives an access token that no mailbox can be opened with"},
		{"a token with control characters", good, refuse(200, `{"access_token":"token_is_hush\u0001auth=x","token_type":"Bearer"}`), fault.Unavailable, "HOST gives an access token that no mailbox can be opened with"},
		{"a huge token", good, refuse(200, `{"access_token":"`+strings.Repeat("x", maxToken+1)+`"}`), fault.Unavailable, "HOST gives an access token that no mailbox can be opened with"},
		{"without end", good, func(w http.ResponseWriter, _ *http.Request) bool {
			_, _ = io.WriteString(w, `{"access_token":"`)
			for chunk := bytes.Repeat([]byte("hush"), 16<<10); ; {
				if _, err := w.Write(chunk); err != nil {
					return true
				}
			}
		}, fault.Unavailable, "HOST answers with something that is no access token"},
		{"elsewhere", good, func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "https://elsewhere.example/"+secrets, http.StatusTemporaryRedirect)
			return true
		}, fault.Denied, `HOST redirects to "elsewhere.example", which is not followed: the secret goes to nobody else`},
		{"another page", good, func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "/"+secrets, http.StatusFound)
			return true
		}, fault.Denied, "HOST gives no access token (302: Found)"},
		{"broken off", good, func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }, fault.Unavailable, "HOST cannot be reached: no access token was to be had"},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := startIssuer(t)
			i.odd = c.odd
			u, _ := url.Parse(i.server.URL)
			name := i.file(c.credential)
			_, _, err := i.client("file:"+name, nil, nil).Token(t.Context())
			message, hint := fault.Show(err)
			if fault.CodeOf(err) != c.code || message != strings.Replace(c.want, "HOST", u.Host, 1) {
				t.Errorf("%s: %v", fault.CodeOf(err), err)
			}
			if strings.Contains(fmt.Sprint(err, message, hint), "hush") || len(err.Error()) > 400 || hint == "" {
				t.Errorf("%v (%s)", err, hint)
			}
			t.Logf("%v (%s)", err, hint)
		})
	}
}

// A file that is too large, or not there, is told of as with a password.
func TestCredentialThatCannotBeRead(t *testing.T) {
	i := startIssuer(t)
	for _, c := range []struct{ name, want string }{
		{i.file(good + strings.Repeat(" ", 70_000)), "is larger than 65536 octets"}, {i.file("")[:4] + "nowhere.json", "cannot be read"}, {t.TempDir(), "is no regular file"},
	} {
		if _, _, err := i.client("file:"+c.name, nil, nil).Token(t.Context()); fault.CodeOf(err) != fault.Invalid || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v", err)
		}
	}
	if _, err := ForMailbox("ann", webapi.Options{Credential: "hush-hush"}); fault.CodeOf(err) != fault.Invalid || strings.Contains(err.Error(), "hush") {
		t.Errorf("%v", err)
	}
	if _, _, err := i.client("file:"+i.file(good), nil, nil).Token(t.Context()); err != nil {
		t.Error(err)
	}
}

// The end of a token is believed within limits.
func TestEnd(t *testing.T) {
	now := time.Now()
	for _, c := range []struct{ said, want time.Time }{{time.Time{}, now.Add(unsaidLife)}, {now.Add(time.Hour), now.Add(time.Hour)}, {now.Add(1000 * time.Hour), now.Add(maxLife)}} {
		if got := end(c.said, now); !got.Equal(c.want) {
			t.Errorf("%v: %v", c.said, got)
		}
	}
}

// Google's service account asks in the name of the mailbox's user (domain-wide delegation), with an assertion that it signs.
func TestServiceAccount(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	private := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	i := startIssuer(t)
	i.odd = func(w http.ResponseWriter, r *http.Request) bool {
		parts := strings.Split(r.PostFormValue("assertion"), ".")
		if r.PostFormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || len(parts) != 3 {
			reply(w, 400, map[string]string{"error": "unsupported_grant_type"})
			return true
		}
		raw, _ := base64.RawURLEncoding.DecodeString(parts[1])
		var claims map[string]any
		_ = json.Unmarshal(raw, &claims)
		if claims["iss"] != "robot@p.iam.gserviceaccount.com" || claims["sub"] != "ann@example.org" || claims["scope"] != "https://mail.google.com/" || claims["aud"] != i.server.URL+"/token" {
			reply(w, 401, map[string]string{"error": "unauthorized_client", "error_description": "hush"})
			return true
		}
		reply(w, 200, map[string]any{"access_token": "ya29.x", "token_type": "Bearer", "expires_in": 3599})
		return true
	}
	account := func(email, key, uri string) string {
		text, err := json.Marshal(map[string]string{"type": "service_account", "project_id": "p", "private_key_id": "k1", "private_key": key, "client_email": email, "client_id": "1", "token_uri": uri,
			"auth_uri": "https://accounts.google.com/o/oauth2/auth", "universe_domain": "googleapis.com"})
		if err != nil {
			t.Fatal(err)
		}
		return i.file(string(text))
	}
	const robot = "robot@p.iam.gserviceaccount.com"
	must(t, i.client("file:"+account(robot, private, i.server.URL+"/token"), nil, nil), "ya29.x", true)
	for _, c := range []struct{ email, key, uri, want string }{
		{"other@p.iam.gserviceaccount.com", private, i.server.URL + "/token", "Google refuses the credential (unauthorized_client)"},
		{robot, "hush", i.server.URL + "/token", "the private_key of the service account cannot be read"},
		{robot, private, "https://evil.example/token", "the key names a token_uri that is not Google's"},
		{"", private, i.server.URL + "/token", "the credential is no key of a service account"},
	} {
		_, _, err := i.client("file:"+account(c.email, c.key, c.uri), nil, nil).Token(t.Context())
		if err == nil || err.Error() != c.want {
			t.Errorf("%v; want %s", err, c.want)
		}
	}
}
