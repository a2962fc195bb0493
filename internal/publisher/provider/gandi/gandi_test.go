package gandi_test

import (
	"net/http"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/postseal/postseal/internal/publisher/hosted"
	"github.com/postseal/postseal/internal/publisher/provider/gandi"
	"github.com/postseal/postseal/internal/publisher/providertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const token = "pat-of-the-tests-0123456789"

func TestStandIn(t *testing.T) {
	providertest.RunHosted(t, providertest.Hosted{
		New: gandi.New, API: standIn, Secret: token, Zone: "example.org",
		Raw: func(rrtype, value string) string {
			return hosted.Presentation(hosted.Record{Type: rrtype, Value: value})
		},
	})
}

func refuse(w http.ResponseWriter, status int, object, message string) {
	providertest.JSON(w, status, map[string]any{"code": status, "cause": http.StatusText(status), "object": object, "message": message})
}

// invalid is the other form of an error, for what is wrong in a body.
func invalid(w http.ResponseWriter, field, description string) {
	providertest.JSON(w, http.StatusBadRequest, map[string]any{
		"status": "error", "errors": []any{map[string]string{"location": "body", "name": field, "description": description}},
	})
}

type rrset struct {
	Name   string   `json:"rrset_name,omitempty"`
	Type   string   `json:"rrset_type,omitempty"`
	TTL    int      `json:"rrset_ttl"`
	Values []string `json:"rrset_values"`
	Href   string   `json:"rrset_href,omitempty"`
}

// standIn behaves as api.gandi.net/docs/livedns documents the record sets of a name.
func standIn(host *providertest.Host, _ *providertest.Clock) http.Handler {
	owner := func(r *http.Request) string {
		if r.PathValue("name") == "@" {
			return r.PathValue("zone")
		}
		return r.PathValue("name") + "." + r.PathValue("zone")
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /domains/{zone}", func(w http.ResponseWriter, r *http.Request) {
		providertest.JSON(w, http.StatusOK, map[string]string{"fqdn": r.PathValue("zone")})
	})
	mux.HandleFunc("GET /domains/{zone}/records/{name}", func(w http.ResponseWriter, r *http.Request) {
		out := []*rrset{}
	next:
		for _, rec := range host.At(r.PathValue("zone"), owner(r)) {
			for _, s := range out {
				if s.Type == rec.Type {
					s.Values = append(s.Values, rec.Raw)
					continue next
				}
			}
			out = append(out, &rrset{Name: r.PathValue("name"), Type: rec.Type, TTL: rec.TTL, Values: []string{rec.Raw}, Href: "https://api.gandi.net" + r.URL.Path + "/" + rec.Type})
		}
		if len(out) == 0 {
			refuse(w, http.StatusNotFound, "dns-record", "Can't find the DNS record "+r.PathValue("name"))
			return
		}
		providertest.JSON(w, http.StatusOK, out)
	})
	mux.HandleFunc("PUT /domains/{zone}/records/{name}/{type}", func(w http.ResponseWriter, r *http.Request) {
		in, err := providertest.Body[rrset](r)
		switch {
		case err != nil || len(in.Values) == 0:
			invalid(w, "rrset_values", "Shorter than minimum length 1.")
			return
		case in.TTL < 300 || in.TTL > 2592000:
			invalid(w, "rrset_ttl", "rrset_ttl must be between 300 and 2592000")
			return
		}
		var records []providertest.HostRecord
		for _, v := range in.Values {
			if _, ok := hosted.Unquote(v); r.PathValue("type") == "TXT" && (!ok || !strings.HasPrefix(v, `"`)) {
				invalid(w, "rrset_values", "invalid TXT record")
				return
			}
			records = append(records, providertest.HostRecord{Raw: v, TTL: in.TTL})
		}
		for _, rec := range host.At(r.PathValue("zone"), owner(r)) {
			if rec.Type != r.PathValue("type") && (rec.Type == "CNAME" || r.PathValue("type") == "CNAME") {
				refuse(w, http.StatusConflict, "dns-record", "A CNAME record cannot exist beside other records")
				return
			}
		}
		if host.Replace(r.PathValue("zone"), owner(r), r.PathValue("type"), records) != nil {
			refuse(w, http.StatusInternalServerError, "HTTPInternalServerError", "Internal error")
			return
		}
		providertest.JSON(w, http.StatusCreated, map[string]string{"message": "DNS Record Created"})
	})
	mux.HandleFunc("DELETE /domains/{zone}/records/{name}/{type}", func(w http.ResponseWriter, r *http.Request) {
		if host.Replace(r.PathValue("zone"), owner(r), r.PathValue("type"), nil) != nil {
			refuse(w, http.StatusInternalServerError, "HTTPInternalServerError", "Internal error")
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+token {
			refuse(w, http.StatusForbidden, "HTTPForbidden", "Access was denied to this resource.")
			return
		}
		if zone := strings.Split(r.URL.Path+"/", "/"); !host.Has(zone[2]) {
			refuse(w, http.StatusNotFound, "HTTPNotFound", "The resource could not be found.")
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func FuzzReplies(f *testing.F) {
	providertest.FuzzReplies(f, providertest.Hosted{New: gandi.New, Secret: token, Zone: "example.org"})
}
