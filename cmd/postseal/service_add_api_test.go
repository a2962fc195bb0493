package main

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/dkim"
	"github.com/postseal/postseal/internal/awssign"
)

const sendGridKey = "SG.stand-in"

// rsaValue makes the TXT value of a new RSA key.
func rsaValue(t *testing.T, bits int) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(err)
	}
	value, err := dkim.FormatKeyRecord(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// standInSendGrid answers like the domain authentication API of SendGrid: a bearer token, a filter by beginning, pages. changed counts every
// request that would change something there.
type standInSendGrid struct {
	domains []map[string]any
	changed int
}

func (s *standInSendGrid) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	refuse := func(status int, message string) {
		w.WriteHeader(status)
		json.NewEncoder(w).Encode(map[string]any{"errors": []map[string]any{{"field": nil, "message": message}}})
	}
	switch {
	case r.Header.Get("Authorization") != "Bearer "+sendGridKey:
		refuse(http.StatusUnauthorized, "authorization required")
	case r.Method != http.MethodGet || r.URL.Path != "/v3/whitelabel/domains":
		s.changed++
		refuse(http.StatusNotFound, "no such call")
	default:
		limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		offset, _ := strconv.Atoi(r.URL.Query().Get("offset"))
		found := slices.DeleteFunc(slices.Clone(s.domains), func(d map[string]any) bool {
			return !strings.HasPrefix(d["domain"].(string), r.URL.Query().Get("domain"))
		})
		found = found[min(offset, len(found)):]
		json.NewEncoder(w).Encode(found[:min(limit, len(found))])
	}
}

func sendGridDomain(id int, name string, automatic bool, dns map[string]any) map[string]any {
	return map[string]any{"id": id, "domain": name, "automatic_security": automatic, "valid": false, "dns": dns}
}

func sendGridRecord(kind, host, data string) map[string]any {
	return map[string]any{"valid": false, "type": kind, "host": host, "data": data}
}

// sendGridAccount has a domain of every sort.
func sendGridAccount() *standInSendGrid {
	cname := func(host, data string) map[string]any { return sendGridRecord("cname", host, data) }
	s := &standInSendGrid{}
	for i := range 60 { // more than a page of customers whose names begin alike
		s.domains = append(s.domains, sendGridDomain(100+i, fmt.Sprintf("example.org.customer%d.net", i), true, map[string]any{}))
	}
	s.domains = append(s.domains,
		sendGridDomain(1, "example.org", true, map[string]any{
			"mail_cname": cname("em1.example.org", "u7.wl3.sendgrid.net"),
			"dkim1":      cname("s1._domainkey.example.org", "s1.domainkey.u7.wl3.sendgrid.net"), "dkim2": cname("s2._domainkey.example.org", "s2.domainkey.u7.wl3.sendgrid.net."),
		}),
		sendGridDomain(2, "txt.example.org", false, map[string]any{
			"mail_server": sendGridRecord("mx", "em.txt.example.org", "mx.sendgrid.net."), "dkim": sendGridRecord("txt", "m1._domainkey.txt.example.org", "k=rsa; t=s; p=QUJD"),
		}),
		sendGridDomain(3, "odd.example.org", true, map[string]any{
			"dkim1": cname("s1._domainkey.odd.example.org", "s1.keys.stranger.example"), "dkim2": cname("s2._domainkey.odd.example.org", "s2.domainkey.u7.wl3.sendgrid.net"),
		}),
		sendGridDomain(4, "astray.example.org", true, map[string]any{"dkim1": cname("s1._domainkey.example.org", "s1.domainkey.u7.wl3.sendgrid.net")}),
		sendGridDomain(5, "none.example.org", true, map[string]any{"mail_cname": cname("em1.none.example.org", "u7.wl3.sendgrid.net")}),
		sendGridDomain(6, "one.example.org", true, map[string]any{"dkim1": cname("s1._domainkey.one.example.org", "s1.domainkey.u7.wl3.sendgrid.net")}),
		sendGridDomain(7, "escape.example.org", true, map[string]any{"dkim1": cname("s1._domainkey.escape.example.org", "s1\x1b[31m.sendgrid.net")}),
	)
	return s
}

