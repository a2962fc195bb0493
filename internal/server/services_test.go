package server

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/evidence"
	"github.com/postseal/postseal/internal/fakedns"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/lifecycle"
	"github.com/postseal/postseal/internal/services"
)

const serviceFleet = `policy: {test_mode: true, min_wait: 1s, ttl: 1s, retention: 2s, tombstone: 1s}
dns: {resolvers: ["%s"], authority_port: %s}
publishers: {hand: {manual: {contact: dns@example.com}}}
domains:
  example.com:
    publisher: hand
    signers:
      - service: sendgrid
        cname: {s1: s1.domainkey.u1.wl2.sendgrid.net, s2: s2.domainkey.u1.wl2.sendgrid.net}
      - {service: google-workspace, selector: google, txt: "%s"}
`

func serviceKey(t *testing.T, bits int) string {
	t.Helper()
	private, err := rsa.GenerateKey(nil, bits)
	if err != nil {
		t.Fatal(err)
	}
	spki, err := x509.MarshalPKIXPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return "v=DKIM1; k=rsa; p=" + base64.StdEncoding.EncodeToString(spki)
}

// What a service does behind its CNAMEs is seen at the next look, with real questions to the authorities of the service's own zone.
func TestServicesAreWatched(t *testing.T) {
	network := fakedns.New(t)
	zone := network.Zone("example.com", 2)
	vendor := network.Zone("sendgrid.net", 2)
	first, small := serviceKey(t, 2048), serviceKey(t, 1024)
	for _, s := range []string{"s1", "s2"} {
		zone.CNAME(s+"._domainkey.example.com", s+".domainkey.u1.wl2.sendgrid.net")
		vendor.TXT(s+".domainkey.u1.wl2.sendgrid.net", first)
	}
	zone.TXT("google._domainkey.example.com", small)
	data := t.TempDir()
	fleet := filepath.Join(data, "fleet.yaml")
	if err := os.WriteFile(fleet, []byte(fmt.Sprintf(serviceFleet, network.Recursive(), network.Port(), small)), 0o600); err != nil {
		t.Fatal(err)
	}
	r := start(t, Config{Data: data, Fleet: fleet, Poll: 10 * time.Millisecond})
	defer r.stop(t)
	c := r.client(t)
	// lookAgain asks for another look once the last one is done: who asks in the middle of one makes it begin anew.
	lookAgain := func() {
		t.Helper()
		s, err := r.store.Situation(t.Context(), "example.com")
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Records) < 3 || slices.ContainsFunc(s.Records, func(x lifecycle.Record) bool { return x.Last.At.IsZero() }) {
			return
		}
		if err := c.CheckNow(t.Context(), "example.com"); err != nil {
			t.Fatal(err)
		}
	}
	// watch has the domain looked at until exactly these findings are open.
	watch := func(step string, want ...string) {
		t.Helper()
		var got []string
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
			lookAgain()
			got = nil
			for all, err := range c.Findings(t.Context(), client.FindingQuery{Domain: "example.com"}) {
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range all.Findings {
					if !strings.HasPrefix(f.ID, "LIFE") {
						got = append(got, f.Severity+" "+f.ID+" "+strings.TrimSuffix(f.Subject, "._domainkey.example.com"))
					}
				}
			}
			slices.Sort(got)
			if slices.Equal(got, want) {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
		t.Fatalf("%s: open are %q, want %q", step, got, want)
	}
	watch("all is well but Google's small key", "warning DKIM-K02 google")
	r.keys(t, c, "s1", 1)
	vendor.TXT("s1.domainkey.u1.wl2.sendgrid.net", serviceKey(t, 2048))
	watch("SendGrid changed its key", "info DKIM-D06 s1", "warning DKIM-K02 google")
	r.keys(t, c, "s1", 2)
	vendor.TXT("s1.domainkey.u1.wl2.sendgrid.net", serviceKey(t, 1024))
	watch("to a smaller one", "warning DKIM-D06 s1", "warning DKIM-K02 google", "warning DKIM-K02 s1")
	vendor.Remove("s2.domainkey.u1.wl2.sendgrid.net")
	watch("the second is gone", "error DKIM-D02 s2", "warning DKIM-D06 s1", "warning DKIM-K02 google", "warning DKIM-K02 s1", "warning SVC-01 s2")
	vendor.Undelegate()
	watch("everything is gone", "error DKIM-D03 s1", "error DKIM-D03 s2", "warning DKIM-K02 google", "warning SVC-01 s1", "warning SVC-01 s2")
	vendor.Delegate()
	vendor.TXT("s1.domainkey.u1.wl2.sendgrid.net", small)
	vendor.TXT("s2.domainkey.u1.wl2.sendgrid.net", first)
	watch("back again", "warning DKIM-D06 s1", "warning DKIM-K02 google", "warning DKIM-K02 s1")
}

