package mailgun_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/serviceclient/mailgun"
	"github.com/postseal/postseal/internal/services"
	"github.com/postseal/postseal/internal/webapi"
)

const key = "key-0123456789"

// account answers like the API: a look at a domain shows what the last check saw, PUT …/verify looks anew.
type account struct{ spf, dkim, state string }

func (a *account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if user, password, _ := r.BasicAuth(); user != "api" || password != key {
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, "Forbidden")
		return
	}
	switch r.Method + " " + r.URL.Path {
	case "PUT /v4/domains/mg.example.com/verify":
		a.spf, a.dkim, a.state = "valid", "valid", "active"
	case "GET /v4/domains/mg.example.com":
	default:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"message":"Domain not found"}`)
		return
	}
	fmt.Fprintf(w, `{"domain":{"name":"mg.example.com","state":%q},"receiving_dns_records":[{"priority":"10","record_type":"MX","valid":"unknown","value":"mxa.mailgun.org"}],
		"sending_dns_records":[
		{"is_active":true,"cached":[],"name":"mg.example.com","record_type":"TXT","valid":%q,"value":"v=spf1 include:mailgun.org ~all"},
		{"is_active":true,"cached":[],"name":"pic._domainkey.mg.example.com","record_type":"TXT","valid":%q,"value":"k=rsa; p=QUJD"},
		{"is_active":true,"cached":[],"name":"email.mg.example.com","record_type":"CNAME","valid":"invalid","value":"mailgun.org"}]}`, a.state, a.spf, a.dkim)
}

func open(t *testing.T, secret string) *mailgun.Client {
	t.Helper()
	s := httptest.NewServer(&account{spf: "unknown", dkim: "unknown", state: "unverified"})
	t.Cleanup(s.Close)
	t.Setenv("MAILGUN", secret)
	c, err := mailgun.New(webapi.Options{Endpoint: s.URL, Credential: "env:MAILGUN"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWantedAndCheck(t *testing.T) {
	c := open(t, key)
	want := services.Told{Service: "mailgun", Domain: "mg.example.com", Records: []services.ToldRecord{
		{Purpose: services.ToldSPF, Name: "mg.example.com", Type: "TXT", Value: "v=spf1 include:mailgun.org ~all", State: services.ToldUnknown},
		{Purpose: services.ToldDKIM, Name: "pic._domainkey.mg.example.com", Type: "TXT", Value: "k=rsa; p=QUJD", State: services.ToldUnknown},
		{Purpose: services.ToldOther, Name: "email.mg.example.com", Type: "CNAME", Value: "mailgun.org", State: services.ToldMissing},
	}}
	got, err := c.Wanted(t.Context(), "mg.example.com")
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Error(err, d)
	}
	got, err = c.Check(t.Context(), "mg.example.com")
	want.Ready, want.Records[0].State, want.Records[1].State = true, services.ToldSeen, services.ToldSeen
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Error(err, d)
	}
}

func TestRefusals(t *testing.T) {
	_, err := open(t, key).Wanted(t.Context(), "other.example")
	if message, _ := fault.Show(err); fault.CodeOf(err) != fault.NotFound || !strings.Contains(message, "Domain not found") {
		t.Errorf("%v", err)
	}
	_, err = open(t, "key-wrong").Check(t.Context(), "mg.example.com")
	if message, hint := fault.Show(err); fault.CodeOf(err) != fault.Denied || hint == "" || strings.Contains(message, "key-wrong") {
		t.Errorf("%v", err)
	}
}
