package resolver_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postseal/postseal/internal/resolver"
)

// source answers by "name TYPE"; a name without an entry does not exist. A question waits at the gate, if there is one, until its
// context ends.
type source struct {
	answers map[string]resolver.Answer
	gate    chan struct{}

	mu    sync.Mutex
	asked []string
}

func (s *source) First(ctx context.Context, name, rrtype string) resolver.Answer {
	s.mu.Lock()
	s.asked = append(s.asked, name+" "+rrtype)
	s.mu.Unlock()
	if s.gate != nil {
		select {
		case <-s.gate:
		case <-ctx.Done():
			return resolver.Answer{Status: resolver.StatusError, Detail: resolver.DetailTimeout}
		}
	}
	if a, ok := s.answers[name+" "+rrtype]; ok {
		return a
	}
	return resolver.Answer{Status: resolver.StatusNXDomain, Keep: 300}
}

// count is how many questions were asked so far.
func (s *source) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked)
}

func positive(seconds uint32, txt ...string) resolver.Answer {
	return resolver.Answer{Status: resolver.StatusOK, TXT: txt, Keep: seconds}
}

func denial(seconds uint32) resolver.Answer {
	return resolver.Answer{Status: resolver.StatusNoData, Keep: seconds}
}

func trouble(detail string) resolver.Answer {
	return resolver.Answer{Status: resolver.StatusError, Detail: detail}
}

func newCache(t *testing.T, s resolver.Source, cfg resolver.CacheConfig) *resolver.Cache {
	t.Helper()
	c := resolver.NewCache(s, cfg)
	t.Cleanup(c.Close)
	return c
}

// Every kind of answer is asked again when its time is over, and not one second before.
func TestCacheKeepsAnswersForTheirTime(t *testing.T) {
	t.Parallel()
	cases := []struct {
		what   string
		answer resolver.Answer
		life   time.Duration
	}{
		{"a TTL", positive(3600, "x"), time.Hour},
		{"a TTL of zero", positive(0, "x"), 5 * time.Second},
		{"a TTL of a week", positive(7*86400, "x"), 24 * time.Hour},
		{"a denial", denial(300), 5 * time.Minute},
		{"a denial without SOA", denial(0), 5 * time.Second},
		{"a denial for a day", denial(86400), 15 * time.Minute},
		{"NXDOMAIN for a day", resolver.Answer{Status: resolver.StatusNXDomain, Keep: 86400}, 15 * time.Minute},
		{"SERVFAIL", trouble("SERVFAIL"), 5 * time.Second},
		{"silence", trouble(resolver.DetailTimeout), 5 * time.Second},
		{"too much text", positive(3600, strings.Repeat("x", 16<<10+1)), 5 * time.Second},
	}
	for _, tc := range cases {
		t.Run(tc.what, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				s := &source{answers: map[string]resolver.Answer{"a.example TXT": tc.answer}}
				c := newCache(t, s, resolver.CacheConfig{})
				ask := func(want int) {
					t.Helper()
					c.LookupTXT(t.Context(), "a.example")
					if s.count() != want {
						t.Fatalf("%d questions, want %d", s.count(), want)
					}
				}
				ask(1)
				time.Sleep(tc.life - time.Second)
				ask(1)
				time.Sleep(time.Second)
				ask(2)
			})
		})
	}
}

