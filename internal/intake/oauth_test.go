package intake

import (
	"bytes"
	"encoding/json"
	"fmt"
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

	"github.com/postseal/postseal/internal/oauth"
	"github.com/postseal/postseal/internal/webapi"
)

const (
	clientID     = "11111111-2222-3333-4444-555555555555"
	clientSecret = "client-secret-not-to-be-shown"
)

// authority gives access tokens (RFC 6749 §4.4) to a client that it knows, over TLS, and tells the mail server what a token is good for, as Google's tokeninfo does.
type authority struct {
	t          *testing.T
	give, tell *httptest.Server

	mu      sync.Mutex
	user    string // whose mailbox tokens open
	revoked bool   // the client is not known any more
	life    int    // seconds
	away    bool   // the mail server learns nothing
	given   []string
	ended   map[string]bool
	asked   map[string]int // how often about a token
}

func startAuthority(t *testing.T, user string) *authority {
	a := &authority{t: t, user: user, life: 3600, ended: map[string]bool{}, asked: map[string]int{}}
	a.give = httptest.NewTLSServer(http.HandlerFunc(a.token))
	a.tell = httptest.NewServer(http.HandlerFunc(a.tokenInfo))
	t.Cleanup(func() { a.give.Close(); a.tell.Close() })
	return a
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func (a *authority) token(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case r.FormValue("grant_type") == "refresh_token" && r.FormValue("client_id") == clientID && r.FormValue("client_secret") == clientSecret:
		if r.FormValue("refresh_token") != fmt.Sprintf("refresh-token-%d-not-to-be-shown", len(a.given)) { // each is taken once
			answer(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant"})
			return
		}
		token := fmt.Sprintf("access-token-%d-not-to-be-shown", len(a.given))
		a.given = append(a.given, token)
		answer(w, http.StatusOK, map[string]any{"token_type": "Bearer", "expires_in": a.life, "access_token": token, "refresh_token": fmt.Sprintf("refresh-token-%d-not-to-be-shown", len(a.given))})
	case r.Method != http.MethodPost || r.FormValue("grant_type") != "client_credentials" || r.FormValue("scope") != "https://mail.example/.default":
		answer(w, http.StatusBadRequest, map[string]any{"error": "invalid_request"})
	case a.revoked || r.FormValue("client_id") != clientID || r.FormValue("client_secret") != clientSecret:
		answer(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client", "error_description": "AADSTS7000222: The provided client secret keys for app '" + r.FormValue("client_secret") + "' are expired."})
	default:
		token := fmt.Sprintf("access-token-%d-not-to-be-shown", len(a.given))
		a.given = append(a.given, token)
		answer(w, http.StatusOK, map[string]any{"token_type": "Bearer", "expires_in": a.life, "access_token": token})
	}
}

func (a *authority) tokenInfo(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.away {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	token := r.FormValue("access_token")
	a.asked[token]++
	for _, known := range a.given {
		if token == known && !a.ended[token] && !a.revoked {
			answer(w, http.StatusOK, map[string]any{"active": true, "username": a.user, "expires_in": a.life})
			return
		}
	}
	answer(w, http.StatusBadRequest, map[string]any{"error": "invalid_token"})
}

// do changes something.
func (a *authority) do(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
}

func (a *authority) tokens() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.given)
}

func (a *authority) endAll() {
	a.do(func() {
		for _, token := range a.given {
			a.ended[token] = true
		}
	})
}

// dovecot has every token checked with the authority.
func (a *authority) dovecot(mechanisms string) *dovecot {
	a.t.Helper()
	file := filepath.Join(a.t.TempDir(), "dovecot-oauth2.conf.ext")
	if err := os.WriteFile(file, []byte("tokeninfo_url = "+a.tell.URL+"/tokeninfo?access_token=\nusername_attribute = username\nactive_attribute = active\nactive_value = true\n"), 0o644); err != nil {
		a.t.Fatal(err)
	}
	for dir := filepath.Dir(file); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) { // Dovecot reads it with another account
		_ = os.Chmod(dir, 0o755)
	}
	return startDovecot(a.t, "auth_mechanisms = plain login "+mechanisms+"\npassdb {\n  driver = oauth2\n  mechanisms = xoauth2 oauthbearer\n  args = "+file+"\n}\n")
}

