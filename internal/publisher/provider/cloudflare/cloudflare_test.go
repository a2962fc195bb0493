package cloudflare_test

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/libdns/libdns"
	"go.uber.org/goleak"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher"
	"github.com/postseal/postseal/internal/publisher/hosted"
	"github.com/postseal/postseal/internal/publisher/provider/cloudflare"
	"github.com/postseal/postseal/internal/publisher/providertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "cf-token-of-the-tests-0123456789"

// raw is how values come back that were typed in the console before it asked for quotes.
func raw(_, value string) string { return value }

func TestStandIn(t *testing.T) {
	providertest.RunHosted(t, providertest.Hosted{New: cloudflare.New, API: standIn, Secret: token, Zone: "example.org", Raw: raw, Paged: true})
}

// A proxied CNAME shows Cloudflare's addresses to resolvers, whatever its target: it is not what we wrote.
func TestProxied(t *testing.T) {
	w := providertest.Wrap(t, providertest.Hosted{New: cloudflare.New, API: standIn, Secret: token, Zone: "example.org", Raw: raw})
	w.Host.Plant("example.org", providertest.HostRecord{Name: "s1._domainkey.example.org", Type: "CNAME", Raw: "target.example.net proxied", TTL: 1})
	c := publisher.Change{Name: "s1._domainkey", Type: "CNAME", Want: []libdns.Record{publisher.NewRecord("s1._domainkey", "CNAME", "target.example.net", time.Hour)}}
	_, err := w.Provider.Set(t.Context(), "example.org", c)
	if err == nil || fault.CodeOf(err) != fault.Conflict || !strings.Contains(err.Error(), "(proxied) target.example.net") {
		t.Fatalf("%v, want a conflict that says proxied", err)
	}
}

// With zone_id a token needs no right to list zones.
func TestZoneID(t *testing.T) {
	v := providertest.Hosted{New: func(o hosted.Options) (*hosted.Provider, error) {
		o.Zone, o.ZoneID = "example.org", id("example.org")
		return cloudflare.New(o)
	}, Secret: token, Zone: "example.org", Raw: raw}
	v.API = func(host *providertest.Host, clock *providertest.Clock) http.Handler {
		api := standIn(host, clock)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/zones" {
				refuse(w, http.StatusForbidden, 9109, "Unauthorized to access requested resource")
				return
			}
			api.ServeHTTP(w, r)
		})
	}
	w := providertest.Wrap(t, v)
	c := publisher.Change{Name: "_dmarc", Type: "TXT", Want: []libdns.Record{publisher.NewRecord("_dmarc", "TXT", "v=DMARC1; p=none", time.Hour)}}
	if outcome, err := w.Provider.Set(t.Context(), "example.org", c); err != nil || outcome != publisher.Done {
		t.Fatalf("%q, %v", outcome, err)
	}
}

// What Cloudflare says in its own words, and what becomes of it.
func TestRefusalsOfTheVendor(t *testing.T) {
	tests := []struct {
		status int
		body   string
		code   fault.Code
		words  string
	}{
		{400, `{"success":false,"errors":[{"code":6003,"message":"Invalid request headers","error_chain":[{"code":6111,"message":"Invalid format for Authorization header"}]}],"messages":[],"result":null}`, fault.Denied, "Invalid format for Authorization header [6111]"},
		{403, `{"success":false,"errors":[{"code":10000,"message":"Authentication error"}]}`, fault.Denied, "Authentication error [10000]"},
		{200, `{"success":false,"errors":[{"code":9109,"message":"Invalid access token"}],"result":null}`, fault.Denied, "Invalid access token"},
		{400, `{"success":false,"errors":[{"code":9021,"message":"Invalid TTL. Must be between 60 and 86400 seconds"}]}`, fault.Invalid, "Invalid TTL"},
		{429, `{"success":false,"errors":[{"code":971,"message":"Please wait and consider throttling your request speed"}]}`, fault.Unavailable, "throttling"},
		{400, "{\"success\":false,\"errors\":[{\"code\":1,\"message\":\"two\\nlines \\u001b[31m and " + strings.Repeat("x", 5000) + "\"}]}", fault.Invalid, "two lines [31m and xxx"},
		{502, "<html>Bad gateway</html>", fault.Unavailable, "502: Bad Gateway"},
		{200, `{"success":true,"result":{"id":"not a list"}}`, fault.Unavailable, "not the JSON of its API"},
		{200, `{}`, fault.Unavailable, "200"},
	}
	for _, tt := range tests {
		w := providertest.Wrap(t, providertest.Hosted{New: cloudflare.New, Secret: token, Zone: "example.org", Raw: raw,
			API: func(*providertest.Host, *providertest.Clock) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Type", "application/json")
					w.WriteHeader(tt.status)
					w.Write([]byte(tt.body))
				})
			}})
		_, err := w.Provider.Get(t.Context(), "example.org", "s1._domainkey")
		if err == nil {
			t.Fatalf("%d %s: no error", tt.status, tt.body)
		}
		message, _ := fault.Show(err)
		if fault.CodeOf(err) != tt.code || !strings.Contains(message, tt.words) || len(message) > 500 || strings.ContainsAny(message, "\n\x1b") {
			t.Errorf("%d: %s %q, want %s with %q", tt.status, fault.CodeOf(err), message, tt.code, tt.words)
		}
	}
}

// id makes the id of a zone: 32 hexadecimal digits there.
func id(zone string) string {
	sum := sha256.Sum256([]byte(zone))
	return hex.EncodeToString(sum[:16])
}

func refuse(w http.ResponseWriter, status, code int, message string) {
	providertest.JSON(w, status, map[string]any{"success": false, "errors": []any{map[string]any{"code": code, "message": message}}, "messages": []any{}, "result": nil})
}