func TestCacheAnswersAsPackageNet(t *testing.T) {
	t.Parallel()
	bogus := trouble("SERVFAIL")
	bogus.Bogus = true
	s := &source{answers: map[string]resolver.Answer{
		"some.example TXT":  positive(60, "one", "two"),
		"none.example TXT":  denial(60),
		"slow.example TXT":  trouble(resolver.DetailTimeout),
		"fail.example TXT":  trouble("SERVFAIL"),
		"bogus.example TXT": bogus,
		"loop.example TXT":  trouble(resolver.DetailLoop),
		"full.example TXT":  positive(60, strings.Repeat("x", 16<<10)),
		"large.example TXT": positive(60, strings.Repeat("x", 8<<10), strings.Repeat("y", 8<<10), "z"),
	}}
	c := newCache(t, s, resolver.CacheConfig{})
	cases := []lookupCase{
		{name: "some.example", txt: []string{"one", "two"}},
		{name: "SOME.example.", txt: []string{"one", "two"}},
		{name: "none.example", notFound: true},
		{name: "absent.example", notFound: true},
		{name: "not a name", notFound: true},
		{name: "", notFound: true},
		{name: "slow.example", timeout: true, temporary: true},
		{name: "fail.example", temporary: true},
		{name: "bogus.example", temporary: true},
		{name: "loop.example"},
		{name: "full.example", txt: []string{strings.Repeat("x", 16<<10)}},
		{name: "large.example"},
	}
	// Twice: the first time asked, the second time kept.
	checkLookups(t, c.LookupTXT, cases)
	asked := s.count()
	checkLookups(t, c.LookupTXT, cases)
	if s.count() != asked || asked != 9 {
		t.Errorf("%d questions, then %d", asked, s.count()-asked)
	}
	for name, want := range map[string]string{"bogus.example": "bogus", "fail.example": "SERVFAIL", "large.example": "too large"} {
		_, err := c.LookupTXT(t.Context(), name)
		if err == nil || !strings.Contains(err.Error(), want) || want != "bogus" && strings.Contains(err.Error(), "bogus:") {
			t.Errorf("%s: %v", name, err)
		}
	}
	got := c.Stats()
	want := resolver.CacheStats{Hits: 4, NegativeHits: 2, ErrorHits: 8, Misses: 9, Errors: 5, Entries: 9}
	if got.Octets == 0 {
		t.Error("no octets are counted")
	}
	// The second writing of a name was a hit the first time already.
	if got.Octets = 0; got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
}

func TestCacheSaysWhatIsAuthentic(t *testing.T) {
	t.Parallel()
	signed, denied, broken := positive(60, "x"), denial(60), trouble("SERVFAIL")
	signed.AuthenticatedData, denied.AuthenticatedData, broken.AuthenticatedData = true, true, true
	s := &source{answers: map[string]resolver.Answer{
		"signed.example TXT": signed, "denied.example TXT": denied, "broken.example TXT": broken, "plain.example TXT": positive(60, "x"),
	}}
	c := newCache(t, s, resolver.CacheConfig{})
	for name, want := range map[string]bool{"signed.example": true, "denied.example": true, "broken.example": false, "plain.example": false, "no name": false} {
		for range 2 {
			if _, got, _ := c.LookupTXTSecure(t.Context(), name); got != want {
				t.Errorf("%s: authentic %v", name, got)
			}
		}
	}
}

func TestCacheAsksOnceForAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &source{answers: map[string]resolver.Answer{"a.example TXT": positive(60, "x")}, gate: make(chan struct{})}
		c := newCache(t, s, resolver.CacheConfig{})
		const callers = 50
		var group sync.WaitGroup
		for range callers {
			group.Go(func() {
				if txt, err := c.LookupTXT(t.Context(), "a.example"); err != nil || !slices.Equal(txt, []string{"x"}) {
					t.Errorf("%v, %v", txt, err)
				}
			})
		}
		synctest.Wait()
		if got := c.Stats(); s.count() != 1 || got.Misses != 1 || got.Shared != callers-1 || got.InFlight != 1 {
			t.Errorf("%d questions, %+v", s.count(), got)
		}
		close(s.gate)
		group.Wait()
		if c.Stats().InFlight != 0 {
			t.Error("a question is still under way")
		}
	})
}

