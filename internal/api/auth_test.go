package api_test

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/agentapi"
	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fault"
)

// spec is what a test reads of the OpenAPI description.
type spec struct {
	OpenAPI string `json:"openapi"`
	Paths   map[string]map[string]struct {
		OperationID string `json:"operationId"`
		Description string `json:"description"`
		Parameters  []struct{ Name, In string }
		Responses   map[string]json.RawMessage
	}
	Components struct{ Schemas map[string]json.RawMessage }
}

func (b *bench) spec(t *testing.T) spec {
	t.Helper()
	answer, err := b.http(nil).Get(b.server.URL + "/openapi.json")
	must(t, err)
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	must(t, err)
	var s spec
	must(t, json.Unmarshal(content, &s))
	return s
}

func TestDescription(t *testing.T) {
	s := newBench(t, nil).spec(t)
	if !strings.HasPrefix(s.OpenAPI, "3.1") || len(s.Paths) < 25 {
		t.Fatalf("OpenAPI %s with %d paths", s.OpenAPI, len(s.Paths))
	}
	if _, there := s.Components.Schemas["ErrorModel"]; there {
		t.Error("it describes errors that are never sent")
	}
	places := regexp.MustCompile(`\{(\w+)\}`)
	for path, operations := range s.Paths {
		for method, o := range operations {
			for _, place := range places.FindAllStringSubmatch(path, -1) {
				found := false
				for _, p := range o.Parameters {
					found = found || p.In == "path" && p.Name == place[1]
				}
				if !found {
					t.Errorf("%s %s does not read {%s}", method, path, place[1])
				}
			}
			if !strings.Contains(string(o.Responses["default"]), `schemas/Error"`) {
				t.Errorf("%s %s: errors are %s", method, path, o.Responses["default"])
			}
		}
	}
}

// Every operation is tried without a token, with a wrong one, and with every role that is too small for it.
func TestEveryOperationAsksWhoAndHowMuch(t *testing.T) {
	b := newBench(t, nil)
	before, err := b.store.Inventory(t.Context())
	must(t, err)
	h := b.http(nil)
	tried := 0
	for path, operations := range b.spec(t).Paths {
		path = regexp.MustCompile(`\{\w+\}`).ReplaceAllString(path, "example.org")
		for method, o := range operations {
			method = strings.ToUpper(method)
			body := ""
			if method == "POST" || method == "PUT" {
				body = bodyFor(o.OperationID)
			}
			for _, token := range []string{"", "psa1.at_x.y", "hunter2"} {
				if status, e := b.raw(t, h, method, path, token, body); status != http.StatusUnauthorized || e.Code != "unauthenticated" {
					t.Errorf("%s %s with token %q: %d %+v", method, path, token, status, e)
				}
			}
			for _, role := range []access.Role{access.Viewer, access.Operator} {
				if strings.Contains(o.Description, "role "+string(role)) {
					break
				}
				tried++
				if status, e := b.raw(t, h, method, path, b.tokens[role], body); status != http.StatusForbidden || e.Code != "denied" || e.Hint == "" {
					t.Errorf("%s %s as %s: %d %+v", method, path, role, status, e)
				}
				if strings.Contains(o.Description, "role operator") {
					break
				}
			}
		}
	}
	if tried < 20 {
		t.Errorf("only %d refusals were tried", tried)
	}
	after, err := b.store.Inventory(t.Context())
	must(t, err)
	if after.Generation != before.Generation {
		t.Error("something changed")
	}
}

// The table of roles in docs/operations.md has every command that needs more than looking, at the role that it needs.
func TestRolesAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../../docs/operations.md")
	must(t, err)
	rows := map[string]string{}
	for _, role := range []string{"operator", "admin"} {
		_, rest, found := strings.Cut(string(page), "\n| `"+role+"` | also ")
		if !found {
			t.Fatalf("no row for %s", role)
		}
		rows[role], _, _ = strings.Cut(rest, "\n")
	}
	commands := map[string]string{
		"audit": "domain audit --now", "rotate": "rotate", "hold": "hold", "release": "release", "waive": "waive", "freeze": "freeze", "thaw": "thaw", "check": "check", "approve": "approve",
		"mute": "finding mute", "unmute": "finding unmute", "check-ticket": "ticket check", "note-ticket": "ticket note", "join-tokens": "token list", "ask-probes": "probe send", "import-reports": "report import", "raw-report": "report show --raw",
		"apply": "apply", "set-dmarc": "dmarc set", "change-service": "service add", "revoke": "revoke", "adopt-record": "record adopt", "disown-record": "record disown",
		"decommission": "server decommission", "remove-report": "report remove", "join-token-add": "token add", "join-token-revoke": "token remove",
		"users": "user", "user-add": "user", "user-disable": "user", "access-token-add": "user", "access-tokens": "user", "access-token-revoke": "user",
	}
	for path, operations := range newBench(t, nil).spec(t).Paths {
		for _, o := range operations {
			_, role, _ := strings.Cut(o.Description, "Needs the role ")
			role = strings.TrimSuffix(role, ".")
			if role == "viewer" {
				continue
			}
			if command := commands[o.OperationID]; command == "" || !strings.Contains(rows[role], "`"+command+"`") {
				t.Errorf("%s (%s) needs the role %s; its row says %s", path, o.OperationID, role, rows[role])
			}
		}
	}
}

