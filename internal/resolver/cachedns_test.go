package resolver_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/fakedns"
	"github.com/postseal/postseal/internal/resolver"
)

// clock is a time that stands still until it is moved.
type clock struct{ seconds atomic.Int64 }

func (c *clock) now() time.Time { return time.Unix(1_800_000_000+c.seconds.Load(), 0) }

func (c *clock) forward(d time.Duration) { c.seconds.Add(int64(d / time.Second)) }

// cached is a cache in front of the fake network's recursive servers.
func cached(t *testing.T, network *fakedns.Net) (*resolver.Cache, *clock) {
	t.Helper()
	at := &clock{}
	return newCache(t, open(t, network), resolver.CacheConfig{Now: at.now}), at
}

// What the zone says about time is what the cache keeps to, along the whole chain.
func TestCacheTakesTimesFromTheZone(t *testing.T) {
	t.Parallel()
	network := fakedns.New(t)
	zone := network.Zone("example.com", 1)
	other := network.Zone("example.net", 1)
	zone.SOA(400, 200)
	other.SOA(50, 900)
	zone.TTL(100)
	zone.TXT("short.example.com", "x")
	zone.CNAME("quick.example.com", "long.example.net")
	zone.CNAME("nothing.example.com", "none.example.net")
	zone.TTL(1000)
	zone.TXT("long.example.com", "x")
	zone.CNAME("alias.example.com", "short.example.net")
	zone.Set("host.example.com", "A", "192.0.2.1")
	other.TTL(70)
	other.TXT("short.example.net", "x")
	other.TTL(1000)
	other.TXT("long.example.net", "x")

	for name, seconds := range map[string]int{
		"short.example.com":   100,
		"long.example.com":    1000,
		"alias.example.com":   70,  // the target's
		"quick.example.com":   100, // the alias's
		"none.example.com":    200, // the SOA's MINIMUM
		"host.example.com":    200, // no such record
		"nothing.example.com": 50,  // the SOA's own TTL, of the target's zone
	} {
		c, at := cached(t, network)
		network.Forget()
		first, _ := c.LookupTXT(t.Context(), name)
		at.forward(time.Duration(seconds-1) * time.Second)
		again, _ := c.LookupTXT(t.Context(), name)
		if n := network.Count("recursive1", name, "TXT"); n != 1 || !slices.Equal(first, again) {
			t.Errorf("%s: asked %d times before its time", name, n)
		}
		at.forward(time.Second)
		c.LookupTXT(t.Context(), name)
		if n := network.Count("recursive1", name, "TXT"); n != 2 {
			t.Errorf("%s: asked %d times after its time", name, n)
		}
	}
}

func TestCacheFollowsAliases(t *testing.T) {
	t.Parallel()
	network := fakedns.New(t)
	zone := network.Zone("example.com", 1)
	zone.TXT("end.example.com", "x")
	for i := range 9 {
		zone.CNAME(fmt.Sprintf("a%d.example.com", i+1), strings.Replace(fmt.Sprintf("a%d.example.com", i), "a0", "end", 1))
	}
	zone.CNAME("ring1.example.com", "ring2.example.com")
	zone.CNAME("ring2.example.com", "ring1.example.com")
	c, _ := cached(t, network)
	checkLookups(t, c.LookupTXT, []lookupCase{
		{name: "a8.example.com", txt: []string{"x"}},
		{name: "a9.example.com"}, // one too many
		{name: "ring1.example.com", temporary: true},
	})
}

func TestCacheThroughTheNetworkAsksOnce(t *testing.T) {
	t.Parallel()
	network := fakedns.New(t)
	network.Zone("example.com", 1).TXT(name, key)
	c, _ := cached(t, network)
	var group sync.WaitGroup
	for range 40 {
		group.Go(func() {
			if txt, err := c.LookupTXT(t.Context(), name); err != nil || !slices.Equal(txt, []string{key}) {
				t.Errorf("%v, %v", txt, err)
			}
		})
	}
	group.Wait()
	if n := network.Count("recursive1", name, "TXT"); n != 1 {
		t.Errorf("the server saw %d questions", n)
	}
}

