package azure_test

import (
	"encoding/json"
	"fmt"
	"hash/fnv"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher"
	"github.com/postseal/postseal/internal/publisher/hosted"
	"github.com/postseal/postseal/internal/publisher/provider/azure"
	"github.com/postseal/postseal/internal/publisher/providertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	tenant, app, secret = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222", "secret~of-the-tests"
	base                = "/subscriptions/sub/resourceGroups/dns/providers/Microsoft.Network/dnsZones/"
)

// login gives tokens to the application (RFC 6749 §4.4).
func login(t *testing.T) string {
	n := 0
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/"+tenant+"/oauth2/v2.0/token" || r.FormValue("grant_type") != "client_credentials" || r.FormValue("scope") != "https://management.azure.com/.default" ||
			r.FormValue("client_id") != app || r.FormValue("client_secret") != secret {
			providertest.JSON(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client", "error_description": "AADSTS7000215: Invalid client secret provided."})
			return
		}
		n++
		providertest.JSON(w, http.StatusOK, map[string]any{"token_type": "Bearer", "expires_in": 3599, "access_token": "eyJ" + strconv.Itoa(n)})
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func credential(url, secret string) string {
	text, err := json.Marshal(map[string]string{"tenantId": tenant, "clientId": app, "clientSecret": secret, "activeDirectoryEndpointUrl": url})
	if err != nil {
		panic(err)
	}
	return string(text)
}

func TestStandIn(t *testing.T) {
	url := login(t)
	providertest.RunHosted(t, providertest.Hosted{
		New: func(o hosted.Options) (*hosted.Provider, error) { return azure.New(o, "sub", "dns") },
		API: func(h *providertest.Host, _ *providertest.Clock) http.Handler { return standIn(h) }, Secret: credential(url, secret), Wrong: credential(url, "wrong-secret"), Zone: "example.org",
		Raw: func(_, value string) string { return value },
	})
}

func TestCredential(t *testing.T) {
	for text, code := range map[string]fault.Code{
		`{"appId":"a","tenant":"b"}`:                      fault.Invalid,
		`{"appId":"a","tenant":"../evil","password":"c"}`: fault.Invalid,
		`{"clientId":"a","tenantId":"b","clientSecret":"c","activeDirectoryEndpointUrl":"https://evil.example"}`: fault.Invalid,
		`{"appId":"a","tenant":"b","password":"c"}`:                                                              fault.Unavailable, // the right form; nobody answers in a test without a network
	} {
		t.Setenv("AZURE", text)
		transport := &http.Transport{DialContext: nil, Proxy: nil}
		p, err := azure.New(hosted.Options{Endpoint: "http://127.0.0.1:1", Credential: "env:AZURE", Transport: refuseAll{transport}}, "sub", "dns")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Get(t.Context(), "example.org", "@"); fault.CodeOf(err) != code {
			t.Errorf("%s: %v, want %s", text, err, code)
		}
	}
	if _, err := azure.New(hosted.Options{Credential: "env:AZURE"}, "", "dns"); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("without a subscription: %v", err)
	}
}

// refuseAll is a network without a way out.
type refuseAll struct{ http.RoundTripper }

func (refuseAll) RoundTrip(r *http.Request) (*http.Response, error) {
	return nil, fmt.Errorf("no way to %s", r.URL.Host)
}

type set struct {
	ID         string     `json:"id,omitempty"`
	Name       string     `json:"name,omitempty"`
	Type       string     `json:"type,omitempty"`
	ETag       string     `json:"etag,omitempty"`
	Properties properties `json:"properties"`
}

type properties struct {
	TTL  int    `json:"TTL"`
	FQDN string `json:"fqdn,omitempty"`
	TXT  []struct {
		Value []string `json:"value"`
	} `json:"TXTRecords,omitempty"`
	CNAME *struct {
		CNAME string `json:"cname"`
	} `json:"CNAMERecord,omitempty"`
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	providertest.JSON(w, status, map[string]any{"error": map[string]string{"code": code, "message": message}})
}

// standIn behaves as the REST reference of Azure DNS 2018-05-01 documents: tokens, entity tags, record sets by type, pages by links.
func standIn(host *providertest.Host) http.Handler {
	sets := func(zone, suffix string) []*set {
		var out []*set
	next:
		for _, rec := range host.At(zone, "") {
			relative := strings.TrimSuffix(strings.TrimSuffix(rec.Name, zone), ".")
			if relative == "" {
				relative = "@"
			}
			if !strings.HasSuffix(relative, suffix) {
				continue
			}
			s := &set{}
			for _, have := range out {
				if have.Name == relative && strings.HasSuffix(have.Type, "/"+rec.Type) {
					s = have
				}
			}
			fresh := s.Name == ""
			s.Name, s.Type, s.Properties.TTL = relative, "Microsoft.Network/dnszones/"+rec.Type, rec.TTL
			s.ID = base + zone + "/" + rec.Type + "/" + relative
			if rec.Type == "CNAME" {
				s.Properties.CNAME = &struct {
					CNAME string `json:"cname"`
				}{rec.Raw}
			} else {
				s.Properties.TXT = append(s.Properties.TXT, struct {
					Value []string `json:"value"`
				}{publisher.Strings(rec.Raw)})
			}
			h := fnv.New64()
			fmt.Fprint(h, s.ETag, rec)
			s.ETag = fmt.Sprintf("%x", h.Sum64())
			if !fresh {
				continue next
			}
			out = append(out, s)
		}
		return out
	}
	find := func(zone, rrtype, name string) *set {
		for _, s := range sets(zone, name) {
			if s.Name == name && strings.HasSuffix(s.Type, "/"+rrtype) {
				return s
			}
		}
		return nil
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+base+"{zone}", func(w http.ResponseWriter, r *http.Request) {
		providertest.JSON(w, http.StatusOK, map[string]any{"name": r.PathValue("zone"), "type": "Microsoft.Network/dnszones", "properties": map[string]any{}})
	})
	mux.HandleFunc("GET "+base+"{zone}/recordsets", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		number, _ := strconv.Atoi(q.Get("$skipToken"))
		page, _, more := providertest.Page(host, sets(r.PathValue("zone"), q.Get("$recordsetnamesuffix")), max(1, number), 1)
		out := map[string]any{"value": page}
		if more {
			q.Set("$skipToken", strconv.Itoa(max(1, number)+1))
			out["nextLink"] = "https://management.azure.com:443" + r.URL.Path + "?" + q.Encode()
		}
		providertest.JSON(w, http.StatusOK, out)
	})
	condition := func(w http.ResponseWriter, r *http.Request, have *set) bool {
		match, none := r.Header.Get("If-Match"), r.Header.Get("If-None-Match")
		if none == "*" && have != nil || match != "" && (have == nil || have.ETag != match) {
			refuse(w, http.StatusPreconditionFailed, "PreconditionFailed", "The condition '"+match+none+"' in the If-Match/If-None-Match header was not satisfied.")
			return false
		}
		if match == "" && none == "" {
			refuse(w, http.StatusBadRequest, "NoCondition", "this stand-in wants every write to be conditional")
			return false
		}
		return true
	}
	mux.HandleFunc("PUT "+base+"{zone}/{type}/{name}", func(w http.ResponseWriter, r *http.Request) {
		zone, rrtype, name := r.PathValue("zone"), r.PathValue("type"), r.PathValue("name")
		in, err := providertest.Body[set](r)
		if err != nil {
			refuse(w, http.StatusBadRequest, "BadRequest", err.Error())
			return
		}
		if !condition(w, r, find(zone, rrtype, name)) {
			return
		}
		owner := zone
		if name != "@" {
			owner = name + "." + zone
		}
		for _, rec := range host.At(zone, owner) {
			if (rec.Type == "CNAME") != (rrtype == "CNAME") {
				refuse(w, http.StatusConflict, "Conflict", "The record could not be created because a record set of another type exists at the name.")
				return
			}
		}
		var next []providertest.HostRecord
		if in.Properties.CNAME != nil {
			next = append(next, providertest.HostRecord{Raw: in.Properties.CNAME.CNAME, TTL: in.Properties.TTL})
		}
		for _, t := range in.Properties.TXT {
			for _, s := range t.Value {
				if len(s) > 255 {
					refuse(w, http.StatusBadRequest, "BadRequest", "The value of a TXT record string is longer than 255.")
					return
				}
			}
			next = append(next, providertest.HostRecord{Raw: strings.Join(t.Value, ""), TTL: in.Properties.TTL})
		}
		if host.Replace(zone, owner, rrtype, next) != nil {
			refuse(w, http.StatusInternalServerError, "InternalServerError", "An error occurred.")
			return
		}
		providertest.JSON(w, http.StatusCreated, find(zone, rrtype, name))
	})
	mux.HandleFunc("DELETE "+base+"{zone}/{type}/{name}", func(w http.ResponseWriter, r *http.Request) {
		zone, rrtype, name := r.PathValue("zone"), r.PathValue("type"), r.PathValue("name")
		if !condition(w, r, find(zone, rrtype, name)) {
			return
		}
		owner := zone
		if name != "@" {
			owner = name + "." + zone
		}
		if host.Replace(zone, owner, rrtype, nil) != nil {
			refuse(w, http.StatusInternalServerError, "InternalServerError", "An error occurred.")
			return
		}
		w.WriteHeader(http.StatusOK)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		zone, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, base), "/")
		switch {
		case !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer eyJ"):
			refuse(w, http.StatusUnauthorized, "AuthenticationFailed", "Authentication failed. The 'Authorization' header is missing.")
		case r.URL.Query().Get("api-version") != "2018-05-01":
			refuse(w, http.StatusBadRequest, "MissingApiVersionParameter", "The api-version query parameter (?api-version=) is required for all requests.")
		case !host.Has(zone):
			refuse(w, http.StatusNotFound, "ResourceNotFound", "The Resource 'Microsoft.Network/dnszones/"+zone+"' under resource group 'dns' was not found.")
		default:
			mux.ServeHTTP(w, r)
		}
	})
}
