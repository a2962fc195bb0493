package webapi

import (
	"context"
	"crypto/sha256"
	"net/http"
	"sync"
	"time"
)

// tokenMargin is how long before its end a token is not used any more: a request takes seconds, and clocks differ by some.
const tokenMargin = 2 * time.Minute

// Tokens gets access tokens with a credential that is no token itself, and keeps one until it ends or the credential changes. It is safe for
// concurrent use.
type Tokens struct {
	// Fetch asks for a token. secret is the credential's text; client has the limits of the API's own.
	Fetch func(ctx context.Context, client *http.Client, secret string) (token string, ends time.Time, err error)

	client *http.Client
	now    func() time.Time

	mu    sync.Mutex
	of    [sha256.Size]byte // hash of the credential that the token was got with
	token string
	ends  time.Time
}

// NewTokens makes Tokens that reach the world as the options say.
func NewTokens(o Options, fetch func(ctx context.Context, client *http.Client, secret string) (string, time.Time, error)) *Tokens {
	t := &Tokens{Fetch: fetch, client: &http.Client{Timeout: requestTime, CheckRedirect: stayHome, Transport: o.Transport}, now: o.Timing.Now}
	if t.now == nil {
		t.now = time.Now
	}
	return t
}

// Authorize is an API's Authorize.
func (t *Tokens) Authorize(r *http.Request, _ []byte, credential *Credential) error {
	secret, err := credential.Secret()
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	of := sha256.Sum256([]byte(secret))
	if t.token == "" || t.of != of || !t.now().Add(tokenMargin).Before(t.ends) {
		if t.token, t.ends, err = t.Fetch(r.Context(), t.client, secret); err != nil {
			t.token = ""
			return err
		}
		t.of = of
	}
	r.Header.Set("Authorization", "Bearer "+t.token)
	return nil
}

// Forget drops the token: the API refused it before its end.
func (t *Tokens) Forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.token = ""
}
