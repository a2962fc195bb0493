package azure

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/postseal/postseal/internal/fault"
)

const (
	login = "https://login.microsoftonline.com"
	scope = "https://management.azure.com/.default"
)

// application is what az ad sp create-for-rbac prints, in its two forms.
type application struct {
	Tenant   string `json:"tenantId"`
	ID       string `json:"clientId"`
	Secret   string `json:"clientSecret"`
	Login    string `json:"activeDirectoryEndpointUrl"`
	Tenant2  string `json:"tenant"`
	ID2      string `json:"appId"`
	Password string `json:"password"`
}

// fetch trades the application's secret for an access token (RFC 6749 §4.4).
func fetch(ctx context.Context, client *http.Client, secret string) (string, time.Time, error) {
	var a application
	err := json.Unmarshal([]byte(secret), &a)
	if a.ID == "" {
		a.ID, a.Tenant, a.Secret = a.ID2, a.Tenant2, a.Password
	}
	if err != nil || a.ID == "" || a.Tenant == "" || a.Secret == "" || strings.ContainsAny(a.Tenant, "/?#") {
		return "", time.Time{}, fault.New(fault.Invalid, "the credential is no application's id, tenant and secret").
			WithHint(`write what az ad sp create-for-rbac prints into its file: {"appId": …, "tenant": …, "password": …}`)
	}
	base := strings.TrimSuffix(a.Login, "/")
	switch u, err := url.Parse(base); {
	case base == "":
		base = login
	case err != nil || u.Hostname() != "127.0.0.1" && (u.Scheme != "https" || !strings.HasPrefix(u.Hostname(), "login.")):
		return "", time.Time{}, fault.New(fault.Invalid, "the credential names a login endpoint that is not Microsoft's")
	}
	config := clientcredentials.Config{ClientID: a.ID, ClientSecret: a.Secret, TokenURL: base + "/" + a.Tenant + "/oauth2/v2.0/token", Scopes: []string{scope}, AuthStyle: oauth2.AuthStyleInParams}
	token, err := config.Token(context.WithValue(ctx, oauth2.HTTPClient, client)) // the library takes its client from there
	var refused *oauth2.RetrieveError
	switch {
	case errors.As(err, &refused) && refused.Response != nil && refused.Response.StatusCode < 500 && refused.Response.StatusCode != http.StatusTooManyRequests:
		return "", time.Time{}, fault.New(fault.Denied, "Azure DNS refuses the credential (%s)", refused.ErrorCode).
			WithHint("the application's secret may have expired: az ad app credential reset makes another one")
	case err != nil:
		return "", time.Time{}, fault.Wrap(fault.Unavailable, err, "Azure DNS cannot be reached: no access token was to be had").WithHint("check the network and the proxy settings; it is tried again")
	}
	return token.AccessToken, token.Expiry, nil
}
