package lifecycle

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/postseal/postseal/internal/evidence"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/journal"
)

// desk is a Storage that hands out domains and notes what comes back. Nothing is to be done for any of them but to look.
type desk struct {
	mu       sync.Mutex
	due      []string
	claims   int
	finished map[string]time.Time
	renewed  int
	ended    int // looks whose context ended
	lost     bool
	broken   error                    // of reading a situation
	hold     map[string]chan struct{} // looks at this domain wait
}

func newDesk(due ...string) *desk {
	return &desk{due: due, finished: map[string]time.Time{}, hold: map[string]chan struct{}{}}
}

func (d *desk) Claim(_ context.Context, _ string, n int, _ time.Duration) ([]Work, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.claims++
	n = min(n, len(d.due))
	var works []Work
	for _, domain := range d.due[:n] {
		works = append(works, Work{Domain: domain, Fence: 1})
	}
	d.due = d.due[n:]
	return works, nil
}

func (d *desk) Renew(context.Context, Work, time.Duration) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.renewed++
	if d.lost {
		return fault.New(fault.Conflict, "lost")
	}
	return nil
}

func (d *desk) Finish(_ context.Context, w Work, due time.Time) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.finished[w.Domain] = due
	return nil
}

func (d *desk) Situation(_ context.Context, domain string) (Situation, error) {
	return Situation{Now: time.Now(), Domain: inventory.Domain{Name: domain, Mode: inventory.Managed, Policy: inventory.DefaultPolicy(), DMARC: "v=DMARC1"}}, d.broken
}

func (d *desk) Begin(context.Context, Work, journal.Entry) (int64, error) { return 1, nil }
func (d *desk) Commit(context.Context, Work, Commit) error                { return nil }
func (d *desk) OpenIntents(context.Context, string) ([]journal.Entry, error) {
	return nil, nil
}
func (d *desk) SelectorUsed(context.Context, string, string) (bool, error) { return false, nil }

// Look finds what is wanted, after a while for some domains.
func (d *desk) Look(ctx context.Context, name, rrtype, expected string) evidence.Sighting {
	s := evidence.Sighting{Name: name, Type: rrtype, Expected: expected, Servers: []evidence.ServerSight{{Server: "ns1", Verdict: evidence.Shows, Values: []string{expected}}}}
	if wait := d.hold[name[len("_dmarc."):]]; wait != nil {
		select {
		case <-wait:
		case <-ctx.Done():
			s.Problem = "interrupted"
			d.mu.Lock()
			d.ended++
			d.mu.Unlock()
		}
	}
	return s
}

func (d *desk) Set(context.Context, string, string, string, string, string, time.Duration) (bool, error) {
	return false, nil
}

// run starts the loop and returns what stops it and waits for its end.
func (d *desk) run(t *testing.T, wake <-chan struct{}) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	r := NewReconciler(Config{Storage: d, Looker: d, Publisher: d, Worker: "w", Poll: time.Minute, Wake: wake})
	go func() { ended <- r.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// add makes a domain due.
func (d *desk) add(domain string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.due = append(d.due, domain)
}

// counted reads one of the counters.
func (d *desk) counted(n *int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return *n
}

// given returns when a domain was said to be due again, and whether it was given back at all.
func (d *desk) given(domain string) (due time.Time, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	due, ok = d.finished[domain]
	return due, ok
}

func (d *desk) done() (domains []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for domain := range d.finished {
		domains = append(domains, domain)
	}
	slices.Sort(domains)
	return domains
}

func TestLoopPollsAndWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk()
		wake := make(chan struct{}, 1)
		stop := d.run(t, wake)
		synctest.Wait()
		if n := d.counted(&d.claims); n != 1 {
			t.Fatalf("%d claims at once", n)
		}
		time.Sleep(59 * time.Second)
		synctest.Wait()
		if n := d.counted(&d.claims); n != 1 {
			t.Fatalf("%d claims before the poll", n)
		}
		d.add("a.example")
		wake <- struct{}{}
		synctest.Wait()
		if !slices.Equal(d.done(), []string{"a.example"}) {
			t.Fatalf("woken, and done: %q", d.done())
		}
		if due, _ := d.given("a.example"); !due.After(time.Now()) {
			t.Errorf("due at %s", due)
		}
		d.add("b.example")
		time.Sleep(time.Minute)
		synctest.Wait()
		if !slices.Contains(d.done(), "b.example") {
			t.Error("what became due by time was not noticed")
		}
		if n := d.counted(&d.claims); n > 6 {
			t.Errorf("%d claims in two minutes", n)
		}
		stop()
	})
}

func TestSlowDomainDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk("slow.example")
		release := make(chan struct{})
		d.hold["slow.example"] = release
		for i := range 200 {
			d.due = append(d.due, string(rune('a'+i%26))+string(rune('a'+i/26))+".example")
		}
		stop := d.run(t, nil)
		synctest.Wait()
		if len(d.done()) != 200 || slices.Contains(d.done(), "slow.example") {
			t.Errorf("%d of 200 others are done", len(d.done()))
		}
		if n := d.counted(&d.claims); n > 30 {
			t.Errorf("%d questions for 201 domains", n)
		}
		time.Sleep(10 * lease) // all the while the lease is renewed
		synctest.Wait()
		if n := d.counted(&d.renewed); n < 10 {
			t.Errorf("renewed %d times in ten leases", n)
		}
		close(release)
		synctest.Wait()
		if !slices.Contains(d.done(), "slow.example") {
			t.Error("the slow one never came to its end")
		}
		stop()
	})
}

func TestLoopStopsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk("slow.example")
		d.hold["slow.example"] = make(chan struct{})
		stop := d.run(t, nil)
		synctest.Wait()
		stop() // the test would never end if a goroutine were left
		if len(d.done()) != 0 {
			t.Errorf("given back in the middle of work: %v", d.finished)
		}
	})
}

func TestLostLeaseEndsTheWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDesk("slow.example")
		d.hold["slow.example"] = make(chan struct{})
		stop := d.run(t, nil)
		synctest.Wait()
		d.mu.Lock()
		d.lost = true
		d.mu.Unlock()
		time.Sleep(lease / 4) // the next renewal tells
		synctest.Wait()
		if n := d.counted(&d.ended); n != 1 {
			t.Error("work goes on after its lease was lost")
		}
		d.add("next.example")
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if !slices.Contains(d.done(), "next.example") {
			t.Error("the loop hangs on work that is not its own any more")
		}
		stop()
	})
}

func TestTroubleWithTheStore(t *testing.T) {
	for _, c := range []struct {
		name   string
		broken error
		given  bool
	}{
		{"it cannot be read: the lease runs out", fault.New(fault.Unavailable, "the database is away"), false},
		{"there is no such domain: never due again", fault.New(fault.NotFound, "no such domain"), true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk("a.example")
				d.broken = c.broken
				stop := d.run(t, nil)
				synctest.Wait()
				if due, given := d.given("a.example"); given != c.given || !due.IsZero() {
					t.Errorf("given back %v, due %s", given, due)
				}
				stop()
			})
		})
	}
}
