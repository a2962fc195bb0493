package server

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/report"
	"github.com/postseal/postseal/internal/serviceclient/postmaster"
	"github.com/postseal/postseal/internal/webapi"
)

// gmail is a stand-in of Google's token service and of version 1 of the API of Postmaster Tools, as far as the control plane asks; the client's own tests are about the whole of it.
type gmail struct {
	url     string
	account *rsa.PrivateKey // whose assertions are taken

	mu      sync.Mutex
	domains []map[string]any
	stats   map[string][]map[string]any // by domain
	busy    map[string]bool             // domains that are refused for the number of requests
	asked   []string                    // "domain from"
	listed  int                         // how often the domains were asked for
	tokens  int
}

func startGmail(t *testing.T) *gmail {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	g := &gmail{account: key, stats: map[string][]map[string]any{}, busy: map[string]bool{}}
	s := httptest.NewServer(g)
	t.Cleanup(s.Close)
	g.url = s.URL
	return g
}

// credential writes the JSON key of the service account with this private key to a file.
func (g *gmail) credential(t *testing.T, path string, key *rsa.PrivateKey) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(map[string]string{"type": "service_account", "client_email": "robot@my-project.iam.gserviceaccount.com", "private_key_id": "k1", "token_uri": g.url + "/token",
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}

func (g *gmail) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	say := func(code int, v any) {
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(v)
	}
	refuse := func(code int, status string) {
		say(code, map[string]any{"error": map[string]any{"code": code, "status": status, "message": status}})
	}
	if r.URL.Path == "/token" {
		if !g.genuine(r.FormValue("assertion")) {
			say(http.StatusBadRequest, map[string]string{"error": "invalid_grant", "error_description": "Invalid JWT Signature."})
			return
		}
		g.tokens++
		say(http.StatusOK, map[string]any{"access_token": "ya29." + strconv.Itoa(g.tokens), "expires_in": 3600, "token_type": "Bearer"})
		return
	}
	if g.tokens == 0 || r.Header.Get("Authorization") != "Bearer ya29."+strconv.Itoa(g.tokens) {
		refuse(http.StatusUnauthorized, "UNAUTHENTICATED")
		return
	}
	if r.URL.Path == "/v1/domains" {
		g.listed++
		say(http.StatusOK, map[string]any{"domains": g.domains})
		return
	}
	name, ok := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/v1/domains/"), "/trafficStats")
	number := func(of string) string {
		n := func(part string) int { v, _ := strconv.Atoi(r.FormValue(of + "." + part)); return v }
		return fmt.Sprintf("%04d%02d%02d", n("year"), n("month"), n("day"))
	}
	from, until := number("startDate"), number("endDate")
	g.asked = append(g.asked, name+" "+from)
	switch stats, known := g.stats[name]; {
	case g.busy[name]:
		w.Header().Set("Retry-After", "2")
		refuse(http.StatusTooManyRequests, "RESOURCE_EXHAUSTED")
	case !ok || !known:
		refuse(http.StatusNotFound, "NOT_FOUND")
	default:
		var within []map[string]any
		for _, s := range stats {
			if d := s["name"].(string); d[len(d)-8:] >= from && d[len(d)-8:] < until {
				within = append(within, s)
			}
		}
		say(http.StatusOK, map[string]any{"trafficStats": within})
	}
}

func (g *gmail) genuine(assertion string) bool {
	parts := strings.Split(assertion, ".")
	if len(parts) != 3 {
		return false
	}
	signature, _ := base64.RawURLEncoding.DecodeString(parts[2])
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	return rsa.VerifyPKCS1v15(&g.account.PublicKey, crypto.SHA256, sum[:], signature) == nil
}

func (g *gmail) has(domain, permission string) {
	g.domains = append(g.domains, map[string]any{"name": "domains/" + domain, "permission": permission})
}

func (g *gmail) saw(domain string, day time.Time, figures map[string]any) {
	figures["name"] = "domains/" + domain + "/trafficStats/" + day.Format("20060102")
	g.stats[domain] = append(g.stats[domain], figures)
}

// requests are the questions about figures since the last call, in order.
func (g *gmail) requests() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	asked := g.asked
	g.asked = nil
	return asked
}

// notes is a log that can be read while it is written.
type notes struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (n *notes) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.Write(b)
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.String()
}