// addByAPI runs service add with --api and checks the exit status; nothing of the credential may be printed.
func addByAPI(t *testing.T, code int, secret string, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	root := newRoot()
	root.SetOut(&out)
	root.SetErr(&errs)
	root.SetIn(strings.NewReader(""))
	if got := run(t.Context(), root, append([]string{"service", "add"}, args...)); got != code {
		t.Errorf("%q: exit %d, want %d: %s %s", args, got, code, out.String(), errs.String())
	}
	if both := out.String() + errs.String(); strings.Contains(both, secret) || strings.Contains(both, "\x1b") {
		t.Errorf("%q: the key or an escape is printed: %s", args, both)
	}
	return out.String(), errs.String()
}

// The records come from the API instead of being asked for, and are shown and checked like typed ones.
func TestServiceAddByAPI(t *testing.T) {
	account := sendGridAccount()
	s := httptest.NewServer(account)
	t.Cleanup(s.Close)
	t.Setenv("SENDGRID_KEY", sendGridKey)
	access := []string{"--print", "--offline", "--api", "--credential", "env:SENDGRID_KEY", "--endpoint", s.URL}
	try := func(code int, args ...string) (string, string) {
		t.Helper()
		return addByAPI(t, code, sendGridKey, append(args, access...)...)
	}

	out, _ := try(0, "sendgrid", "--domain", "Example.org")
	for _, want := range []string{
		"Read from the API of Twilio SendGrid", "em1.example.org  CNAME  u7.wl3.sendgrid.net  (return-path, missing)",
		"  s1._domainkey.example.org  CNAME  s1.domainkey.u7.wl3.sendgrid.net\n", "          s2: s2.domainkey.u7.wl3.sendgrid.net\n",
		"Once the records stand, have the service look at them: postseal service check sendgrid --domain example.org --credential env:SENDGRID_KEY --endpoint " + s.URL + "\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("without %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "warning") {
		t.Errorf("usual targets are warned about:\n%s", out)
	}
	out, _ = try(0, "sendgrid", "--domain", "example.org", "--json")
	var doc serviceSetup
	if err := json.Unmarshal([]byte(out), &doc); err != nil || doc.API == nil || len(doc.API.Records) != 3 || len(doc.Records) != 2 || doc.Records[1].Value != "s2.domainkey.u7.wl3.sendgrid.net" ||
		!strings.Contains(doc.Check, "service check sendgrid") || doc.Applied {
		t.Errorf("%v: %s", err, out)
	}

	// A flag may repeat what the API says, as it was pasted, and nothing else.
	try(0, "sendgrid", "--domain", "example.org", "--cname", "s1._domainkey.example.org=S1.domainkey.u7.wl3.sendgrid.net.", "--selector", "s2")
	for _, tt := range []struct{ flag, value, says string }{
		{"--cname", "s1=s1.domainkey.u8.wl3.sendgrid.net", "the target s1.domainkey.u8.wl3.sendgrid.net was typed, and the API says s1.domainkey.u7.wl3.sendgrid.net"},
		{"--cname", "s3=s3.domainkey.u7.wl3.sendgrid.net", "the API names s1, s2"},
		{"--selector", "s3", "the selector s3 was typed"},
		{"--answer", "s2=s1.domainkey.u7.wl3.sendgrid.net", "the API says s2.domainkey"},
		{"--txt", "v=DKIM1; p=QUJD", "set up with CNAME records"},
	} {
		if out, errs := try(exitUsage, "sendgrid", "--domain", "example.org", tt.flag, tt.value); !strings.Contains(errs, tt.says) || strings.Contains(out, "fleet.yaml") {
			t.Errorf("%s %s: %s %s", tt.flag, tt.value, out, errs)
		}
	}

	// What the API says is worth no more than what somebody types.
	out, _ = try(0, "sendgrid", "--domain", "odd.example.org")
	if !strings.Contains(out, "warning: ") || !strings.Contains(out, "s1.keys.stranger.example") {
		t.Errorf("a target of a stranger's is not warned about:\n%s", out)
	}
	if out, _ = try(0, "sendgrid", "--domain", "one.example.org"); !strings.Contains(out, "usually has 2 records and 1 are here") {
		t.Errorf("a second record is not missed:\n%s", out)
	}
	for _, tt := range []struct {
		service, domain string
		says            []string
	}{
		{"sendgrid", "missing.example", []string{"does not know missing.example yet", "Authenticate Your Domain"}},
		{"sendgrid", "txt.example.org", []string{"is the entry sendgrid-manual, not sendgrid", "postseal service add sendgrid-manual --domain txt.example.org"}},
		{"sendgrid-manual", "example.org", []string{"is the entry sendgrid, not sendgrid-manual"}},
		{"sendgrid-manual", "txt.example.org", []string{"no receiver can use this value"}},
		{"sendgrid", "astray.example.org", []string{"not a selector of astray.example.org"}},
		{"sendgrid", "none.example.org", []string{"delivers no DKIM records for none.example.org"}},
		{"sendgrid", "escape.example.org", []string{"is not a host name"}},
		{"mailchimp", "example.org", []string{"delivers no DKIM records", "leave --api out"}},
		{"mandrill", "example.org", []string{"delivers no DKIM records", "leave --api out"}},
		{"amazon-ses-byodkim", "example.org", []string{"delivers no DKIM records", "postseal keygen"}},
		{"google-workspace", "example.org", []string{"no client of the API of google-workspace"}},
	} {
		_, errs := try(exitUsage, tt.service, "--domain", tt.domain)
		for _, says := range tt.says {
			if !strings.Contains(errs, says) {
				t.Errorf("%s %s: without %q: %s", tt.service, tt.domain, says, errs)
			}
		}
	}
	if account.changed != 0 {
		t.Errorf("%d requests that change something were sent to the service", account.changed)
	}

	access = []string{"--print", "--offline"}
	if _, errs := try(exitUsage, "sendgrid", "--domain", "example.org", "--credential", "env:SENDGRID_KEY"); !strings.Contains(errs, "are for --api") {
		t.Error(errs)
	}
	if _, errs := try(exitUsage, "sendgrid", "--domain", "example.org", "--api"); !strings.Contains(errs, "--api needs --credential") {
		t.Error(errs)
	}
	if _, errs := try(exitUsage, "own", "--custom", "--domain", "example.org", "--api", "--credential", "env:SENDGRID_KEY"); !strings.Contains(errs, "--api and --custom exclude each other") {
		t.Error(errs)
	}
	t.Setenv("SENDGRID_KEY", "SG.other")
	access = []string{"--print", "--offline", "--api", "--credential", "env:SENDGRID_KEY", "--endpoint", s.URL}
	if _, errs := addByAPI(t, exitUsage, "SG.other", append([]string{"sendgrid", "--domain", "example.org"}, access...)...); !strings.Contains(errs, "refuses the credential") {
		t.Error(errs)
	}
}

