package google

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/jwt"

	"github.com/postseal/postseal/internal/fault"
)

const (
	// scope lets a token read and write DNS and nothing else.
	scope = "https://www.googleapis.com/auth/ndev.clouddns.readwrite"
	// tokenURL is where tokens come from; another one counts only on loopback, for tests.
	tokenURL = "https://oauth2.googleapis.com/token"
)

// account is the JSON key of a service account.
type account struct {
	Type     string `json:"type"`
	Email    string `json:"client_email"`
	Key      string `json:"private_key"`
	KeyID    string `json:"private_key_id"`
	TokenURI string `json:"token_uri"`
}

// fetch trades a signed assertion for an access token (RFC 7523 §2.1).
func fetch(ctx context.Context, client *http.Client, secret string) (string, time.Time, error) {
	var a account
	if err := json.Unmarshal([]byte(secret), &a); err != nil || a.Type != "service_account" || a.Email == "" || a.Key == "" {
		return "", time.Time{}, fault.New(fault.Invalid, "the credential is no key of a service account").
			WithHint("make one with gcloud iam service-accounts keys create, and name its file")
	}
	if a.TokenURI == "" {
		a.TokenURI = tokenURL
	}
	if u, err := url.Parse(a.TokenURI); err != nil || a.TokenURI != tokenURL && u.Hostname() != "127.0.0.1" {
		return "", time.Time{}, fault.New(fault.Invalid, "the key names a token_uri that is not Google's")
	}
	config := jwt.Config{Email: a.Email, PrivateKey: []byte(a.Key), PrivateKeyID: a.KeyID, Scopes: []string{scope}, TokenURL: a.TokenURI}
	token, err := config.TokenSource(context.WithValue(ctx, oauth2.HTTPClient, client)).Token() // the library takes its client from there
	var refused *oauth2.RetrieveError
	switch {
	case errors.As(err, &refused) && refused.Response != nil && refused.Response.StatusCode < 500 && refused.Response.StatusCode != http.StatusTooManyRequests:
		return "", time.Time{}, fault.New(fault.Denied, "Google Cloud DNS refuses the credential (%s)", refused.ErrorCode).
			WithHint("the key may be deleted or its account disabled; the machine's clock must be right within five minutes")
	case err != nil:
		return "", time.Time{}, fault.Wrap(fault.Unavailable, err, "Google Cloud DNS cannot be reached: no access token was to be had").WithHint("check the network and the proxy settings; it is tried again")
	}
	return token.AccessToken, token.Expiry, nil
}