// bodyFor is a body that the operation would take.
func bodyFor(operation string) string {
	return map[string]string{
		"import-reports": `x`, "plan-fleet": `{"fleet":{}}`, "apply": `{"fleet":{},"generation":1}`, "rotate": `{}`, "hold": `{"reason":"x"}`, "freeze": `{"reason":"x"}`,
		"waive": `{"server":"ns","until":"2099-01-01T00:00:00Z","reason":"x"}`, "revoke": `{"reason":"x"}`, "approve": `{"step":"activate"}`,
		"decommission": `{"reason":"x"}`, "plan-service": `{"service":"x"}`, "change-service": `{"service":"x"}`, "join-token-add": `{"server":"mx1"}`, "user-add": `{"name":"eve","role":"viewer"}`, "access-token-add": `{}`,
		"plan-dmarc": `{"value":"v=DMARC1; p=none"}`, "set-dmarc": `{"value":"v=DMARC1; p=none"}`,
		"mute": `{"domain":"example.org","id":"X","reason":"x","until":"2099-01-01T00:00:00Z"}`, "unmute": `{"domain":"example.org","id":"X"}`,
		"note-ticket": `{"note":"x"}`, "ask-probes": `{"server":"mx1"}`, "adopt-record": `{"name":"x","reason":"x"}`, "disown-record": `{"name":"x","reason":"x"}`,
	}[operation]
}

func TestBadRequestsAreToldApart(t *testing.T) {
	b := newBench(t, nil)
	h, token := b.http(nil), b.tokens[access.Admin]
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		says               string
	}{
		"no such place":           {"GET", "/v1/nothing", "", 404, "/v1/nothing"},
		"wrong method":            {"DELETE", "/v1/status", "", 404, "DELETE"},
		"outside of the API":      {"GET", "/etc/passwd", "", 404, "/etc/passwd"},
		"not JSON":                {"POST", "/v1/domains/example.org/rotate", "{", 400, "JSON"},
		"unknown field":           {"POST", "/v1/domains/example.org/rotate", `{"singer":"mx1"}`, 422, "singer"},
		"wrong type":              {"POST", "/v1/domains/example.org/rotate", `{"signer":7}`, 422, "signer"},
		"missing reason":          {"PUT", "/v1/domains/example.org/hold", `{}`, 422, "reason"},
		"empty reason":            {"PUT", "/v1/domains/example.org/hold", `{"reason":""}`, 422, "reason"},
		"bad time":                {"PUT", "/v1/domains/example.org/hold", `{"reason":"x","until":"tomorrow"}`, 422, "until"},
		"time that has passed":    {"PUT", "/v1/domains/example.org/hold", `{"reason":"x","until":"2001-01-01T00:00:00Z"}`, 400, "passed"},
		"unknown parameter":       {"GET", "/v1/domains?labl=x", "", 422, "labl"},
		"page beyond the limit":   {"GET", "/v1/domains?limit=100000", "", 422, "limit"},
		"huge body":               {"POST", "/v1/domains/example.org/rotate", `{"signer":"` + strings.Repeat("x", 100<<10) + `"}`, 413, "large"},
		"huge document":           {"POST", "/v1/plan", `{"fleet":"` + strings.Repeat("x", 32<<20+1000) + `"}`, 413, "large"},
		"no document":             {"POST", "/v1/apply", `{}`, 422, "fleet"},
		"document of strangers":   {"POST", "/v1/apply", `{"fleet":{"colour":"red"}}`, 400, "colour"},
		"document that is a list": {"POST", "/v1/apply", `{"fleet":[]}`, 400, "array"},
		"broken document":         {"POST", "/v1/apply", `{"fleet":{"dns":{},"domains":[{"name":"not a name","mode":"managed"}]}}`, 400, "not a name"},
		"domain nobody has":       {"GET", "/v1/status/nobody.example", "", 404, "nobody.example"},
		"key nobody has":          {"GET", "/v1/domains/example.org/keys/x", "", 404, "selector x"},
		"server nobody has":       {"GET", "/v1/servers/mx9", "", 404, "mx9"},
		"token for nobody":        {"POST", "/v1/join-tokens", `{"server":"mx9"}`, 404, "mx9"},
		"token for a pool":        {"POST", "/v1/join-tokens", `{"server":"web"}`, 404, "web"},
		"network of rubbish":      {"POST", "/v1/join-tokens", `{"server":"mx1","network":"here"}`, 400, "here"},
		"role of rubbish":         {"POST", "/v1/users", `{"name":"eve","role":"emperor"}`, 422, "role"},
	} {
		t.Run(name, func(t *testing.T) {
			status, e := b.raw(t, h, c.method, c.path, token, c.body)
			if status != c.status || !strings.Contains(e.Message+e.Hint, c.says) {
				t.Errorf("%d %+v, want %d with %q", status, e, c.status, c.says)
			}
			if e.Code == "internal" {
				t.Errorf("called our own mistake: %+v", e)
			}
		})
	}
}

