package hetzner_test

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libdns/libdns"
	"go.uber.org/goleak"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher"
	"github.com/postseal/postseal/internal/publisher/hosted"
	"github.com/postseal/postseal/internal/publisher/provider/hetzner"
	"github.com/postseal/postseal/internal/publisher/providertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "hetzner-token-of-the-tests-0123456789"

var subject = providertest.Hosted{
	New: hetzner.New, Secret: token, Zone: "example.org", Paged: true, API: standIn,
	Raw: func(rrtype, value string) string {
		return hosted.Presentation(hosted.Record{Type: rrtype, Value: value})
	},
}

func TestStandIn(t *testing.T) { providertest.RunHosted(t, subject) }

// A change of value and TTL at once is two actions there.
func TestTTLChanges(t *testing.T) {
	w := providertest.Wrap(t, subject)
	set := func(expect, want string, ttl time.Duration) {
		t.Helper()
		c := publisher.Change{Name: "s1._domainkey", Type: "TXT", Want: []libdns.Record{publisher.NewRecord("s1._domainkey", "TXT", want, ttl)}}
		if expect != "" {
			c.Expect = []libdns.Record{publisher.NewRecord("s1._domainkey", "TXT", expect, 0)}
		}
		if outcome, err := w.Provider.Set(t.Context(), "example.org", c); err != nil || outcome != publisher.Done {
			t.Fatalf("%q, %v", outcome, err)
		}
		got, err := w.Provider.Get(t.Context(), "example.org", "s1._domainkey")
		if err != nil || len(got) != 1 || got[0].RR().TTL != ttl || publisher.ValueOf(got[0]) != want {
			t.Fatalf("%v, %v; want %q with %s", got, err, want, ttl)
		}
	}
	set("", "v=DKIM1; p=A", time.Hour)
	set("v=DKIM1; p=A", "v=DKIM1; p=B", 2*time.Hour)
	set("v=DKIM1; p=B", "v=DKIM1; p=", 2*time.Hour)
}

// What Hetzner's codes mean for a change.
func TestCodes(t *testing.T) {
	tests := []struct {
		status int
		code   string
		want   fault.Code
	}{
		{401, "unauthorized", fault.Denied},
		{403, "token_readonly", fault.Denied},
		{403, "protected", fault.Denied},
		{409, "conflict", fault.Unavailable},
		{409, "uniqueness_error", fault.Conflict},
		{422, "invalid_input", fault.Invalid},
		{422, "dns_zone_is_secondary_zone", fault.Invalid},
		{423, "locked", fault.Unavailable},
		{503, "maintenance", fault.Unavailable},
	}
	for _, tt := range tests {
		v := subject
		v.API = func(host *providertest.Host, clock *providertest.Clock) http.Handler {
			api := standIn(host, clock)
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					api.ServeHTTP(w, r)
					return
				}
				refuse(w, tt.status, tt.code, "no")
			})
		}
		w := providertest.Wrap(t, v)
		c := publisher.Change{Name: "x", Type: "TXT", Want: []libdns.Record{publisher.NewRecord("x", "TXT", "v=DKIM1; p=A", time.Hour)}}
		_, err := w.Provider.Set(t.Context(), "example.org", c)
		if err == nil || fault.CodeOf(err) != tt.want || !strings.Contains(err.Error(), tt.code) {
			t.Errorf("%s: %v, want %s", tt.code, err, tt.want)
		}
	}
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	providertest.JSON(w, status, map[string]any{"error": map[string]any{"code": code, "message": message, "details": nil}})
}

type value struct {
	Value   string `json:"value"`
	Comment string `json:"comment,omitempty"`
}

type rrset struct {
	ID      string  `json:"id,omitempty"`
	Name    string  `json:"name"`
	Type    string  `json:"type"`
	TTL     *int    `json:"ttl"`
	Records []value `json:"records"`
}

// api is the stand-in: changes are actions, which are carried out at the second request after the one that began them.
type api struct {
	host *providertest.Host

	mu      sync.Mutex
	actions []*action
}

