package lifecycle

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/postseal/postseal/internal/evidence"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
)

// Limits of the loop.
const (
	// lease is how long a claim lasts without being renewed, and so how long a domain rests when its worker dies.
	lease = 45 * time.Second
	// effectTime bounds one change of DNS, so that it never lands after the lease is gone.
	effectTime = lease / 2
	// atOnce is how many domains are worked on side by side: looking at DNS is waiting, not computing.
	atOnce = 32
	// claimFrom is how many places must be free before more work is asked for, so that one question brings several.
	claimFrom = atOnce / 4
	// looksAtOnce is how many looks one domain has under way.
	looksAtOnce = 16
	// defaultPoll is how soon work is noticed that became due by time alone.
	defaultPoll = 2 * time.Second
	// maxRounds bounds the steps of one domain in one claim; what is left goes on in the next.
	maxRounds = 64
	// maxSelectorTries bounds the search for a free selector.
	maxSelectorTries = 8
)

// Looker asks every authoritative server for one name.
type Looker interface {
	Look(ctx context.Context, name, rrtype, expected string) evidence.Sighting
}

// Publisher makes a record set go from expect to want ("" = nothing stands there). pending means that somebody else will
// do it and DNS will show when it is done. fault.Conflict: something else stands there and nothing was changed.
type Publisher interface {
	Set(ctx context.Context, publisher, name, rrtype, expect, want string, ttl time.Duration) (pending bool, err error)
}

// Config is what a Reconciler works with.
type Config struct {
	Storage   Storage
	Looker    Looker
	Publisher Publisher
	Behind    BehindLooker // looks behind CNAMEs to services; nil = nobody does
	Services  ServiceRules // judges what is seen there; nil = nobody does
	Worker    string       // names this process in leases
	Logger    *slog.Logger
	// Poll is how often due work is asked for when nothing wakes the loop; 0 = every two seconds.
	Poll time.Duration
	// Wake makes the loop ask at once; may be nil.
	Wake <-chan struct{}
	// Random gives numbers in [0, n); nil = from the system.
	Random func(n int) int
	// Name makes ids; nil = inventory.NewID.
	NewID func(prefix string) string
}

// Reconciler carries plans out. It is safe for concurrent use.
type Reconciler struct {
	c Config

	mu    sync.Mutex
	retry map[string]map[Step]retry // by domain: steps that failed
}

// NewReconciler returns a Reconciler that does nothing before Run.
func NewReconciler(c Config) *Reconciler {
	if c.Random == nil {
		c.Random = rand.IntN
	}
	if c.NewID == nil {
		c.NewID = inventory.NewID
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Poll <= 0 {
		c.Poll = defaultPoll
	}
	return &Reconciler{c: c, retry: map[string]map[Step]retry{}}
}

// Run claims and works until ctx ends. Trouble with one domain delays that domain only; trouble with the store is logged
// and tried again.
func (r *Reconciler) Run(ctx context.Context) error {
	done := make(chan struct{}, atOnce)
	running, more := 0, true
	for ctx.Err() == nil {
		if free := atOnce - running; more && free >= claimFrom {
			works, err := r.c.Storage.Claim(ctx, r.c.Worker, free, lease)
			if err != nil && ctx.Err() == nil {
				r.c.Logger.Error("asking for due work", "err", err)
			}
			for _, w := range works {
				running++
				go func() {
					defer func() { done <- struct{}{} }()
					r.work(ctx, w)
				}()
			}
			more = len(works) == free
			continue
		}
		poll := time.NewTimer(r.c.Poll)
		select {
		case <-ctx.Done():
		case <-done:
			running--
		case <-r.c.Wake:
			more = true
		case <-poll.C:
			more = true
		}
		poll.Stop()
	}
	for range running {
		<-done
	}
	return nil
}

// work brings one claimed domain as far as it goes and gives it back.
func (r *Reconciler) work(ctx context.Context, w Work) {
	held, release := r.keepLease(ctx, w)
	due, err := r.Domain(held, w)
	release()
	switch code := fault.CodeOf(err); {
	case ctx.Err() != nil:
		return // the lease runs out; nothing was left half done that the journal does not know
	case err == nil:
	case code == fault.NotFound:
		r.forget(w.Domain)
		due = time.Time{} // no such domain any more: never due again
	case code == fault.Conflict || held.Err() != nil:
		r.c.Logger.Debug("changed meanwhile", "domain", w.Domain, "err", err)
	default:
		r.c.Logger.Error("working on a domain", "domain", w.Domain, "err", err)
	}
	if due.IsZero() && fault.CodeOf(err) != fault.NotFound {
		return // the store did not even tell the time: the domain is due again when the lease has run out
	}
	if err := r.c.Storage.Finish(ctx, w, due); err != nil && !errors.Is(err, context.Canceled) && fault.CodeOf(err) != fault.Conflict {
		r.c.Logger.Error("giving a domain back", "domain", w.Domain, "err", err)
	}
}

// keepLease renews a lease until release is called. The context that it returns ends when the lease is lost, or could not
// be renewed for so long that it may be: whoever works on must not change anything then.
func (r *Reconciler) keepLease(ctx context.Context, w Work) (held context.Context, release func()) {
	held, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(lease / 6)
		defer tick.Stop()
		renewed := time.Now()
		for {
			select {
			case <-held.Done():
				return
			case <-tick.C:
			}
			err := r.c.Storage.Renew(held, w, lease)
			if err == nil {
				renewed = time.Now()
			} else if fault.CodeOf(err) == fault.Conflict || time.Since(renewed) > lease/2 {
				cancel()
			}
		}
	}()
	return held, func() { cancel(); <-done }
}

// Domain looks, plans and carries out what is due for one claimed domain, and returns when it is due again: always later
// than now, zero only with an error and when the store did not tell the time.
func (r *Reconciler) Domain(ctx context.Context, w Work) (time.Time, error) {
	run := &run{Reconciler: r, w: w}
	var again time.Time // when to come back after trouble
	for range maxRounds {
		if ctx.Err() != nil {
			return again, ctx.Err()
		}
		s, err := r.c.Storage.Situation(ctx, w.Domain)
		if err != nil {
			return again, err
		}
		again = s.Now.Add(lookEvery(s.Domain.Policy))
		if err := run.begin(ctx, &s); err != nil {
			return again, err
		}
		if err := run.look(ctx); err != nil {
			return again, err
		}
		plan := Next(s)
		step, ok := run.first(plan.Steps)
		if !ok {
			return earliest(plan.Due, run.nextTry(plan.Steps)), nil
		}
		if err := run.carry(ctx, step); err != nil {
			if !run.tried && fault.CodeOf(err) == fault.Conflict {
				return again, err // the lease was lost or a row changed: what changed it made the domain due
			}
			run.putOff(step)
			r.c.Logger.Warn("a step failed; it will be tried again", "domain", w.Domain, "step", step.Kind, "why", step.Why, "err", err)
		}
	}
	return again, nil
}
