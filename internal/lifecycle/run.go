package lifecycle

import (
	"cmp"
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/postseal/postseal/internal/inventory"
)

// run is one claim of one domain.
type run struct {
	*Reconciler
	w     Work
	s     *Situation
	base  time.Time // database time at the start
	start time.Time // our own clock then
	tried bool      // the current step's effect was tried: a conflict is the world's, not the store's
}

// begin takes a newly read situation over.
func (r *run) begin(ctx context.Context, s *Situation) error {
	r.s = s
	if !r.base.IsZero() {
		return nil
	}
	r.base, r.start = s.Now, time.Now()
	return r.closeIntents(ctx)
}

// now is database time advanced by our own monotonic clock, so that waits start after a look, not before it.
func (r *run) now() time.Time {
	t := r.base.Add(time.Since(r.start))
	if t.Before(r.s.Now) {
		return r.s.Now
	}
	return t
}

// look asks DNS about every record whose last look is too old for what it is used for, and keeps what was seen together
// with what follows from it for the findings.
func (r *run) look(ctx context.Context) error {
	s := r.s
	s.Records = WantedRecords(*s)
	var keys, records []int
	var group errgroup.Group
	group.SetLimit(looksAtOnce)
	for i := range s.Keys {
		if k := &s.Keys[i]; r.lookDue(&k.Record, k) {
			keys = append(keys, i)
			group.Go(func() error { r.see(ctx, &k.Record); return nil })
		}
	}
	for i := range s.Records {
		rec := &s.Records[i]
		if rec.ID == "" {
			rec.ID = r.c.NewID("rec")
		}
		if r.lookDue(rec, nil) {
			records = append(records, i)
			group.Go(func() error { r.see(ctx, rec); return nil })
		}
	}
	_ = group.Wait()
	if len(keys)+len(records) == 0 || ctx.Err() != nil {
		return ctx.Err()
	}
	var c Commit
	for _, i := range keys {
		c.Keys = append(c.Keys, s.Keys[i])
		open, resolved := s.findingsOf(&s.Keys[i].Record, &s.Keys[i])
		c.Findings, c.Resolved = append(c.Findings, open...), append(c.Resolved, resolved...)
	}
	for _, i := range records {
		c.Records = append(c.Records, s.Records[i])
		open, resolved := s.findingsOf(&s.Records[i], nil)
		c.Findings, c.Resolved = append(c.Findings, open...), append(c.Resolved, resolved...)
		if r.c.Services != nil && s.Records[i].ofService() {
			open, resolved := r.c.Services.Judge(s, &s.Records[i])
			c.Findings, c.Resolved = append(c.Findings, open...), append(c.Resolved, resolved...)
		}
	}
	if err := r.c.Storage.Commit(ctx, r.w, c); err != nil {
		return err
	}
	for _, i := range keys {
		s.Keys[i].Revision++
	}
	for _, i := range records {
		s.Records[i].Revision++
	}
	return nil
}

func (r *run) see(ctx context.Context, rec *Record) {
	sighting := r.c.Looker.Look(ctx, cmp.Or(rec.Alias, rec.Name), rec.Type, rec.Want)
	if rec.Alias != "" {
		sighting = throughAlias(sighting, rec.Name)
	}
	sighting.At = r.now()
	rec.See(sighting, r.s.waived)
	switch {
	case rec.Purpose == ForReport:
		if want := rec.takesReports(rec.Want); want != rec.Want { // what stands does as well, so it is what should
			rec.wish(want)
			sighting = r.c.Looker.Look(ctx, rec.Name, rec.Type, rec.Want)
			sighting.At = r.now()
			rec.See(sighting, r.s.waived)
		}
	case rec.Purpose == ForForeign:
		rec.seeBehind(standing(sighting), sighting.At)
	case rec.Purpose == ForDelegated && r.c.Behind != nil && !sighting.Empty():
		rec.seeBehind(r.c.Behind.Behind(ctx, rec.Name), r.now())
	}
}

// lookDue reports whether a record must be looked at now: often while a step depends on it, seldom when it just stands.
// Plan.Due decides how often the domain comes up at all.
func (r *run) lookDue(rec *Record, k *Key) bool {
	p := r.s.Domain.Policy
	often, seldom := min(lookEvery(p), p.CheckEvery), p.CheckEvery
	age := r.s.Now.Sub(rec.Last.At)
	switch {
	case !rec.Gone.IsZero():
		return false
	case k != nil && k.State == Removed:
		return k.givenUpName() && rec.Last.At.Before(k.Removed.Add(takenWatched)) && age >= seldom
	case k != nil && k.State == Generated && !rec.Pending:
		return rec.Last.Problem != "" && age >= often // nothing of ours is there yet; publishing has its own guard
	case rec.Last.At.IsZero(), rec.Last.Expected != rec.Want:
		return true
	case r.s.Watched(rec):
		if !rec.AgreedSince.IsZero() {
			seldom = max(seldom, watchedEvery)
		}
		return age >= seldom
	case r.s.Domain.Mode != inventory.Managed && !(k != nil && k.Compromised()):
		return age >= seldom
	case rec.AgreedSince.IsZero(), rec.Last.Problem != "", k != nil && k.State.Before(Active):
		return age >= often
	}
	return age >= seldom
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