type action struct {
	age    int
	do     func() error
	status string
}

// standIn behaves as docs.hetzner.cloud documents zones and rrsets.
func standIn(host *providertest.Host, _ *providertest.Clock) http.Handler {
	a := &api{host: host}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /zones", a.zones)
	mux.HandleFunc("GET /zones/{zone}/rrsets", a.list)
	mux.HandleFunc("POST /zones/{zone}/rrsets", a.create)
	mux.HandleFunc("DELETE /zones/{zone}/rrsets/{name}/{type}", func(w http.ResponseWriter, r *http.Request) { a.change(w, r, nil) })
	mux.HandleFunc("POST /zones/{zone}/rrsets/{name}/{type}/actions/set_records", func(w http.ResponseWriter, r *http.Request) {
		in, err := providertest.Body[struct{ Records []value }](r)
		if err != nil || len(in.Records) == 0 {
			refuse(w, http.StatusUnprocessableEntity, "invalid_input", "invalid input in field 'records'")
			return
		}
		a.change(w, r, func(have []providertest.HostRecord) ([]providertest.HostRecord, bool) {
			return records(r.PathValue("type"), in.Records, have[0].TTL)
		})
	})
	mux.HandleFunc("POST /zones/{zone}/rrsets/{name}/{type}/actions/change_ttl", func(w http.ResponseWriter, r *http.Request) {
		in, err := providertest.Body[struct{ TTL *int }](r)
		if err != nil || in.TTL == nil || *in.TTL < 60 {
			refuse(w, http.StatusUnprocessableEntity, "invalid_input", "invalid input in field 'ttl'")
			return
		}
		a.change(w, r, func(have []providertest.HostRecord) ([]providertest.HostRecord, bool) {
			out := slices.Clone(have)
			for i := range out {
				out[i].TTL = *in.TTL
			}
			return out, true
		})
	})
	mux.HandleFunc("GET /actions/{id}", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.PathValue("id"))
		a.mu.Lock()
		defer a.mu.Unlock()
		if n < 1 || n > len(a.actions) {
			refuse(w, http.StatusNotFound, "not_found", "action not found")
			return
		}
		providertest.JSON(w, http.StatusOK, map[string]any{"action": a.actions[n-1].show(n)})
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			refuse(w, http.StatusUnauthorized, "unauthorized", "unable to authenticate")
			return
		}
		a.age()
		mux.ServeHTTP(w, r)
	})
}

func (a *action) show(n int) map[string]any {
	out := map[string]any{"id": n, "command": "change_rrset", "status": a.status, "progress": 0, "error": nil}
	if a.status == "error" {
		out["error"] = map[string]string{"code": "server_error", "message": "Error within the API backend"}
	}
	return out
}

// age carries out what is due.
func (a *api) age() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, x := range a.actions {
		if x.age++; x.age == 2 {
			x.status = "success"
			if x.do() != nil {
				x.status = "error"
			}
		}
	}
}

// begin answers with an action that is running.
func (a *api) begin(w http.ResponseWriter, do func() error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	x := &action{do: do, status: "running"}
	a.actions = append(a.actions, x)
	providertest.JSON(w, http.StatusCreated, map[string]any{"action": x.show(len(a.actions))})
}

func (a *api) zones(w http.ResponseWriter, r *http.Request) {
	out := []any{}
	for i, z := range a.host.Zones() {
		if r.FormValue("name") == z {
			out = append(out, map[string]any{"id": 100 + i, "name": z, "mode": "primary", "ttl": 86400})
		}
	}
	providertest.JSON(w, http.StatusOK, map[string]any{"zones": out, "meta": meta(1, false)})
}

func meta(page int, more bool) map[string]any {
	next := any(nil)
	if more {
		next = page + 1
	}
	return map[string]any{"pagination": map[string]any{"page": page, "next_page": next}}
}

