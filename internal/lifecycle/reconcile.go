package lifecycle

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/postseal/postseal/internal/evidence"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
)

// Limits of the loop.
const (
	// lease is how long a claim lasts without being renewed, and so how long a domain rests when its worker dies: longer
	// than a look with every name server timing out takes.
	lease = 45 * time.Second
	// batch is how many domains are claimed, and worked on side by side: looking at DNS is waiting, not computing.
	batch = 16
	// maxRounds bounds the steps of one domain in one claim; what is left goes on in the next.
	maxRounds = 64
	// maxSelectorTries bounds the search for a free selector.
	maxSelectorTries = 8
	// A step that failed is tried again after two looks' time, then four, up to ten: minutes in production.
	maxRetryDoublings = 8
	maxRetryLooks     = 10
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
	Worker    string // names this process in leases
	Logger    *slog.Logger
	// Poll is how often due work is asked for when nothing wakes the loop.
	Poll time.Duration
	// Wake makes the loop ask at once; may be nil.
	Wake <-chan struct{}
	// Random gives numbers in [0, n); nil = from the system.
	Random func(n int) int
	// Name makes ids; nil = inventory.NewID.
	NewID func(prefix string) string
}

// Reconciler carries plans out, one domain at a time.
type Reconciler struct {
	c Config

	mu    sync.Mutex
	retry map[string]map[Step]retry // by domain: steps that failed
}

// retry says when a step that failed is tried again.
type retry struct {
	fails int
	at    time.Time
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
	return &Reconciler{c: c, retry: map[string]map[Step]retry{}}
}

// Run claims and works until ctx ends. Trouble with one domain delays that domain only; trouble with the store is logged
// and tried again.
func (r *Reconciler) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		works, err := r.c.Storage.Claim(ctx, r.c.Worker, batch, lease)
		if err != nil && ctx.Err() == nil {
			r.c.Logger.Error("asking for due work", "err", err)
		}
		if len(works) == 0 {
			select {
			case <-ctx.Done():
			case <-r.c.Wake:
			case <-time.After(r.c.Poll):
			}
			continue
		}
		var group errgroup.Group
		for _, w := range works {
			group.Go(func() error { r.work(ctx, w); return nil })
		}
		_ = group.Wait()
	}
	return nil
}

// work brings one claimed domain as far as it goes and gives it back.
func (r *Reconciler) work(ctx context.Context, w Work) {
	due, err := r.Domain(ctx, w)
	switch {
	case ctx.Err() != nil:
		return // the lease runs out; nothing was left half done that the journal does not know
	case fault.CodeOf(err) == fault.NotFound:
		due = time.Time{} // no such domain any more: never due again
	case fault.CodeOf(err) == fault.Conflict:
		r.c.Logger.Debug("changed meanwhile", "domain", w.Domain, "err", err)
	case err != nil:
		r.c.Logger.Error("working on a domain", "domain", w.Domain, "err", err)
	}
	if err := r.c.Storage.Finish(ctx, w, due); err != nil && !errors.Is(err, context.Canceled) && fault.CodeOf(err) != fault.Conflict {
		r.c.Logger.Error("giving a domain back", "domain", w.Domain, "err", err)
	}
}

// Domain looks, plans and carries out what is due for one claimed domain, and returns when it is due again.
func (r *Reconciler) Domain(ctx context.Context, w Work) (time.Time, error) {
	run := &run{Reconciler: r, w: w, leased: time.Now()}
	for range maxRounds {
		if ctx.Err() != nil {
			return time.Time{}, ctx.Err()
		}
		if err := run.keepLease(ctx); err != nil {
			return time.Time{}, err
		}
		s, err := r.c.Storage.Situation(ctx, w.Domain)
		if err != nil {
			return time.Time{}, err
		}
		run.s = &s
		if run.base.IsZero() {
			run.base, run.start = s.Now, time.Now()
			if err := run.closeIntents(ctx); err != nil {
				return s.Now, err
			}
		}
		if err := run.look(ctx); err != nil {
			return s.Now.Add(lookEvery(s.Domain.Policy)), err
		}
		plan := Next(s)
		step, ok := run.first(plan.Steps)
		if !ok {
			return run.finish(ctx, plan)
		}
		if err := run.carry(ctx, step); err != nil {
			if fault.CodeOf(err) == fault.Conflict && !run.tried {
				return s.Now, err // the lease was lost or a row changed: start over
			}
			run.failed(step)
			r.c.Logger.Warn("a step failed; it will be tried again", "domain", w.Domain, "step", step.Kind, "why", step.Why, "err", err)
		}
	}
	return run.s.Now, nil
}

// run is one claim of one domain.
type run struct {
	*Reconciler
	w      Work
	s      *Situation
	base   time.Time // database time at the start
	start  time.Time // our own clock then
	leased time.Time // by our own clock
	tried  bool      // the current step's effect was tried: a conflict is the world's, not the store's
	fresh  bool      // DNS was just changed by us: look again now
}

// keepLease renews the lease when a good part of it is over.
func (r *run) keepLease(ctx context.Context) error {
	if time.Since(r.leased) < lease/3 {
		return nil
	}
	r.leased = time.Now()
	return r.c.Storage.Renew(ctx, r.w, lease)
}

