package postmaster_test

import (
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
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/serviceclient/postmaster"
	"github.com/postseal/postseal/internal/webapi"
)

// keys are the right key of the service account and a wrong one.
var keys = sync.OnceValue(func() [2]*rsa.PrivateKey {
	var out [2]*rsa.PrivateKey
	for i := range out {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		out[i] = key
	}
	return out
})

const robot = "reports@my-project.iam.gserviceaccount.com"

func account(key *rsa.PrivateKey, tokenURI string) string {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	text, err := json.Marshal(map[string]string{"type": "service_account", "client_email": robot, "private_key_id": "k1", "token_uri": tokenURI,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))})
	if err != nil {
		panic(err)
	}
	return string(text)
}

// google answers as Google documents: tokens for assertions (RFC 7523 §3) and the API, of which it speaks one version.
type google struct {
	t       *testing.T
	version int
	url     string
	subject string // that the assertion must name

	mu      sync.Mutex
	tokens  int // given out; only the last one is good
	busy    int // requests that are refused for their number
	asked   []string
	domains []map[string]any
	stats   map[string][]map[string]any // of readable domains
	raw     string                      // answers everything
}

func newGoogle(t *testing.T, version int) *google {
	g := &google{t: t, version: version, stats: map[string][]map[string]any{}}
	s := httptest.NewServer(g)
	t.Cleanup(s.Close)
	g.url = s.URL
	return g
}

func (g *google) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	if r.URL.Path == "/token" {
		g.token(w, r)
		return
	}
	if r.Header.Get("Authorization") != "Bearer ya29."+strconv.Itoa(g.tokens) {
		g.refuse(w, 401, "UNAUTHENTICATED", "Request had invalid authentication credentials.", "")
		return
	}
	g.asked = append(g.asked, r.URL.Path+"?"+r.URL.RawQuery)
	if g.busy > 0 {
		g.busy--
		w.Header().Set("Retry-After", "3")
		g.refuse(w, 429, "RESOURCE_EXHAUSTED", "Quota exceeded for quota metric 'Queries'.", "RATE_LIMIT_EXCEEDED")
		return
	}
	if g.raw != "" {
		fmt.Fprint(w, g.raw)
		return
	}
	base := fmt.Sprintf("/v%d/domains", g.version)
	if r.URL.Path == base && r.Method == http.MethodGet {
		g.page(w, r, "domains", g.domains)
		return
	}
	parts := strings.Split(strings.TrimPrefix(r.URL.Path, base+"/"), "/")
	stats, readable := g.stats[parts[0]]
	switch {
	case parts[0] == "unverified.example":
		g.refuse(w, 403, "PERMISSION_DENIED", "The caller does not have permission", "")
	case parts[0] == "disabled.example":
		g.refuse(w, 403, "PERMISSION_DENIED", "Gmail Postmaster Tools API has not been used in project 7 before or it is disabled.", "SERVICE_DISABLED")
	case !readable:
		g.refuse(w, 404, "NOT_FOUND", "Requested entity was not found.", "")
	case g.version == 2 && r.Method == http.MethodPost && len(parts) == 2 && parts[1] == "domainStats:query":
		g.query(w, r, parts[0], stats)
	case g.version != 1 || len(parts) != 2 || parts[1] != "trafficStats" || r.Method != http.MethodGet:
		g.refuse(w, 404, "NOT_FOUND", "Method not found.", "")
	default:
		date := func(name string) string {
			n := func(part string) int { v, _ := strconv.Atoi(r.FormValue(name + "." + part)); return v }
			return fmt.Sprintf("%04d%02d%02d", n("year"), n("month"), n("day"))
		}
		from, until := date("startDate"), date("endDate")
		if from > until {
			g.refuse(w, 400, "INVALID_ARGUMENT", "Request contains an invalid argument.", "")
			return
		}
		var within []map[string]any
		for _, s := range stats {
			if d := s["name"].(string)[len(s["name"].(string))-8:]; d >= from && d < until {
				within = append(within, s)
			}
		}
		g.page(w, r, "trafficStats", within)
	}
}

