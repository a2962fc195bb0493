package store

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/lifecycle"
)

// SaveInventory replaces the inventory if its generation is still expect (fault.Conflict). It writes only what differs,
// journals each difference with the person's name, and wakes the domains and agents that are touched. A person's request
// to rotate is never taken back by it.
//
// What has a history does not go: fault.Conflict for a domain of which something stands in DNS, and for a server that
// has keys or an agent. fault.Invalid when the next state does not hold together.
func (s *Store) SaveInventory(ctx context.Context, by string, expect int64, next inventory.State) error {
	if err := holdsTogether(next); err != nil {
		return err
	}
	return s.write(ctx, "save the inventory", func(t *tx) error {
		if err := t.newGeneration(ctx, expect); err != nil {
			return err
		}
		now, err := t.inventory(ctx)
		if err != nil {
			return err
		}
		a := &applying{tx: t, by: by, domains: map[string]bool{}, servers: map[string]bool{}, moved: map[string]bool{}, rewired: map[string]bool{}}
		return a.apply(ctx, now, next)
	})
}

// applying is one change of the inventory.
type applying struct {
	*tx
	by         string
	names      map[string]string // of signers, by id
	everything bool              // every domain is touched
	domains    map[string]bool   // touched ones
	servers    map[string]bool   // whose instructions change
	moved      map[string]bool   // domains that are written through another publisher than before
	rewired    map[string]bool   // publishers that write in another way than before
}