const witnessFleet = `policy: {test_mode: true, min_wait: 1s, ttl: 1s, retention: 2s, tombstone: 1s}
dns: {resolvers: ["127.0.0.1:1"], authorities: {example.com: ["127.0.0.1:1"]}}
publishers: {hand: {manual: {contact: dns@example.com}}}
servers: {mx1: {addresses: [192.0.2.1]}}
domains:
  example.com: {mode: observed, publisher: hand, signers: [{server: mx1}]}
  quiet.example: {mode: observed, publisher: hand, signers: [{server: mx1}]}
`

// asking is the configuration of a control plane that asks the stand-in.
func (g *gmail) asking(t *testing.T, data string, log *notes) Config {
	t.Helper()
	fleet := filepath.Join(data, "fleet.yaml")
	if err := os.WriteFile(fleet, []byte(witnessFleet), 0o600); err != nil {
		t.Fatal(err)
	}
	return Config{Data: data, Fleet: fleet, DiagnoseAfter: time.Millisecond, Logger: slog.New(slog.NewTextHandler(log, nil)),
		Postmaster: postmaster.Options{Options: webapi.Options{Endpoint: g.url, Credential: "file:" + filepath.Join(data, "google.json"),
			Timing: webapi.Timing{Sleep: func(context.Context, time.Duration) error { return nil }}}}}
}

// googleSays is a report of google.com about a day of example.com: a thousand signed messages, of which so many pass.
func googleSays(day time.Time, pass int) []byte {
	record := func(address, result string, n int) string {
		return fmt.Sprintf(`<record><row><source_ip>%s</source_ip><count>%d</count><policy_evaluated><disposition>none</disposition><dkim>%s</dkim><spf>fail</spf></policy_evaluated></row>
			<identifiers><header_from>example.com</header_from></identifiers><auth_results><dkim><domain>example.com</domain><selector>s1</selector><result>%s</result></dkim>
			<spf><domain>elsewhere.example</domain><result>pass</result></spf></auth_results></record>`, address, n, result, result)
	}
	return fmt.Appendf(nil, `<feedback><report_metadata><org_name>google.com</org_name><email>noreply-dmarc-support@google.com</email><report_id>%[1]d</report_id>
		<date_range><begin>%[1]d</begin><end>%d</end></date_range></report_metadata><policy_published><domain>example.com</domain><p>none</p></policy_published>%s%s</feedback>`,
		day.Unix(), day.Unix()+86399, record("192.0.2.1", "pass", pass), record("198.51.100.7", "fail", 1000-pass))
}

// eventually asks until an answer is as it should be.
func eventually[T any](t *testing.T, what string, ask func() (T, error), right func(T) bool) T {
	t.Helper()
	var last T
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		var err error
		if last, err = ask(); err != nil {
			t.Fatal(err)
		}
		if right(last) {
			return last
		}
	}
	t.Fatalf("never: %s; at last %+v", what, last)
	return last
}

