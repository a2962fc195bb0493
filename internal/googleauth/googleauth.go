// Package googleauth gets access tokens for Google's APIs with the key of a service account. A DNS host and a mail service need it, so it stands below both and
// knows neither.
package googleauth

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/jwt"

	"github.com/postseal/postseal/internal/fault"
)

// tokenURL is where tokens come from; another one counts only on loopback, for tests.
const tokenURL = "https://oauth2.googleapis.com/token"

// maxCode is the longest word in octets that a refusal is shown with; unsupported_grant_type has 22.
const maxCode = 40

// For says what tokens are for.
type For struct {
	Vendor string // the API as people know it, for sentences
	Scope  string // what a token may do; the least that is needed
	// Subject is the person in whose name the account asks, where an administrator of Google Workspace lets it (domain-wide delegation); "" = in its own.
	Subject string
}

// account is the JSON key of a service account.
type account struct {
	Type     string `json:"type"`
	Email    string `json:"client_email"`
	Key      string `json:"private_key"`
	KeyID    string `json:"private_key_id"`
	TokenURI string `json:"token_uri"`
}

// Fetch trades a signed assertion for an access token (RFC 7523 §2.1); it is the Fetch of webapi.Tokens. secret is the JSON key. Errors are fault.Invalid (it is
// no such key), fault.Denied (Google does not accept it) and fault.Unavailable.
func (f For) Fetch(ctx context.Context, client *http.Client, secret string) (token string, ends time.Time, err error) {
	var a account
	if err := json.Unmarshal([]byte(secret), &a); err != nil || a.Type != "service_account" || a.Email == "" || a.Key == "" {
		return "", time.Time{}, fault.New(fault.Invalid, "the credential is no key of a service account").
			WithHint("make one with gcloud iam service-accounts keys create, and name its file")
	}
	if !isKey(a.Key) {
		return "", time.Time{}, fault.New(fault.Invalid, "the private_key of the service account cannot be read").WithHint("name its JSON file as it was handed out")
	}
	if a.TokenURI == "" {
		a.TokenURI = tokenURL
	}
	if u, err := url.Parse(a.TokenURI); err != nil || a.TokenURI != tokenURL && u.Hostname() != "127.0.0.1" {
		return "", time.Time{}, fault.New(fault.Invalid, "the key names a token_uri that is not Google's")
	}
	config := jwt.Config{Email: a.Email, PrivateKey: []byte(a.Key), PrivateKeyID: a.KeyID, Scopes: []string{f.Scope}, Subject: f.Subject, TokenURL: a.TokenURI}
	got, err := config.TokenSource(context.WithValue(ctx, oauth2.HTTPClient, client)).Token() // the library takes its client from there
	var refused *oauth2.RetrieveError
	switch {
	case errors.As(err, &refused) && refused.Response.StatusCode < 500 && refused.Response.StatusCode != http.StatusTooManyRequests:
		hint := "the key may be deleted or its account disabled; the machine's clock must be right within five minutes"
		if f.Subject != "" {
			hint += "; who asks in another's name must be allowed the scope (domain-wide delegation)"
		}
		return "", time.Time{}, fault.New(fault.Denied, "%s refuses the credential (%s)", f.Vendor, ErrorCode(refused)).WithHint("%s", hint)
	case refused != nil: // the library's error holds the whole answer
		return "", time.Time{}, fault.New(fault.Unavailable, "%s gives no access token now (%d)", f.Vendor, refused.Response.StatusCode).WithHint("it is tried again")
	case err != nil:
		return "", time.Time{}, fault.Wrap(fault.Unavailable, err, "%s cannot be reached: no access token was to be had", f.Vendor).WithHint("check the network and the proxy settings; it is tried again")
	}
	return got.AccessToken, got.Expiry, nil
}

// isKey reports whether a text is a private key as service accounts have them.
func isKey(text string) bool {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return false
	}
	_, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		_, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	}
	return err == nil
}

// ErrorCode is the word of RFC 6749 §5.2 in a refusal, "" when there is none: letters and underscores, so that it can be shown.
func ErrorCode(refused *oauth2.RetrieveError) string {
	code := refused.ErrorCode
	if code == "" { // for assertions the library does not read it
		var answer struct {
			Error string `json:"error"`
		}
		_ = json.Unmarshal(refused.Body, &answer) // of another kind it is no word
		code = answer.Error
	}
	if len(code) > maxCode || strings.Trim(code, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return ""
	}
	return code
}