// keys waits until the store remembers so many keys of a selector.
func (r *running) keys(t *testing.T, c *client.Client, selector string, want int) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		s, err := r.store.Situation(t.Context(), "example.com")
		if err != nil {
			t.Fatal(err)
		}
		for _, rec := range s.Records {
			if strings.HasPrefix(rec.Name, selector+".") && len(rec.Keys) == want {
				return
			}
		}
	}
	t.Fatalf("%d keys of %s were never remembered", want, selector)
}

// What the loop knows becomes a look: a TXT key is as old as its record, a record that is wanted no more keeps nothing open, and siblings speak for each other.
func TestServiceRules(t *testing.T) {
	catalogue, err := services.Load()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	day := 24 * time.Hour
	record := func(id, selector, rrtype, want string, f ...func(*lifecycle.Record)) lifecycle.Record {
		r := lifecycle.Record{Domain: "example.com", AssignmentID: id, Purpose: lifecycle.ForDelegated, Name: selector + "._domainkey.example.com", Type: rrtype, Want: want,
			Behind: evidence.Behind{At: now, Found: evidence.FoundValues, Chain: []string{want}, TXT: []string{serviceKey(t, 2048)}}}
		if rrtype == "TXT" {
			r.Purpose, r.Behind.Chain, r.Behind.TXT = lifecycle.ForForeign, nil, []string{want}
		}
		r.Last = evidence.Sighting{At: now, Expected: want, Servers: []evidence.ServerSight{{Verdict: evidence.Shows, Values: []string{want}}}}
		for _, change := range f {
			change(&r)
		}
		return r
	}
	text := serviceKey(t, 2048)
	old := func(r *lifecycle.Record) {
		r.FirstAgreed = now.Add(-400 * day)
		r.Keys = []lifecycle.SeenKey{{Fingerprint: "aa", Type: "rsa", Bits: 2048, First: now.Add(-day), Last: now}}
	}
	gone := func(r *lifecycle.Record) {
		r.Behind = evidence.Behind{At: now, Found: evidence.FoundGone, Chain: []string{r.Want}}
	}
	unwanted := func(r *lifecycle.Record) { r.Want = "" }
	absent := func(r *lifecycle.Record) {
		r.Last.Servers = []evidence.ServerSight{{Verdict: evidence.Differs}}
	}
	const s1, s2 = "s1.domainkey.u1.wl2.sendgrid.net", "s2.domainkey.u1.wl2.sendgrid.net"
	for name, tt := range map[string]struct {
		records  []lifecycle.Record // the first one is judged
		open     string
		resolved string // among others
		not      string // not among the resolved
	}{
		"a TXT key is as old as its record": {[]lifecycle.Record{record("g", "google", "TXT", text, old)}, "SVC-02 google", "DKIM-K02 google", "SVC-02 google"},
		"all is well":                       {[]lifecycle.Record{record("s", "s1", "CNAME", s1), record("s", "s2", "CNAME", s2)}, "", "SVC-01 s2", "SVC-01 s1"},
		"the other one is gone":             {[]lifecycle.Record{record("s", "s1", "CNAME", s1), record("s", "s2", "CNAME", s2, gone)}, "SVC-01 s2", "DKIM-D02 s1", "SVC-01 s2"},
		"wanted no more, the other is":      {[]lifecycle.Record{record("s", "s1", "CNAME", s1, unwanted), record("s", "s2", "CNAME", s2, gone)}, "", "DKIM-D02 s1", "SVC-01 s2"},
		"wanted no more, and alone":         {[]lifecycle.Record{record("s", "s1", "CNAME", s1, unwanted)}, "", "SVC-01 s2", ""},
		"the CNAME does not stand yet":      {[]lifecycle.Record{record("s", "s1", "CNAME", s1, gone, absent), record("s", "s2", "CNAME", s2)}, "", "DKIM-D02 s1", ""},
		"another service's record":          {[]lifecycle.Record{record("s", "s1", "CNAME", s1), record("g", "s2", "CNAME", s2)}, "SVC-01 s2", "", ""},
	} {
		situation := lifecycle.Situation{Now: now, Records: tt.records, Signers: map[string]inventory.Signer{"1": {ID: "1", Service: "sendgrid"}, "2": {ID: "2", Service: "google-workspace"}},
			Assignments: []inventory.Assignment{{ID: "s", SignerID: "1"}, {ID: "g", SignerID: "2"}}}
		situation.Domain.Policy = inventory.DefaultPolicy()
		open, resolved := serviceRules{catalogue}.Judge(&situation, &situation.Records[0])
		short := func(all []lifecycle.Finding) (out []string) {
			for _, f := range all {
				out = append(out, f.ID+" "+strings.TrimSuffix(f.Subject, "._domainkey.example.com"))
			}
			return out
		}
		if got := strings.Join(short(open), ", "); got != tt.open {
			t.Errorf("%s: open %q, want %q", name, got, tt.open)
		}
		all := short(resolved)
		if tt.resolved != "" && !slices.Contains(all, tt.resolved) || tt.not != "" && slices.Contains(all, tt.not) {
			t.Errorf("%s: resolved %q", name, all)
		}
	}
}
