package oauth

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"golang.org/x/oauth2"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/googleauth"
	"github.com/postseal/postseal/internal/webapi"
)

// refusal says why there is no token. Nothing of the server's text is repeated but words of a known form: it may hold the secret, or a page. Errors are fault.Denied (a person
// must act), fault.Invalid (the credential's file is wrong) and fault.Unavailable (it may pass).
func (c credential) refusal(ctx context.Context, err error, place string) error {
	var refused *oauth2.RetrieveError
	if errors.As(err, &refused) && refused.Response != nil {
		return c.refused(refused, place)
	}
	if cause := context.Cause(ctx); cause != nil {
		return fault.Wrap(fault.Unavailable, cause, "asking %s for an access token was interrupted", c.host)
	}
	if to := webapi.Redirected(err); to != "" {
		return fault.New(fault.Denied, "%s redirects to %s, which is not followed: the secret goes to nobody else", c.host, to).WithHint("check token_url in %s", place)
	}
	var u *url.Error
	if !errors.As(err, &u) {
		return fault.New(fault.Unavailable, "%s answers with something that is no access token", c.host).WithHint("check token_url in %s; it is tried again", place)
	}
	what := "cannot be reached"
	if timeout, ok := errors.AsType[net.Error](u.Err); ok && timeout.Timeout() || errors.Is(u.Err, context.DeadlineExceeded) {
		what = "does not answer in time"
	}
	return fault.Wrap(fault.Unavailable, u.Err, "%s %s: no access token was to be had", c.host, what).WithHint("check token_url in %s, the network and the proxy settings; it is tried again", place)
}

// refused reads the answer of RFC 6749 §5.2.
func (c credential) refused(r *oauth2.RetrieveError, place string) error {
	status, code := r.Response.StatusCode, googleauth.ErrorCode(r)
	said := http.StatusText(status)
	if code != "" {
		said = code
	}
	if number := aadsts.FindString(r.ErrorDescription[:min(len(r.ErrorDescription), 200)]); number != "" {
		said += ", " + number
	}
	made := func(kind fault.Code, what, hint string) error {
		return fault.New(kind, "%s %s (%d: %s)", c.host, what, status, said).WithHint("%s", strings.ReplaceAll(hint, "PLACE", place))
	}
	switch {
	case status >= 500, status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, code == "temporarily_unavailable", code == "server_error":
		return made(fault.Unavailable, "gives no access token now", "it is tried again")
	case code == "invalid_client", code == "unauthorized_client":
		return made(fault.Denied, "refuses the client", "its secret may have expired, or it was removed: put client_id and a new client_secret into PLACE")
	case code == "invalid_grant" && c.Type == refreshToken:
		return made(fault.Denied, "refuses the refresh token", "it has expired or was revoked: get a new one and put it into PLACE")
	case code == "":
		return made(fault.Denied, "gives no access token", "check token_url in PLACE")
	}
	return made(fault.Denied, "refuses to give an access token", "check client_id, scope and token_url in PLACE, and what the application may do")
}

// aadsts is the number of an error of Microsoft's identity platform; it can be looked up.
var aadsts = regexp.MustCompile(`AADSTS[0-9]{4,8}`)