// query answers domains.domainStats.query from what version 1 would say, three figures at a time.
func (g *google) query(w http.ResponseWriter, r *http.Request, domain string, stats []map[string]any) {
	type day struct{ Year, Month, Day int }
	var q struct {
		MetricDefinitions []struct {
			Name       string
			BaseMetric struct{ StandardMetric string }
			Filter     string
		}
		TimeQuery struct {
			DateRanges struct {
				DateRanges []struct{ Start, End day }
			}
		}
		PageSize               int
		PageToken              string
		AggregationGranularity string
	}
	if err := json.NewDecoder(r.Body).Decode(&q); err != nil || q.PageSize < 1 || q.PageSize > 200 || q.AggregationGranularity != "DAILY" || len(q.TimeQuery.DateRanges.DateRanges) != 1 {
		g.refuse(w, 400, "INVALID_ARGUMENT", "Request contains an invalid argument.", "")
		return
	}
	span := q.TimeQuery.DateRanges.DateRanges[0]
	number := func(d day) string { return fmt.Sprintf("%04d%02d%02d", d.Year, d.Month, d.Day) }
	var all []map[string]any
	for _, s := range stats {
		at, err := time.Parse("20060102", s["name"].(string)[len(s["name"].(string))-8:])
		if text := at.Format("20060102"); err != nil || text < number(span.Start) || text > number(span.End) {
			continue
		}
		for _, m := range q.MetricDefinitions {
			var v any
			switch m.BaseMetric.StandardMetric + " " + m.Filter {
			case `AUTH_SUCCESS_RATE auth_type = "dkim"`:
				v = s["dkimSuccessRatio"]
			case `AUTH_SUCCESS_RATE auth_type = "spf"`:
				v = s["spfSuccessRatio"]
			case `AUTH_SUCCESS_RATE auth_type = "dmarc"`:
				v = s["dmarcSuccessRatio"]
			case `SPAM_RATE `:
				v = s["userReportedSpamRatio"]
			case `DELIVERY_ERROR_RATE error_type = "reject" AND error_reason = "stamp_policy_error"`:
				v = s["policy"]
			case `DELIVERY_ERROR_RATE error_type = "temp_fail" AND error_reason = "other"`:
				v = s["later"]
			default:
				if m.BaseMetric.StandardMetric != "DELIVERY_ERROR_RATE" {
					g.refuse(w, 400, "INVALID_ARGUMENT", "Invalid filter.", "")
					return
				}
				v = "NaN"
			}
			value := map[string]any{"doubleValue": v}
			if v == nil {
				value = map[string]any{}
			}
			all = append(all, map[string]any{"name": "domains/" + domain + "/domainStats/abc", "metric": m.Name, "value": value, "date": map[string]int{"year": at.Year(), "month": int(at.Month()), "day": at.Day()}})
		}
	}
	from := 0
	if q.PageToken != "" {
		from, _ = strconv.Atoi(strings.TrimPrefix(q.PageToken, "next="))
	}
	to := min(from+3, len(all))
	out := map[string]any{"domainStats": all[from:to]}
	if to < len(all) {
		out["nextPageToken"] = "next=" + strconv.Itoa(to)
	}
	_ = json.NewEncoder(w).Encode(out)
}

// page gives two entries at a time, however many are asked for.
func (g *google) page(w http.ResponseWriter, r *http.Request, what string, all []map[string]any) {
	if n, err := strconv.Atoi(r.FormValue("pageSize")); err != nil || n < 1 {
		g.t.Errorf("pageSize %q", r.FormValue("pageSize"))
	}
	from := 0
	if token := r.FormValue("pageToken"); token != "" {
		from, _ = strconv.Atoi(strings.TrimPrefix(token, "next="))
	}
	out := map[string]any{}
	if to := min(from+2, len(all)); to > from {
		out[what] = all[from:to]
		if to < len(all) {
			out["nextPageToken"] = "next=" + strconv.Itoa(to)
		}
	}
	_ = json.NewEncoder(w).Encode(out)
}

func (g *google) refuse(w http.ResponseWriter, code int, status, message, reason string) {
	e := map[string]any{"code": code, "status": status, "message": message}
	if reason != "" {
		e["details"] = []map[string]any{{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": reason}}
	}
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{"error": e})
}

func (g *google) token(w http.ResponseWriter, r *http.Request) {
	refuse := func(why string) {
		w.WriteHeader(http.StatusBadRequest)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": "invalid_grant", "error_description": why})
	}
	parts := strings.Split(r.FormValue("assertion"), ".")
	if r.FormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || len(parts) != 3 {
		refuse("no assertion")
		return
	}
	signature, _ := base64.RawURLEncoding.DecodeString(parts[2])
	sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
	scopes := map[int]string{1: "https://www.googleapis.com/auth/postmaster.readonly",
		2: "https://www.googleapis.com/auth/postmaster.domain https://www.googleapis.com/auth/postmaster.traffic.readonly"}
	var claims struct {
		Iss, Scope, Aud, Sub string
		Exp                  int64
	}
	switch {
	case rsa.VerifyPKCS1v15(&keys()[0].PublicKey, crypto.SHA256, sum[:], signature) != nil:
		refuse("Invalid JWT Signature.")
	case json.Unmarshal(payload, &claims) != nil || claims.Iss != robot || claims.Scope != scopes[g.version] || claims.Sub != g.subject ||
		claims.Aud != g.url+"/token" || claims.Exp < time.Now().Unix():
		refuse("wrong claims")
	default:
		g.tokens++
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "ya29." + strconv.Itoa(g.tokens), "expires_in": 3600, "token_type": "Bearer"})
	}
}

