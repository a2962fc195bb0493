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
	token, _, err := t.Of(r.Context(), secret)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+token)
	return nil
}

// Of returns the token of a credential's text; fresh = it was got just now. Errors are those of Fetch.
func (t *Tokens) Of(ctx context.Context, secret string) (token string, fresh bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	of := sha256.Sum256([]byte(secret))
	if t.token != "" && t.of == of && t.now().Add(tokenMargin).Before(t.ends) {
		return t.token, false, nil
	}
	if t.token, t.ends, err = t.Fetch(ctx, t.client, secret); err != nil {
		t.token = ""
		return "", false, err
	}
	t.of = of
	return t.token, true, nil
}

// Forget drops the token: the API refused it before its end.
func (t *Tokens) Forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.token = ""
}
