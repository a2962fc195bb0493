package evidence_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/evidence"
	"github.com/postseal/postseal/internal/fakedns"
)

// What is behind a name, in somebody else's zone: there, missing, gone with its zone or with its domain, or not to be told.
func TestBehind(t *testing.T) {
	for _, tt := range []struct {
		name    string
		prepare func(network *fakedns.Net, own, vendor *fakedns.Zone)
		found   evidence.Found
		chain   string
		nobody  string // the domain that can be registered
	}{
		{"a TXT record of ours", func(_ *fakedns.Net, own, _ *fakedns.Zone) { own.TXT(name, value) }, evidence.FoundValues, "", ""},
		{"nothing", func(*fakedns.Net, *fakedns.Zone, *fakedns.Zone) {}, evidence.FoundGone, "", ""},
		{"a key behind a CNAME", func(_ *fakedns.Net, own, vendor *fakedns.Zone) {
			own.CNAME(name, "k1.service.example")
			vendor.TXT("k1.service.example", value)
		}, evidence.FoundValues, "k1.service.example", ""},
		{"two hops", func(_ *fakedns.Net, own, vendor *fakedns.Zone) {
			own.CNAME(name, "k1.service.example")
			vendor.CNAME("k1.service.example", "k9.service.example")
			vendor.TXT("k9.service.example", value)
		}, evidence.FoundValues, "k1.service.example k9.service.example", ""},
		{"no TXT record there", func(_ *fakedns.Net, own, vendor *fakedns.Zone) {
			own.CNAME(name, "k1.service.example")
			vendor.Set("k1.service.example", "A", "192.0.2.1")
		}, evidence.FoundNone, "k1.service.example", ""},
		{"the name is gone", func(_ *fakedns.Net, own, _ *fakedns.Zone) { own.CNAME(name, "k1.service.example") }, evidence.FoundGone, "k1.service.example", ""},
		{"the domain is gone", func(_ *fakedns.Net, own, vendor *fakedns.Zone) {
			own.CNAME(name, "k1.deep.service.example")
			vendor.Undelegate()
		}, evidence.FoundGone, "k1.deep.service.example", "service.example"},
		{"nobody answers for the domain", func(_ *fakedns.Net, own, vendor *fakedns.Zone) {
			own.CNAME(name, "k1.service.example")
			vendor.Servers()[0].Fail(fakedns.ServFail)
		}, evidence.FoundSilent, "", ""},
		{"in our own zone, gone", func(_ *fakedns.Net, own, _ *fakedns.Zone) { own.CNAME(name, "k1.example.com") }, evidence.FoundGone, "k1.example.com", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			network := fakedns.New(t)
			own, vendor := network.Zone("example.com", 2), network.Zone("service.example", 1)
			tt.prepare(network, own, vendor)
			b := onNetwork(t, network).Behind(t.Context(), name)
			if b.Found != tt.found || strings.Join(b.Chain, " ") != tt.chain || b.Unregistered != tt.nobody || !b.At.Equal(noon) {
				t.Errorf("%+v", b)
			}
			if tt.found == evidence.FoundValues && !slices.Equal(b.TXT, []string{value}) {
				t.Errorf("values %q", b.TXT)
			}
		})
	}
	if b := evidence.New(failing{}, func() time.Time { return noon }).Behind(t.Context(), name); b.Found != evidence.FoundSilent || b.Detail != "no recursive server answers" {
		t.Errorf("%+v", b)
	}
}