// clock is a clock that sleeping turns.
type clock struct {
	mu    sync.Mutex
	now   time.Time
	slept []time.Duration
}

func (c *clock) timing() webapi.Timing {
	return webapi.Timing{
		Now: func() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.now },
		Sleep: func(_ context.Context, d time.Duration) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.now, c.slept = c.now.Add(d), append(c.slept, d)
			return nil
		},
	}
}

func (g *google) client(t *testing.T, key *rsa.PrivateKey, subject string) (*postmaster.Client, *clock) {
	t.Helper()
	t.Setenv("GOOGLE_KEY", account(key, g.url+"/token"))
	clock := &clock{now: time.Now()}
	c, err := postmaster.New(postmaster.Options{Options: webapi.Options{Endpoint: g.url, Credential: "env:GOOGLE_KEY", Timing: clock.timing()}, Subject: subject, Version: g.version})
	if err != nil {
		t.Fatal(err)
	}
	return c, clock
}

func share(v float64) *float64 { return &v }

func date(day int) time.Time { return time.Date(2026, 11, day, 0, 0, 0, 0, time.UTC) }

func stat(domain string, day int, more map[string]any) map[string]any {
	out := map[string]any{"name": fmt.Sprintf("domains/%s/trafficStats/%s", domain, date(day).Format("20060102"))}
	for name, value := range more {
		out[name] = value
	}
	return out
}

// versions runs a test against both versions of the API.
func versions(t *testing.T, test func(t *testing.T, g *google)) {
	for _, version := range []int{1, 2} {
		t.Run(fmt.Sprintf("version %d", version), func(t *testing.T) { test(t, newGoogle(t, version)) })
	}
}

func TestDomains(t *testing.T) { versions(t, testDomains) }