// credential is a file that names the authority.
func (a *authority) credential(kind string) string {
	a.t.Helper()
	text, err := json.Marshal(map[string]string{"type": kind, "token_url": a.give.URL + "/token", "client_id": clientID, "client_secret": clientSecret, "scope": "https://mail.example/.default",
		"refresh_token": "refresh-token-0-not-to-be-shown"})
	if err != nil {
		a.t.Fatal(err)
	}
	file := filepath.Join(a.t.TempDir(), "oauth.json")
	if err := os.WriteFile(file, text, 0o600); err != nil {
		a.t.Fatal(err)
	}
	return file
}

// tokensFor is what serve makes of oauth=file:…, with the authority's certificate.
func (a *authority) tokensFor(user, file string) *oauth.Mailbox {
	a.t.Helper()
	transport := a.give.Client().Transport.(*http.Transport).Clone()
	a.t.Cleanup(transport.CloseIdleConnections)
	m, err := oauth.ForMailbox(user, webapi.Options{Credential: "file:" + file, Transport: transport})
	if err != nil {
		a.t.Fatal(err)
	}
	return m
}

func (a *authority) mailbox(d *dovecot, user string) Mailbox {
	box := d.mailbox(user)
	box.Password, box.OAuth = nil, a.tokensFor(user, a.credential("client_credentials"))
	return box
}

// journal is a log that can be searched.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(b []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(b)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// soon is an intake whose mailbox is tried again soon.
func soon(t *testing.T, r *rig, box Mailbox) (*Intake, *journal) {
	t.Helper()
	log := &journal{}
	needs := r.needs
	needs.Log = slog.New(slog.NewTextHandler(log, nil))
	r.needs = needs
	in := runMailbox(t, r, box, 50*time.Millisecond)
	t.Cleanup(func() {
		if text := log.String() + in.Status()[0].Error + in.Status()[0].Place; strings.Contains(text, "not-to-be-shown") {
			t.Errorf("a secret was told: %s", text)
		}
	})
	return in, log
}

// Reports are stored and moved as with a password, by either mechanism; and when the token has ended another one is got.
func TestMailboxByOAuth(t *testing.T) {
	for _, c := range []struct{ offered, used string }{{"xoauth2", "XOAUTH2"}, {"oauthbearer", "OAUTHBEARER"}, {"oauthbearer xoauth2", "XOAUTH2"}} {
		t.Run(c.offered, func(t *testing.T) {
			a := startAuthority(t, "ann@example.org")
			d := a.dovecot(c.offered)
			r := newRig(t)
			client := d.client("ann@example.org")
			d.appendMail(client, r.signed(letter("reports@example.org", "1.xml", aReport(t, "1", 2))))
			d.appendMail(client, []byte("From: a@stranger.example\r\nSubject: hello\r\n\r\nno report\r\n"))
			box := a.mailbox(d, "ann@example.org")
			if c.offered == "oauthbearer" {
				box.Encryption, box.Address = StartTLS, d.plain
			}
			in, _ := soon(t, r, box)
			await(t, "both are moved", func() bool { return d.count(client, "Postseal") == 1 && d.count(client, "Postseal-unread") == 1 })
			if s := in.Status()[0]; !s.Up || s.Counts.Stored != 2 || s.Counts.Verified != 1 || s.Error != "" || d.count(client, "INBOX") != 0 {
				t.Errorf("%+v", s)
			}
			if log := d.log(); !strings.Contains(log, "method="+c.used+",") {
				t.Errorf("%s was not used: %s", c.used, log)
			}
			// The connection ends, and the token is good for nothing any more although its hour is not over.
			a.endAll()
			d.stop()
			d.start()
			d.appendMail(d.client("ann@example.org"), r.signed(letter("reports@example.org", "2.xml", aReport(t, "2", 2))))
			await(t, "the next one is stored", func() bool { return len(r.shelf.kept()) == 3 })
			if n := a.tokens(); n != 2 {
				t.Errorf("%d tokens were got", n)
			}
			a.mu.Lock()
			if a.asked[a.given[0]] != 2 || a.asked[a.given[1]] != 1 {
				t.Errorf("the mail server asked %v", a.asked)
			}
			a.mu.Unlock()
		})
	}
}

