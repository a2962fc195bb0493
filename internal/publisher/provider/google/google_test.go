package google_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher/hosted"
	"github.com/postseal/postseal/internal/publisher/provider/google"
	"github.com/postseal/postseal/internal/publisher/providertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

func account(key *rsa.PrivateKey, tokenURI string) string {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	text, err := json.Marshal(map[string]string{
		"type": "service_account", "client_email": "dns@my-project.iam.gserviceaccount.com", "private_key_id": "k1", "token_uri": tokenURI,
		"private_key": string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})),
	})
	if err != nil {
		panic(err)
	}
	return string(text)
}

// issuer gives tokens for assertions that the right key signed (RFC 7523 §3).
type issuer struct {
	*httptest.Server
	mu     sync.Mutex
	tokens int
}

func newIssuer(t *testing.T) *issuer {
	i := &issuer{}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refuse := func(why string) {
			providertest.JSON(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant", "error_description": why})
		}
		parts := strings.Split(r.FormValue("assertion"), ".")
		if r.FormValue("grant_type") != "urn:ietf:params:oauth:grant-type:jwt-bearer" || len(parts) != 3 {
			refuse("no assertion")
			return
		}
		signature, _ := base64.RawURLEncoding.DecodeString(parts[2])
		sum := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
		if rsa.VerifyPKCS1v15(&keys()[0].PublicKey, crypto.SHA256, sum[:], signature) != nil {
			refuse("Invalid JWT Signature.")
			return
		}
		payload, _ := base64.RawURLEncoding.DecodeString(parts[1])
		var claims struct {
			Iss, Scope, Aud string
			Exp             int64
		}
		if json.Unmarshal(payload, &claims) != nil || claims.Iss != "dns@my-project.iam.gserviceaccount.com" || !strings.HasSuffix(claims.Scope, "/auth/ndev.clouddns.readwrite") ||
			claims.Aud != i.URL || claims.Exp < time.Now().Unix() {
			refuse("wrong claims")
			return
		}
		i.mu.Lock()
		defer i.mu.Unlock()
		i.tokens++
		providertest.JSON(w, http.StatusOK, map[string]any{"access_token": "ya29." + strconv.Itoa(i.tokens), "expires_in": 3600, "token_type": "Bearer"})
	}))
	t.Cleanup(i.Close)
	return i
}

func subject(t *testing.T) (providertest.Hosted, *issuer) {
	i := newIssuer(t)
	return providertest.Hosted{
		New: func(o hosted.Options) (*hosted.Provider, error) { return google.New(o, "my-project") },
		API: func(h *providertest.Host, _ *providertest.Clock) http.Handler { return standIn(h) }, Secret: account(keys()[0], i.URL), Wrong: account(keys()[1], i.URL), Zone: "example.org",
		Raw: func(rrtype, value string) string {
			return hosted.Presentation(hosted.Record{Type: rrtype, Value: value})
		},
	}, i
}

func TestStandIn(t *testing.T) {
	v, _ := subject(t)
	providertest.RunHosted(t, v)
}

// A credential that names another place for tokens would send the assertion there.
func TestTokenURI(t *testing.T) {
	v, i := subject(t)
	b := providertest.Wrap(t, v)
	_ = b
	t.Setenv("GOOGLE_KEY", account(keys()[0], "https://oauth2.googleapis.com.evil.example/token"))
	p, err := google.New(hosted.Options{Endpoint: i.URL, Credential: "env:GOOGLE_KEY"}, "my-project")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Get(t.Context(), "example.org", "@"); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("%v", err)
	}
	if _, err := google.New(hosted.Options{Credential: "env:GOOGLE_KEY"}, " "); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("without a project: %v", err)
	}
}

type rrset struct {
	Kind string   `json:"kind,omitempty"`
	Name string   `json:"name"`
	Type string   `json:"type"`
	TTL  int      `json:"ttl"`
	Data []string `json:"rrdatas"`
}

func refuse(w http.ResponseWriter, status int, reason, message string) {
	providertest.JSON(w, status, map[string]any{"error": map[string]any{
		"code": status, "message": message, "errors": []any{map[string]string{"domain": "global", "reason": reason, "message": message}},
	}})
}