func TestLabelsLimitWhatIsSeen(t *testing.T) {
	b := newBench(t, nil)
	c := b.as(t, b.user(t, "carl", access.Admin, "customer-a"))
	page, err := c.Domains(t.Context(), "", 0)
	must(t, err)
	if len(page.Domains) != 1 || page.Domains[0].Name != "example.org" {
		t.Errorf("sees %+v", page.Domains)
	}
	status, err := c.StatusPage(t.Context(), "", 0)
	must(t, err)
	if len(status.Domains) != 1 {
		t.Errorf("status of %d domains", len(status.Domains))
	}
	_, err = c.Status(t.Context(), "example.net")
	wantCode(t, err, fault.NotFound)
	wantCode(t, c.Hold(t.Context(), "example.net", client.HoldRequest{Reason: "x"}), fault.NotFound)
	must(t, c.Hold(t.Context(), "example.org", client.HoldRequest{Reason: "x"}))
	_, err = c.Apply(t.Context(), client.FleetRequest{Fleet: document(t, fleetYAML), Generation: 1})
	wantCode(t, err, fault.Denied)
	_, err = c.Journal(t.Context(), client.JournalQuery{})
	wantCode(t, err, fault.Denied)
	entries, err := c.Journal(t.Context(), client.JournalQuery{Domain: "example.org"})
	must(t, err)
	if len(entries.Entries) == 0 {
		t.Error("no journal of the own domain")
	}
	for records, err := range c.Records(t.Context(), client.RecordQuery{}) {
		must(t, err)
		for _, r := range records.Records {
			if r.Domain != "example.org" {
				t.Errorf("sees the record %s", r.Name)
			}
		}
	}
	me, err := c.Me(t.Context())
	must(t, err)
	if me.Name != "carl" || len(me.Labels) != 1 {
		t.Errorf("is %+v", me)
	}
}

// What receivers refuse names domains, and those of others are not shown.
func TestLabelsLimitRefusals(t *testing.T) {
	b := newBench(t, nil)
	mx1, _ := b.joined(t, "mx1")
	now := time.Now()
	report := agentapi.Report{Version: agentapi.Version, UnixTime: now.Unix()}
	for _, domain := range []string{"example.org", "example.net", "stranger.example"} {
		report.Refusals = append(report.Refusals, agentapi.Refusal{Hour: now.Truncate(time.Hour).Unix(), Domain: domain, Receiver: "Gmail", Code: "5.7.26", Cause: "authentication", Permanent: true,
			Messages: 3, First: now.Unix(), Last: now.Unix(), Text: "the sender is unauthenticated"})
	}
	if _, status, e := post[agentapi.ReportResponse](t, b, mx1, "report", report); status != http.StatusOK {
		t.Fatalf("report: %d %+v", status, e)
	}
	for _, c := range []struct {
		labels []string
		want   string
	}{
		{nil, "example.net example.org stranger.example"},
		{[]string{"customer-a"}, "example.org"},
		{[]string{"customer-c"}, ""},
		{[]string{"customer-b"}, "example.net"},
		{[]string{"customer-b", "customer-a"}, "example.net example.org"},
	} {
		u := b.as(t, b.user(t, "user"+strings.Join(c.labels, "-"), access.Viewer, c.labels...))
		names := func(refused []client.Refused) string {
			var all []string
			for _, r := range refused {
				all = append(all, r.Domain)
			}
			slices.Sort(all)
			return strings.Join(all, " ")
		}
		one, err := u.Server(t.Context(), "mx1")
		must(t, err)
		if got := names(one.Refused); got != c.want {
			t.Errorf("%v: mx1 is shown with refusals of %q, want %q", c.labels, got, c.want)
		}
		all, err := u.Servers(t.Context())
		must(t, err)
		at := slices.IndexFunc(all.Servers, func(s client.Server) bool { return s.Name == "mx1" })
		if got := names(all.Servers[at].Refused); got != c.want {
			t.Errorf("%v: the list has refusals of %q, want %q", c.labels, got, c.want)
		}
	}
}
