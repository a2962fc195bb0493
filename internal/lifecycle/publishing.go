package lifecycle

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/postseal/postseal/internal/evidence"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/journal"
)

// change is what the intent of an effect says in its detail.
type change struct {
	Name   string `json:"name"`
	Type   string `json:"type"`
	Expect string `json:"expect"`
	Want   string `json:"want"`
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
		expect = r.changed(rec)
	case StepRepair:
		want = rec.Want
		expect = r.changed(rec)
	case StepRemove:
		if expect == "" {
			expect = k.Value // an answer that was lost may have been a success
		}
	}
	intent, pending, err := r.set(ctx, step, rec, expect, want, k.Value)
	if !r.tried {
		return err
	}
	resolved := []Finding{}
	switch {
	case err == nil:
	case fault.CodeOf(err) != fault.Conflict:
		rec.Condition = said(err)
		return r.commit(ctx, step, intent, Commit{Keys: []Key{*k}}, err)
	case step.Kind == StepPublish:
		return r.taken(ctx, step, intent, k, err)
	case step.Kind == StepRemove:
		step.Why += "; " + said(err) // nothing of ours stands there, so nothing is left to take away
	default:
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
			if k.EndReason == "" {
				k.EndReason = step.Why
			}
			k.tell(WantDestroy, 0, notGone)
			_, resolved = r.s.findingsOf(rec, k)
		}
	}
	return r.commit(ctx, step, intent, Commit{Keys: []Key{*k}, Resolved: resolved}, nil)
}

// changed returns the value that an effect must find: what was written or, where the zone's policy lets records that others
// changed be written again, what some server shows instead. Where only some show it, the rest lag behind.
func (r *run) changed(rec *Record) string {
	if r.s.repairs(rec) && rec.Last.Expected == rec.Want && !rec.misled() {
		for _, server := range rec.Last.Servers {
			if server.Verdict == evidence.Differs && len(server.Values) <= 1 && (server.CNAME == "" || rec.Type == "CNAME") {
				return strings.Join(server.Values, "")
			}
		}
	}
	return rec.Written
}

// taken gives a selector up whose name turned out to hold somebody else's record; the next plan makes another key.
func (r *run) taken(ctx context.Context, step Step, intent int64, k *Key, cause error) error {
	k.State, k.Removed, k.EndReason = Removed, r.now(), takenReason
	k.Record.Condition = said(cause)
	k.tell(WantDestroy, 0, notGone)
	message, _ := fault.Show(cause)
	finding := takenFinding(k.Domain, k.Record.Name, message)
	step.Why += ", but " + takenReason
	return r.commit(ctx, step, intent, Commit{Keys: []Key{*k}, Findings: []Finding{finding}}, nil)
}

// carryRecord changes a record that is not of a managed key.
func (r *run) carryRecord(ctx context.Context, step Step, rec *Record) error {
	if step.Kind == StepEnd {
		rec.Gone, rec.Written, rec.Pending, rec.Condition = r.s.Now, "", false, ""
		_, resolved := r.s.findingsOf(rec, nil)
		return r.commit(ctx, step, 0, Commit{Records: []Record{*rec}, Resolved: resolved}, nil)
	}
	expect := rec.Written
	if step.Kind == StepRepair {
		expect = r.changed(rec)
	}
	intent, pending, err := r.set(ctx, step, rec, expect, rec.Want, "")
	switch {
	case !r.tried:
		return err
	case err != nil && fault.CodeOf(err) == fault.Conflict && step.Kind == StepRemove:
		step.Why += "; " + said(err) // nothing of ours stands there any more
	case err != nil:
		rec.Condition = said(err)
		if fault.CodeOf(err) == fault.Conflict && rec.Written == "" {
			rec.Condition = takenLead + rec.Condition
		}
		open, resolved := r.s.findingsOf(rec, nil)
		return r.commit(ctx, step, intent, Commit{Records: []Record{*rec}, Findings: open, Resolved: resolved}, err)
	}
	rec.wrote(rec.Want, pending, r.now())
	return r.commit(ctx, step, intent, Commit{Records: []Record{*rec}}, nil)
}

// set writes the intent and tries the effect; value is the record of a managed key. Where the wish stands already because
// a person carried it out, or nothing of ours can stand there, nobody is asked.
func (r *run) set(ctx context.Context, step Step, rec *Record, expect, want, value string) (intent int64, pending bool, err error) {
	detail, err := json.Marshal(change{Name: rec.Name, Type: rec.Type, Expect: expect, Want: want})
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
	if rec.Pending && rec.Want == want && r.s.shown(rec, value) || want == "" && expect == "" {
		return intent, false, nil
	}
	effect, cancel := context.WithTimeout(ctx, effectTime)
	defer cancel()
	pending, err = r.c.Publisher.Set(effect, cmp.Or(rec.Publisher, r.s.Domain.Publisher), rec.Name, rec.Type, expect, want, rec.TTL)
	if pending && want == "" && r.s.gone(rec, value) {
		pending = false // nobody needs to be asked to take away what is not there
	}
	return intent, pending, err
}

// closeIntents ends intents that a crash left open. The effect may or may not have happened; every step is planned again
// from what stands, and finds it done or does it. Only that a service's record is ours could be forgotten: where the newest
// wish of an interrupted step stands, it was our doing.
func (r *run) closeIntents(ctx context.Context) error {
	open, err := r.c.Storage.OpenIntents(ctx, r.w.Domain)
	if err != nil {
		return err
	}
	for _, e := range open {
		outcome := e
		outcome.Kind, outcome.Intent, outcome.OK = journal.Outcome, e.Seq, false
		outcome.Why, outcome.Actor, outcome.Detail = "interrupted; it is planned again from what stands", planner, nil
		c := Commit{Outcome: outcome}
		if rec := r.interrupted(ctx, e); rec != nil {
			c.Records = []Record{*rec}
			c.Outcome.OK, c.Outcome.Why = true, "interrupted after its effect: what it wrote stands"
		}
		if err := r.c.Storage.Commit(ctx, r.w, c); err != nil {
			return err
		}
		if len(c.Records) > 0 {
			r.s.record(c.Records[0].ID).Revision++
		}
	}
	return nil
}

// interrupted returns the service's record that an interrupted step wrote, if that is what DNS shows now; nil otherwise.
func (r *run) interrupted(ctx context.Context, e journal.Entry) *Record {
	var c change
	if e.KeyID != "" || json.Unmarshal(e.Detail, &c) != nil || c.Want == "" {
		return nil
	}
	for i := range r.s.Records {
		rec := &r.s.Records[i]
		if rec.Name != c.Name || rec.Type != c.Type || rec.Written == c.Want || !rec.Gone.IsZero() {
			continue
		}
		if have, ok := r.c.Looker.Look(ctx, rec.Name, rec.Type, c.Want).Single(); ok && have == c.Want {
			rec.Written, rec.WrittenAt = c.Want, r.now()
			return rec
		}
	}
	return nil
}
