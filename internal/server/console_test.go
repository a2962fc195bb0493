package server

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"strings"
	"testing"
)

// The console and the API share a listener, and the local administrator's token opens both.
func TestConsoleStandsBesideTheAPI(t *testing.T) {
	s := startFirst(t)
	defer s.stop(t)
	raw, err := os.ReadFile(s.AdminFile())
	if err != nil {
		t.Fatal(err)
	}
	var admin struct{ URL, Token, CA string }
	if err := json.Unmarshal(raw, &admin); err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(admin.CA)) {
		t.Fatal("no authority")
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	browser := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}, Jar: jar}
	page := func(answer *http.Response, err error) (int, string) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer.StatusCode, string(text)
	}
	if status, text := page(browser.Get(admin.URL + "/console")); status != http.StatusOK || !strings.Contains(text, "Access token") {
		t.Errorf("before logging in: %d %s", status, text)
	}
	if status, text := page(browser.PostForm(admin.URL+"/console/login", url.Values{"token": {admin.Token}})); status != http.StatusOK || !strings.Contains(text, "admin, admin") {
		t.Errorf("logging in: %d %s", status, text)
	}
	if status, text := page(browser.Get(admin.URL + "/console/domains/example.com")); status != http.StatusOK || !strings.Contains(text, "No report that is vouched for") {
		t.Errorf("a domain: %d %s", status, text)
	}
	// A session is none for the API, and what is no page is the API's.
	for path, want := range map[string]int{"/v1/reports": http.StatusUnauthorized, "/nothing": http.StatusNotFound, "/openapi.json": http.StatusOK} {
		if status, text := page(browser.Get(admin.URL + path)); status != want || !strings.HasPrefix(text, "{") {
			t.Errorf("%s: %d %s", path, status, text)
		}
	}
}
