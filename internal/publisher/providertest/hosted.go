package providertest

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/publisher"
	"github.com/postseal/postseal/internal/publisher/hosted"
	"github.com/postseal/postseal/internal/webapi"
)

// Hosted is a provider of a hosted API and the stand-in that behaves as its vendor documents.
type Hosted struct {
	New    func(hosted.Options) (*hosted.Provider, error)
	API    func(host *Host, clock *Clock) http.Handler
	Secret string // the credential that the stand-in accepts
	Wrong  string // one of the same form that it does not, where that is not a token; "" = any
	Zone   string
	Open   bool // the API wants no credential
	// Raw is how the vendor hands out a value that somebody wrote in its console.
	Raw   func(rrtype, value string) string
	Plain bool          // see Subject
	Paged bool          // see BadDays
	Pace  time.Duration // time that passes between two calls of the suite, where the vendor's limits would end it; 0 = none
}

// RunHosted runs on the stand-in: the conformance suite, bad days, and what a wrong configuration gives.
func RunHosted(t *testing.T, v Hosted) {
	t.Run("conformance", func(t *testing.T) {
		s := v.open(t, longRequest)
		Run(t, func(*testing.T) Subject { return s.Subject })
	})
	t.Run("bad days", func(t *testing.T) { RunBadDays(t, v.open) })
	if !v.Open {
		t.Run("refusals", v.refusals)
	}
	t.Run("one zone", v.oneZone)
}

// Wrap starts the stand-in and makes a provider for it, for what is peculiar to one vendor.
func Wrap(t *testing.T, v Hosted) BadDays {
	t.Helper()
	return v.open(t, longRequest)
}

// open starts the stand-in with a zone and its neighbours, and makes a provider for it.
func (v Hosted) open(t *testing.T, request time.Duration) BadDays {
	t.Helper()
	b := v.start(t)
	b.Provider = v.provider(t, b, hosted.Options{Timing: webapi.Timing{Request: request}})
	return b
}

func (v Hosted) start(t *testing.T) BadDays {
	t.Helper()
	// A name that begins like the zone and one below it must not be taken for it.
	host := NewHost("not-"+v.Zone, "sub."+v.Zone, v.Zone, v.Zone+".example")
	b := BadDays{Host: host, Clock: NewClock(), Secret: v.Secret, Paged: v.Paged}
	b.Weather, b.url = start(t, host, v.API(host, b.Clock))
	b.Subject = Subject{Zone: v.Zone, Plain: v.Plain, Plant: func(_ *testing.T, name, rrtype, value string) {
		host.Plant(v.Zone, HostRecord{Name: publisher.Absolute(name, v.Zone), Type: rrtype, TTL: 3600, Raw: v.Raw(rrtype, value)})
	}}
	return b
}

func (v Hosted) provider(t *testing.T, b BadDays, o hosted.Options) publisher.Provider {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	o.Transport = transport
	o.Timing.Now, o.Timing.Sleep = b.Clock.Now, b.Clock.Sleep
	if o.Endpoint == "" {
		o.Endpoint = b.url
	}
	if o.Credential == "" {
		o.Credential = file(t, v.Secret)
	}
	p, err := v.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if v.Pace > 0 {
		return paced{p, b.Clock, v.Pace}
	}
	return p
}