// Who has no more time leaves at once; the question goes on, and its answer is there for the others and for the next.
func TestCacheCallersLeave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &source{answers: map[string]resolver.Answer{"a.example TXT": positive(60, "x")}, gate: make(chan struct{})}
		c := newCache(t, s, resolver.CacheConfig{})
		start := time.Now()
		hasty, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		stopped, stop := context.WithCancel(t.Context())
		var group sync.WaitGroup
		group.Go(func() {
			_, err := c.LookupTXT(hasty, "a.example")
			if e := dnsError(t, err); !e.IsTimeout || !e.IsTemporary || !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
				t.Errorf("after %s: %#v", time.Since(start), e)
			}
		})
		group.Go(func() {
			_, err := c.LookupTXT(stopped, "a.example")
			if e := dnsError(t, err); e.IsTimeout || !e.IsTemporary || !errors.Is(err, context.Canceled) {
				t.Errorf("%#v", e)
			}
		})
		synctest.Wait()
		stop()
		group.Wait()
		if c.Stats().InFlight != 1 {
			t.Error("the question ended with its callers")
		}
		close(s.gate)
		synctest.Wait()
		if txt, err := c.LookupTXT(hasty, "a.example"); err != nil || len(txt) != 1 || s.count() != 1 {
			t.Errorf("what is kept: %v, %v after %d questions", txt, err, s.count())
		}
		if _, err := c.LookupTXT(hasty, "b.example"); !dnsError(t, err).IsTimeout || s.count() != 1 {
			t.Errorf("without time: %v after %d questions", err, s.count())
		}
	})
}

func TestCacheQuestionsEndByThemselves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &source{gate: make(chan struct{})}
		c := newCache(t, s, resolver.CacheConfig{Timeout: 7 * time.Second})
		start := time.Now()
		_, err := c.LookupTXT(t.Context(), "a.example")
		if e := dnsError(t, err); !e.IsTimeout || time.Since(start) != 7*time.Second {
			t.Errorf("after %s: %v", time.Since(start), err)
		}
	})
}

func TestCacheClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &source{gate: make(chan struct{})}
		c := resolver.NewCache(s, resolver.CacheConfig{Questions: 1})
		var group sync.WaitGroup
		for i := range 3 {
			group.Go(func() {
				_, err := c.LookupTXT(t.Context(), fmt.Sprintf("%d.example", i))
				if e := dnsError(t, err); !e.IsTemporary {
					t.Errorf("%#v", e)
				}
			})
		}
		synctest.Wait()
		start := time.Now()
		c.Close()
		group.Wait()
		_, err := c.LookupTXT(t.Context(), "a.example")
		if e := dnsError(t, err); !e.IsTemporary || s.count() != 1 || time.Since(start) != 0 {
			t.Errorf("%v after %d questions", err, s.count())
		}
		c.Close()
	})
}

func TestCacheBoundsQuestions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &source{gate: make(chan struct{})}
		c := newCache(t, s, resolver.CacheConfig{Questions: 2, Timeout: 10 * time.Second})
		var group sync.WaitGroup
		look := func(ctx context.Context, name string) {
			group.Go(func() { c.LookupTXT(ctx, name) })
			synctest.Wait()
		}
		look(t.Context(), "a.example")
		look(t.Context(), "b.example")
		hasty, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		look(hasty, "c.example")
		look(t.Context(), "d.example")
		look(t.Context(), "d.example")
		if s.count() != 2 || c.Stats().InFlight != 2 {
			t.Errorf("%d questions under way", s.count())
		}
		time.Sleep(2 * time.Second)
		if c.Stats().Busy != 1 {
			t.Errorf("%+v", c.Stats())
		}
		// An end of one question lets the next one in, once for both that wait for it.
		s.gate <- struct{}{}
		synctest.Wait()
		if s.count() != 3 || c.Stats().InFlight != 2 {
			t.Errorf("%d questions, %+v", s.count(), c.Stats())
		}
		close(s.gate)
		group.Wait()
		if got := c.Stats(); s.count() != 3 || got.Misses != 3 || got.InFlight != 0 || got.Busy != 1 {
			t.Errorf("%d questions, %+v", s.count(), got)
		}
	})
}

