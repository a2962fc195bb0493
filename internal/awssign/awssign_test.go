package awssign

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/fault"
)

func TestReadKeys(t *testing.T) {
	good := map[string]Keys{
		"[default]\naws_access_key_id = AKID\naws_secret_access_key=SECRET\n":                                        {ID: "AKID", Secret: "SECRET"},
		"# ours\n[work]\naws_access_key_id=A\naws_secret_access_key=B/=+\naws_session_token = T==\nregion=x":         {ID: "A", Secret: "B/=+", Session: "T=="},
		"[a]\naws_access_key_id=1\naws_secret_access_key=1\n[default]\naws_access_key_id=2\naws_secret_access_key=3": {ID: "2", Secret: "3"},
		"[profile default]\r\nAWS_ACCESS_KEY_ID=5\r\naws_secret_access_key=6\r\n":                                    {ID: "5", Secret: "6"},
	}
	for text, want := range good {
		if got, err := ReadKeys(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "SECRETSECRET", "aws_access_key_id=SECRET\naws_secret_access_key=SECRET", "[default]\naws_access_key_id=SECRET",
		"[a]\naws_access_key_id=1\naws_secret_access_key=SECRET\n[b]\naws_access_key_id=1\naws_secret_access_key=SECRET", "[default]\nSECRET"} {
		if _, err := ReadKeys(text); fault.CodeOf(err) != fault.Invalid || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// The signature is what the steps of Signature Version 4 give, done here by hand.
func TestSign(t *testing.T) {
	keys := Keys{ID: "AKIDEXAMPLE", Secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", Session: "session"}
	body := []byte(`{"a":1}`)
	r, err := http.NewRequest(http.MethodPost, "https://email.eu-west-1.amazonaws.com/v2/email/identities?b=2&a=1", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	if err := Sign(t.Context(), r, body, keys, "ses", "eu-west-1", now); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(body)
	hash := hex.EncodeToString(sum[:])
	canonical := strings.Join([]string{"POST", "/v2/email/identities", "a=1&b=2",
		"content-length:7", "host:email.eu-west-1.amazonaws.com", "x-amz-content-sha256:" + hash, "x-amz-date:20261127T120000Z", "x-amz-security-token:session", "",
		"content-length;host;x-amz-content-sha256;x-amz-date;x-amz-security-token", hash}, "\n")
	sum = sha256.Sum256([]byte(canonical))
	scope := "20261127/eu-west-1/ses/aws4_request"
	text := "AWS4-HMAC-SHA256\n20261127T120000Z\n" + scope + "\n" + hex.EncodeToString(sum[:])
	key := []byte("AWS4" + keys.Secret)
	for _, part := range append(strings.Split(scope, "/"), text) {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	want := "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/" + scope +
		", SignedHeaders=content-length;host;x-amz-content-sha256;x-amz-date;x-amz-security-token, Signature=" + hex.EncodeToString(key)
	if got := r.Header.Get("Authorization"); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}
