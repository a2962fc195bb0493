package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// The command asks the service, says what it saw, and keeps the key to itself.
func TestServiceCheck(t *testing.T) {
	stands := false
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, key, _ := r.BasicAuth(); key != "key-secret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if r.Method == http.MethodPut {
			stands = true
		}
		state, valid := "unverified", "unknown"
		if stands {
			state, valid = "active", "valid"
		}
		json.NewEncoder(w).Encode(map[string]any{"domain": map[string]any{"state": state}, "sending_dns_records": []map[string]any{
			{"name": "k1._domainkey.example.com", "record_type": "TXT", "valid": valid, "value": "k=rsa; p=QUJD\x1b[31m"},
		}})
	}))
	t.Cleanup(s.Close)
	t.Setenv("MAILGUN_KEY", "key-secret")
	args := []string{"service", "check", "mailgun", "--domain", "Example.com", "--credential", "env:MAILGUN_KEY", "--endpoint", s.URL}
	try := func(code int, more ...string) (stdout, stderr string) {
		t.Helper()
		var out, errs strings.Builder
		root := newRoot()
		root.SetOut(&out)
		root.SetErr(&errs)
		if got := run(t.Context(), root, append(args, more...)); got != code {
			t.Errorf("%q: exit %d, want %d: %s %s", more, got, code, out.String(), errs.String())
		}
		if strings.Contains(out.String()+errs.String(), "key-secret") || strings.Contains(out.String(), "\x1b") {
			t.Errorf("%q: the key or an escape is printed: %s %s", more, out.String(), errs.String())
		}
		return out.String(), errs.String()
	}
	if out, _ := try(exitBad, "--read-only"); !strings.Contains(out, "k1._domainkey.example.com") || !strings.Contains(out, "not set up there yet") || stands {
		t.Errorf("%s", out)
	}
	out, _ := try(0, "--json")
	var report toldReport
	if err := json.Unmarshal([]byte(out), &report); err != nil || !report.Ready || report.Records[0].State != "seen" || report.Domain != "example.com" {
		t.Errorf("%v: %s", err, out)
	}
	args[2] = "google-workspace"
	if _, errs := try(exitUsage); !strings.Contains(errs, "no client of the API") {
		t.Error(errs)
	}
	args[2] = "mailgun"
	t.Setenv("MAILGUN_KEY", "wrong")
	if _, errs := try(exitUsage); !strings.Contains(errs, "refuses the credential") {
		t.Error(errs)
	}
}
