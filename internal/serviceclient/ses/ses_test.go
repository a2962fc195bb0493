package ses_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postseal/postseal/internal/awssign"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/serviceclient/ses"
	"github.com/postseal/postseal/internal/services"
	"github.com/postseal/postseal/internal/webapi"
)

// account answers like the API. It makes the signature again, with the time that the request names and the only secret there is.
type account struct {
	t        *testing.T
	identity map[string]any
}

func (a *account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, kind, message string) {
		w.Header().Set("X-Amzn-ErrorType", kind)
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(map[string]any{"message": message})
	}
	body, _ := io.ReadAll(r.Body)
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil {
		refuse(http.StatusForbidden, "MissingAuthenticationTokenException", "Missing Authentication Token")
		return
	}
	again, _ := http.NewRequest(r.Method, "http://"+r.Host+r.URL.String(), strings.NewReader(string(body)))
	if len(body) == 0 {
		again.Body, again.ContentLength = nil, 0
	}
	for _, name := range []string{"Accept", "User-Agent"} {
		again.Header.Set(name, r.Header.Get(name))
	}
	if err := awssign.Sign(r.Context(), again, body, awssign.Keys{ID: "AKID", Secret: "SECRET"}, "ses", "eu-west-1", at); err != nil {
		a.t.Error(err)
	}
	if r.Header.Get("Authorization") != again.Header.Get("Authorization") {
		refuse(http.StatusForbidden, "SignatureDoesNotMatchException", "The request signature we calculated does not match the signature you provided.")
		return
	}
	if r.URL.Path != "/v2/email/identities/example.com" {
		refuse(http.StatusNotFound, "NotFoundException", "Email identity does not exist.")
		return
	}
	json.NewEncoder(w).Encode(a.identity)
}

func open(t *testing.T, identity map[string]any, secret string) *ses.Client {
	t.Helper()
	s := httptest.NewServer(&account{t, identity})
	t.Cleanup(s.Close)
	file := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(file, fmt.Appendf(nil, "[default]\naws_access_key_id = AKID\naws_secret_access_key = %s\n", secret), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := ses.New(webapi.Options{Endpoint: s.URL, Credential: "file:" + file}, "eu-west-1")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func identity(status, origin string, tokens ...string) map[string]any {
	return map[string]any{"IdentityType": "DOMAIN", "VerifiedForSendingStatus": status == "SUCCESS", "DkimAttributes": map[string]any{
		"SigningEnabled": true, "Status": status, "Tokens": tokens, "SigningAttributesOrigin": origin, "CurrentSigningKeyLength": "RSA_1024_BIT", "NextSigningKeyLength": "RSA_2048_BIT",
	}, "MailFromAttributes": map[string]any{"MailFromDomain": "bounce.example.com", "MailFromDomainStatus": "PENDING"}}
}

func TestEasyDKIM(t *testing.T) {
	got, err := open(t, identity("PENDING", "AWS_SES", "tok1", "tok2", "tok3"), "SECRET").Check(t.Context(), "example.com")
	if err != nil || got.Ready || got.Service != "amazon-ses" || len(got.Records) != 4 {
		t.Fatalf("%+v, %v", got, err)
	}
	want := services.ToldRecord{Purpose: services.ToldDKIM, Name: "tok2._domainkey.example.com", Type: "CNAME", Value: "tok2.dkim.amazonses.com", State: services.ToldMissing}
	if d := cmp.Diff(want, got.Records[1]); d != "" {
		t.Error(d)
	}
	if len(got.Notes) != 1 || !strings.Contains(got.Notes[0], "RSA_2048_BIT") {
		t.Errorf("notes %q", got.Notes)
	}
	regional := identity("SUCCESS", "AWS_SES", "tok1")
	regional["DkimAttributes"].(map[string]any)["SigningHostedZone"] = "dkim.eu-south-2.amazonses.com"
	got, err = open(t, regional, "SECRET").Wanted(t.Context(), "example.com")
	if err != nil || !got.Ready || got.Records[0].Value != "tok1.dkim.eu-south-2.amazonses.com" || got.Records[0].State != services.ToldSeen {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestOwnKey(t *testing.T) {
	got, err := open(t, identity("SUCCESS", "EXTERNAL", "ps1"), "SECRET").Wanted(t.Context(), "example.com")
	if err != nil || got.Service != "amazon-ses-byodkim" || got.Records[0].Type != "TXT" || got.Records[0].Name != "ps1._domainkey.example.com" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestRefusals(t *testing.T) {
	c := open(t, map[string]any{"IdentityType": "EMAIL_ADDRESS"}, "SECRET")
	for name, code := range map[string]fault.Code{"other.example": fault.NotFound, "example.com": fault.Unavailable} {
		if _, err := c.Wanted(t.Context(), name); fault.CodeOf(err) != code {
			t.Errorf("%s: %v, want %s", name, err, code)
		}
	}
	_, err := open(t, identity("SUCCESS", "AWS_SES"), "OTHER").Wanted(t.Context(), "example.com")
	if message, hint := fault.Show(err); fault.CodeOf(err) != fault.Denied || !strings.Contains(hint, "ses:GetEmailIdentity") || strings.Contains(message, "OTHER") {
		t.Errorf("a wrong secret: %v", err)
	}
	for _, region := range []string{"", "evil.example/", "EU"} {
		if _, err := ses.New(webapi.Options{Credential: "file:/x"}, region); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("region %q: %v", region, err)
		}
	}
}
