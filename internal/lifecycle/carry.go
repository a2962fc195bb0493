package lifecycle

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
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
		rec := r.s.record(step.RecordID)
		return r.carryRecord(ctx, step, rec)
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
		k.tell(WantSign, r.s.maxRank(k)+1)
	case StepSigning:
		k.Signing = now
	case StepRetire:
		k.State, k.Retired, k.EndReason = Retired, now, step.Why
		k.tell(WantStop, 0)
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
		k.tell(WantSign, r.s.maxRank(k)+1)
	default:
		return fault.New(fault.Internal, "no such step: %s", step.Kind)
	}
	return r.commit(ctx, step, 0, Commit{Keys: append(changed, *k)}, nil)
}

// tell sets what is wanted of every holder that is not gone.
func (k *Key) tell(want Want, rank int) {
	for i := range k.Holders {
		if k.Holders[i].Gone.IsZero() {
			k.Holders[i].Want, k.Holders[i].Rank = want, rank
		}
	}
}

// maxRank is the highest rank among the keys of k's line.
func (s *Situation) maxRank(k *Key) int {
	top := 0
	for _, other := range s.Keys {
		if other.AssignmentID == k.AssignmentID && other.Algorithm == k.Algorithm {
			for _, h := range other.Holders {
				top = max(top, h.Rank)
			}
		}
	}
	return top
}

// demote makes the holders of k sign with the line's standby instead; k goes on standing by below it.
func (r *run) demote(k *Key) (*Key, error) {
	b := &builder{s: r.s, p: r.s.Domain.Policy}
	for i := range r.s.Assignments {
		for _, l := range b.lines(&r.s.Assignments[i]) {
			if !slices.Contains(l.keys, k) {
				continue
			}
			standby := l.standby(k)
			if standby == nil {
				break
			}
			k.Demoted = r.s.Now
			standby.State = Active
			standby.Retired, standby.Stopped, standby.Signing = time.Time{}, time.Time{}, time.Time{}
			standby.tell(WantSign, r.s.maxRank(k)+1)
			return standby, nil
		}
	}
	return nil, fault.New(fault.Conflict, "no standby for %s any more", k.Selector)
}

// carryGenerate binds a selector that is free in our books and in DNS, and tells the holders to make a key.
func (r *run) carryGenerate(ctx context.Context, step Step) error {
	at := slices.IndexFunc(r.s.Assignments, func(a inventory.Assignment) bool { return a.ID == step.AssignmentID })
	a := r.s.Assignments[at]
	signer := r.s.Signers[a.SignerID]
	var findings []Finding
	for range maxSelectorTries {
		selector, err := r.freeSelector(ctx, a, signer)
		if err != nil {
			return err
		}
		if selector == "" {
			continue
		}
		k := Key{
			ID: r.c.NewID("key"), Domain: a.Domain, AssignmentID: a.ID, Selector: selector, Algorithm: step.Algorithm,
			State: Generated, Created: r.s.Now,
		}
		for _, id := range signer.Holders() {
			k.Holders = append(k.Holders, Holding{ServerID: id, Want: WantHold})
		}
		k.Record = Record{ID: r.c.NewID("rec"), Domain: a.Domain, Purpose: ForKey, AssignmentID: a.ID, KeyID: k.ID,
			Name: k.Name(), Type: "TXT", TTL: r.s.Domain.Policy.TTL}
		sighting := r.c.Looker.Look(ctx, k.Name(), "TXT", "")
		sighting.At = r.now()
		if sighting.Problem != "" {
			return fault.New(fault.Unavailable, "%s", sighting.Problem)
		}
		if have := sighting.Foreign(); have != "" {
			findings = append(findings, takenFinding(a.Domain, k.Name(), have))
			continue
		}
		k.Record.See(sighting, r.s.waived)
		k.Record.AgreedSince, k.Record.FirstAgreed = time.Time{}, time.Time{} // nothing of ours stands yet
		return r.commit(ctx, step, 0, Commit{Keys: []Key{k}, Findings: findings}, nil)
	}
	if len(findings) > 0 {
		_ = r.c.Storage.Commit(ctx, r.w, Commit{Findings: findings})
	}
	return fault.New(fault.Conflict, "%d selectors in a row are taken in DNS by others", maxSelectorTries)
}

// freeSelector returns a selector that was never bound; "" = try again.
func (r *run) freeSelector(ctx context.Context, a inventory.Assignment, signer inventory.Signer) (string, error) {
	if len(a.Slots) > 0 {
		return freeSlot(*r.s, a)
	}
	selector := NewSelector(signer.Label, r.s.Domain.Policy.OpaqueSelectors, r.s.Now, r.c.Random)
	used, err := r.c.Storage.SelectorUsed(ctx, a.Domain, selector)
	if err != nil || used {
		return "", err
	}
	return selector, nil
}