func TestCacheWaitsForItsTurnInVainForAWhileOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stuck := &patient{free: make(chan struct{})}
		c := newCache(t, stuck, resolver.CacheConfig{Questions: 1, Timeout: time.Second})
		defer close(stuck.free)
		go c.LookupTXT(t.Context(), "a.example")
		synctest.Wait()
		start := time.Now()
		_, err := c.LookupTXT(t.Context(), "b.example")
		if e := dnsError(t, err); !e.IsTimeout || !strings.Contains(e.Err, "too many questions") || time.Since(start) != time.Second {
			t.Errorf("after %s: %v", time.Since(start), err)
		}
	})
}

// patient does not keep the contract: it stays when its context ends.
type patient struct{ free chan struct{} }

func (p *patient) First(context.Context, string, string) resolver.Answer {
	<-p.free
	return trouble(resolver.DetailTimeout)
}

func TestCacheGivesUpWhatWasNotUsedLately(t *testing.T) {
	t.Parallel()
	s := &source{}
	c := newCache(t, s, resolver.CacheConfig{Entries: 3})
	for _, name := range []string{"a", "b", "c", "a", "d", "a", "b"} {
		c.LookupTXT(t.Context(), name)
	}
	want := []string{"a TXT", "b TXT", "c TXT", "d TXT", "b TXT"}
	if got := c.Stats(); !slices.Equal(s.asked, want) || got.Entries != 3 || got.Evicted != 2 {
		t.Errorf("asked %v, %+v", s.asked, got)
	}
}

func TestCacheBoundsOctets(t *testing.T) {
	t.Parallel()
	const bound = 100_000
	s := &source{answers: map[string]resolver.Answer{}}
	c := newCache(t, s, resolver.CacheConfig{Octets: bound})
	for i := range 40 {
		name := fmt.Sprintf("s%d.example", i)
		s.answers[name+" TXT"] = positive(3600, strings.Repeat("x", 10_000))
		c.LookupTXT(t.Context(), name)
		if got := c.Stats(); got.Octets > bound || got.Octets < 10_000*got.Entries || got.Entries != min(i+1, 9) {
			t.Fatalf("after %d: %+v", i+1, got)
		}
	}
	tiny := newCache(t, s, resolver.CacheConfig{Octets: 1})
	if _, err := tiny.LookupTXT(t.Context(), "s0.example"); err != nil {
		t.Errorf("what cannot be kept is still an answer: %v", err)
	}
	if got := tiny.Stats(); got.Entries != 0 || got.Octets != 0 {
		t.Errorf("%+v", got)
	}
}

