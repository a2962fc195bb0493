package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/postseal/postseal/internal/api/client"
)

// TLS and failure reports are shown for people, and as lines, under the names that report parse has.
func TestReportShowOthers(t *testing.T) {
	tls := client.ReportDetail{Report: client.Report{ReceivedReport: client.ReceivedReport{ID: "rep_1", Type: "tls", Org: "one.example", Domain: "example.org"}}, Policies: []client.TLSSessions{{Type: "sts", Domain: "example.org",
		Successful: 5, Failed: 2, Failures: []client.TLSFailure{{Result: "certificate-expired", ReceivingMX: "mx.example.org", Sessions: 2}}}}}
	failure := client.ReportDetail{Report: client.Report{ReceivedReport: client.ReceivedReport{ID: "rep_2", Type: "failure", Org: "one.example", Domain: "example.org"}},
		Failure: &client.FailedMessage{SourceIP: "192.0.2.7", Failed: []string{"bodyhash"}, DKIMDomain: "example.org", DKIMSelector: "s1"}}
	for what, c := range map[string]struct {
		detail      client.ReportDetail
		people, csv []string
	}{
		"tls":     {tls, []string{"rep_1", "POLICY", "certificate-expired 2×"}, []string{"tls,rfc8460,one.example,,example.org", ",success,sts", ",certificate-expired,sts mx.example.org"}},
		"failure": {failure, []string{"rep_2", "192.0.2.7", "bodyhash"}, []string{"failure,rfc6591,one.example,,example.org", "192.0.2.7,1,", "example.org/s1", ",bodyhash,"}},
	} {
		var people, lines strings.Builder
		if err := printDetail(&people, c.detail); err != nil {
			t.Fatal(err)
		}
		if err := csvDetail(&lines, c.detail); err != nil {
			t.Fatal(err)
		}
		for got, all := range map[string][]string{people.String(): c.people, lines.String(): c.csv} {
			for _, want := range all {
				if !strings.Contains(got, want) {
					t.Errorf("%s: no %q in\n%s", what, want, got)
				}
			}
			if strings.Contains(got, "OrgName") {
				t.Errorf("%s: a name of the program's\n%s", what, got)
			}
		}
	}
}

// With --raw the input is written, and nothing is printed, not even an empty document.
func TestReportShowRaw(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/reports/rep_1/raw") {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.Header().Set("Content-Type", "application/json")
		w.Write([]byte(`{"name":"a.xml","octets":"PGZlZWRiYWNrPg=="}`))
	}))
	defer s.Close()
	t.Setenv(envURL, s.URL)
	t.Setenv(envToken, "token")
	for _, flag := range []string{"--json", "--csv", "--raw"} {
		path := filepath.Join(t.TempDir(), "raw")
		args := []string{"report", "show", "rep_1", "--raw", path}
		if flag != "--raw" {
			args = append(args, flag)
		}
		var out strings.Builder
		cmd := newRoot()
		cmd.SetOut(&out)
		cmd.SetArgs(args)
		if err := cmd.Execute(); err != nil {
			t.Fatal(err)
		}
		if octets, err := os.ReadFile(path); err != nil || string(octets) != "<feedback>" || out.Len() > 0 {
			t.Errorf("%s: %q, %v, printed %q", flag, octets, err, out.String())
		}
	}
}
