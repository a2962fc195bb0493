package nameserver_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"github.com/postseal/postseal/internal/nameserver"
	"github.com/postseal/postseal/internal/publisher/provider/builtin"
)

// counting counts how often zones are read.
type counting struct {
	*builtin.Memory
	zones atomic.Int64
	fail  atomic.Bool
}

func (c *counting) Zones(ctx context.Context) ([]string, error) {
	c.zones.Add(1)
	if c.fail.Load() {
		return nil, errors.New("the source is away")
	}
	return c.Memory.Zones(ctx)
}

func txt(t *testing.T, s *nameserver.Server, name string) string {
	t.Helper()
	r := ask(t, "udp", s.Addr(), name, dns.TypeTXT, nil)
	if t, ok := first(r.Answer).(*dns.TXT); ok {
		return strings.Join(t.Txt, "")
	}
	return dns.RcodeToString[r.Rcode]
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.After(deadline)
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("never: %s", what)
		}
	}
}

func TestChanges(t *testing.T) {
	const zone, name = "example.org", "mx1._domainkey.example.org"
	for _, how := range []string{"notify one", "notify all", "refresh", "refresh without version"} {
		t.Run(how, func(t *testing.T) {
			m := &counting{Memory: builtin.NewMemory(zone)}
			c := nameserver.Config{Source: m, Version: m.Version, RefreshEvery: time.Hour}
			if strings.HasPrefix(how, "refresh") {
				c.RefreshEvery = 10 * time.Millisecond
			}
			if how == "refresh without version" {
				c.Version = nil
			}
			s := start(t, c)
			before := ""
			for _, v := range []string{"A", "B", ""} {
				var expect, want []string
				shown := "NXDOMAIN"
				if before != "" {
					expect = []string{before}
				}
				if v != "" {
					want, shown = []string{v}, v
				}
				put(t, m.Memory, zone, name, "TXT", expect, want)
				switch how {
				case "notify one":
					s.Notify(zone)
				case "notify all":
					s.Notify()
				}
				eventually(t, "shows "+shown, func() bool { return txt(t, s, name) == shown })
				before = v
			}
		})
	}
}

// Questions cost the source nothing, and neither does time while the version stays.
func TestSourceIsSpared(t *testing.T) {
	m := &counting{Memory: builtin.NewMemory("example.org")}
	var versions atomic.Int64
	s := start(t, nameserver.Config{Source: m, RefreshEvery: time.Millisecond, Version: func(ctx context.Context) (int64, error) {
		versions.Add(1)
		return m.Version(ctx)
	}})
	for range 50 {
		txt(t, s, "x.example.org")
	}
	eventually(t, "asks for the version", func() bool { return versions.Load() > 10 })
	if n := m.zones.Load(); n != 1 {
		t.Errorf("the zones were read %d times, want once", n)
	}
}

// While the source is away the last state is served; when it comes back, so do changes.
func TestSourceAway(t *testing.T) {
	const zone, name = "example.org", "mx1._domainkey.example.org"
	m := &counting{Memory: builtin.NewMemory(zone)}
	put(t, m.Memory, zone, name, "TXT", nil, []string{"A"})
	s := start(t, nameserver.Config{Source: m, RefreshEvery: time.Millisecond})
	m.fail.Store(true)
	put(t, m.Memory, zone, name, "TXT", []string{"A"}, []string{"B"})
	// A read that began before the source went away may still bring B; two more reads later none is under way.
	tries := m.zones.Load()
	eventually(t, "tries again", func() bool { return m.zones.Load() > tries+2 })
	if got := txt(t, s, name); got != "A" && got != "B" {
		t.Fatalf("shows %s", got)
	}
	m.fail.Store(false)
	eventually(t, "shows B", func() bool { return txt(t, s, name) == "B" })
}

func TestZonesComeAndGo(t *testing.T) {
	m := builtin.NewMemory("example.org")
	var gone atomic.Bool
	s := start(t, nameserver.Config{Source: hiding{m, &gone}, RefreshEvery: time.Millisecond})
	if got := txt(t, s, "x.example.org"); got != "NXDOMAIN" {
		t.Fatal(got)
	}
	gone.Store(true)
	eventually(t, "is refused", func() bool { return txt(t, s, "x.example.org") == "REFUSED" })
	gone.Store(false)
	eventually(t, "is served", func() bool { return txt(t, s, "x.example.org") == "NXDOMAIN" })
}

type hiding struct {
	*builtin.Memory
	hide *atomic.Bool
}

func (h hiding) Zones(ctx context.Context) ([]string, error) {
	if h.hide.Load() {
		return nil, nil
	}
	return h.Memory.Zones(ctx)
}

// While the zone changes, a question gets the old or the new state, and serials only grow.
func TestConcurrentChange(t *testing.T) {
	const zone, name = "example.org", "mx1._domainkey.example.org"
	m := builtin.NewMemory(zone)
	put(t, m, zone, name, "TXT", nil, []string{"0"})
	s := start(t, nameserver.Config{Source: m, RefreshEvery: time.Hour})
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for _, network := range []string{"udp", "tcp"} {
		wg.Go(func() {
			var last uint32
			for {
				select {
				case <-stop:
					return
				default:
				}
				r := ask(t, network, s.Addr(), zone, dns.TypeSOA, nil)
				soa, ok := first(r.Answer).(*dns.SOA)
				if !ok || soa.Serial < last {
					t.Errorf("SOA %v after serial %d", r.Answer, last)
					return
				}
				last = soa.Serial
				if got := txt(t, s, name); len(got) > 3 {
					t.Errorf("shows %s", got)
					return
				}
			}
		})
	}
	const changes = 100
	for i := range changes {
		put(t, m, zone, name, "TXT", []string{fmt.Sprint(i)}, []string{fmt.Sprint(i + 1)})
		s.Notify(zone)
	}
	eventually(t, "shows the last value", func() bool { return txt(t, s, name) == fmt.Sprint(changes) })
	close(stop)
	wg.Wait()
}