// From the account to the summary: what Google says is fetched, stored, laid beside its reports, and the disagreement named.
func TestPostmasterBesideReports(t *testing.T) {
	g := startGmail(t)
	today := time.Now().UTC().Truncate(24 * time.Hour)
	ago := func(days int) time.Time { return today.AddDate(0, 0, -days) }
	g.has("example.com", "OWNER")
	g.has("news.example.com", "READER")
	g.has("shop.example.com", "NONE")
	g.has("stranger.example", "OWNER")
	g.saw("example.com", ago(3), map[string]any{"dkimSuccessRatio": 1, "spfSuccessRatio": 0.99, "dmarcSuccessRatio": 1, "userReportedSpamRatio": 0.0042, "domainReputation": "MEDIUM",
		"deliveryErrors": []map[string]any{{"errorClass": "TEMPORARY_ERROR", "errorType": "SUSPECTED_SPAM", "errorRatio": 0.02}}})
	g.saw("example.com", ago(4), map[string]any{"dkimSuccessRatio": 0.9, "userReportedSpamRatio": 0.001})
	g.saw("example.com", ago(5), map[string]any{"dkimSuccessRatio": 1})
	g.saw("example.com", ago(100), map[string]any{"dkimSuccessRatio": 1})
	g.saw("news.example.com", ago(4), map[string]any{"dkimSuccessRatio": 1, "userReportedSpamRatio": 0.0009})
	data, log := t.TempDir(), &notes{}
	g.credential(t, filepath.Join(data, "google.json"), g.account)
	s := start(t, g.asking(t, data, log))
	c := s.client(t)
	for _, r := range [][]byte{googleSays(ago(3), 800), googleSays(ago(4), 900), googleSays(ago(6), 1000)} {
		if _, err := c.ImportReports(t.Context(), "google", r); err != nil {
			t.Fatal(err)
		}
	}

	got := eventually(t, "it was asked", func() (client.Postmaster, error) {
		return c.ReportPostmaster(t.Context(), "example.com", ago(30), time.Time{})
	},
		func(p client.Postmaster) bool { return !p.Account.Asked.IsZero() })
	share := func(v float64) *float64 { return &v }
	days := []client.PostmasterDay{
		{Domain: "example.com", Day: ago(5), DKIM: share(1), Errors: []client.PostmasterError{}},
		{Domain: "example.com", Day: ago(4), DKIM: share(0.9), Spam: share(0.001), Errors: []client.PostmasterError{}, Reports: &client.PostmasterReported{Messages: 1000, Signed: 1000, DKIM: 900, DMARC: 900}},
		{Domain: "example.com", Day: ago(3), DKIM: share(1), SPF: share(0.99), DMARC: share(1), Spam: share(0.0042), Reputation: "MEDIUM",
			Errors: []client.PostmasterError{{Class: "TEMPORARY_ERROR", Type: "SUSPECTED_SPAM", Share: 0.02}}, Reports: &client.PostmasterReported{Messages: 1000, Signed: 1000, DKIM: 800, DMARC: 800}},
		{Domain: "news.example.com", Day: ago(4), DKIM: share(1), Spam: share(0.0009), Errors: []client.PostmasterError{}},
	}
	for i := range got.Days {
		if time.Since(got.Days[i].Fetched) > time.Minute {
			t.Errorf("fetched %v", got.Days[i].Fetched)
		}
		got.Days[i].Fetched = time.Time{}
	}
	if diff := cmp.Diff(days, got.Days); diff != "" || !got.On || got.Account.Problem != "" {
		t.Errorf("%+v\n%s", got.Account, diff)
	}
	var names []string
	for _, d := range got.Domains {
		names = append(names, d.Domain)
		if d.Domain == "shop.example.com" != strings.Contains(d.Problem, "not verified") || d.Domain == "shop.example.com" != strings.Contains(d.Hint, "Manage users") {
			t.Errorf("%+v", d)
		}
	}
	if want := []string{"example.com", "news.example.com", "shop.example.com"}; !slices.Equal(names, want) {
		t.Errorf("domains %q, want %q", names, want)
	}
	said := fmt.Sprintf("DKIM of example.com on %s: 100.0 %% passed in Postmaster Tools, 80.0 %% of 1000 messages in the reports of google.com: ", ago(3).Format(time.DateOnly))
	// Nothing is said of what the sums of reports cannot tell: SPF, and shares of DMARC that more mail would make smaller; nor of news.example.com, as reports of that day are there.
	for i, want := range []string{
		"google.com reports 1000 messages of example.com on " + ago(6).Format(time.DateOnly) + ", and Postmaster Tools has no figures",
		"Gmail had mail of example.com on " + ago(5).Format(time.DateOnly) + ", and no report of google.com",
		said,
	} {
		if len(got.Disagreements) != 3 || !strings.HasPrefix(got.Disagreements[i].Message, want) || got.Disagreements[i].Domain != "example.com" {
			t.Errorf("%+v, want %s", got.Disagreements, want)
		}
	}
	first := ago(postmasterDays).Format("20060102")
	if got, want := g.requests(), []string{"example.com " + first, "news.example.com " + first}; !slices.Equal(got, want) {
		t.Errorf("asked %q, want %q", got, want)
	}
	all, err := c.ReportPostmaster(t.Context(), "example.com", ago(110), time.Time{})
	if err != nil || len(all.Days) != 5 {
		t.Errorf("%d days, %v", len(all.Days), err)
	}

	// The summary shows the same, and what it means.
	sum, err := c.ReportSummary(t.Context(), "example.com", ago(30), time.Time{})
	if err != nil || sum.Postmaster == nil || len(sum.Postmaster.Days) != 4 || len(sum.Postmaster.Disagreements) != 3 {
		t.Fatalf("%+v, %v", sum.Postmaster, err)
	}
	found := map[string]string{}
	for _, f := range sum.Findings {
		found[f.ID+" "+f.Subject] = f.Severity + ": " + f.Message
	}
	spam := "warning: people at Gmail called 0.42 % of the mail of example.com in their inboxes spam on " + ago(3).Format(time.DateOnly) + ", and at least 0.1 % on 2 days"
	if !strings.HasPrefix(found["GPT-01 example.com"], spam) || !strings.HasPrefix(found["GPT-02 example.com"], "info: "+said) || found["GPT-01 news.example.com"] != "" {
		t.Errorf("%q", found)
	}
	// It stands with the other findings, to be muted and looked back at.
	findings := func(domain string) (ids []string, err error) {
		for page, err := range c.Findings(t.Context(), client.FindingQuery{Domain: domain}) {
			if err != nil {
				return nil, err
			}
			for _, f := range page.Findings {
				ids = append(ids, f.ID)
			}
		}
		return ids, nil
	}
	eventually(t, "a finding", func() ([]string, error) { return findings("example.com") }, func(ids []string) bool { return slices.Contains(ids, "GPT-01") && slices.Contains(ids, "GPT-02") })

	quiet, err := c.ReportPostmaster(t.Context(), "quiet.example", ago(30), time.Time{})
	if err != nil || len(quiet.Domains)+len(quiet.Days) != 0 || !quiet.On {
		t.Errorf("%+v, %v", quiet, err)
	}
	s.stop(t)
	if strings.Contains(log.String(), "stranger") || !strings.Contains(log.String(), "shop.example.com is not verified") || strings.Contains(log.String(), "PRIVATE KEY") {
		t.Errorf("the log:\n%s", log)
	}

	// Another start within the day asks nothing; a day later only the days that may have come late are asked for, and a domain that is gone is said to be.
	again := g.prepared(t, data, log)
	again.ask(t)
	if got := g.requests(); got != nil {
		t.Errorf("asked again: %q", got)
	}
	// An hour after the inventory changed its domains are looked for, and those that are known are left alone.
	listed := g.listed
	again.age(t, postmasterRetry)
	again.ask(t)
	if g.listed != listed {
		t.Error("looked for domains again though nothing changed")
	}
	again.reporting.witness.generation--
	again.ask(t)
	again.ask(t)
	if got := g.requests(); g.listed != listed+1 || got != nil {
		t.Errorf("looked %d times, asked %q", g.listed-listed, got)
	}
	g.domains = g.domains[:1]
	again.age(t, postmasterEvery+postmasterJitter)
	again.ask(t)
	if got, want := g.requests(), []string{"example.com " + ago(postmasterLate).Format("20060102")}; !slices.Equal(got, want) {
		t.Errorf("asked %q, want %q", got, want)
	}
	w, err := again.reporting.Postmaster(t.Context(), "example.com", report.Period{Since: ago(30)})
	if err != nil || len(w.Asked) != 4 || w.Asked[1].Problem != "" || !strings.Contains(w.Asked[2].Problem, "does not have news.example.com any more") || len(w.Days) != 4 {
		t.Errorf("%+v, %v", w.Asked, err)
	}
	again.release()
}

