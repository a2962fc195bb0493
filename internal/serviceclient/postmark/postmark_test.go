package postmark_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/serviceclient/postmark"
	"github.com/postseal/postseal/internal/services"
	"github.com/postseal/postseal/internal/webapi"
)

const token = "11111111-2222-3333-4444-555555555555"

// account answers like the API: the list has no records, one domain has; a check of the key takes a pending one into use.
type account struct {
	others int
	ours   map[string]any
	checks []string
}

func (a *account) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	refuse := func(status, code int, message string) {
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(map[string]any{"ErrorCode": code, "Message": message})
	}
	if r.Header.Get("X-Postmark-Account-Token") != token {
		refuse(http.StatusUnprocessableEntity, 10, "The account token you provided is invalid.")
		return
	}
	if r.URL.Path == "/domains" {
		count, _ := strconv.Atoi(r.URL.Query().Get("count"))
		offset, _ := strconv.Atoi(r.URL.Query().Get("offset"))
		var all []map[string]any
		for i := range a.others {
			all = append(all, map[string]any{"ID": i, "Name": fmt.Sprintf("customer%d.example", i)})
		}
		all = append(all, map[string]any{"ID": 424242, "Name": "Example.com"})
		page := all[min(offset, len(all)):]
		json.NewEncoder(w).Encode(map[string]any{"TotalCount": len(all), "Domains": page[:min(count, len(page))]})
		return
	}
	what, ok := strings.CutPrefix(r.URL.Path, "/domains/424242")
	switch {
	case !ok:
		refuse(http.StatusUnprocessableEntity, 510, "This domain was not found.")
		return
	case what == "" && r.Method == http.MethodGet:
	case r.Method == http.MethodPut:
		a.checks = append(a.checks, what)
		if what == "/verifyDkim" && a.ours["DKIMPendingHost"] != "" {
			a.ours["DKIMHost"], a.ours["DKIMTextValue"] = a.ours["DKIMPendingHost"], a.ours["DKIMPendingTextValue"]
			a.ours["DKIMPendingHost"], a.ours["DKIMPendingTextValue"], a.ours["DKIMVerified"], a.ours["DKIMUpdateStatus"] = "", "", true, "Verified"
		}
		if what == "/verifyReturnPath" {
			a.ours["ReturnPathDomainVerified"] = true
		}
	}
	json.NewEncoder(w).Encode(a.ours)
}

func TestWantedAndCheck(t *testing.T) {
	a := &account{others: 600, ours: map[string]any{
		"ID": 424242, "Name": "example.com", "DKIMVerified": false, "WeakDKIM": true, "DKIMHost": "", "DKIMTextValue": "",
		"DKIMPendingHost": "20261127pm._domainkey.example.com", "DKIMPendingTextValue": "k=rsa;p=QUJD",
		"DKIMRevokedHost": "2020pm._domainkey.example.com", "DKIMRevokedTextValue": "k=rsa;p=OLD", "SafeToRemoveRevokedKeyFromDNS": false,
		"ReturnPathDomain": "pm-bounces.example.com", "ReturnPathDomainVerified": false, "ReturnPathDomainCNAMEValue": "pm.mtasv.net",
	}}
	s := httptest.NewServer(a)
	t.Cleanup(s.Close)
	t.Setenv("POSTMARK", token)
	c, err := postmark.New(webapi.Options{Endpoint: s.URL, Credential: "env:POSTMARK"})
	if err != nil {
		t.Fatal(err)
	}
	want := []services.ToldRecord{
		{Purpose: services.ToldDKIM, Name: "20261127pm._domainkey.example.com", Type: "TXT", Value: "k=rsa;p=QUJD", State: services.ToldMissing},
		{Purpose: services.ToldDKIM, Name: "2020pm._domainkey.example.com", Type: "TXT", Value: "k=rsa;p=OLD", State: services.ToldOld},
		{Purpose: services.ToldReturnPath, Name: "pm-bounces.example.com", Type: "CNAME", Value: "pm.mtasv.net", State: services.ToldMissing},
	}
	got, err := c.Wanted(t.Context(), "example.com")
	if d := cmp.Diff(want, got.Records); err != nil || d != "" || got.Ready || len(got.Notes) != 3 {
		t.Error(err, d, got.Notes)
	}
	if len(a.checks) > 0 {
		t.Errorf("reading had %q checked", a.checks)
	}
	got, err = c.Check(t.Context(), "example.com")
	want[0].State, want[2].State = services.ToldSeen, services.ToldSeen
	if d := cmp.Diff(want, got.Records); err != nil || d != "" || !got.Ready || !slices.Equal(a.checks, []string{"/verifyDkim", "/verifyReturnPath"}) {
		t.Error(err, d, a.checks)
	}

	if _, err := c.Wanted(t.Context(), "other.example"); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("another domain: %v", err)
	}
	t.Setenv("POSTMARK", "wrong")
	_, err = c.Wanted(t.Context(), "example.com")
	if message, hint := fault.Show(err); fault.CodeOf(err) != fault.Denied || !strings.Contains(hint, "not that of a server") || !strings.Contains(message, "account token") {
		t.Errorf("a wrong token: %v", err)
	}
}
