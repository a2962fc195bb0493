package powerdns_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/libdns/libdns"
	"go.uber.org/goleak"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher"
	"github.com/postseal/postseal/internal/publisher/hosted"
	"github.com/postseal/postseal/internal/publisher/provider/powerdns"
	"github.com/postseal/postseal/internal/publisher/providertest"
	"github.com/postseal/postseal/internal/webapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open makes a provider whose connections end with the test.
func open(t *testing.T, o hosted.Options) *hosted.Provider {
	t.Helper()
	if o.Transport == nil {
		transport := &http.Transport{}
		t.Cleanup(transport.CloseIdleConnections)
		o.Transport = transport
	}
	p, err := powerdns.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func credential(t *testing.T, secret string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(path, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return "file:" + path
}

func set(name, expect, want string) publisher.Change {
	c := publisher.Change{Name: name, Type: "TXT"}
	if expect != "" {
		c.Expect = []libdns.Record{publisher.NewRecord(name, "TXT", expect, time.Hour)}
	}
	if want != "" {
		c.Want = []libdns.Record{publisher.NewRecord(name, "TXT", want, time.Hour)}
	}
	return c
}

func TestConformanceOnPowerDNS(t *testing.T) {
	server := startPowerDNS(t, "example.org")
	p := open(t, hosted.Options{Endpoint: server.api, Credential: credential(t, apiKey)})
	providertest.Run(t, func(t *testing.T) providertest.Subject {
		return providertest.Subject{Provider: p, Zone: "example.org", Plant: func(t *testing.T, name, rrtype, value string) {
			server.plant(t, "example.org", name, rrtype, hosted.Presentation(hosted.Record{Type: rrtype, Value: value}))
		}}
	})
}

// What was called done is what the server answers, a key of RSA-4096 included.
func TestServed(t *testing.T) {
	server := startPowerDNS(t, "example.org", "sub.example.org")
	p := open(t, hosted.Options{Endpoint: server.api + "/", Credential: credential(t, apiKey)})
	key := "v=DKIM1; k=rsa; p=" + strings.Repeat("M", 736)
	before := ""
	for _, want := range []string{"v=DKIM1; p=A", key, "v=DKIM1; p=", ""} {
		if outcome, err := p.Set(t.Context(), "example.org", set("s1._domainkey", before, want)); err != nil || outcome != publisher.Done {
			t.Fatalf("%q, %v", outcome, err)
		}
		got := strings.Join(server.txt(t, "s1._domainkey.example.org"), "|")
		if got != want {
			t.Errorf("the server answers %q, want %q", got, want)
		}
		before = want
	}
	if outcome, err := p.Set(t.Context(), "sub.example.org", set("@", "", "v=spf1 -all")); err != nil || outcome != publisher.Done {
		t.Fatalf("at the apex: %q, %v", outcome, err)
	}
	if got := server.txt(t, "sub.example.org"); len(got) != 1 || got[0] != "v=spf1 -all" {
		t.Errorf("the server answers %q", got)
	}
}

// A CNAME must not go where other records stand, and a disabled record is somebody's.
func TestOthers(t *testing.T) {
	server := startPowerDNS(t, "example.org")
	p := open(t, hosted.Options{Endpoint: server.api, Credential: credential(t, apiKey)})
	server.plant(t, "example.org", "www", "A", "192.0.2.1")
	alias := publisher.Change{Name: "www", Type: "CNAME", Want: []libdns.Record{publisher.NewRecord("www", "CNAME", "t.example.net", time.Hour)}}
	_, err := p.Set(t.Context(), "example.org", alias)
	if message, _ := fault.Show(err); fault.CodeOf(err) != fault.Conflict || !strings.Contains(message, "192.0.2.1") {
		t.Errorf("%v, want a conflict that names the address", err)
	}

	server.plant(t, "example.org", "off._domainkey", "TXT", `"v=DKIM1; p=off"`)
	server.run(t, nil, "sqlite3", filepath.Join(server.dir, "pdns.db"), "UPDATE records SET disabled=1 WHERE name='off._domainkey.example.org'")
	for words, c := range map[string]publisher.Change{
		"(disabled)":     set("off._domainkey", "", "v=DKIM1; p=A"),
		"disabled)":      set("off._domainkey", "", "v=DKIM1; p=off"),
		"stands nothing": set("off._domainkey", "v=DKIM1; p=off", "v=DKIM1; p=A"),
	} {
		outcome, err := p.Set(t.Context(), "example.org", c)
		if err == nil {
			t.Fatalf("%q over a disabled record", outcome)
		}
		if message, _ := fault.Show(err); fault.CodeOf(err) != fault.Conflict || !strings.Contains(message, words) {
			t.Errorf("%v, want a conflict that says %q", err, words)
		}
	}
	out, err := exec.Command("sqlite3", filepath.Join(server.dir, "pdns.db"), "SELECT content FROM records WHERE disabled=1").Output()
	if err != nil || string(out) != "\"v=DKIM1; p=off\"\n" {
		t.Errorf("%v: the disabled record is now %q", err, out)
	}
}

func TestRefusals(t *testing.T) {
	server := startPowerDNS(t, "example.org")
	good := credential(t, apiKey)
	tests := []struct {
		name    string
		options hosted.Options
		zone    string
		code    fault.Code
		message string
	}{
		{"wrong key", hosted.Options{Credential: credential(t, "another-key")}, "example.org", fault.Denied, "refuses the credential"},
		{"no key", hosted.Options{Credential: "file:/nonexistent/key"}, "example.org", fault.Invalid, "cannot be read"},
		{"zone not there", hosted.Options{Credential: good}, "example.com", fault.NotFound, "does not have the zone example.com"},
		{"zone above", hosted.Options{Credential: good}, "org", fault.NotFound, "does not have the zone org"},
		{"not the API", hosted.Options{Credential: good, Endpoint: server.api + "/wrong"}, "example.org", fault.NotFound, "does not have the zone"},
		{"nobody listens", hosted.Options{Credential: good, Endpoint: "http://" + freeAddr(t)}, "example.org", fault.Unavailable, "cannot be reached"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.options.Endpoint == "" {
				tt.options.Endpoint = server.api
			}
			clock := providertest.NewClock()
			tt.options.Timing = webapi.Timing{Now: clock.Now, Sleep: clock.Sleep}
			outcome, err := open(t, tt.options).Set(t.Context(), tt.zone, set("s1._domainkey", "", "v=DKIM1; p=A"))
			message, hint := fault.Show(err)
			if err == nil || outcome != "" || fault.CodeOf(err) != tt.code || !strings.Contains(message, tt.message) || hint == "" {
				t.Errorf("%q, %s: %q, hint %q; want %s with %q and a hint", outcome, fault.CodeOf(err), message, hint, tt.code, tt.message)
			}
			if strings.Contains(fmt.Sprint(message, hint, err), apiKey) {
				t.Error("the error shows the key")
			}
		})
	}
}

// standIn speaks as much of the API as the provider uses, so that it can be made to misbehave.
func standIn(host *providertest.Host) http.Handler {
	const zones = "/api/v1/servers/localhost/zones"
	refuse := func(w http.ResponseWriter, status int, text string) {
		providertest.JSON(w, status, map[string]string{"error": text})
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+zones, func(w http.ResponseWriter, r *http.Request) {
		out := []map[string]string{}
		for _, z := range host.Zones() {
			if want := r.FormValue("zone"); want == "" || want == z+"." {
				out = append(out, map[string]string{"id": z + ".", "name": z + ".", "kind": "Native"})
			}
		}
		providertest.JSON(w, http.StatusOK, out)
	})
	type entry struct {
		Content  string `json:"content"`
		Disabled bool   `json:"disabled"`
	}
	type rrset struct {
		Name       string  `json:"name"`
		Type       string  `json:"type"`
		TTL        int     `json:"ttl"`
		ChangeType string  `json:"changetype,omitempty"`
		Records    []entry `json:"records"`
	}
	mux.HandleFunc("GET "+zones+"/{zone}", func(w http.ResponseWriter, r *http.Request) {
		sets := map[string]*rrset{}
		for _, rec := range host.At(strings.TrimSuffix(r.PathValue("zone"), "."), strings.TrimSuffix(r.FormValue("rrset_name"), ".")) {
			key := rec.Name + rec.Type
			if sets[key] == nil {
				sets[key] = &rrset{Name: rec.Name + ".", Type: rec.Type, TTL: rec.TTL}
			}
			sets[key].Records = append(sets[key].Records, entry{Content: rec.Raw})
		}
		out := []*rrset{}
		for _, s := range sets {
			out = append(out, s)
		}
		providertest.JSON(w, http.StatusOK, map[string]any{"name": r.PathValue("zone"), "rrsets": out})
	})
	mux.HandleFunc("GET /api/v1/servers/localhost/search-data", func(w http.ResponseWriter, r *http.Request) {
		out := []map[string]any{}
		for _, zone := range host.Zones() {
			for _, rec := range host.At(zone, r.FormValue("q")) {
				out = append(out, map[string]any{"object_type": "record", "name": rec.Name + ".", "type": rec.Type, "content": rec.Raw, "disabled": false, "zone": zone + "."})
			}
		}
		providertest.JSON(w, http.StatusOK, out)
	})
	mux.HandleFunc("PATCH "+zones+"/{zone}", func(w http.ResponseWriter, r *http.Request) {
		var body struct{ RRSets []rrset }
		if json.NewDecoder(r.Body).Decode(&body) != nil {
			refuse(w, http.StatusBadRequest, "Request body is not JSON")
			return
		}
		for _, s := range body.RRSets {
			var records []providertest.HostRecord
			for _, e := range s.Records {
				records = append(records, providertest.HostRecord{Raw: e.Content, TTL: s.TTL})
			}
			if host.Replace(strings.TrimSuffix(r.PathValue("zone"), "."), strings.TrimSuffix(s.Name, "."), s.Type, records) != nil {
				refuse(w, http.StatusInternalServerError, "Internal Server Error")
				return
			}
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-API-Key") != apiKey {
			http.Error(w, "Unauthorized", http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// Behind the stand-in the weather can be bad.
func TestStandIn(t *testing.T) {
	providertest.RunHosted(t, providertest.Hosted{
		New: powerdns.New, Secret: apiKey, Zone: "example.org",
		API: func(host *providertest.Host, _ *providertest.Clock) http.Handler { return standIn(host) },
		Raw: func(rrtype, value string) string {
			return hosted.Presentation(hosted.Record{Type: rrtype, Value: value})
		},
	})
}

func FuzzReplies(f *testing.F) {
	providertest.FuzzReplies(f, providertest.Hosted{New: powerdns.New, Secret: apiKey, Zone: "example.org"})
}
