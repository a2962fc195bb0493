package lifecycle

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/journal"
)

// planner is the actor of everything that the loop does by itself.
const planner = "planner"

// carry carries out one step: intent, effect, read back, outcome for changes of DNS; one transaction for the rest.
func (r *run) carry(ctx context.Context, step Step) error {
	r.tried = false
	if step.Kind == StepGenerate {
		return r.carryGenerate(ctx, step)
	}
	if step.RecordID != "" {
		return r.carryRecord(ctx, step, r.s.record(step.RecordID))
	}
	k := r.s.key(step.KeyID)
	changed := []Key{}
	now := r.s.Now
	switch step.Kind {
	case StepPublish, StepRevoke, StepRemove, StepRepair:
		return r.carryKeyRecord(ctx, step, k)
	case StepWaited:
		k.State, k.Propagated = Propagated, now
	case StepAsk:
		k.Canary, k.CanaryAsked = r.c.NewID("canary"), now
	case StepProve:
		k.State, k.Proven = Proven, now
	case StepActivate:
		k.State, k.Activated = Active, now
		k.RotateAfter = rotateAfter(r.s.Domain.Policy, now, r.c.Random)
		// A server that joined the pool while the key stood by may not have proved it yet; it signs when it has (holders.go).
		k.tell(WantSign, r.s.maxRank()+1, Holding.mayBegin)
	case StepSigning:
		k.Signing = now
	case StepRetire:
		k.State, k.Retired, k.EndReason = Retired, now, step.Why
		k.tell(WantStop, 0, notGone)
	case StepStopped:
		k.Stopped = now
	case StepDemote:
		other, err := r.demote(k)
		if err != nil {
			return err
		}
		changed = append(changed, *other)
	case StepRestore:
		k.Demoted, k.Signing = time.Time{}, time.Time{}
		k.tell(WantSign, r.s.maxRank()+1, func(h Holding) bool { return h.Gone.IsZero() && h.Want == WantSign })
	case StepHolders:
		l := r.lineOf(k)
		if l == nil {
			return fault.New(fault.Conflict, "%s has no assignment any more", k.Selector)
		}
		k.Holders, _ = l.joined(k)
	default:
		return fault.New(fault.Internal, "no such step: %s", step.Kind)
	}
	return r.commit(ctx, step, 0, Commit{Keys: append(changed, *k)}, nil)
}

// tell sets what is wanted of those holders that who selects.
func (k *Key) tell(want Want, rank int, who func(Holding) bool) {
	for i := range k.Holders {
		if who(k.Holders[i]) {
			k.Holders[i].Want, k.Holders[i].Rank = want, rank
		}
	}
}

func notGone(h Holding) bool { return h.Gone.IsZero() }

// lineOf returns the line that a key belongs to, nil when its assignment is gone.
func (r *run) lineOf(k *Key) *line {
	for _, l := range newBuilder(r.s).lines {
		if slices.Contains(l.keys, k) {
			return l
		}
	}
	return nil
}

// demote makes the holders of k sign with the key that the line falls back to instead; k goes on standing by below it.
func (r *run) demote(k *Key) (*Key, error) {
	l := r.lineOf(k)
	if l == nil {
		return nil, fault.New(fault.Conflict, "%s has no assignment any more", k.Selector)
	}
	older := l.fallback(k)
	if older == nil {
		return nil, fault.New(fault.Conflict, "no key to fall back to from %s any more", k.Selector)
	}
	k.Demoted = r.s.Now
	older.State, older.EndReason = Active, ""
	older.Retired, older.Stopped, older.Signing = time.Time{}, time.Time{}, time.Time{}
	older.tell(WantSign, r.s.maxRank()+1, func(h Holding) bool { return l.resumes(older, h) })
	return older, nil
}

