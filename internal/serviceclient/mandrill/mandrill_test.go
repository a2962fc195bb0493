package mandrill_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/serviceclient/mandrill"
	"github.com/postseal/postseal/internal/services"
	"github.com/postseal/postseal/internal/webapi"
)

const key = "md-0123456789"

// account answers like the API: everything is POST, the key stands in the body, every refusal has status 500, and
// check-domain adds a domain that is not there.
type account struct {
	stands  bool
	domains map[string]bool
}

func (a *account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var in struct{ Key, Domain string }
	refuse := func(code int, name, message string) {
		w.WriteHeader(http.StatusInternalServerError)
		json.NewEncoder(w).Encode(map[string]any{"status": "error", "code": code, "name": name, "message": message})
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.Method != http.MethodPost {
		refuse(-2, "ValidationError", "You must specify a key value")
		return
	}
	if in.Key != key {
		refuse(-1, "Invalid_Key", "Invalid API key")
		return
	}
	of := func(name string) map[string]any {
		dkim := map[string]any{"valid": a.stands, "valid_after": nil, "error": ""}
		if !a.stands {
			dkim["error"] = "no DKIM record found"
		}
		return map[string]any{"domain": name, "created_at": "2026-01-01 00:00:00", "spf": map[string]any{"valid": false, "error": "no SPF"}, "dkim": dkim,
			"verified_at": nil, "valid_signing": a.stands}
	}
	switch r.URL.Path {
	case "/api/1.0/senders/domains":
		all := []any{}
		for name := range a.domains {
			all = append(all, of(name))
		}
		json.NewEncoder(w).Encode(all)
	case "/api/1.0/senders/check-domain":
		a.domains[in.Domain] = true
		json.NewEncoder(w).Encode(of(in.Domain))
	default:
		refuse(-99, "Unknown_Method", "no such call")
	}
}

func TestWantedAndCheck(t *testing.T) {
	a := &account{domains: map[string]bool{"example.com": true}}
	s := httptest.NewServer(a)
	t.Cleanup(s.Close)
	t.Setenv("MANDRILL", key)
	c, err := mandrill.New(webapi.Options{Endpoint: s.URL + "/api/1.0", Credential: "env:MANDRILL"})
	if err != nil {
		t.Fatal(err)
	}
	want := services.Told{Service: "mandrill", Domain: "example.com", Records: []services.ToldRecord{
		{Purpose: services.ToldDKIM, Name: "mte1._domainkey.example.com", Type: "CNAME", Value: "dkim1.mandrillapp.com", State: services.ToldMissing, Problem: "no DKIM record found"},
		{Purpose: services.ToldDKIM, Name: "mte2._domainkey.example.com", Type: "CNAME", Value: "dkim2.mandrillapp.com", State: services.ToldMissing, Problem: "no DKIM record found"},
	}}
	got, err := c.Wanted(t.Context(), "example.com")
	if len(got.Notes) != 1 || !strings.Contains(got.Notes[0], "ownership") {
		t.Errorf("notes %q", got.Notes)
	}
	got.Notes = nil
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Error(err, d)
	}
	a.stands = true
	got, err = c.Check(t.Context(), "example.com")
	if err != nil || !got.Ready || got.Records[0].State != services.ToldSeen || got.Records[1].Problem != "" {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := c.Check(t.Context(), "other.example"); fault.CodeOf(err) != fault.NotFound || a.domains["other.example"] {
		t.Errorf("a check of a domain that is not there: %v; domains %v", err, a.domains)
	}
	t.Setenv("MANDRILL", "md-wrong")
	if _, err := c.Wanted(t.Context(), "example.com"); fault.CodeOf(err) != fault.Denied {
		t.Errorf("a wrong key: %v", err)
	}
}
