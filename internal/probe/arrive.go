package probe

import (
	"context"
	"fmt"
	"slices"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/journal"
)

// arriveTries is how often a verdict is made again because the agent's report came in between.
const arriveTries = 5

// Arrived is called by the intake for each mail to the address of a probe, with the address's token. fault.NotFound: no probe has this token, or nobody remembers it; the
// mail means nothing then. A second mail to the same address changes nothing.
func (p *Prober) Arrived(ctx context.Context, token string, m Mail) error {
	m = m.bounded()
	var err error
	for range arriveTries {
		var q Probe
		var w Wanted
		if q, w, err = p.storage.ProbeOf(ctx, HashToken(token)); err != nil {
			return err
		}
		if q.State == Arrived {
			return nil
		}
		v := Judge(w.of(q), m)
		q.State, q.Ended, q.Mail, q.Verdict, q.To, q.NotSetUp = Arrived, m.At, &m, &v, "", false
		open, resolved := q.Findings()
		var e *journal.Entry
		if q.Why != BySchedule || !v.Good { // a fleet's daily ones would be most of the journal
			e = &journal.Entry{Kind: journal.Event, Actor: actor, Domain: q.Domain, Step: StepArrived, OK: v.Good, Why: fmt.Sprintf("probe %s through %s: %s", q.ID, q.Name(), v.Sentence)}
		}
		if err = p.storage.SaveProbe(ctx, q, open, resolved, e); fault.CodeOf(err) != fault.Conflict {
			return err
		}
	}
	return err
}

// of adds what was expected when the probe was asked for: a rotation may have come in between.
func (w Wanted) of(q Probe) Wanted {
	w.Path, w.Since = q.Path, q.Submitted
	if w.Since.IsZero() && !q.Service {
		w.Since = q.Asked // the report of the agent is on its way
	}
	w.Selectors = slices.Clone(w.Selectors)
	for _, s := range q.Wanted {
		if !slices.Contains(w.Selectors, s) {
			w.Selectors = append(w.Selectors, s)
		}
	}
	return w
}
