package oauth

import (
	"encoding/json"
	"net/url"
	"strings"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/webapi"
)

// The types of credentials.
const (
	clientCredentials = "client_credentials" // RFC 6749 §4.4: an application asks in its own name
	refreshToken      = "refresh_token"      // RFC 6749 §6: in the name of a person who once consented
	serviceAccount    = "service_account"    // RFC 7523, as Google hands it out
)

// The ways in which a client says who it is, with the names of RFC 7591 §2.
const (
	secretInBody   = "client_secret_post" // as Microsoft and Google document it
	secretInHeader = "client_secret_basic"
)

// maxField is the longest value of a credential in octets. Refresh tokens of Microsoft have two thousand.
const maxField = 16 << 10

// credential is the JSON text that a person puts into the file.
type credential struct {
	Type         string `json:"type"`
	TokenURL     string `json:"token_url"`
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret"`
	Scope        string `json:"scope"`
	RefreshToken string `json:"refresh_token"`
	Method       string `json:"token_endpoint_auth_method"`

	host string // of TokenURL, for sentences
}

// parse reads a credential; place is where it is, for sentences. Errors are fault.Invalid and hold nothing of it.
func parse(place, text string) (credential, error) {
	bad := func(hint, format string, args ...any) (credential, error) {
		return credential{}, fault.New(fault.Invalid, "the credential "+strings.ReplaceAll(place, "%", "%%")+" "+format, args...).WithHint("%s", hint)
	}
	const see = "docs/reports.md says what it holds"
	var c credential
	if err := json.Unmarshal([]byte(text), &c); err != nil { // the error would show some of the text
		return bad(see, "is no JSON object with texts")
	}
	var needed []string
	switch c.Type {
	case serviceAccount:
		return c, nil // the rest is checked by who knows Google
	case clientCredentials:
		needed = []string{"client_id", c.ClientID, "client_secret", c.ClientSecret, "scope", c.Scope}
	case refreshToken:
		needed = []string{"client_id", c.ClientID, "refresh_token", c.RefreshToken} // public clients have no secret
	case "":
		return bad(see, "does not say its type")
	default:
		return bad("type is client_credentials, refresh_token or service_account", "is of a type that is not known")
	}
	for i := 0; i < len(needed); i += 2 {
		if needed[i+1] == "" {
			return bad(see, "has no %s", needed[i])
		}
	}
	for _, field := range []string{c.TokenURL, c.ClientID, c.ClientSecret, c.Scope, c.RefreshToken} {
		if len(field) > maxField {
			return bad(see, "has a field that is larger than %d octets", maxField)
		}
	}
	switch c.Method {
	case "":
		c.Method = secretInBody
	case secretInBody, secretInHeader:
	default:
		return bad("token_endpoint_auth_method is client_secret_post or client_secret_basic", "has a method that is not known")
	}
	u, err := url.Parse(c.TokenURL)
	switch {
	case c.TokenURL == "":
		return bad(see, "has no token_url")
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Scheme != "https" && u.Scheme != "http":
		return bad("for instance https://login.microsoftonline.com/TENANT/oauth2/v2.0/token", "has a token_url that is no URL")
	case u.Scheme == "http" && !webapi.Loopback(u.Hostname()):
		return bad("write it with https", "has a token_url by which the secret would be sent unencrypted")
	}
	c.host = u.Host
	return c, nil
}

// withRefreshToken puts another refresh token into the JSON text, and leaves all else in it. ok = false: it is no such text.
func withRefreshToken(text, token string) (out string, ok bool) {
	var fields map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &fields) != nil || fields == nil {
		return "", false
	}
	quoted, err := json.Marshal(token)
	if err != nil {
		return "", false
	}
	fields["refresh_token"] = quoted
	whole, err := json.MarshalIndent(fields, "", "  ")
	return string(whole), err == nil
}
