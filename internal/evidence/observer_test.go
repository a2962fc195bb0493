package evidence_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/postseal/postseal/internal/evidence"
	"github.com/postseal/postseal/internal/fakedns"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/resolver"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	name  = "mx1._domainkey.example.com"
	value = "v=DKIM1; k=ed25519; p=AAAA"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func onNetwork(t *testing.T, network *fakedns.Net) *evidence.Observer {
	t.Helper()
	r, err := resolver.New(resolver.Config{Recursive: []string{network.Recursive()}, AuthorityPort: network.Port(), Timeout: fakedns.Patience})
	if err != nil {
		t.Fatal(err)
	}
	return evidence.New(r, func() time.Time { return noon })
}

// verdicts are the servers' verdicts in order, with the details of those that do not show.
func verdicts(s evidence.Sighting) []string {
	var out []string
	for _, server := range s.Servers {
		text := string(server.Verdict)
		if server.Detail != "" {
			text += " " + server.Detail
		}
		out = append(out, text)
	}
	return out
}

// What two name servers do, and what is seen of it.
func TestLook(t *testing.T) {
	tests := []struct {
		name     string
		prepare  func(network *fakedns.Net, zone *fakedns.Zone)
		rrtype   string
		expected string
		want     []string
		agreed   bool
		contra   bool
		foreign  string
		cname    string
	}{
		{"both show", func(_ *fakedns.Net, z *fakedns.Zone) { z.TXT(name, value) }, "TXT", value, []string{"shows", "shows"}, true, false, "", ""},
		{"cut into other strings", func(_ *fakedns.Net, z *fakedns.Zone) { z.Set(name, "TXT", `"v=DKIM1; " "k=ed25519; p=" "AAAA"`) }, "TXT", value, []string{"shows", "shows"}, true, false, "", ""},
		{"nothing there", func(*fakedns.Net, *fakedns.Zone) {}, "TXT", value, []string{"differs NXDOMAIN", "differs NXDOMAIN"}, false, true, "", ""},
		{"nothing there as expected", func(*fakedns.Net, *fakedns.Zone) {}, "TXT", "", []string{"shows NXDOMAIN", "shows NXDOMAIN"}, true, false, "", ""},
		{"other type there, nothing expected", func(_ *fakedns.Net, z *fakedns.Zone) { z.Set(name, "A", "192.0.2.1") }, "TXT", "", []string{"shows no TXT record", "shows no TXT record"}, true, false, "", ""},
		{"a secondary lags", func(_ *fakedns.Net, z *fakedns.Zone) { z.Servers()[1].Lag(); z.TXT(name, value) }, "TXT", value, []string{"shows", "differs NXDOMAIN"}, false, true, "", ""},
		{"a secondary refuses", func(_ *fakedns.Net, z *fakedns.Zone) { z.TXT(name, value); z.Servers()[1].Fail(fakedns.Refused) }, "TXT", value, []string{"shows", "silent REFUSED"}, false, false, "", ""},
		{"a secondary is silent", func(_ *fakedns.Net, z *fakedns.Zone) { z.TXT(name, value); z.Servers()[1].Fail(fakedns.Timeout) }, "TXT", value, []string{"shows", "silent timeout"}, false, false, "", ""},
		{"a secondary is silent, nothing expected", func(_ *fakedns.Net, z *fakedns.Zone) { z.Servers()[1].Fail(fakedns.Timeout) }, "TXT", "", []string{"shows NXDOMAIN", "silent timeout"}, false, false, "", ""},
		{"somebody else's", func(_ *fakedns.Net, z *fakedns.Zone) { z.TXT(name, "theirs") }, "TXT", value, []string{"differs", "differs"}, false, true, "theirs", ""},
		{"ours and another one", func(_ *fakedns.Net, z *fakedns.Zone) { z.TXT(name, value, "theirs") }, "TXT", value, []string{"differs", "differs"}, false, true, "theirs", ""},
		{"ours twice", func(_ *fakedns.Net, z *fakedns.Zone) {
			z.Set(name, "TXT", `"`+value+`"`, `"v=DKIM1; " "k=ed25519; p=AAAA"`)
		}, "TXT", value, []string{"differs", "differs"}, false, true, "", ""},
		{"behind a CNAME", func(n *fakedns.Net, z *fakedns.Zone) {
			n.Zone("service.example", 1).TXT("k1.service.example", value)
			z.CNAME(name, "k1.service.example")
		}, "TXT", value, []string{"shows", "shows"}, true, false, "CNAME k1.service.example", "k1.service.example"},
		{"the CNAME dangles", func(n *fakedns.Net, z *fakedns.Zone) {
			n.Zone("service.example", 1)
			z.CNAME(name, "k1.service.example")
		}, "TXT", value, []string{"differs CNAME to k1.service.example: NXDOMAIN", "differs CNAME to k1.service.example: NXDOMAIN"}, false, true, "CNAME k1.service.example", "k1.service.example"},
		{"a dangling CNAME is not nothing", func(n *fakedns.Net, z *fakedns.Zone) {
			n.Zone("service.example", 1)
			z.CNAME(name, "k1.service.example")
		}, "TXT", "", []string{"differs CNAME to k1.service.example: NXDOMAIN", "differs CNAME to k1.service.example: NXDOMAIN"}, false, true, "CNAME k1.service.example", "k1.service.example"},
		{"a CNAME is expected", func(_ *fakedns.Net, z *fakedns.Zone) { z.CNAME(name, "K1.service.example.") }, "CNAME", "k1.Service.example.", []string{"shows", "shows"}, true, false, "", "k1.service.example"},
		{"another CNAME", func(_ *fakedns.Net, z *fakedns.Zone) { z.CNAME(name, "k2.service.example") }, "CNAME", "k1.service.example", []string{"differs", "differs"}, false, true, "k2.service.example", "k2.service.example"},
		{"TXT where a CNAME is expected", func(_ *fakedns.Net, z *fakedns.Zone) { z.TXT(name, value) }, "CNAME", "k1.service.example", []string{"differs no CNAME record", "differs no CNAME record"}, false, true, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			network := fakedns.New(t)
			zone := network.Zone("example.com", 2)
			tt.prepare(network, zone)
			s := onNetwork(t, network).Look(t.Context(), name, tt.rrtype, tt.expected)
			if s.Problem != "" {
				t.Fatal(s.Problem)
			}
			if got := verdicts(s); !slices.Equal(got, tt.want) {
				t.Errorf("%q, want %q", got, tt.want)
			}
			if s.Agreed(nil) != tt.agreed || s.Contradicted() != tt.contra {
				t.Errorf("agreed %t, contradicted %t", s.Agreed(nil), s.Contradicted())
			}
			if got := s.Foreign(value, "k1.service.example"); got != tt.foreign {
				t.Errorf("foreign %q, want %q", got, tt.foreign)
			}
			if s.Servers[0].CNAME != tt.cname {
				t.Errorf("CNAME %q, want %q", s.Servers[0].CNAME, tt.cname)
			}
			if s.Name != name || s.Type != tt.rrtype || s.Expected != tt.expected || !s.At.Equal(noon) || s.Zone != "example.com" {
				t.Errorf("%+v", s)
			}
		})
	}
}