// apply writes additions and changes from publishers to assignments, then what goes in the other direction, so that no row
// ever points at nothing.
func (a *applying) apply(ctx context.Context, now, next inventory.State) error {
	a.names = make(map[string]string, len(next.Signers))
	for _, s := range slices.Concat(now.Signers, next.Signers) {
		a.names[s.ID] = s.Name
	}
	publishers := compare(now.Publishers, next.Publishers, func(p inventory.Publisher) string { return p.Name })
	signers := compare(now.Signers, micro(next.Signers, func(s *inventory.Signer) []*time.Time { return []*time.Time{&s.Decommissioned} }),
		func(s inventory.Signer) string { return s.ID })
	domains := compare(now.Domains, next.Domains, func(d inventory.Domain) string { return d.Name })
	assignments := compare(now.Assignments, keepRequests(now.Assignments, micro(next.Assignments, func(v *inventory.Assignment) []*time.Time {
		return []*time.Time{&v.Ended, &v.RotateRequested}
	})), func(v inventory.Assignment) string { return v.ID })
	for _, step := range []func() error{
		func() error {
			return each(publishers.saved, func(c change[inventory.Publisher]) error { return a.publisher(ctx, c, now) })
		},
		func() error {
			return each(signers.saved, func(c change[inventory.Signer]) error { return a.signer(ctx, c) })
		},
		func() error {
			return each(signers.saved, func(c change[inventory.Signer]) error { return a.members(ctx, c) })
		},
		func() error {
			return each(domains.saved, func(c change[inventory.Domain]) error { return a.domain(ctx, c) })
		},
		func() error {
			return each(assignments.saved, func(c change[inventory.Assignment]) error { return a.assignment(ctx, c) })
		},
		func() error {
			return each(assignments.gone, func(v inventory.Assignment) error { return a.dropAssignment(ctx, v) })
		},
		func() error {
			return each(domains.gone, func(d inventory.Domain) error { return a.dropDomainToo(ctx, d) })
		},
		func() error {
			return each(signers.gone, func(v inventory.Signer) error { return a.dropSignerToo(ctx, v) })
		},
		func() error {
			return each(publishers.gone, func(p inventory.Publisher) error { return a.dropPublisher(ctx, p) })
		},
		func() error { return a.settings(ctx, now, next) },
		func() error { return a.newlyGone(ctx, signers.saved) },
		func() error { return a.reporters(ctx, domains, next) },
		func() error { return a.wake(ctx) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// wake comes last: work before instructions, as in every other transaction.
func (a *applying) wake(ctx context.Context) error {
	if a.everything {
		if err := a.touchAll(ctx); err != nil {
			return err
		}
	} else if err := a.touch(ctx, slices.Collect(maps.Keys(a.domains))...); err != nil {
		return err
	}
	if err := a.askOthers(ctx); err != nil {
		return err
	}
	_, err := a.bump(ctx, slices.Sorted(maps.Keys(a.servers)))
	return err
}

// askOthers takes open changes back from whoever was asked to carry them out, where somebody else is to be asked now: the
// planner asks at once. Every key and record gets a new revision, so that a planner that is asking just now starts over.
func (a *applying) askOthers(ctx context.Context) error {
	for _, where := range []struct {
		which string
		names map[string]bool
	}{{`domain IN (SELECT name FROM domains WHERE publisher = $1)`, a.rewired}, {`domain = $1`, a.moved}} {
		for _, name := range slices.Sorted(maps.Keys(where.names)) {
			for _, statement := range []string{
				`UPDATE keys SET revision = revision + 1 WHERE state <> 'removed' AND `,
				`UPDATE records SET pending = 0, revision = revision + 1 WHERE gone = 0 AND `,
			} {
				if _, err := a.exec(ctx, statement+where.which, name); err != nil {
					return err
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.rewired)) { // records in zones of those who take reports
		if _, err := a.exec(ctx, `UPDATE records SET pending = 0, revision = revision + 1 WHERE gone = 0 AND purpose = $1 AND publisher = $2`, lifecycle.ForReport, name); err != nil {
			return err
		}
	}
	return nil
}

// change is one noun that is added (Before is the zero value) or changed.
type change[T any] struct {
	name          string
	before, after T
	added         bool
}

type difference[T any] struct {
	saved []change[T]
	gone  []T
}

// compare finds what differs, by the nouns' own written form, in the order of next.
func compare[T any](now, next []T, name func(T) string) (d difference[T]) {
	old := make(map[string]T, len(now))
	for _, v := range now {
		old[name(v)] = v
	}
	for _, v := range next {
		before, existed := old[name(v)]
		if !existed || written(before) != written(v) {
			d.saved = append(d.saved, change[T]{name(v), before, v, !existed})
		}
		delete(old, name(v))
	}
	for _, v := range now {
		if _, left := old[name(v)]; left {
			d.gone = append(d.gone, v)
		}
	}
	return d
}

func written(v any) string {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	return string(raw)
}

// micro cuts times to what the database keeps, so that they compare equal when read again.
func micro[T any](all []T, times func(*T) []*time.Time) []T {
	all = slices.Clone(all)
	for i := range all {
		for _, t := range times(&all[i]) {
			*t = fromMicros(micros(*t))
		}
	}
	return all
}

// keepRequests keeps a rotation that was asked for after the caller read the inventory.
func keepRequests(now, next []inventory.Assignment) []inventory.Assignment {
	asked := make(map[string]inventory.Assignment, len(now))
	for _, a := range now {
		asked[a.ID] = a
	}
	for i := range next {
		if a := asked[next[i].ID]; a.RotateRequested.After(next[i].RotateRequested) {
			next[i].RotateRequested, next[i].RotateBy = a.RotateRequested, a.RotateBy
		}
	}
	return next
}

func each[T any](all []T, f func(T) error) error {
	for _, v := range all {
		if err := f(v); err != nil {
			return err
		}
	}
	return nil
}

// holdsTogether checks that names are unique and everything named exists.
func holdsTogether(s inventory.State) error {
	publishers, signers, names, domains, ids := map[string]bool{}, map[string]inventory.SignerKind{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, p := range s.Publishers {
		if p.Name == "" || publishers[p.Name] {
			return fault.New(fault.Invalid, "publisher %q is named twice or not at all", p.Name)
		}
		publishers[p.Name] = true
	}
	for _, v := range s.Signers {
		if v.ID == "" || signers[v.ID] != "" || v.Name == "" || names[v.Name] {
			return fault.New(fault.Invalid, "signer %q (%s) is named twice or not at all", v.Name, v.ID)
		}
		signers[v.ID], names[v.Name] = v.Kind, true
	}
	for _, v := range s.Signers {
		for i, member := range v.Members {
			if signers[member] != inventory.KindServer || slices.Contains(v.Members[:i], member) {
				return fault.New(fault.Invalid, "member %s of pool %s is no server, or is named twice", member, v.Name)
			}
		}
	}
	for _, d := range s.Domains {
		if d.Name == "" || domains[d.Name] {
			return fault.New(fault.Invalid, "domain %q is named twice or not at all", d.Name)
		}
		if d.Publisher == "" && d.Mode == inventory.Managed {
			return fault.New(fault.Invalid, "%s is managed and has no publisher", d.Name)
		}
		if d.Publisher != "" && !publishers[d.Publisher] {
			return fault.New(fault.Invalid, "the publisher %q of %s does not exist", d.Publisher, d.Name)
		}
		domains[d.Name] = true
	}
	for _, a := range s.Assignments {
		if a.ID == "" || ids[a.ID] || !domains[a.Domain] || signers[a.SignerID] == "" {
			return fault.New(fault.Invalid, "assignment %q of %s to %s is named twice, or names what does not exist", a.ID, a.Domain, a.SignerID)
		}
		if a.Through != "" && !publishers[a.Through] {
			return fault.New(fault.Invalid, "the slots of assignment %s lead to the publisher %q, which does not exist", a.ID, a.Through)
		}
		ids[a.ID] = true
	}
	return nil
}