func testDomains(t *testing.T, g *google) {
	for _, d := range [][2]string{{"domains/z.example", "OWNER"}, {"domains/Example.org", "READER"}, {"domains/none.example", "NONE"}, {"domains/new.example", "PERMISSION_UNSPECIFIED"}, {"domains/a..b", "OWNER"}, {"odd", "OWNER"}, {"domains/example.org", "READER"}} {
		g.domains = append(g.domains, map[string]any{"name": d[0], "permission": d[1], "createTime": "2026-01-01T00:00:00Z"})
	}
	g.domains = append(g.domains, map[string]any{"name": "domains/old.example", "permission": "OWNER", "verificationState": "UNVERIFIED"})
	c, _ := g.client(t, keys()[0], "")
	got, err := c.Domains(t.Context())
	want := []postmaster.Domain{{"example.org", true}, {"new.example", false}, {"none.example", false}, {"old.example", false}, {"z.example", true}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if len(g.asked) != 4 || g.tokens != 1 {
		t.Errorf("%d requests, %d tokens", len(g.asked), g.tokens)
	}
}

func TestStats(t *testing.T) { versions(t, testStats) }

func testStats(t *testing.T, g *google) {
	g.subject = "postmaster@example.org"
	for _, day := range []int{12, 10, 11, 9, 14, 15} {
		g.stats["example.org"] = append(g.stats["example.org"], stat("example.org", day, map[string]any{"dkimSuccessRatio": 0.9}))
	}
	g.stats["example.org"][1] = stat("example.org", 10, map[string]any{
		"dkimSuccessRatio": 1, "spfSuccessRatio": 0.998, "dmarcSuccessRatio": 0.5, "userReportedSpamRatio": 0.001, "domainReputation": "HIGH", "outboundEncryptionRatio": 1,
		"policy": 0.2, "later": 0.01,
		"ipReputations": []map[string]any{{"reputation": "BAD"}}, "deliveryErrors": []map[string]any{
			{"errorClass": "TEMPORARY_ERROR", "errorType": "RATE_LIMIT_EXCEEDED", "errorRatio": 0.01}, {"errorClass": "PERMANENT_ERROR", "errorType": "BAD_DMARC_POLICY", "errorRatio": 0.2},
			{"errorClass": "PERMANENT_ERROR", "errorType": "IP_IN_RBL"}, {"errorClass": "PERMANENT_ERROR", "errorType": "something\nodd", "errorRatio": 0.005}}})
	c, _ := g.client(t, keys()[0], g.subject)
	got, err := c.Stats(t.Context(), "Example.ORG.", date(10).Add(13*time.Hour), date(15))
	if err != nil {
		t.Fatal(err)
	}
	want := []postmaster.Day{
		{Domain: "example.org", Date: date(10), DKIM: share(1), SPF: share(0.998), DMARC: share(0.5), Spam: share(0.001), Reputation: "HIGH", Errors: []postmaster.DeliveryError{
			{"PERMANENT_ERROR", "BAD_DMARC_POLICY", 0.2}, {"TEMPORARY_ERROR", "RATE_LIMIT_EXCEEDED", 0.01}, {"PERMANENT_ERROR", "UNKNOWN", 0.005}}},
		{Domain: "example.org", Date: date(11), DKIM: share(0.9)}, {Domain: "example.org", Date: date(12), DKIM: share(0.9)}, {Domain: "example.org", Date: date(14), DKIM: share(0.9)},
	}
	if g.version == 2 { // no reputation, other words
		want[0].Reputation, want[0].Errors = "", []postmaster.DeliveryError{{"PERMANENT_ERROR", "STAMP_POLICY_ERROR", 0.2}, {"TEMPORARY_ERROR", "OTHER", 0.01}}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if g.version == 1 && (len(g.asked) != 2 || !strings.Contains(g.asked[0], "startDate.day=10") || !strings.Contains(g.asked[0], "endDate.month=11")) {
		t.Errorf("%q", g.asked)
	}
	day, err := c.Day(t.Context(), "example.org", date(10))
	if diff := cmp.Diff(want[0], day); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
	if _, err := c.Day(t.Context(), "example.org", date(13)); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("a day without mail: %v", err)
	}
}

func TestRefusals(t *testing.T) { versions(t, testRefusals) }

func testRefusals(t *testing.T, g *google) {
	g.stats["example.org"] = nil
	c, clock := g.client(t, keys()[0], "")
	ask := func(domain string) error {
		_, err := c.Stats(t.Context(), domain, date(1), date(10))
		return err
	}
	for domain, want := range map[string]struct {
		code fault.Code
		hint string
	}{
		"unverified.example": {fault.Denied, "verify the domain in Postmaster Tools"},
		"disabled.example":   {fault.Denied, "enable the Gmail Postmaster Tools API"},
		"unknown.example":    {fault.NotFound, "add the domain"},
		"../domains":         {fault.Invalid, ""},
		"a/b.example":        {fault.Invalid, ""},
		"exämple.org":        {fault.Invalid, ""},
		"localhost":          {fault.Invalid, ""},
	} {
		err := ask(domain)
		if _, hint := fault.Show(err); fault.CodeOf(err) != want.code || !strings.Contains(hint, want.hint) {
			t.Errorf("%s: %v (%s)", domain, err, hint)
		}
	}
	for _, span := range [][2]time.Time{{date(2), date(2)}, {date(3), date(2)}, {date(1), date(1).AddDate(0, 0, postmaster.MaxDays+1)}} {
		if _, err := c.Stats(t.Context(), "example.org", span[0], span[1]); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%v: %v", span, err)
		}
	}

	// Too many requests: it waits as long as it is told, and comes again; where that does not end, it says so.
	g.busy = 2
	if err := ask("example.org"); err != nil || len(clock.slept) == 0 || clock.slept[0] < 3*time.Second {
		t.Errorf("%v, slept %v", err, clock.slept)
	}
	g.busy = 100
	if err := ask("example.org"); fault.CodeOf(err) != fault.Unavailable || g.busy < 90 {
		t.Errorf("%v, %d requests", err, 100-g.busy)
	}
	g.busy = 0
	clock.now = clock.now.Add(time.Hour)

	// A token that ended early is exchanged with the next request, a wrong key is told.
	g.mu.Lock()
	g.tokens++
	g.mu.Unlock()
	_ = ask("example.org")
	if err := ask("example.org"); err != nil {
		t.Errorf("after the token was refused: %v", err)
	}
	wrong, _ := g.client(t, keys()[1], "")
	if _, err := wrong.Domains(t.Context()); fault.CodeOf(err) != fault.Denied || strings.Contains(err.Error(), "PRIVATE KEY") {
		t.Errorf("a wrong key: %v", err)
	}
	if _, err := postmaster.New(postmaster.Options{Options: webapi.Options{Credential: "env:X"}, Version: 3}); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("a version that there is not: %v", err)
	}
	if _, err := postmaster.New(postmaster.Options{Options: webapi.Options{Endpoint: "http://example.org", Credential: "env:X"}}); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("an endpoint without TLS: %v", err)
	}
}

