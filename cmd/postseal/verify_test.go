package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/postseal/postseal/internal/fakedns"
)

const sharedDKIM = "../../../shared/testdata/dkim"

// runCommand runs a command line in this process and returns its exit status and output.
func runCommand(t *testing.T, args ...string) (status int, stdout, stderr string) {
	t.Helper()
	root := newRoot()
	var out, errs bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&errs)
	status = run(t.Context(), root, args)
	return status, out.String(), errs.String()
}

// TestVerifyAsksTheResolver uses --resolver, with a key behind a CNAME, a missing key and a broken zone.
func TestVerifyAsksTheResolver(t *testing.T) {
	network := fakedns.New(t)
	zone := network.Zone("example.com", 1)
	service := network.Zone("service.example", 1)
	const record = "v=DKIM1; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDwIRP/UC3SBsEmGqZ9ZJW3/DkMoGeLnQg1fWn7/zYtIxN2SnFCjxOCKG9v3b4jYfcTNh5ijSsq631uBItLa7od+v/RtdC2UzJ1lWT947qR+Rcac2gbto/NMqJ0fzfVjH4OuKhitdY9tf6mcwGjaNBcWToIMmPSPDdQPNUYckcQ2QIDAQAB"
	message := filepath.Join(sharedDKIM, "rfc", "rfc6376-a2.eml")

	verify := func() (status int, result, reason string) {
		t.Helper()
		status, out, errs := runCommand(t, "verify", "--json", "--resolver", network.Recursive(), message)
		var report verifyReport
		if err := json.Unmarshal([]byte(out), &report); err != nil || len(report.Files) != 1 || len(report.Files[0].Signatures) != 1 {
			t.Fatalf("%v: %s%s", err, out, errs)
		}
		s := report.Files[0].Signatures[0]
		return status, string(s.Result), string(s.Reason)
	}
	check := func(what string, wantStatus int, wantResult, wantReason string) {
		t.Helper()
		if status, result, reason := verify(); status != wantStatus || result != wantResult || reason != wantReason {
			t.Errorf("%s: %d %s %q, want %d %s %q", what, status, result, reason, wantStatus, wantResult, wantReason)
		}
	}
	check("no record", exitBad, "permerror", "no_key")
	zone.TXT("brisbane._domainkey.example.com", record)
	check("record", 0, "pass", "")
	zone.Remove("brisbane._domainkey.example.com")
	zone.CNAME("brisbane._domainkey.example.com", "key.service.example")
	service.TXT("key.service.example", record)
	check("record behind a CNAME", 0, "pass", "")
	service.Break(true)
	check("broken zone", exitBad, "temperror", "dns_error")
}