func (v Hosted) refusals(t *testing.T) {
	wrong := "wrong-token-of-the-tests"
	noToken := "is no token"
	if v.Wrong != "" {
		wrong, noToken = v.Wrong, "the credential is no "
	}
	b := v.start(t)
	loose := file(t, v.Secret)
	os.Chmod(strings.TrimPrefix(loose, "file:"), 0o644)
	t.Setenv("POSTSEAL_TEST_CREDENTIAL", v.Secret)
	tests := []struct {
		name    string
		options hosted.Options
		zone    string
		code    fault.Code // "" = it works
		words   string
	}{
		{"wrong credential", hosted.Options{Credential: file(t, wrong)}, v.Zone, fault.Denied, "refuses the credential"},
		{"empty credential", hosted.Options{Credential: file(t, " \n")}, v.Zone, fault.Invalid, "is empty"},
		{"credential with a name before it", hosted.Options{Credential: file(t, "token: "+wrong)}, v.Zone, fault.Invalid, noToken},
		{"no credential", hosted.Options{Credential: "env:POSTSEAL_NO_SUCH_VARIABLE"}, v.Zone, fault.Invalid, "not there"},
		{"credential of the environment", hosted.Options{Credential: "env:POSTSEAL_TEST_CREDENTIAL"}, v.Zone, "", ""},
		{"credential that others can read", hosted.Options{Credential: loose}, v.Zone, "", ""},
		{"zone not there", hosted.Options{}, "example.com", fault.NotFound, "example.com"},
		{"zone above", hosted.Options{}, "org", fault.NotFound, "zone org"},
		{"other zone than configured", hosted.Options{Zone: "sub." + v.Zone}, v.Zone, fault.NotFound, "writes the zone sub."},
		{"nobody listens", hosted.Options{Endpoint: "http://" + closed(t)}, v.Zone, fault.Unavailable, "cannot be reached"},
	}
	for i, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := b.Host.Dump(v.Zone)
			c := change(fmt.Sprintf("refused%d._domainkey", i), publisher.TXT, "", keyA)
			outcome, err := v.provider(t, b, tt.options).Set(t.Context(), tt.zone, c)
			if tt.code == "" {
				if err != nil || outcome != publisher.Done {
					t.Fatalf("%q, %v", outcome, err)
				}
				return
			}
			if err == nil || outcome != "" {
				t.Fatalf("%q, %v; want %s", outcome, err, tt.code)
			}
			message, hint := fault.Show(err)
			if fault.CodeOf(err) != tt.code || !strings.Contains(message, tt.words) || hint == "" {
				t.Errorf("%s: %q, hint %q; want %s with %q and a hint", fault.CodeOf(err), message, hint, tt.code, tt.words)
			}
			if whole := fmt.Sprint(message, hint, err); strings.Contains(whole, v.Secret) || strings.Contains(whole, wrong) {
				t.Errorf("the error shows the credential: %q", whole)
			}
			if now := b.Host.Dump(v.Zone); fmt.Sprint(now) != fmt.Sprint(before) {
				t.Errorf("the zone changed: %q → %q", before, now)
			}
		})
	}
	for _, o := range []hosted.Options{
		{Endpoint: b.url}, // no credential
		{Endpoint: b.url, Credential: v.Secret},
		{Endpoint: "ftp://example.net", Credential: "env:X"},
		{Endpoint: "https://name:password@example.net", Credential: "env:X"},
		{Endpoint: b.url, Credential: "env:X", ZoneID: "1"},
		{Endpoint: b.url, Credential: "systemd:../x"},
		{Endpoint: b.url, Credential: "file:relative"},
	} {
		_, err := v.New(o)
		if err == nil || fault.CodeOf(err) != fault.Invalid || strings.Contains(err.Error(), v.Secret) || strings.Contains(err.Error(), "password@") {
			t.Errorf("New(%+v): %v", o, err)
		}
	}
}

// oneZone writes to the zones beside, which have names like it, and finds each.
func (v Hosted) oneZone(t *testing.T) {
	b := v.open(t, longRequest)
	for _, zone := range b.Host.Zones() {
		c := change("@", publisher.TXT, "", "v=spf1 -all")
		if outcome, err := b.Provider.Set(t.Context(), zone, c); err != nil || outcome != publisher.Done {
			t.Fatalf("%s: %q, %v", zone, outcome, err)
		}
		if got := b.Host.Dump(zone); len(got) != 1 || !strings.HasPrefix(got[0], zone+" TXT 3600 ") {
			t.Errorf("%s holds %q", zone, got)
		}
	}
}

// paced lets time pass before each call.
type paced struct {
	publisher.Provider
	clock *Clock
	pace  time.Duration
}

func file(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "credential")
	if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return "file:" + path
}
