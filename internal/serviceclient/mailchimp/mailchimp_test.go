package mailchimp_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/serviceclient/mailchimp"
	"github.com/postseal/postseal/internal/services"
	"github.com/postseal/postseal/internal/webapi"
)

const key = "0123456789abcdef-us21"

func TestWanted(t *testing.T) {
	authenticated := false
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		problem := func(status int, title, detail string) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(status)
			json.NewEncoder(w).Encode(map[string]any{"type": "https://mailchimp.com/developer/marketing/docs/errors/", "title": title, "status": status, "detail": detail})
		}
		if _, password, _ := r.BasicAuth(); password != key {
			problem(http.StatusUnauthorized, "API Key Invalid", "Your API key may be invalid, or you've attempted to access the wrong datacenter.")
			return
		}
		if r.Method != http.MethodGet || r.URL.Path != "/3.0/verified-domains/example.com" {
			problem(http.StatusNotFound, "Resource Not Found", "The requested resource could not be found.")
			return
		}
		json.NewEncoder(w).Encode(map[string]any{"domain": "example.com", "verified": true, "authenticated": authenticated})
	}))
	t.Cleanup(s.Close)
	t.Setenv("MAILCHIMP", key)
	c, err := mailchimp.New(webapi.Options{Endpoint: s.URL, Credential: "env:MAILCHIMP"})
	if err != nil {
		t.Fatal(err)
	}
	want := []services.ToldRecord{
		{Purpose: services.ToldDKIM, Name: "k2._domainkey.example.com", Type: "CNAME", Value: "dkim2.mcsv.net", State: services.ToldMissing},
		{Purpose: services.ToldDKIM, Name: "k3._domainkey.example.com", Type: "CNAME", Value: "dkim3.mcsv.net", State: services.ToldMissing},
	}
	got, err := c.Wanted(t.Context(), "example.com")
	if d := cmp.Diff(want, got.Records); err != nil || d != "" || got.Ready || len(got.Notes) != 1 {
		t.Error(err, d, got)
	}
	authenticated = true
	if got, err = c.Check(t.Context(), "example.com"); err != nil || !got.Ready || got.Records[0].State != services.ToldSeen || len(got.Notes) != 0 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := c.Wanted(t.Context(), "other.example"); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("another domain: %v", err)
	}
	t.Setenv("MAILCHIMP", "wrong-us21")
	_, err = c.Wanted(t.Context(), "example.com")
	if message, _ := fault.Show(err); fault.CodeOf(err) != fault.Denied || !strings.Contains(message, "datacenter") || strings.Contains(message, "wrong-us21") {
		t.Errorf("a wrong key: %v", err)
	}
}

// The data centre becomes part of a host name: what comes out of a credential must not choose the host.
func TestDataCentre(t *testing.T) {
	for secret, ok := range map[string]bool{
		"0123-us21": true, "01-23-eu1": true, "0123": false, "0123-": false, "0123-evil.example/": false, "0123-us21.evil": false, "0123-US21": false,
	} {
		t.Setenv("MAILCHIMP", secret)
		_, err := mailchimp.New(webapi.Options{Credential: "env:MAILCHIMP"})
		if (err == nil) != ok || err != nil && (fault.CodeOf(err) != fault.Invalid || strings.Contains(err.Error(), "0123")) {
			t.Errorf("%q: %v", secret, err)
		}
	}
}