// What the API cannot say is not kept.
func TestOddAnswers(t *testing.T) {
	many := strings.Repeat(`{"errorClass":"PERMANENT_ERROR","errorType":"IP_IN_RBL","errorRatio":0.1},`, 101)
	for name, raw := range map[string]string{
		"another domain":  `{"trafficStats":[{"name":"domains/evil.example/trafficStats/20261102"}]}`,
		"no date":         `{"trafficStats":[{"name":"domains/example.org/trafficStats/2026-11-02"}]}`,
		"no name":         `{"trafficStats":[{}]}`,
		"a share of 7":    `{"trafficStats":[{"name":"domains/example.org/trafficStats/20261102","dkimSuccessRatio":7}]}`,
		"a negative one":  `{"trafficStats":[{"name":"domains/example.org/trafficStats/20261102","userReportedSpamRatio":-0.1}]}`,
		"an error's":      `{"trafficStats":[{"name":"domains/example.org/trafficStats/20261102","deliveryErrors":[{"errorRatio":1.1}]}]}`,
		"many errors":     `{"trafficStats":[{"name":"domains/example.org/trafficStats/20261102","deliveryErrors":[` + strings.TrimSuffix(many, ",") + `]}]}`,
		"a page":          `<html>maintenance</html>`,
		"a list for ever": `{"nextPageToken":"again"}`,
		"too much":        `{"x":"` + strings.Repeat("x", 5<<20) + `"}`,
	} {
		g := newGoogle(t, 1)
		g.raw = raw
		c, _ := g.client(t, keys()[0], "")
		if days, err := c.Stats(t.Context(), "example.org", date(1), date(10)); fault.CodeOf(err) != fault.Unavailable || days != nil {
			t.Errorf("%s: %v %v", name, days, err)
		}
	}
	g := newGoogle(t, 1)
	g.raw = `{"trafficStats":[{"name":"domains/example.org/trafficStats/20261102"},{"name":"domains/example.org/trafficStats/20261102"},{"name":"domains/example.org/trafficStats/20251102"}]}`
	c, _ := g.client(t, keys()[0], "")
	if days, err := c.Stats(t.Context(), "example.org", date(1), date(10)); err != nil || len(days) != 1 {
		t.Errorf("a day twice, and one that was not asked for: %v %v", days, err)
	}
	for name, raw := range map[string]string{
		"no date":       `{"domainStats":[{"metric":"dkim","value":{"doubleValue":1},"date":{"year":2026,"month":2,"day":30}}]}`,
		"none at all":   `{"domainStats":[{"metric":"dkim","value":{"doubleValue":1}}]}`,
		"a share of 7":  `{"domainStats":[{"metric":"dkim","value":{"doubleValue":7},"date":{"year":2026,"month":11,"day":2}}]}`,
		"infinite":      `{"domainStats":[{"metric":"spam","value":{"doubleValue":"Infinity"},"date":{"year":2026,"month":11,"day":2}}]}`,
		"no number":     `{"domainStats":[{"metric":"spam","value":{"doubleValue":"x"},"date":{"year":2026,"month":11,"day":2}}]}`,
		"for ever more": `{"nextPageToken":"again"}`,
	} {
		g := newGoogle(t, 2)
		g.raw = raw
		c, _ := g.client(t, keys()[0], "")
		if days, err := c.Stats(t.Context(), "example.org", date(1), date(10)); fault.CodeOf(err) != fault.Unavailable || days != nil {
			t.Errorf("version 2, %s: %v %v", name, days, err)
		}
	}
	g = newGoogle(t, 2)
	g.raw = `{"domainStats":[{"metric":"spf","value":{"floatValue":0.5},"date":{"year":2026,"month":11,"day":2}},{"metric":"spf","value":{"floatValue":0.9},"date":{"year":2026,"month":11,"day":2}},
		{"metric":"of another time","value":{"stringValue":"x"},"date":{"year":2026,"month":11,"day":2}},{"metric":"of another time","value":{"doubleValue":1},"date":{"year":2026,"month":11,"day":2}}]}`
	c, _ = g.client(t, keys()[0], "")
	if days, err := c.Stats(t.Context(), "example.org", date(1), date(10)); err != nil || len(days) != 1 || *days[0].SPF != 0.5 || days[0].Errors != nil {
		t.Errorf("figures that were not asked for: %+v %v", days, err)
	}
}