func TestCacheExists(t *testing.T) {
	t.Parallel()
	s := &source{answers: map[string]resolver.Answer{
		"host.example A":     {Status: resolver.StatusOK, Data: []string{"192.0.2.1"}, Keep: 60},
		"mail.example A":     denial(60),
		"dangling.example A": {Status: resolver.StatusNXDomain, CNAME: []string{"gone.example"}, Keep: 60},
		"fail.example A":     trouble("SERVFAIL"),
		"known.example TXT":  positive(60, "x"),
	}}
	c := newCache(t, s, resolver.CacheConfig{})
	c.LookupTXT(t.Context(), "known.example")
	c.LookupTXT(t.Context(), "unknown.example")
	asked := s.count()
	for name, want := range map[string]bool{"known.example": true, "unknown.example": false, "no name": false} {
		if got, err := c.Exists(t.Context(), name); got != want || err != nil {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
	if s.count() != asked {
		t.Error("what was known was asked again")
	}
	for name, want := range map[string]bool{"Host.example": true, "mail.example": true, "dangling.example": true, "absent.example": false} {
		for range 2 {
			if got, err := c.Exists(t.Context(), name); got != want || err != nil {
				t.Errorf("%s: %v, %v", name, got, err)
			}
		}
	}
	if got, err := c.Exists(t.Context(), "fail.example"); got || !dnsError(t, err).IsTemporary {
		t.Errorf("fail.example: %v, %v", got, err)
	}
}

func TestCacheLookupsForSPF(t *testing.T) {
	t.Parallel()
	s := &source{answers: map[string]resolver.Answer{
		"a.example MX":               {Status: resolver.StatusOK, Data: []string{"10 mx1.example.", "5 mx2.example.", "20 bad name.", "70000 x."}, Keep: 60},
		"a.example A":                {Status: resolver.StatusOK, Data: []string{"192.0.2.1", "nonsense"}, Keep: 60},
		"a.example AAAA":             {Status: resolver.StatusOK, Data: []string{"2001:db8::1"}, Keep: 60},
		"b.example A":                denial(60),
		"b.example AAAA":             trouble("SERVFAIL"),
		"1.2.0.192.in-addr.arpa PTR": {Status: resolver.StatusOK, Data: []string{"A.example.", "b c."}, Keep: 60},
	}}
	c := newCache(t, s, resolver.CacheConfig{})
	for range 2 {
		mx, err := c.LookupMX(t.Context(), "a.example")
		if err != nil || len(mx) != 2 || *mx[0] != (net.MX{Host: "mx2.example.", Pref: 5}) || mx[1].Pref != 10 {
			t.Errorf("MX: %v, %v", mx, err)
		}
		mx[0].Host = "changed by the caller"
		ips, err := c.LookupIPAddr(t.Context(), "a.example.")
		if err != nil || fmt.Sprint(ips) != "[{192.0.2.1 } {2001:db8::1 }]" {
			t.Errorf("addresses: %v, %v", ips, err)
		}
		ips[0].IP[0] = 0
		names, err := c.LookupAddr(t.Context(), "::ffff:192.0.2.1")
		if err != nil || !slices.Equal(names, []string{"a.example."}) {
			t.Errorf("PTR: %v, %v", names, err)
		}
		names[0] = "changed by the caller"
		if _, err := c.LookupIPAddr(t.Context(), "b.example"); !dnsError(t, err).IsTemporary {
			t.Errorf("one family denied, the other in trouble: %v", err)
		}
		for _, absent := range []string{"absent.example", "no name"} {
			if _, err := c.LookupIPAddr(t.Context(), absent); !dnsError(t, err).IsNotFound {
				t.Errorf("%s: %v", absent, err)
			}
			if _, err := c.LookupMX(t.Context(), absent); !dnsError(t, err).IsNotFound {
				t.Errorf("%s: %v", absent, err)
			}
		}
		for _, absent := range []string{"192.0.2.2", "nonsense"} {
			if _, err := c.LookupAddr(t.Context(), absent); !dnsError(t, err).IsNotFound {
				t.Errorf("%s: %v", absent, err)
			}
		}
	}
	if s.count() != 10 {
		t.Errorf("%d questions: %v", s.count(), s.asked)
	}
}

// The message path asks for names in canonical form; finding what is kept must cost no memory.
func TestCacheHitsAllocateNothing(t *testing.T) {
	s := &source{answers: map[string]resolver.Answer{"s1._domainkey.a.example TXT": positive(3600, "x")}}
	c := newCache(t, s, resolver.CacheConfig{})
	for _, name := range []string{"s1._domainkey.a.example", "none.example"} {
		c.LookupTXT(t.Context(), name)
		if n := testing.AllocsPerRun(100, func() { c.LookupTXTSecure(t.Context(), name) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkCacheHit(b *testing.B) {
	s := &source{answers: map[string]resolver.Answer{}}
	c := resolver.NewCache(s, resolver.CacheConfig{})
	defer c.Close()
	names := make([]string, 1024)
	for i := range names {
		names[i] = fmt.Sprintf("mx1-2611abcd._domainkey.d%d.example", i)
		s.answers[names[i]+" TXT"] = positive(86400, "v=DKIM1; p=")
		c.LookupTXT(b.Context(), names[i])
	}
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		ctx := context.Background()
		for i := 0; pb.Next(); i++ {
			if _, err := c.LookupTXT(ctx, names[i%len(names)]); err != nil {
				b.Error(err)
			}
		}
	})
}