// TTLs are the largest along the chain; the negative one is known also when the record stands.
func TestLookTTL(t *testing.T) {
	network := fakedns.New(t)
	zone := network.Zone("example.com", 2)
	zone.SOA(7200, 1800)
	zone.TTL(600)
	zone.TXT(name, value)
	zone.CNAME("alias._domainkey.example.com", "k1.service.example")
	service := network.Zone("service.example", 1)
	service.SOA(86400, 43200)
	service.TTL(4000)
	service.TXT("k1.service.example", value)
	o := onNetwork(t, network)
	tests := []struct {
		name               string
		positive, negative time.Duration
	}{
		{name, 600 * time.Second, 1800 * time.Second},
		{"absent._domainkey.example.com", 0, 1800 * time.Second},
		{"alias._domainkey.example.com", 4000 * time.Second, 43200 * time.Second},
	}
	for _, tt := range tests {
		s := o.Look(t.Context(), tt.name, "TXT", value)
		if s.PositiveTTL != tt.positive || s.NegativeTTL != tt.negative {
			t.Errorf("%s: %s and %s, want %s and %s", tt.name, s.PositiveTTL, s.NegativeTTL, tt.positive, tt.negative)
		}
	}
}

func TestLookWithoutZone(t *testing.T) {
	network := fakedns.New(t)
	network.Zone("example.com", 1)
	s := onNetwork(t, network).Look(t.Context(), "mx1._domainkey.example.net", "TXT", value)
	if !strings.Contains(s.Problem, "not delegated") || len(s.Servers) > 0 || s.Agreed(nil) || s.Contradicted() {
		t.Errorf("%+v", s)
	}
	if s := onNetwork(t, network).Look(t.Context(), name, "NS", ""); s.Problem == "" || s.Agreed(nil) {
		t.Errorf("NS: %+v", s)
	}
}

