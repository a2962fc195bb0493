package oauth

import (
	"context"
	"net/http"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/postseal/postseal/internal/fault"
)

const (
	// maxToken is the longest access token in octets. Those of Microsoft have two to three thousand.
	maxToken = 16 << 10
	// unsaidLife is how long a token is used whose end the server does not tell (RFC 6749 §5.1 only recommends it).
	unsaidLife = 10 * time.Minute
	// maxLife is how long a token is used at most, whatever the server says, so that rights which were taken away do not live on in it.
	maxLife = 24 * time.Hour
)

// grant asks for an access token with client credentials (RFC 6749 §4.4) or a refresh token (§6). next is the refresh token to use from now on. client bounds the time, the library the
// answer (a mebibyte).
func (c credential) grant(ctx context.Context, client *http.Client, now time.Time, place string) (token string, ends time.Time, next string, err error) {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, client) // the library takes its client from there
	style := map[string]oauth2.AuthStyle{secretInBody: oauth2.AuthStyleInParams, secretInHeader: oauth2.AuthStyleInHeader}[c.Method]
	var got *oauth2.Token
	if c.Type == clientCredentials {
		config := clientcredentials.Config{ClientID: c.ClientID, ClientSecret: c.ClientSecret, TokenURL: c.TokenURL, Scopes: strings.Fields(c.Scope), AuthStyle: style}
		got, err = config.Token(ctx)
	} else {
		config := oauth2.Config{ClientID: c.ClientID, ClientSecret: c.ClientSecret, Endpoint: oauth2.Endpoint{TokenURL: c.TokenURL, AuthStyle: style}}
		got, err = config.TokenSource(ctx, &oauth2.Token{RefreshToken: c.RefreshToken}).Token()
	}
	if err != nil {
		return "", time.Time{}, "", c.refusal(ctx, err, place)
	}
	next = got.RefreshToken
	if len(next) > maxField {
		next = c.RefreshToken
	}
	if !strings.EqualFold(got.Type(), "Bearer") || !usable(got.AccessToken) {
		// A refresh token that came with it counts all the same: the one before may be used up.
		return "", time.Time{}, next, fault.New(fault.Unavailable, "%s gives an access token that no mailbox can be opened with", c.host).WithHint("check token_url in %s", place)
	}
	return got.AccessToken, end(got.Expiry, now), next, nil
}

// usable reports whether a token can stand in a SASL message (RFC 6750 §2.1: visible ASCII without spaces).
func usable(token string) bool {
	return token != "" && len(token) <= maxToken && !strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' })
}

// end is when a token is not used any more.
func end(said, now time.Time) time.Time {
	if said.IsZero() {
		return now.Add(unsaidLife)
	}
	if latest := now.Add(maxLife); said.After(latest) {
		return latest
	}
	return said
}
