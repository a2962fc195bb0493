package sendgrid_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/serviceclient/sendgrid"
	"github.com/postseal/postseal/internal/services"
	"github.com/postseal/postseal/internal/webapi"
)

const key = "SG.secret-key"

// account answers like the API: bearer token, filter by beginning, pages, a validation that looks at what stands.
type account struct {
	domains []map[string]any
	stands  map[string]bool // keys of dns that are in DNS
	checks  int
}

func (a *account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, message string) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(map[string]any{"errors": []map[string]any{{"field": nil, "message": message}}})
	}
	if r.Header.Get("Authorization") != "Bearer "+key {
		refuse(http.StatusUnauthorized, "authorization required")
		return
	}
	path := strings.TrimPrefix(r.URL.Path, "/v3/whitelabel/domains")
	switch {
	case r.Method == http.MethodGet && path == "":
		limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		offset, _ := strconv.Atoi(r.URL.Query().Get("offset"))
		found := []map[string]any{}
		for _, d := range a.domains {
			if strings.HasPrefix(d["domain"].(string), r.URL.Query().Get("domain")) {
				found = append(found, d)
			}
		}
		found = found[min(offset, len(found)):]
		json.NewEncoder(w).Encode(found[:min(limit, len(found))])
	case r.Method == http.MethodPost && strings.HasSuffix(path, "/validate"):
		a.checks++
		results, all := map[string]any{}, true
		for _, d := range a.domains {
			if path != fmt.Sprintf("/%d/validate", d["id"]) {
				continue
			}
			for k := range d["dns"].(map[string]any) {
				all = all && a.stands[k]
				result := map[string]any{"valid": a.stands[k], "reason": nil}
				if !a.stands[k] {
					result["reason"] = "Expected CNAME for " + k + " but found nothing"
				}
				results[k] = result
			}
		}
		if len(results) == 0 {
			refuse(http.StatusNotFound, "not found")
			return
		}
		json.NewEncoder(w).Encode(map[string]any{"id": 1, "valid": all, "validation_results": results})
	default:
		refuse(http.StatusNotFound, "no such call")
	}
}

func automatic(id int, name string, valid bool) map[string]any {
	cname := func(host, data string) map[string]any {
		return map[string]any{"valid": valid, "type": "cname", "host": host + "." + name, "data": data}
	}
	return map[string]any{"id": id, "domain": name, "automatic_security": true, "valid": valid, "dns": map[string]any{
		"mail_cname": cname("em1", "u7.wl3.sendgrid.net"), "dkim1": cname("s1._domainkey", "s1.domainkey.u7.wl3.sendgrid.net"),
		"dkim2": cname("s2._domainkey", "s2.domainkey.u7.wl3.sendgrid.net."),
	}}
}

func open(t *testing.T, a *account, secret string) *sendgrid.Client {
	t.Helper()
	s := httptest.NewServer(a)
	t.Cleanup(s.Close)
	t.Setenv("SENDGRID", secret)
	c, err := sendgrid.New(webapi.Options{Endpoint: s.URL, Credential: "env:SENDGRID"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestWantedAndCheck(t *testing.T) {
	a := &account{stands: map[string]bool{"mail_cname": true, "dkim1": true}}
	for i := range 120 { // more than two pages before ours
		a.domains = append(a.domains, automatic(100+i, fmt.Sprintf("example.com.customer%d.net", i), true))
	}
	a.domains = append(a.domains, automatic(7, "example.com", false))
	c := open(t, a, key)
	got, err := c.Wanted(t.Context(), "example.com")
	if err != nil {
		t.Fatal(err)
	}
	record := func(purpose services.ToldPurpose, name, value string, state services.ToldState, problem string) services.ToldRecord {
		return services.ToldRecord{Purpose: purpose, Name: name + ".example.com", Type: "CNAME", Value: value, State: state, Problem: problem}
	}
	want := services.Told{Service: "sendgrid", Domain: "example.com", Records: []services.ToldRecord{
		record(services.ToldDKIM, "s1._domainkey", "s1.domainkey.u7.wl3.sendgrid.net", services.ToldMissing, ""),
		record(services.ToldDKIM, "s2._domainkey", "s2.domainkey.u7.wl3.sendgrid.net", services.ToldMissing, ""),
		record(services.ToldReturnPath, "em1", "u7.wl3.sendgrid.net", services.ToldMissing, ""),
	}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if a.checks != 0 {
		t.Error("reading had something checked")
	}
	if got, err = c.Check(t.Context(), "Example.com"); err != nil {
		t.Fatal(err)
	}
	want.Records[0].State, want.Records[2].State = services.ToldSeen, services.ToldSeen
	want.Records[1].Problem = "Expected CNAME for dkim2 but found nothing"
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	a.stands["dkim2"] = true
	if got, err = c.Check(t.Context(), "example.com"); err != nil || !got.Ready {
		t.Errorf("%+v, %v; want ready", got, err)
	}
}

func TestManualSecurity(t *testing.T) {
	a := &account{domains: []map[string]any{{"id": 1, "domain": "example.org", "automatic_security": false, "valid": true, "dns": map[string]any{
		"mail_server":   map[string]any{"valid": true, "type": "mx", "host": "em.example.org", "data": "mx.sendgrid.net."},
		"subdomain_spf": map[string]any{"valid": true, "type": "txt", "host": "em.example.org", "data": "v=spf1 include:sendgrid.net ~all"},
		"dkim":          map[string]any{"valid": true, "type": "txt", "host": "m1._domainkey.example.org", "data": "k=rsa; t=s; p=QUJD"},
	}}}}
	got, err := open(t, a, key).Wanted(t.Context(), "example.org")
	if err != nil || got.Service != "sendgrid-manual" || !got.Ready || len(got.Notes) != 1 || len(got.Records) != 3 || got.Records[0].Type != "TXT" || got.Records[0].Value != "k=rsa; t=s; p=QUJD" ||
		got.Records[2].Purpose != services.ToldSPF || got.Records[0].State != services.ToldSeen {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestRefusals(t *testing.T) {
	a := &account{domains: []map[string]any{automatic(1, "twice.example", false), automatic(2, "twice.example", false),
		{"id": 3, "domain": "odd.example", "dns": []any{}}}}
	c := open(t, a, key)
	for name, code := range map[string]fault.Code{"other.example": fault.NotFound, "twice.example": fault.Conflict, "odd.example": fault.Unavailable} {
		if _, err := c.Wanted(t.Context(), name); fault.CodeOf(err) != code {
			t.Errorf("%s: %v, want %s", name, err, code)
		}
	}
	_, err := open(t, a, "SG.wrong").Wanted(t.Context(), "example.com")
	message, hint := fault.Show(err)
	if fault.CodeOf(err) != fault.Denied || !strings.Contains(message, "authorization required") || !strings.Contains(hint, "Sender Authentication") || strings.Contains(message+hint, "SG.wrong") {
		t.Errorf("%q, hint %q", message, hint)
	}
}