type record struct {
	ID      string `json:"id,omitempty"`
	Name    string `json:"name"`
	Type    string `json:"type"`
	Content string `json:"content"`
	TTL     int    `json:"ttl"`
	Proxied bool   `json:"proxied"`
}

// standIn behaves as developers.cloudflare.com documents: bearer tokens, the envelope, zones and records by pages, ids, and the checks of
// a record.
func standIn(host *providertest.Host, _ *providertest.Clock) http.Handler {
	zoneOf := func(r *http.Request) (string, bool) {
		for _, z := range host.Zones() {
			if id(z) == r.PathValue("zone") {
				return z, true
			}
		}
		return "", false
	}
	show := func(r providertest.HostRecord) record {
		content, proxied := strings.CutSuffix(r.Raw, " proxied")
		return record{r.ID, r.Name, r.Type, content, r.TTL, proxied}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /zones", func(w http.ResponseWriter, r *http.Request) {
		var out []any
		for _, z := range host.Zones() {
			if r.FormValue("name") == "" || r.FormValue("name") == z {
				out = append(out, map[string]string{"id": id(z), "name": z, "status": "active"})
			}
		}
		list(w, r, host, out, 50)
	})
	mux.HandleFunc("GET /zones/{zone}/dns_records", func(w http.ResponseWriter, r *http.Request) {
		zone, ok := zoneOf(r)
		if !ok {
			refuse(w, http.StatusNotFound, 7003, "Could not route to the zone, perhaps your object identifier is invalid?")
			return
		}
		var out []any
		for _, rec := range host.At(zone, r.FormValue("name")) {
			out = append(out, show(rec))
		}
		list(w, r, host, out, 5000)
	})
	write := func(w http.ResponseWriter, r *http.Request, existing string) {
		zone, ok := zoneOf(r)
		if _, found := host.Find(zone, existing); !ok || existing != "" && !found {
			refuse(w, http.StatusNotFound, 81044, "Record does not exist.")
			return
		}
		in, err := providertest.Body[record](r)
		if err != nil {
			refuse(w, http.StatusBadRequest, 9207, "Request body is invalid.")
			return
		}
		in.ID = existing
		if code, message := check(host.At(zone, in.Name), in); code != 0 {
			refuse(w, http.StatusBadRequest, code, message)
			return
		}
		rec := providertest.HostRecord{ID: existing, Name: in.Name, Type: in.Type, Raw: strings.TrimSuffix(in.Content, "."), TTL: in.TTL}
		if existing == "" {
			rec, err = host.Create(zone, rec)
		} else {
			err = host.Update(zone, rec)
		}
		if err != nil {
			refuse(w, http.StatusInternalServerError, 1000, "An unknown error has occurred")
			return
		}
		providertest.JSON(w, http.StatusOK, map[string]any{"success": true, "errors": []any{}, "result": show(rec)})
	}
	mux.HandleFunc("POST /zones/{zone}/dns_records", func(w http.ResponseWriter, r *http.Request) { write(w, r, "") })
	mux.HandleFunc("PUT /zones/{zone}/dns_records/{record}", func(w http.ResponseWriter, r *http.Request) { write(w, r, r.PathValue("record")) })
	mux.HandleFunc("DELETE /zones/{zone}/dns_records/{record}", func(w http.ResponseWriter, r *http.Request) {
		zone, _ := zoneOf(r)
		if _, found := host.Find(zone, r.PathValue("record")); !found {
			refuse(w, http.StatusNotFound, 81044, "Record does not exist.")
			return
		}
		if host.Delete(zone, r.PathValue("record")) != nil {
			refuse(w, http.StatusInternalServerError, 1000, "An unknown error has occurred")
			return
		}
		providertest.JSON(w, http.StatusOK, map[string]any{"success": true, "errors": []any{}, "result": map[string]string{"id": r.PathValue("record")}})
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			refuse(w, http.StatusForbidden, 9109, "Invalid access token")
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// check is what the API checks before it takes a record.
func check(standing []providertest.HostRecord, in record) (code int, message string) {
	if in.TTL != 1 && (in.TTL < 60 || in.TTL > 86400) {
		return 9021, "Invalid TTL. Must be between 60 and 86400 seconds, or 1 for Automatic."
	}
	if _, ok := hosted.Unquote(in.Content); in.Type == "TXT" && (!ok || !strings.HasPrefix(in.Content, `"`)) {
		return 9101, "TXT content must be quoted"
	}
	for _, s := range standing {
		switch {
		case s.ID == in.ID:
		case s.Type == in.Type && s.Raw == strings.TrimSuffix(in.Content, "."):
			return 81058, "An identical record already exists."
		case s.Type == "CNAME" || in.Type == "CNAME":
			return 81053, "An A, AAAA, or CNAME record with that host already exists."
		}
	}
	return 0, ""
}

func list(w http.ResponseWriter, r *http.Request, host *providertest.Host, all []any, most int) {
	size, _ := strconv.Atoi(r.FormValue("per_page"))
	number, _ := strconv.Atoi(r.FormValue("page"))
	if size < 1 || size > most {
		refuse(w, http.StatusBadRequest, 6003, "Invalid per_page")
		return
	}
	page, pages, _ := providertest.Page(host, all, number, size)
	providertest.JSON(w, http.StatusOK, map[string]any{
		"success": true, "errors": []any{}, "messages": []any{}, "result": append([]any{}, page...),
		"result_info": map[string]int{"page": number, "per_page": size, "total_pages": pages, "count": len(page), "total_count": len(all)},
	})
}

func FuzzReplies(f *testing.F) {
	providertest.FuzzReplies(f, providertest.Hosted{New: cloudflare.New, Secret: token, Zone: "example.org"})
}