// now is database time advanced by our own monotonic clock, so that waits start after a look, not before it.
func (r *run) now() time.Time {
	t := r.base.Add(time.Since(r.start))
	if t.Before(r.s.Now) {
		return r.s.Now
	}
	return t
}

// first returns the first due step that is not waiting for another try.
func (r *run) first(steps []Step) (Step, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range steps {
		if !r.s.Now.Before(r.retry[r.w.Domain][sameStep(s)].at) {
			return s, true
		}
	}
	return Step{}, false
}

// sameStep is a step without its sentence: what two tries of it have in common.
func sameStep(s Step) Step {
	s.Why = ""
	return s
}

// failed puts off the next try of a step, for longer each time, so that a name server in trouble is not hammered. It is
// kept in memory: a restart tries at once.
func (r *run) failed(step Step) {
	r.mu.Lock()
	defer r.mu.Unlock()
	steps := r.retry[r.w.Domain]
	if steps == nil {
		steps = map[Step]retry{}
		r.retry[r.w.Domain] = steps
	}
	again := steps[sameStep(step)]
	again.fails++
	every := lookEvery(r.s.Domain.Policy)
	again.at = r.now().Add(min(every<<min(again.fails, maxRetryDoublings), maxRetryLooks*every))
	steps[sameStep(step)] = again
}

// nextTry returns when the first of the steps that failed is tried again, and forgets those that are due no more.
func (r *run) nextTry(steps []Step) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	var at time.Time
	kept := map[Step]retry{}
	for _, s := range steps {
		if again, ok := r.retry[r.w.Domain][sameStep(s)]; ok {
			kept[sameStep(s)] = again
			at = earliest(at, again.at)
		}
	}
	if len(kept) == 0 {
		delete(r.retry, r.w.Domain)
	} else {
		r.retry[r.w.Domain] = kept
	}
	return at
}

// finish keeps the findings and says when the domain is due again.
func (r *run) finish(ctx context.Context, plan Plan) (time.Time, error) {
	due := plan.Due
	if again := r.nextTry(plan.Steps); !again.IsZero() {
		due = earliest(due, again)
	}
	if len(plan.Findings) > 0 {
		if err := r.c.Storage.Commit(ctx, r.w, Commit{Findings: plan.Findings}); err != nil {
			return r.s.Now, err
		}
	}
	return due, nil
}

// look asks DNS about every record whose last look is too old for what it is used for, and keeps what was seen.
func (r *run) look(ctx context.Context) error {
	s := r.s
	s.Records = WantedRecords(*s)
	for i := range s.Records {
		if s.Records[i].ID == "" {
			s.Records[i].ID = r.c.NewID("rec")
		}
	}
	var c Commit
	var group errgroup.Group
	group.SetLimit(batch)
	for i := range s.Keys {
		k := &s.Keys[i]
		if r.lookDue(&k.Record, k) {
			c.Keys = append(c.Keys, Key{ID: k.ID})
			group.Go(func() error { r.see(ctx, &k.Record); return nil })
		}
	}
	for i := range s.Records {
		rec := &s.Records[i]
		if r.lookDue(rec, nil) {
			c.Records = append(c.Records, Record{ID: rec.ID})
			group.Go(func() error { r.see(ctx, rec); return nil })
		}
	}
	_ = group.Wait()
	r.fresh = false
	if len(c.Keys)+len(c.Records) == 0 || ctx.Err() != nil {
		return ctx.Err()
	}
	for i := range c.Keys {
		c.Keys[i] = *s.key(c.Keys[i].ID)
	}
	for i := range c.Records {
		c.Records[i] = *s.record(c.Records[i].ID)
	}
	if err := r.c.Storage.Commit(ctx, r.w, c); err != nil {
		return err
	}
	for i := range c.Keys {
		s.key(c.Keys[i].ID).Revision++
	}
	for i := range c.Records {
		s.record(c.Records[i].ID).Revision++
	}
	return nil
}

func (r *run) see(ctx context.Context, rec *Record) {
	sighting := r.c.Looker.Look(ctx, rec.Name, rec.Type, rec.Want)
	sighting.At = r.now()
	rec.See(sighting, r.s.waived)
}

// lookDue reports whether a record must be looked at now: often while a step depends on it, seldom when it just stands.
func (r *run) lookDue(rec *Record, k *Key) bool {
	if k != nil && (k.State == Removed || k.State == Generated && !rec.Pending) || !rec.Gone.IsZero() {
		return false
	}
	if k == nil && r.s.Domain.Mode != inventory.Managed && !rec.Last.At.IsZero() {
		return r.s.Now.Sub(rec.Last.At) >= r.s.Domain.Policy.CheckEvery
	}
	if rec.Last.At.IsZero() || rec.Last.Expected != rec.Want || r.fresh {
		return true
	}
	every := r.s.Domain.Policy.CheckEvery
	if rec.AgreedSince.IsZero() || rec.Last.Problem != "" || k != nil && k.State.Before(Active) {
		every = min(every, lookEvery(r.s.Domain.Policy))
	}
	return r.s.Now.Sub(rec.Last.At) >= every
}

func (s *Situation) key(id string) *Key {
	for i := range s.Keys {
		if s.Keys[i].ID == id {
			return &s.Keys[i]
		}
	}
	return nil
}

func (s *Situation) record(id string) *Record {
	for i := range s.Records {
		if s.Records[i].ID == id {
			return &s.Records[i]
		}
	}
	return nil
}