// A token is not used to its last second: the next login has another one.
func TestMailboxRenewsAToken(t *testing.T) {
	a := startAuthority(t, "ann")
	a.life = 60
	d := a.dovecot("xoauth2")
	r := newRig(t)
	soon(t, r, a.mailbox(d, "ann"))
	await(t, "it is open", func() bool { return a.tokens() == 1 })
	d.stop()
	d.start()
	d.appendMail(d.client("ann"), r.signed(letter("reports@example.org", "1.xml", aReport(t, "1", 1))))
	await(t, "the report is stored", func() bool { return len(r.shelf.kept()) == 1 })
	a.mu.Lock()
	defer a.mu.Unlock()
	if last := a.given[len(a.given)-1]; len(a.given) < 2 || a.asked[last] != 1 {
		t.Errorf("given %v, asked %v", a.given, a.asked)
	}
}

// A refresh token that is taken once only is exchanged with each use, and the next process goes on with what this one wrote.
func TestMailboxByRefreshToken(t *testing.T) {
	a := startAuthority(t, "ann")
	d := a.dovecot("xoauth2")
	r := newRig(t)
	file := a.credential("refresh_token")
	box := d.mailbox("ann")
	for n := range 2 {
		d.appendMail(d.client("ann"), r.signed(letter("reports@example.org", fmt.Sprintf("%d.xml", n), aReport(t, fmt.Sprint(n), 1))))
		box.Password, box.OAuth = nil, a.tokensFor("ann", file)
		_, stop := r.start(Config{Mailboxes: []Mailbox{box}})
		await(t, "the report is stored", func() bool { return len(r.shelf.kept()) == n+1 })
		stop()
		if text, err := os.ReadFile(file); err != nil || a.tokens() != n+1 || !strings.Contains(string(text), fmt.Sprintf("refresh-token-%d-", n+1)) {
			t.Errorf("%d tokens, %s, %v", a.tokens(), text, err)
		}
	}
}

// A client that is not known any more is told of with what to do; the messages stay, and are taken when it is known again.
func TestMailboxOfARevokedClient(t *testing.T) {
	a := startAuthority(t, "ann")
	d := a.dovecot("xoauth2")
	r := newRig(t)
	a.revoked = true
	client := d.client("ann")
	d.appendMail(client, r.signed(letter("reports@example.org", "1.xml", aReport(t, "1", 1))))
	in, log := soon(t, r, a.mailbox(d, "ann"))
	await(t, "the trouble is told", func() bool { return in.Status()[0].Error != "" })
	s := in.Status()[0]
	u, _ := url.Parse(a.give.URL)
	want := u.Host + " refuses the client (401: invalid_client, AADSTS7000222) (its secret may have expired, or it was removed: put client_id and a new client_secret into file:/"
	if !strings.HasPrefix(s.Error, want) || s.Up || s.Counts.Connections != 0 {
		t.Errorf("%+v", s)
	}
	if !strings.Contains(log.String(), "invalid_client") {
		t.Errorf("the log: %s", log)
	}
	if d.count(client, "INBOX") != 1 || r.shelf.asked() != 0 {
		t.Error("the message was touched")
	}
	a.do(func() { a.revoked = false })
	await(t, "it is moved", func() bool { return d.count(client, "Postseal") == 1 })
	if s := in.Status()[0]; s.LastSuccess.Before(s.LastError) {
		t.Errorf("%+v", s)
	}
}

// A token that was got just now and is refused is not got again at once; what the mail server cannot tell now is no refusal.
func TestMailboxRefusesAToken(t *testing.T) {
	a := startAuthority(t, "somebody-else")
	d := a.dovecot("xoauth2 oauthbearer")
	r := newRig(t)
	in, _ := soon(t, r, a.mailbox(d, "ann"))
	await(t, "the trouble is told", func() bool {
		return strings.HasPrefix(in.Status()[0].Error, "no login: the server refuses the access token")
	})
	s := in.Status()[0]
	if !strings.Contains(s.Error, "(check that USER is the mailbox's address and that the application of file:/") {
		t.Errorf("%+v", s)
	}
	await(t, "it was tried again", func() bool { return a.tokens() >= 3 })
	a.mu.Lock()
	for token, n := range a.asked {
		if n != 1 {
			t.Errorf("%s was tried %d times", token, n)
		}
	}
	a.away = true
	a.mu.Unlock()
	await(t, "the server does not know", func() bool {
		return strings.HasPrefix(in.Status()[0].Error, "no login: the server cannot check access tokens now (UNAVAILABLE)")
	})
	a.do(func() { a.away, a.user = false, "ann" })
	await(t, "it is open", func() bool { return in.Status()[0].Up })
}
