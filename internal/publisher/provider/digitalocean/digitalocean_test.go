package digitalocean_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/libdns/libdns"
	"go.uber.org/goleak"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher"
	"github.com/postseal/postseal/internal/publisher/provider/digitalocean"
	"github.com/postseal/postseal/internal/publisher/providertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "dop_v1_0123456789abcdef"

var subject = providertest.Hosted{
	New: digitalocean.New, API: standIn, Secret: token, Zone: "example.org", Plain: true, Paged: true,
	Raw: func(_, value string) string { return value },
}

func TestStandIn(t *testing.T) { providertest.RunHosted(t, subject) }

// A key of RSA-2048 fits, one of RSA-4096 does not; the limit is known before anything is sent.
func TestLongest(t *testing.T) {
	w := providertest.Wrap(t, subject)
	limit := w.Provider.Capabilities().MaxTXT
	key := "v=DKIM1; k=rsa; p=" + strings.Repeat("M", 392)
	if len(key) > limit {
		t.Fatalf("RSA-2048 has %d octets, the limit is %d", len(key), limit)
	}
	for _, value := range []string{key, strings.Repeat("x", limit)} {
		name := fmt.Sprintf("s%d._domainkey", len(value))
		c := publisher.Change{Name: name, Type: "TXT", Want: []libdns.Record{publisher.NewRecord(name, "TXT", value, time.Hour)}}
		if outcome, err := w.Provider.Set(t.Context(), "example.org", c); err != nil || outcome != publisher.Done {
			t.Errorf("%d octets: %q, %v", len(value), outcome, err)
		}
	}
}

// A target that is the zone itself comes back as "@".
func TestTargetIsZone(t *testing.T) {
	w := providertest.Wrap(t, subject)
	c := publisher.Change{Name: "alias", Type: "CNAME", Want: []libdns.Record{publisher.NewRecord("alias", "CNAME", "example.org", time.Hour)}}
	for range 2 {
		if outcome, err := w.Provider.Set(t.Context(), "example.org", c); err != nil || outcome != publisher.Done {
			t.Fatalf("%q, %v", outcome, err)
		}
	}
}

func TestUnholdable(t *testing.T) {
	w := providertest.Wrap(t, subject)
	for _, value := range []string{"", `a"b`, `a\b`, "a\xffb", "é"} {
		c := publisher.Change{Name: "x", Type: "TXT", Want: []libdns.Record{publisher.NewRecord("x", "TXT", value, time.Hour)}}
		if _, err := w.Provider.Set(t.Context(), "example.org", c); err == nil || fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%q: %v, want invalid", value, err)
		}
	}
}

func refuse(w http.ResponseWriter, status int, id, message string) {
	providertest.JSON(w, status, map[string]string{"id": id, "message": message, "request_id": "4d9d8375-3c56-4925-a3e7-eb137fed17e9"})
}

type record struct {
	ID   int64  `json:"id,omitempty"`
	Type string `json:"type"`
	Name string `json:"name"`
	Data string `json:"data"`
	TTL  int    `json:"ttl"`
}