// Postmark has a key in use, one that waits and one that was given up: the first two are wanted.
func TestServiceAddByPostmarkAPI(t *testing.T) {
	const token = "11111111-2222-3333-4444-555555555555"
	small, large := rsaValue(t, 1024), rsaValue(t, 2048)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("X-Postmark-Account-Token") != token:
			w.WriteHeader(http.StatusUnprocessableEntity)
			fmt.Fprint(w, `{"ErrorCode":10,"Message":"The account token you provided is invalid."}`)
		case r.Method == http.MethodGet && r.URL.Path == "/domains":
			fmt.Fprint(w, `{"TotalCount":1,"Domains":[{"ID":9,"Name":"example.org"}]}`)
		case r.Method == http.MethodGet && r.URL.Path == "/domains/9":
			json.NewEncoder(w).Encode(map[string]any{"ID": 9, "Name": "example.org", "DKIMVerified": true, "WeakDKIM": true,
				"DKIMHost": "20250101000000pm._domainkey.example.org", "DKIMTextValue": small,
				"DKIMPendingHost": "20260102030405pm._domainkey.example.org", "DKIMPendingTextValue": large,
				"DKIMRevokedHost": "20200101000000pm._domainkey.example.org", "DKIMRevokedTextValue": "k=rsa;p=QUJD",
				"ReturnPathDomain": "pm-bounces.example.org", "ReturnPathDomainCNAMEValue": "pm.mtasv.net"})
		default:
			t.Errorf("%s %s was sent", r.Method, r.URL)
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	t.Cleanup(s.Close)
	t.Setenv("POSTMARK_TOKEN", token)
	args := []string{"postmark", "--domain", "example.org", "--print", "--offline", "--api", "--credential", "env:POSTMARK_TOKEN", "--endpoint", s.URL}
	out, _ := addByAPI(t, 0, token, args...)
	for _, want := range []string{"          '20250101000000pm': ", "          '20260102030405pm': ", "DKIM-K02: 20250101000000pm._domainkey.example.org", "Postmark itself calls this key weak",
		"20200101000000pm._domainkey.example.org  TXT  k=rsa;p=QUJD  (dkim, old)"} {
		if !strings.Contains(out, want) {
			t.Errorf("without %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "'20200101000000pm': ") || strings.Contains(out, "DKIM-K02: 20260102030405pm") {
		t.Errorf("an old key is published, or a large one is called small:\n%s", out)
	}
	if _, errs := addByAPI(t, exitUsage, token, append(args, "--txt", "k=rsa; p=QUJD")...); !strings.Contains(errs, "another TXT value was typed") {
		t.Error(errs)
	}
	addByAPI(t, 0, token, append(args, "--selector", "20260102030405pm", "--txt", strings.ReplaceAll(large, ";", " ; "))...)
	addByAPI(t, exitUsage, token, append(args, "--selector", "20250101000000pm", "--txt", large)...)
}

// Mailgun in its two ways, one entry of the catalogue each.
func TestServiceAddByMailgunAPI(t *testing.T) {
	value := rsaValue(t, 2048)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "api" || password != "key-stand-in" {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, "Forbidden")
			return
		}
		automatic, records := false, ""
		switch r.Method + " " + r.URL.Path {
		case "GET /v4/domains/mg.example.org":
			records = fmt.Sprintf(`{"name":"pic._domainkey.mg.example.org","record_type":"TXT","valid":"unknown","value":%q}`, value)
		case "GET /v4/domains/auto.example.org":
			automatic, records = true, `{"name":"pdk1._domainkey.auto.example.org","record_type":"CNAME","valid":"unknown","value":"pdk1._domainkey.a1b2.dkim1.mailgun.com"},
				{"name":"pdk2._domainkey.auto.example.org","record_type":"CNAME","valid":"unknown","value":"pdk2._domainkey.a1b2.dkim1.mailgun.com"}`
		case "GET /v4/domains/root.example.org": // an account may have the key of a sub-domain at its parent
			records = `{"name":"k1._domainkey.example.org","record_type":"TXT","valid":"unknown","value":"k=rsa; p=QUJD"}`
		default:
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"message":"Domain not found"}`)
			return
		}
		fmt.Fprintf(w, `{"domain":{"state":"unverified","use_automatic_sender_security":%t},"sending_dns_records":[%s]}`, automatic, records)
	}))
	t.Cleanup(s.Close)
	t.Setenv("MAILGUN_KEY", "key-stand-in")
	try := func(code int, service, domain string) (string, string) {
		t.Helper()
		return addByAPI(t, code, "key-stand-in", service, "--domain", domain, "--print", "--offline", "--api", "--credential", "env:MAILGUN_KEY", "--endpoint", s.URL)
	}
	if out, _ := try(0, "mailgun", "mg.example.org"); !strings.Contains(out, "        selector: pic\n        txt: 'v=DKIM1; k=rsa; p=MII") {
		t.Error(out)
	}
	if out, _ := try(0, "mailgun-automatic", "auto.example.org"); !strings.Contains(out, "          pdk2: pdk2._domainkey.a1b2.dkim1.mailgun.com\n") || strings.Contains(out, "warning") {
		t.Error(out)
	}
	for _, tt := range []struct{ service, domain, says string }{
		{"mailgun", "auto.example.org", "the entry mailgun-automatic"}, {"mailgun", "root.example.org", "not a selector of root.example.org"},
		{"mailgun", "other.example", "does not know other.example yet (Mailgun does not find it (404: Domain not found))"}, {"mailgun", "other.example", "add it there first: Send, Sending"},
	} {
		if _, errs := try(exitUsage, tt.service, tt.domain); !strings.Contains(errs, tt.says) {
			t.Errorf("%s %s: %s", tt.service, tt.domain, errs)
		}
	}
}

// SES tells tokens, which are selectors and beginnings of targets, or that it signs with a key of ours.
func TestServiceAddBySESAPI(t *testing.T) {
	origin, tokens := "AWS_SES", []string{"tok1", "tok2", "tok3"}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
		again, _ := http.NewRequest(r.Method, "http://"+r.Host+r.URL.String(), nil)
		for _, name := range []string{"Accept", "User-Agent"} {
			again.Header.Set(name, r.Header.Get(name))
		}
		if err == nil {
			err = awssign.Sign(r.Context(), again, nil, awssign.Keys{ID: "AKID", Secret: "SES-SECRET"}, "ses", "eu-west-1", at)
		}
		if err != nil || r.Header.Get("Authorization") != again.Header.Get("Authorization") {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"message":"The request signature we calculated does not match the signature you provided."}`)
			return
		}
		if r.Method != http.MethodGet || r.URL.Path != "/v2/email/identities/example.org" {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"message":"Email identity does not exist."}`)
			return
		}
		json.NewEncoder(w).Encode(map[string]any{"IdentityType": "DOMAIN", "DkimAttributes": map[string]any{
			"SigningEnabled": true, "Status": "PENDING", "Tokens": tokens, "SigningAttributesOrigin": origin, "SigningHostedZone": "dkim.amazonses.com"}})
	}))
	t.Cleanup(s.Close)
	file := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(file, []byte("[default]\naws_access_key_id = AKID\naws_secret_access_key = SES-SECRET\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	try := func(code int, args ...string) (string, string) {
		t.Helper()
		args = append([]string{"amazon-ses", "--print", "--offline", "--api", "--credential", "file:" + file, "--endpoint", s.URL, "--region", "eu-west-1"}, args...)
		return addByAPI(t, code, "SES-SECRET", args...)
	}
	if out, _ := try(0, "--domain", "example.org"); !strings.Contains(out, "          tok3: tok3.dkim.amazonses.com\n") || strings.Contains(out, "warning") || !strings.Contains(out, "it looks by itself") || !strings.Contains(out, "--region eu-west-1\n") {
		t.Error(out)
	}
	if _, errs := try(exitUsage, "--domain", "other.example"); !strings.Contains(errs, "does not know other.example yet") || !strings.Contains(errs, "SES console") {
		t.Error(errs)
	}
	tokens = nil
	if _, errs := try(exitUsage, "--domain", "example.org"); !strings.Contains(errs, "delivers no DKIM records for example.org") {
		t.Error(errs)
	}
	origin, tokens = "EXTERNAL", []string{"ours"}
	if _, errs := try(exitUsage, "--domain", "example.org"); !strings.Contains(errs, "the entry amazon-ses-byodkim") {
		t.Error(errs)
	}
}

func TestShellWord(t *testing.T) {
	for in, want := range map[string]string{"env:KEY": "env:KEY", "file:/a b": "'file:/a b'", "it's": `'it'\''s'`, "": "''", "$(x)": "'$(x)'"} {
		if got := shellWord(in); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}
