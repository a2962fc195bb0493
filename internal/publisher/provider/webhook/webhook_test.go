package webhook_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher/hosted"
	"github.com/postseal/postseal/internal/publisher/provider/webhook"
	"github.com/postseal/postseal/internal/publisher/providertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const mediaType = "application/external.dns.webhook+json;version=1"

// The protocol leaves open how TXT values are written: providers that show quotes, and those that do not.
func TestStandIns(t *testing.T) {
	for name, quoted := range map[string]bool{"quoted": true, "plain": false} {
		t.Run(name, func(t *testing.T) {
			providertest.RunHosted(t, providertest.Hosted{
				New: webhook.New, API: func(h *providertest.Host, _ *providertest.Clock) http.Handler { return standIn(h, quoted) }, Zone: "example.org", Open: true, Secret: "no-credential-is-wanted",
				Raw: func(rrtype, value string) string {
					if rrtype == "TXT" && quoted {
						return hosted.Quote(value)
					}
					return value
				},
			})
		})
	}
}

func TestFilter(t *testing.T) {
	v := providertest.Hosted{New: webhook.New, API: func(h *providertest.Host, _ *providertest.Clock) http.Handler { return standIn(h, false) }, Zone: "example.org", Open: true, Secret: "no-credential-is-wanted",
		Raw: func(_, value string) string { return value }}
	b := providertest.Wrap(t, v)
	if _, err := b.Provider.Get(t.Context(), "example.com", "@"); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("a zone that the filter leaves out: %v", err)
	}
	if _, err := webhook.New(hosted.Options{}); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("without an endpoint: %v", err)
	}
	if _, err := webhook.New(hosted.Options{Endpoint: "http://192.0.2.1:8888"}); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("without TLS to another machine: %v", err)
	}
}

type endpoint struct {
	Name       string            `json:"dnsName"`
	Targets    []string          `json:"targets"`
	Type       string            `json:"recordType"`
	Identifier string            `json:"setIdentifier,omitempty"`
	TTL        int               `json:"recordTTL,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
}

// standIn behaves as external-dns documents its webhook protocol: strict about media types, 204 for changes, plain text for errors.
func standIn(host *providertest.Host, quoted bool) http.Handler {
	zoneOf := func(name string) string {
		best := ""
		for _, z := range host.Zones() {
			if (name == z || strings.HasSuffix(name, "."+z)) && len(z) > len(best) {
				best = z
			}
		}
		return best
	}
	sets := func(name string) []*endpoint {
		out := []*endpoint{}
		for _, zone := range host.Zones() {
		next:
			for _, rec := range host.At(zone, name) {
				for _, e := range out {
					if e.Name == rec.Name && e.Type == rec.Type {
						e.Targets = append(e.Targets, rec.Raw)
						continue next
					}
				}
				out = append(out, &endpoint{Name: rec.Name, Type: rec.Type, TTL: rec.TTL, Targets: []string{rec.Raw}})
			}
		}
		return out
	}
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", mediaType)
		json.NewEncoder(w).Encode(v)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		answer(w, map[string]any{"include": host.Zones()})
	})
	mux.HandleFunc("GET /records", func(w http.ResponseWriter, r *http.Request) { answer(w, sets("")) })
	mux.HandleFunc("POST /adjustendpoints", func(w http.ResponseWriter, r *http.Request) {
		in, err := providertest.Body[[]endpoint](r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		answer(w, in)
	})
	mux.HandleFunc("POST /records", func(w http.ResponseWriter, r *http.Request) {
		in, err := providertest.Body[struct {
			Create    []endpoint `json:"create"`
			UpdateOld []endpoint `json:"updateOld"`
			UpdateNew []endpoint `json:"updateNew"`
			Delete    []endpoint `json:"delete"`
		}](r)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for _, gone := range in.Delete {
			if host.Replace(zoneOf(gone.Name), gone.Name, gone.Type, nil) != nil {
				http.Error(w, "internal error", http.StatusInternalServerError)
				return
			}
		}
		for _, e := range slices.Concat(in.Create, in.UpdateNew) {
			for _, have := range sets(e.Name) {
				if (have.Type == "CNAME") != (e.Type == "CNAME") {
					http.Error(w, "CNAME and other data at "+e.Name, http.StatusInternalServerError)
					return
				}
			}
			var next []providertest.HostRecord
			for _, target := range e.Targets {
				if quoted && e.Type == "TXT" && !strings.HasPrefix(target, `"`) {
					target = hosted.Quote(target) // as such providers make up for what they are not given
				}
				next = append(next, providertest.HostRecord{Raw: target, TTL: e.TTL})
			}
			if host.Replace(zoneOf(e.Name), e.Name, e.Type, next) != nil {
				http.Error(w, "internal error", http.StatusInternalServerError)
				return
			}
		}
		w.WriteHeader(http.StatusNoContent)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("Accept") != mediaType:
			http.Error(w, fmt.Sprintf("client must provide an accept header %q", mediaType), http.StatusNotAcceptable)
		case r.Method == http.MethodPost && r.Header.Get("Content-Type") != mediaType:
			http.Error(w, "client must provide a content type", http.StatusUnsupportedMediaType)
		default:
			mux.ServeHTTP(w, r)
		}
	})
}