// standIn behaves as docs.digitalocean.com documents the domain records: names relative, targets with a dot on the way in and without on the way
// out, pages by links, numeric ids. It does not refuse a second record of the same value.
func standIn(host *providertest.Host, _ *providertest.Clock) http.Handler {
	show := func(zone string, r providertest.HostRecord) record {
		id, _ := strconv.ParseInt(r.ID, 10, 64)
		name := strings.TrimSuffix(strings.TrimSuffix(r.Name, zone), ".")
		if name == "" {
			name = "@"
		}
		data := r.Raw
		if r.Type == "CNAME" && strings.TrimSuffix(data, ".") == zone {
			data = "@"
		}
		return record{id, r.Type, name, strings.TrimSuffix(data, "."), r.TTL}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /domains/{zone}", func(w http.ResponseWriter, r *http.Request) {
		providertest.JSON(w, http.StatusOK, map[string]any{"domain": map[string]any{"name": r.PathValue("zone"), "ttl": 1800}})
	})
	mux.HandleFunc("GET /domains/{zone}/records", func(w http.ResponseWriter, r *http.Request) {
		zone := r.PathValue("zone")
		var all []record
		for _, rec := range host.At(zone, r.FormValue("name")) {
			all = append(all, show(zone, rec))
		}
		size, _ := strconv.Atoi(r.FormValue("per_page"))
		number, _ := strconv.Atoi(r.FormValue("page"))
		if size < 1 || size > 200 {
			refuse(w, http.StatusUnprocessableEntity, "unprocessable_entity", "per_page is out of range")
			return
		}
		page, _, more := providertest.Page(host, all, number, size)
		links := map[string]any{}
		if more {
			links["pages"] = map[string]string{"next": fmt.Sprintf("https://api.digitalocean.com/v2/domains/%s/records?page=%d", zone, number+1)}
		}
		providertest.JSON(w, http.StatusOK, map[string]any{"domain_records": append([]record{}, page...), "links": links, "meta": map[string]int{"total": len(all)}})
	})
	write := func(w http.ResponseWriter, r *http.Request, existing string) {
		zone := r.PathValue("zone")
		in, err := providertest.Body[record](r)
		if err != nil {
			refuse(w, http.StatusBadRequest, "bad_request", "The request body is not valid JSON.")
			return
		}
		if _, found := host.Find(zone, existing); existing != "" && !found {
			refuse(w, http.StatusNotFound, "not_found", "The resource you were accessing could not be found.")
			return
		}
		name := zone
		if in.Name != "@" {
			name = in.Name + "." + zone
		}
		if problem := check(host.At(zone, name), in, existing); problem != "" {
			refuse(w, http.StatusUnprocessableEntity, "unprocessable_entity", problem)
			return
		}
		rec := providertest.HostRecord{ID: existing, Name: name, Type: in.Type, Raw: in.Data, TTL: in.TTL}
		status := http.StatusOK
		if existing == "" {
			status = http.StatusCreated
			rec, err = host.Create(zone, rec)
		} else {
			err = host.Update(zone, rec)
		}
		if err != nil {
			refuse(w, http.StatusInternalServerError, "server_error", "Unexpected server-side error")
			return
		}
		providertest.JSON(w, status, map[string]any{"domain_record": show(zone, rec)})
	}
	mux.HandleFunc("POST /domains/{zone}/records", func(w http.ResponseWriter, r *http.Request) { write(w, r, "") })
	mux.HandleFunc("PUT /domains/{zone}/records/{record}", func(w http.ResponseWriter, r *http.Request) { write(w, r, r.PathValue("record")) })
	mux.HandleFunc("DELETE /domains/{zone}/records/{record}", func(w http.ResponseWriter, r *http.Request) {
		if _, found := host.Find(r.PathValue("zone"), r.PathValue("record")); !found {
			refuse(w, http.StatusNotFound, "not_found", "The resource you were accessing could not be found.")
			return
		}
		if host.Delete(r.PathValue("zone"), r.PathValue("record")) != nil {
			refuse(w, http.StatusInternalServerError, "server_error", "Unexpected server-side error")
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			refuse(w, http.StatusUnauthorized, "Unauthorized", "Unable to authenticate you")
			return
		}
		if zone := strings.Split(r.URL.Path+"/", "/"); !host.Has(zone[2]) {
			refuse(w, http.StatusNotFound, "not_found", "The resource you were accessing could not be found.")
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func check(standing []providertest.HostRecord, in record, existing string) string {
	switch {
	case in.TTL < 30:
		return "TTL must be 30 or higher"
	case in.Type == "TXT" && len(in.Data)+2+3*((len(in.Data)-1)/255) > 512:
		return "Data is too long (maximum is 512 characters)"
	case in.Type == "CNAME" && !strings.HasSuffix(in.Data, "."):
		return "Data needs to end with a dot (.)"
	}
	for _, s := range standing {
		if s.ID != existing && (s.Type == "CNAME" || in.Type == "CNAME") {
			return "CNAME records cannot share a name with other records"
		}
	}
	return ""
}

func FuzzReplies(f *testing.F) { providertest.FuzzReplies(f, subject) }