// held is a resolver that answers when the test lets it.
type held struct {
	asked   chan string
	release chan struct{}
	running atomic.Int32
	most    atomic.Int32
}

func newHeld() *held { return &held{asked: make(chan string, 1000), release: make(chan struct{})} }

func (h *held) Authoritative(ctx context.Context, name, _ string) (resolver.View, error) {
	running := h.running.Add(1)
	defer h.running.Add(-1)
	for {
		most := h.most.Load()
		if running <= most || h.most.CompareAndSwap(most, running) {
			break
		}
	}
	h.asked <- name
	select {
	case <-h.release:
		return resolver.View{Name: name, Answers: []resolver.Answer{{Server: "ns1", Status: resolver.StatusOK, TXT: []string{value}}}}, nil
	case <-ctx.Done():
		return resolver.View{}, fault.Wrap(fault.Unavailable, ctx.Err(), "interrupted")
	}
}

// Who asks the same at the same time shares one look; who asks something else does not.
func TestSharedLook(t *testing.T) {
	h := newHeld()
	o := evidence.New(h, time.Now)
	var wg sync.WaitGroup
	results := make([]evidence.Sighting, 20)
	look := func(i int, expected string) {
		wg.Go(func() { results[i] = o.Look(t.Context(), name, "TXT", expected) })
	}
	look(0, value)
	<-h.asked // the first one looks
	for i := 1; i < 19; i++ {
		look(i, value)
	}
	look(19, "")
	<-h.asked // the last one asks something else
	close(h.release)
	wg.Wait()
	for i, s := range results[:19] {
		if !s.Agreed(nil) {
			t.Errorf("%d: %+v", i, s)
		}
	}
	if results[19].Agreed(nil) {
		t.Errorf("%+v", results[19])
	}
	results[0].Servers[0].Values[0] = "changed by its caller"
	for i, s := range results[1:19] {
		if s.Servers[0].Values[0] != value {
			t.Fatalf("%d shares memory with 0", i+1)
		}
	}
}

// When the one who looks is called off, those who wait look themselves.
func TestSharedLookCalledOff(t *testing.T) {
	h := newHeld()
	o := evidence.New(h, time.Now)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var first, second evidence.Sighting
	wg.Go(func() { first = o.Look(ctx, name, "TXT", value) })
	<-h.asked
	wg.Go(func() { second = o.Look(t.Context(), name, "TXT", value) })
	cancel()
	<-h.asked
	close(h.release)
	wg.Wait()
	if first.Problem == "" || first.Agreed(nil) || first.Contradicted() {
		t.Errorf("called off: %+v", first)
	}
	if !second.Agreed(nil) {
		t.Errorf("waiting: %+v", second)
	}
}

// Who waits for another's look can be called off as well.
func TestWaitingCalledOff(t *testing.T) {
	h := newHeld()
	o := evidence.New(h, time.Now)
	var wg sync.WaitGroup
	wg.Go(func() { o.Look(t.Context(), name, "TXT", value) })
	<-h.asked
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if s := o.Look(ctx, name, "TXT", value); !strings.Contains(s.Problem, "interrupted") {
		t.Errorf("%+v", s)
	}
	close(h.release)
	wg.Wait()
}

func TestLooksAreBounded(t *testing.T) {
	h := newHeld()
	o := evidence.New(h, time.Now)
	const looks, bound = 40, 16
	var wg sync.WaitGroup
	var agreed atomic.Int32
	for i := range looks {
		wg.Go(func() {
			if o.Look(t.Context(), string(rune('a'+i%26))+strings.Repeat("x", i)+".example.com", "TXT", value).Agreed(nil) {
				agreed.Add(1)
			}
		})
	}
	for range bound {
		<-h.asked
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if s := o.Look(ctx, "late.example.com", "TXT", value); s.Problem == "" {
		t.Errorf("%+v", s)
	}
	close(h.release)
	wg.Wait()
	if agreed.Load() != looks || h.most.Load() > bound {
		t.Errorf("%d agreed, %d at once", agreed.Load(), h.most.Load())
	}
}

// An error of the resolver is told, and is no verdict.
func TestResolverError(t *testing.T) {
	o := evidence.New(failing{}, time.Now)
	s := o.Look(t.Context(), name, "TXT", "")
	if s.Problem != "no recursive server answers" || s.Agreed(nil) || s.Contradicted() {
		t.Errorf("%+v", s)
	}
}

type failing struct{}

func (failing) Authoritative(context.Context, string, string) (resolver.View, error) {
	return resolver.View{}, fault.Wrap(fault.Unavailable, errors.New("secret details"), "no recursive server answers")
}
