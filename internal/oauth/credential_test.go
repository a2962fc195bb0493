package oauth

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/fault"
)

const (
	good = `{"type":"client_credentials","token_url":"https://login.example/token","client_id":"app","client_secret":"hush-hush","scope":"https://mail.example/.default"}`
	lent = `{"type":"refresh_token","token_url":"https://login.example/token","client_id":"app","client_secret":"hush-hush","refresh_token":"hush-1"}`
)

func TestParse(t *testing.T) {
	for _, text := range []string{
		good, lent, strings.Replace(lent, `"client_secret":"hush-hush",`, "", 1), strings.Replace(good, "https://login.example/", "http://127.0.0.1:8080/", 1),
		strings.Replace(good, `"scope"`, `"token_endpoint_auth_method":"client_secret_basic","scope"`, 1), `{"type":"service_account","client_email":"a@b","private_key":"x"}`,
	} {
		if _, err := parse("file:/o.json", text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, c := range []struct{ name, text, want string }{
		{"nothing", ``, "is no JSON object with texts"},
		{"a password", `hush-hush`, "is no JSON object with texts"},
		{"broken off", good[:60], "is no JSON object with texts"},
		{"two texts", good + good, "is no JSON object with texts"},
		{"a list", `["hush-hush"]`, "is no JSON object with texts"},
		{"a number", strings.Replace(good, `"app"`, `5`, 1), "is no JSON object with texts"},
		{"null", `null`, "does not say its type"},
		{"no type", strings.Replace(good, `"client_credentials"`, `""`, 1), "does not say its type"},
		{"unknown type", strings.Replace(good, `client_credentials`, `hush-hush`, 1), "is of a type that is not known"},
		{"no client", strings.Replace(good, `"client_id"`, `"clientid"`, 1), "has no client_id"},
		{"no secret", strings.Replace(good, `hush-hush`, ``, 1), "has no client_secret"},
		{"no scope", strings.Replace(good, `"scope"`, `"scopes"`, 1), "has no scope"},
		{"no refresh token", strings.Replace(lent, `hush-1`, ``, 1), "has no refresh_token"},
		{"no URL", strings.Replace(good, `"token_url"`, `"url"`, 1), "has no token_url"},
		{"not encrypted", strings.Replace(good, `https:`, `http:`, 1), "has a token_url by which the secret would be sent unencrypted"},
		{"a path", strings.Replace(good, `https://login.example`, ``, 1), "has a token_url that is no URL"},
		{"another scheme", strings.Replace(good, `https:`, `file:`, 1), "has a token_url that is no URL"},
		{"a password in the URL", strings.Replace(good, `https://`, `https://ann:hush-hush@`, 1), "has a token_url that is no URL"},
		{"a control character in the URL", strings.Replace(good, `/token`, `\u0001`, 1), "has a token_url that is no URL"},
		{"a method", strings.Replace(good, `"scope"`, `"token_endpoint_auth_method":"hush-hush","scope"`, 1), "has a method that is not known"},
		{"too large", strings.Replace(good, `hush-hush`, strings.Repeat("x", maxField+1), 1), "has a field that is larger than 16384 octets"},
	} {
		_, err := parse("file:/o%20.json", c.text)
		if fault.CodeOf(err) != fault.Invalid || err.Error() != "the credential file:/o%20.json "+c.want {
			t.Errorf("%s: %v", c.name, err)
		}
		if message, hint := fault.Show(err); strings.Contains(message+hint, "hush") || hint == "" {
			t.Errorf("%s: %s (%s)", c.name, message, hint)
		}
	}
}

func TestWithRefreshToken(t *testing.T) {
	out, ok := withRefreshToken(strings.Replace(lent, `{`, `{"note":{"a":[1]},`, 1), "new\"one")
	var got map[string]any
	if err := json.Unmarshal([]byte(out), &got); !ok || err != nil || got["refresh_token"] != `new"one` || got["note"] == nil || got["client_secret"] != "hush-hush" || len(got) != 6 {
		t.Errorf("%s, %v", out, err)
	}
	for _, bad := range []string{"", "null", "[]", "5"} {
		if out, ok := withRefreshToken(bad, "x"); ok {
			t.Errorf("%q: %s", bad, out)
		}
	}
}