// carryGenerate binds a selector that is free in our books and in DNS, and tells the holders to make a key.
func (r *run) carryGenerate(ctx context.Context, step Step) error {
	b := newBuilder(r.s)
	at := slices.IndexFunc(b.lines, func(l *line) bool {
		return l.a.ID == step.AssignmentID && l.algorithm == step.Algorithm
	})
	if at < 0 {
		return fault.New(fault.Conflict, "the assignment is gone")
	}
	l := b.lines[at]
	if len(l.a.Slots) > 0 {
		return r.generateInSlot(ctx, step, l)
	}
	var c Commit
	met := "" // what stood at the name that was tried before
	for range maxSelectorTries {
		selector := NewSelector(l.signer.Label, r.s.Domain.Policy.OpaqueSelectors, r.s.Now, r.c.Random)
		used, err := r.c.Storage.SelectorUsed(ctx, l.a.Domain, selector)
		if err != nil {
			return err
		}
		if used {
			continue
		}
		k := r.newKey(ctx, l, selector)
		have := k.Record.Last.Foreign()
		if have == "" || have == met {
			// The same record at two random names is a wildcard, and a name of its own hides that.
			if have != "" {
				c = Commit{}
			}
			c.Keys = append(c.Keys, k)
			return r.commit(ctx, step, 0, c, nil)
		}
		met = have
		c.giveUp(k)
	}
	cause := fault.New(fault.Conflict, "%d selectors in a row are taken: %s", maxSelectorTries, met)
	if len(c.Keys) == 0 {
		return cause
	}
	r.tried = true
	return r.commit(ctx, step, 0, c, cause)
}

// generateInSlot takes the first slot where nobody else's record stands.
func (r *run) generateInSlot(ctx context.Context, step Step, l *line) error {
	var c Commit
	made := false
	free, _ := freeSlots(r.s, l.a)
	for _, slot := range free {
		k := r.newKey(ctx, l, slot)
		switch {
		case k.Record.misled(): // since the last look at its CNAME, which says more
		case k.Record.Last.Foreign() != "":
			if !slices.ContainsFunc(r.s.Keys, func(have Key) bool { return have.Selector == slot && have.givenUpName() }) {
				c.giveUp(k)
			}
		case !made:
			made = true
			c.Keys = append(c.Keys, k)
		}
	}
	if made {
		return r.commit(ctx, step, 0, c, nil)
	}
	r.tried = true
	return r.commit(ctx, step, 0, c, fault.New(fault.Conflict, "somebody else's records stand at every free slot"))
}

// giveUp keeps a name where somebody else's record stands as a key that never was, so that a random one is not tried
// again and its finding can end.
func (c *Commit) giveUp(k Key) {
	k.State, k.Removed, k.EndReason, k.Holders = Removed, k.Created, takenReason, nil
	c.Keys = append(c.Keys, k)
	c.Findings = append(c.Findings, takenFinding(k.Domain, k.Record.Name, k.Record.takenBy()))
}

// newKey is a key that is to be made at a selector, with what stands at its name.
func (r *run) newKey(ctx context.Context, l *line, selector string) Key {
	k := Key{
		ID: r.c.NewID("key"), Domain: l.a.Domain, AssignmentID: l.a.ID, Selector: selector, Algorithm: l.algorithm,
		State: Generated, Created: r.s.Now,
	}
	for _, id := range l.members {
		k.Holders = append(k.Holders, Holding{ServerID: id, Want: WantHold})
	}
	k.Record = Record{ID: r.c.NewID("rec"), Domain: l.a.Domain, Purpose: ForKey, AssignmentID: l.a.ID, KeyID: k.ID,
		Name: inventory.KeyName(selector, l.a.Domain), Type: "TXT", TTL: r.s.Domain.Policy.TTL}
	if l.a.Through != "" {
		k.Record.Alias, k.Record.Name = k.Record.Name, inventory.SlotTarget(selector, l.a.Domain, r.s.Through[l.a.Through])
		k.Record.Publisher = l.a.Through
	}
	r.see(ctx, &k.Record)
	k.Record.AgreedSince, k.Record.FirstAgreed = time.Time{}, time.Time{} // nothing of ours stands yet
	return k
}

// commit writes what a step changed together with its outcome, and returns the step's own error.
func (r *run) commit(ctx context.Context, step Step, intent int64, c Commit, cause error) error {
	why := step.Why
	if cause != nil {
		why = said(cause)
	}
	kind := journal.Event
	if intent != 0 {
		kind = journal.Outcome
	}
	keyID := step.KeyID
	if keyID == "" && len(c.Keys) > 0 {
		keyID = c.Keys[len(c.Keys)-1].ID
	}
	c.Outcome = journal.Entry{
		Kind: kind, Actor: planner, Domain: r.w.Domain, KeyID: keyID, Step: string(step.Kind), Why: why, Intent: intent, OK: cause == nil,
	}
	if err := r.c.Storage.Commit(ctx, r.w, c); err != nil {
		r.tried = false
		return errors.Join(err, cause)
	}
	return cause
}

// said is the sentence of an error with its hint.
func said(err error) string {
	message, hint := fault.Show(err)
	if hint != "" {
		message += " (" + hint + ")"
	}
	return message
}
