package providertest

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher"
	"github.com/postseal/postseal/internal/publisher/hosted"
	"github.com/postseal/postseal/internal/webapi"
)

// mostShown is how long a sentence about a vendor's reply may be: its own words are cut at three hundred characters, values at eighty.
const mostShown = 4000

// reply is a transport that answers every request with the same.
type reply struct {
	status int
	body   string
}

func (a reply) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: a.status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(a.body)), Request: r}, nil
}

// FuzzReplies is the body of a fuzz target: whatever an API answers, the provider neither panics nor shows the credential or a page of text, and
// nothing that cannot stand is called done.
func FuzzReplies(f *testing.F, v Hosted) {
	path := filepath.Join(f.TempDir(), "credential")
	if err := os.WriteFile(path, []byte(v.Secret), 0o600); err != nil {
		f.Fatal(err)
	}
	for _, status := range []int{200, 201, 204, 302, 400, 401, 403, 404, 409, 422, 429, 500} {
		for _, body := range []string{
			"", "{}", "[]", "null", `"text"`, "[[[[[[[[[[]]]]]]]]]]", `{"error":{"code":"not_found","message":"no ` + v.Secret + `"}}`, `{"errors":[{"code":10000,"message":"no"}],"success":true}`,
			`{"error":{"code":"not_found","message":"no ` + v.Secret[:3] + "\xff\x00" + v.Secret[3:] + `"}}`, "no " + v.Secret[:3] + "\xff\x00" + v.Secret[3:],
			`{"error":"no","errors":["a\u0000b"]}`, `[{"subname":"x","type":"TXT","ttl":1,"records":["\"open"]}]`, `{"zones":[{"id":1,"name":"example.org"}],"rrsets":[{"name":"x","type":"TXT","records":[{"value":"\"\\9\""}]}]}`,
			`{"domain_records":[{"id":1,"name":"x","type":"CNAME","data":"@"}],"links":{"pages":{"next":"x"}}}`, `{"id":"a","message":` + `"` + strings.Repeat("x", 9000) + `"}`, "<html>\x1b[31m",
		} {
			f.Add(status, body)
		}
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 {
			return
		}
		clock := NewClock()
		p, err := v.New(hosted.Options{
			Endpoint: "http://127.0.0.1:1", Credential: "file:" + path, Transport: reply{status, body}, Timing: webapi.Timing{Now: clock.Now, Sleep: clock.Sleep},
		})
		if err != nil {
			t.Fatal(err)
		}
		_, getErr := p.Get(t.Context(), v.Zone, "x._domainkey")
		outcome, setErr := p.Set(t.Context(), v.Zone, change("x._domainkey", publisher.TXT, "", keyA))
		if setErr == nil && !strings.Contains(body, "AAAA") {
			t.Errorf("%d %q: %q", status, body, outcome)
		}
		for _, err := range []error{getErr, setErr} {
			if err == nil {
				continue
			}
			message, hint := fault.Show(err)
			whole := message + hint
			control := strings.ContainsFunc(whole, func(r rune) bool { return !unicode.IsPrint(r) })
			shown := fault.CodeOf(err) != fault.Conflict && strings.Contains(whole, v.Secret) // a conflict shows a record, which is public
			if len(whole) > mostShown || control || shown {
				t.Errorf("%d %q: it says %q", status, body, whole)
			}
		}
	})
}