// prepared is a control plane that does nothing by itself.
func (g *gmail) prepared(t *testing.T, data string, log *notes) *running {
	t.Helper()
	c := g.asking(t, data, log)
	c.Listen, c.Hosts = "127.0.0.1:0", []string{"127.0.0.1"}
	s, err := New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return &running{Server: s}
}

// ask sees once whether it is time to ask.
func (r *running) ask(t *testing.T) {
	t.Helper()
	if err := r.reporting.askPostmaster(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// age makes what was asked so much older.
func (r *running) age(t *testing.T, by time.Duration) {
	t.Helper()
	all, err := r.reporting.PostmasterAsked(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		a.At = a.At.Add(-by)
		if err := r.reporting.SavePostmaster(t.Context(), a, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// What a person must mend is shown and logged once, tried again after an hour or with the next start, and over when it works.
func TestPostmasterRefusesTheCredential(t *testing.T) {
	g := startGmail(t)
	g.has("example.com", "OWNER")
	g.stats["example.com"] = nil
	wrong, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	data, log := t.TempDir(), &notes{}
	path := filepath.Join(data, "google.json")
	g.credential(t, path, wrong)
	s := start(t, g.asking(t, data, log))
	c := s.client(t)
	got := eventually(t, "it was asked", func() (client.Postmaster, error) {
		return c.ReportPostmaster(t.Context(), "example.com", time.Time{}, time.Time{})
	},
		func(p client.Postmaster) bool { return !p.Account.Asked.IsZero() })
	if !strings.Contains(got.Account.Problem, "refuses the credential") || !strings.Contains(got.Account.Hint, "the key may be deleted") || !got.On {
		t.Errorf("%+v", got)
	}
	s.stop(t)

	p := g.prepared(t, data, log)
	p.ask(t) // a start tries again
	p.ask(t)
	p.age(t, postmasterRetry)
	p.ask(t)
	if n := strings.Count(log.String(), "refuses the credential"); n != 1 || strings.Contains(log.String(), "PRIVATE KEY") {
		t.Errorf("logged %d times:\n%s", n, log)
	}
	g.credential(t, path, g.account)
	p.ask(t)
	if got := g.requests(); got != nil {
		t.Errorf("asked within the hour: %q", got)
	}
	p.age(t, postmasterRetry)
	p.ask(t)
	all, err := p.reporting.PostmasterAsked(t.Context())
	if err != nil || len(all) != 2 || all[0].Problem != "" || all[1].Domain != "example.com" || all[1].Problem != "" || len(g.requests()) != 1 {
		t.Errorf("%+v, %v", all, err)
	}
	p.release()

	if err := os.WriteFile(path, []byte("not JSON"), 0o600); err != nil {
		t.Fatal(err)
	}
	p = g.prepared(t, data, log)
	p.age(t, 2*postmasterEvery)
	p.ask(t)
	if all, err = p.reporting.PostmasterAsked(t.Context()); err != nil || !strings.Contains(all[0].Problem, "no key of a service account") {
		t.Errorf("%+v, %v", all, err)
	}
	p.release()
	bad := g.asking(t, data, log)
	bad.Postmaster.Credential = "the secret itself"
	if _, err := New(t.Context(), bad); fault.CodeOf(err) != fault.Invalid || strings.Contains(err.Error(), "itself") {
		t.Errorf("a credential that is none: %v", err)
	}
	bad.Postmaster.Credential, bad.Postmaster.Subject = "", "ann@example.com"
	if _, err := New(t.Context(), bad); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("a subject without a credential: %v", err)
	}
}

// Where Google has had enough, the rest waits for the next hour; what was fetched is not asked for again.
func TestPostmasterIsBusy(t *testing.T) {
	g := startGmail(t)
	for _, name := range []string{"a.example.com", "b.example.com", "c.example.com", "unknown.example.com"} {
		g.has(name, "OWNER")
		g.saw(name, time.Now().UTC().AddDate(0, 0, -3), map[string]any{"dkimSuccessRatio": 1})
	}
	delete(g.stats, "unknown.example.com")
	g.busy["b.example.com"] = true
	data, log := t.TempDir(), &notes{}
	g.credential(t, filepath.Join(data, "google.json"), g.account)
	p := g.prepared(t, data, log)
	defer p.release()
	names := func(asked []string) (out []string) {
		for _, a := range asked {
			name, _, _ := strings.Cut(a, " ")
			out = append(out, name)
		}
		return slices.Compact(out)
	}
	p.ask(t)
	if got := names(g.requests()); !slices.Equal(got, []string{"a.example.com", "b.example.com"}) {
		t.Errorf("asked %q", got)
	}
	all, err := p.reporting.PostmasterAsked(t.Context())
	if err != nil || len(all) != 2 || all[0].Problem == "" || all[1].Domain != "a.example.com" {
		t.Errorf("%+v, %v", all, err)
	}
	g.busy["b.example.com"] = false
	p.age(t, postmasterRetry)
	p.ask(t)
	if got := names(g.requests()); !slices.Equal(got, []string{"b.example.com", "c.example.com", "unknown.example.com"}) {
		t.Errorf("asked %q", got)
	}
	if all, err = p.reporting.PostmasterAsked(t.Context()); err != nil || len(all) != 5 || all[0].Problem != "" || !strings.Contains(all[4].Hint, "add the domain") {
		t.Errorf("%+v, %v", all, err)
	}
}