// carryKeyRecord changes the record of a managed key.
func (r *run) carryKeyRecord(ctx context.Context, step Step, k *Key) error {
	rec := &k.Record
	expect, want := rec.Written, ""
	switch step.Kind {
	case StepPublish:
		want = k.Value
	case StepRevoke:
		want = TombstoneValue
	case StepRepair:
		var ok bool
		if expect, ok = rec.Last.Single(); !ok {
			return r.blocked(ctx, step, k, fault.New(fault.Conflict, "the servers disagree about what stands there: %s", rec.Last.Sentence()))
		}
		want = rec.Want
	}
	intent, pending, err := r.set(ctx, step, rec, expect, want)
	if err != nil {
		if step.Kind == StepPublish && fault.CodeOf(err) == fault.Conflict && r.tried {
			return r.taken(ctx, step, intent, k, err)
		}
		if !r.tried {
			return err
		}
		rec.Condition = said(err)
		return r.commit(ctx, step, intent, Commit{Keys: []Key{*k}}, err)
	}
	rec.wrote(want, pending, r.now())
	if !pending {
		switch step.Kind {
		case StepPublish:
			k.State = Published
		case StepRevoke:
			k.State, k.Revoked = Revoked, r.now()
		case StepRemove:
			k.State, k.Removed = Removed, r.now()
			k.tell(WantDestroy, 0)
		}
	}
	r.fresh = true
	return r.commit(ctx, step, intent, Commit{Keys: []Key{*k}}, nil)
}

// taken gives a selector up whose name turned out to hold somebody else's record; the next plan makes another key.
func (r *run) taken(ctx context.Context, step Step, intent int64, k *Key, cause error) error {
	message, _ := fault.Show(cause)
	k.State, k.Removed, k.EndReason = Removed, r.now(), "its name is taken in DNS"
	k.tell(WantDestroy, 0)
	return r.commit(ctx, step, intent, Commit{Keys: []Key{*k}, Findings: []Finding{takenFinding(k.Domain, k.Name(), message)}}, nil)
}

// carryRecord changes a record that is not of a managed key.
func (r *run) carryRecord(ctx context.Context, step Step, rec *Record) error {
	if step.Kind == StepEnd {
		rec.Gone, rec.Written, rec.Pending = r.s.Now, "", false
		return r.commit(ctx, step, 0, Commit{Records: []Record{*rec}}, nil)
	}
	expect := rec.Written
	if step.Kind == StepRepair {
		var ok bool
		if expect, ok = rec.Last.Single(); !ok {
			return fault.New(fault.Unavailable, "the servers disagree about what stands at %s: %s", rec.Name, rec.Last.Sentence())
		}
	}
	intent, pending, err := r.set(ctx, step, rec, expect, rec.Want)
	if err != nil {
		if !r.tried {
			return err
		}
		rec.Condition = said(err)
		c := Commit{Records: []Record{*rec}}
		if fault.CodeOf(err) == fault.Conflict && rec.Written == "" {
			message, _ := fault.Show(err)
			c.Findings = []Finding{takenFinding(rec.Domain, rec.Name, message)}
		}
		return r.commit(ctx, step, intent, c, err)
	}
	rec.wrote(rec.Want, pending, r.now())
	r.fresh = true
	return r.commit(ctx, step, intent, Commit{Records: []Record{*rec}}, nil)
}

// wrote notes that want was written, or was asked of a person.
func (rec *Record) wrote(want string, pending bool, now time.Time) {
	if rec.Want != want {
		rec.Want = want
		rec.AgreedSince, rec.FirstAgreed = time.Time{}, time.Time{}
	}
	rec.Pending, rec.Condition = pending, ""
	if !pending {
		rec.Written, rec.WrittenAt = want, now
	}
}

// set writes the intent and tries the effect. When the wish stands in DNS already because a person carried it out, or
// there is nothing of ours to take away, nobody is asked.
func (r *run) set(ctx context.Context, step Step, rec *Record, expect, want string) (intent int64, pending bool, err error) {
	detail, err := json.Marshal(map[string]string{"name": rec.Name, "type": rec.Type, "expect": expect, "want": want})
	if err != nil {
		return 0, false, fmt.Errorf("describe the change of %s: %w", rec.Name, err)
	}
	intent, err = r.c.Storage.Begin(ctx, r.w, journal.Entry{
		Kind: journal.Intent, Actor: planner, Domain: r.w.Domain, KeyID: step.KeyID, Step: string(step.Kind), Why: step.Why, Detail: detail,
	})
	if err != nil {
		return 0, false, err
	}
	r.tried = true
	seen := rec.Pending && rec.Want == want && rec.Last.Expected == want && rec.Last.Agreed(r.s.waived)
	nothing := want == "" && !rec.Pending && (expect == "" || rec.Last.Empty())
	if seen || nothing {
		return intent, false, nil
	}
	pending, err = r.c.Publisher.Set(ctx, r.s.Domain.Publisher, rec.Name, rec.Type, expect, want, rec.TTL)
	return intent, pending, err
}

// blocked keeps why a step cannot be done.
func (r *run) blocked(ctx context.Context, step Step, k *Key, cause error) error {
	k.Record.Condition = said(cause)
	r.tried = true
	return r.commit(ctx, step, 0, Commit{Keys: []Key{*k}}, cause)
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
	if keyID == "" && len(c.Keys) == 1 {
		keyID = c.Keys[0].ID
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

// closeIntents ends intents that a crash left open. The effect may or may not have happened; every step is planned again
// from what stands, and finds it done or does it.
func (r *run) closeIntents(ctx context.Context) error {
	open, err := r.c.Storage.OpenIntents(ctx, r.w.Domain)
	if err != nil {
		return err
	}
	for _, e := range open {
		outcome := e
		outcome.Kind, outcome.Intent, outcome.OK = journal.Outcome, e.Seq, false
		outcome.Why, outcome.Actor, outcome.Detail = "interrupted; it is planned again from what stands", planner, nil
		if err := r.c.Storage.Commit(ctx, r.w, Commit{Outcome: outcome}); err != nil {
			return err
		}
	}
	return nil
}