// zone returns the zone of the path, by its id.
func (a *api) zone(r *http.Request) string {
	n, _ := strconv.Atoi(r.PathValue("zone"))
	if zones := a.host.Zones(); n >= 100 && n-100 < len(zones) {
		return zones[n-100]
	}
	return ""
}

func absolute(name, zone string) string {
	if name == "@" {
		return zone
	}
	return name + "." + zone
}

func (a *api) list(w http.ResponseWriter, r *http.Request) {
	zone, size := a.zone(r), 25
	if s := r.FormValue("per_page"); s != "" {
		size, _ = strconv.Atoi(s)
	}
	number, _ := strconv.Atoi(r.FormValue("page"))
	if zone == "" || size < 1 || size > 50 {
		refuse(w, http.StatusNotFound, "not_found", "zone not found")
		return
	}
	var sets []*rrset
next:
	for _, rec := range a.host.At(zone, absolute(r.FormValue("name"), zone)) {
		for _, s := range sets {
			if s.Type == rec.Type {
				s.Records = append(s.Records, value{Value: rec.Raw})
				continue next
			}
		}
		sets = append(sets, &rrset{r.FormValue("name") + "/" + rec.Type, r.FormValue("name"), rec.Type, &rec.TTL, []value{{Value: rec.Raw}}})
	}
	page, _, more := providertest.Page(a.host, sets, number, size)
	providertest.JSON(w, http.StatusOK, map[string]any{"rrsets": append([]*rrset{}, page...), "meta": meta(number, more)})
}

func (a *api) create(w http.ResponseWriter, r *http.Request) {
	zone := a.zone(r)
	in, err := providertest.Body[rrset](r)
	if err != nil || zone == "" || in.TTL == nil || *in.TTL < 60 {
		refuse(w, http.StatusUnprocessableEntity, "invalid_input", "invalid input")
		return
	}
	name := absolute(in.Name, zone)
	for _, have := range a.host.At(zone, name) {
		if have.Type == in.Type || have.Type == "CNAME" || in.Type == "CNAME" {
			refuse(w, http.StatusConflict, "uniqueness_error", "rrset conflicts with "+have.Type)
			return
		}
	}
	want, ok := records(in.Type, in.Records, *in.TTL)
	if !ok {
		refuse(w, http.StatusUnprocessableEntity, "invalid_input", "invalid input in field 'records'")
		return
	}
	a.begin(w, func() error { return a.host.Replace(zone, name, in.Type, want) })
}

// change makes a record set that is there become what of returns; of nil = it is removed.
func (a *api) change(w http.ResponseWriter, r *http.Request, of func([]providertest.HostRecord) ([]providertest.HostRecord, bool)) {
	zone := a.zone(r)
	name := absolute(r.PathValue("name"), zone)
	have := slices.DeleteFunc(a.host.At(zone, name), func(rec providertest.HostRecord) bool { return rec.Type != r.PathValue("type") })
	if len(have) == 0 {
		refuse(w, http.StatusNotFound, "not_found", "rrset not found")
		return
	}
	var want []providertest.HostRecord
	if of != nil {
		var ok bool
		if want, ok = of(have); !ok {
			refuse(w, http.StatusUnprocessableEntity, "invalid_input", "invalid input in field 'records'")
			return
		}
	}
	a.begin(w, func() error { return a.host.Replace(zone, name, r.PathValue("type"), want) })
}

// records checks values: TXT must be quoted strings of at most 255 octets.
func records(rrtype string, values []value, ttl int) (out []providertest.HostRecord, ok bool) {
	for _, v := range values {
		_, readable := hosted.Unquote(v.Value)
		if rrtype == "TXT" && (!readable || !strings.HasPrefix(v.Value, `"`)) {
			return nil, false
		}
		out = append(out, providertest.HostRecord{Raw: v.Value, TTL: ttl})
	}
	return out, len(out) > 0
}

func FuzzReplies(f *testing.F) { providertest.FuzzReplies(f, subject) }