// standIn behaves as the reference of Cloud DNS v1 documents: bearer tokens, pages, changes that are carried out whole or not at all.
func standIn(host *providertest.Host) http.Handler {
	const zones = "/dns/v1/projects/my-project/managedZones"
	id := func(zone string) string { return "z-" + strings.ReplaceAll(zone, ".", "-") }
	zoneOf := func(r *http.Request) string {
		for _, z := range host.Zones() {
			if id(z) == r.PathValue("id") {
				return z
			}
		}
		return ""
	}
	sets := func(zone, name string) []*rrset {
		var out []*rrset
	next:
		for _, rec := range host.At(zone, name) {
			for _, s := range out {
				if s.Name == rec.Name+"." && s.Type == rec.Type {
					s.Data = append(s.Data, rec.Raw)
					continue next
				}
			}
			out = append(out, &rrset{Kind: "dns#resourceRecordSet", Name: rec.Name + ".", Type: rec.Type, TTL: rec.TTL, Data: []string{rec.Raw}})
		}
		return out
	}
	number := func(r *http.Request) int {
		n, _ := strconv.Atoi(r.URL.Query().Get("pageToken"))
		return max(1, n)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+zones, func(w http.ResponseWriter, r *http.Request) {
		type zone struct {
			Name       string `json:"name"`
			DNSName    string `json:"dnsName"`
			Visibility string `json:"visibility"`
		}
		var all []zone
		for _, z := range host.Zones() {
			if r.URL.Query().Get("dnsName") == z+"." {
				all = append(all, zone{"private-" + id(z), z + ".", "private"}, zone{id(z), z + ".", "public"})
			}
		}
		page, _, more := providertest.Page(host, all, number(r), 1)
		out := map[string]any{"kind": "dns#managedZonesListResponse", "managedZones": page}
		if more {
			out["nextPageToken"] = strconv.Itoa(number(r) + 1)
		}
		providertest.JSON(w, http.StatusOK, out)
	})
	mux.HandleFunc("GET "+zones+"/{id}/rrsets", func(w http.ResponseWriter, r *http.Request) {
		zone := zoneOf(r)
		if zone == "" {
			refuse(w, http.StatusNotFound, "notFound", "The 'parameters.managedZone' resource named '"+r.PathValue("id")+"' does not exist.")
			return
		}
		page, _, more := providertest.Page(host, sets(zone, strings.TrimSuffix(r.URL.Query().Get("name"), ".")), number(r), 1)
		out := map[string]any{"kind": "dns#resourceRecordSetsListResponse", "rrsets": page}
		if more {
			out["nextPageToken"] = strconv.Itoa(number(r) + 1)
		}
		providertest.JSON(w, http.StatusOK, out)
	})
	mux.HandleFunc("POST "+zones+"/{id}/changes", func(w http.ResponseWriter, r *http.Request) {
		zone := zoneOf(r)
		in, err := providertest.Body[struct {
			Additions []rrset `json:"additions"`
			Deletions []rrset `json:"deletions"`
		}](r)
		if err != nil || zone == "" || len(in.Additions)+len(in.Deletions) == 0 {
			refuse(w, http.StatusBadRequest, "required", "The 'entity.change' parameter is required but was missing.")
			return
		}
		var name, rrtype string
		for _, d := range in.Deletions {
			name, rrtype = strings.TrimSuffix(d.Name, "."), d.Type
			i := slices.IndexFunc(sets(zone, name), func(s *rrset) bool { return s.Type == rrtype })
			if i < 0 {
				refuse(w, http.StatusNotFound, "notFound", "The 'entity.change.deletions[0]' resource named '"+d.Name+" ("+rrtype+")' does not exist.")
				return
			}
			have := sets(zone, name)[i]
			slices.Sort(have.Data)
			slices.Sort(d.Data)
			if have.TTL != d.TTL || !slices.Equal(have.Data, d.Data) {
				refuse(w, http.StatusPreconditionFailed, "conditionNotMet", "Precondition not met for 'entity.change.deletions[0]'")
				return
			}
		}
		var next []providertest.HostRecord
		for _, a := range in.Additions {
			name, rrtype = strings.TrimSuffix(a.Name, "."), a.Type
			for _, s := range sets(zone, name) {
				switch {
				case s.Type == rrtype && len(in.Deletions) == 0:
					refuse(w, http.StatusConflict, "alreadyExists", "The resource 'entity.change.additions[0]' named '"+a.Name+" ("+rrtype+")' already exists")
					return
				case s.Type != rrtype && (s.Type == "CNAME" || rrtype == "CNAME"):
					refuse(w, http.StatusBadRequest, "cnameResourceRecordSetConflict", "The resource record set 'entity.change.additions[0]' is invalid because the DNS name '"+a.Name+"' may have either one CNAME resource record set or resource record sets of other types, but not both.")
					return
				}
			}
			for _, d := range a.Data {
				if _, ok := hosted.Unquote(d); rrtype == "TXT" && (!ok || !strings.HasPrefix(d, `"`)) {
					refuse(w, http.StatusBadRequest, "invalid", "Invalid value for 'entity.change.additions[0].rrdata[0]': '"+d+"'")
					return
				}
				next = append(next, providertest.HostRecord{Raw: d, TTL: a.TTL})
			}
		}
		if host.Replace(zone, name, rrtype, next) != nil {
			refuse(w, http.StatusInternalServerError, "backendError", "Internal Error")
			return
		}
		providertest.JSON(w, http.StatusOK, map[string]any{"kind": "dns#change", "id": "1", "status": "pending"})
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.Header.Get("Authorization"), "Bearer ya29.") {
			refuse(w, http.StatusUnauthorized, "authError", "Invalid Credentials")
			return
		}
		mux.ServeHTTP(w, r)
	})
}