func TestCacheRefusesEnormousAnswers(t *testing.T) {
	t.Parallel()
	network := fakedns.New(t)
	zone := network.Zone("example.com", 1)
	zone.TXT("one.example.com", strings.Repeat("x", 60_000))
	zone.TXT("many.example.com", slices.Repeat([]string{strings.Repeat("y", 250)}, 200)...)
	zone.TXT("rsa4096.example.com", strings.Repeat("z", 760))
	c, _ := cached(t, network)
	checkLookups(t, c.LookupTXT, []lookupCase{
		{name: "one.example.com"},
		{name: "many.example.com"},
		{name: "rsa4096.example.com", txt: []string{strings.Repeat("z", 760)}},
	})
	if got := c.Stats(); got.Octets > 4096 || got.Entries != 3 {
		t.Errorf("kept of it: %+v", got)
	}
	network.Forget()
	c.LookupTXT(t.Context(), "one.example.com")
	if len(network.Queries()) != 0 {
		t.Error("the refused answer was fetched again")
	}
}

func TestCacheSparesADeadServer(t *testing.T) {
	t.Parallel()
	network := fakedns.New(t)
	network.Zone("example.com", 1).TXT(name, key)
	network.Recursives()[0].Fail(fakedns.Timeout)
	c, at := cached(t, network)
	for range 5 {
		_, err := c.LookupTXT(t.Context(), name)
		if e := dnsError(t, err); !e.IsTimeout || !e.IsTemporary {
			t.Errorf("%#v", e)
		}
	}
	if n := network.Count("recursive1", "", ""); n != 1 {
		t.Errorf("asked %d times", n)
	}
	network.Recursives()[0].Fail(fakedns.None)
	at.forward(5 * time.Second)
	if _, err := c.LookupTXT(t.Context(), name); err != nil {
		t.Errorf("after recovery: %v", err)
	}
}

func TestCacheKnowsDNSSEC(t *testing.T) {
	t.Parallel()
	network := fakedns.New(t)
	signed, plain, broken, dead := network.Zone("signed.test", 1), network.Zone("plain.test", 1), network.Zone("broken.test", 1), network.Zone("dead.test", 1)
	for _, z := range []*fakedns.Zone{signed, plain, broken, dead} {
		z.TXT("s."+z.Name(), "x")
	}
	signed.Sign(true)
	signed.CNAME("out.signed.test", "s.plain.test")
	broken.Sign(true)
	broken.Break(true)
	dead.Servers()[0].Fail(fakedns.ServFail)
	c, _ := cached(t, network)
	for name, want := range map[string]bool{"s.signed.test": true, "none.signed.test": true, "s.plain.test": false, "out.signed.test": false} {
		if _, authentic, _ := c.LookupTXTSecure(t.Context(), name); authentic != want {
			t.Errorf("%s: authentic %v", name, authentic)
		}
	}
	for name, want := range map[string]bool{"s.broken.test": true, "s.dead.test": false} {
		records, authentic, err := c.LookupTXTSecure(t.Context(), name)
		if e := dnsError(t, err); strings.Contains(e.Error(), "bogus") != want || !e.IsTemporary || len(records) != 0 || authentic {
			t.Errorf("%s: %q, authentic %v, %v", name, records, authentic, err)
		}
	}
}

// A second server that does not validate must not let through what the first refused; for any other trouble it is asked.
func TestFirstUsableAnswer(t *testing.T) {
	t.Parallel()
	network := fakedns.New(t)
	second := network.AddRecursive()
	zone := network.Zone("example.com", 1)
	zone.TXT(name, key)
	r := open(t, network)
	network.Recursives()[0].Fail(fakedns.Refused)
	if a := r.First(t.Context(), name, "TXT"); a.Server != second.Addr() || !slices.Equal(a.TXT, []string{key}) {
		t.Errorf("the second server: %+v", a)
	}
	second.Fail(fakedns.ServFail)
	if a := r.First(t.Context(), name, "TXT"); a.Status != resolver.StatusError {
		t.Errorf("nobody: %+v", a)
	}
	second.Fail(fakedns.None)
	network.Recursives()[0].Fail(fakedns.None)
	zone.Break(true)
	network.Forget()
	if a := r.First(t.Context(), name, "TXT"); !a.Bogus || network.Count("recursive2", "", "") != 0 {
		t.Errorf("bogus: %+v, %v", a, network.Queries())
	}
	for _, bad := range [][2]string{{"not a name", "TXT"}, {name, "AXFR"}} {
		if a := r.First(t.Context(), bad[0], bad[1]); a.Status != resolver.StatusError || a.Detail != resolver.DetailBadName {
			t.Errorf("%v: %+v", bad, a)
		}
	}
}
