package lifecycle

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/inventory"
)

// Next plans every key and record of a domain: which steps are due now, and for everything else what comes next and why
// not yet. It is pure: the same situation gives the same plan. Records must have been brought up to the inventory by
// WantedRecords. Plan.Due always lies after Situation.Now.
func Next(s Situation) Plan {
	b := newBuilder(&s)
	for _, l := range b.lines {
		l.next()
	}
	b.records()
	b.findings()
	b.dueBy(s.Now.Add(max(b.p.CheckEvery, lookEvery(b.p))))
	b.plan.Due = b.due
	return b.plan
}

// builder collects the plan of one domain.
type builder struct {
	s     *Situation
	p     inventory.Policy
	lines []*line
	// rotating is the assignment whose rotation is under way; nil = nobody's.
	rotating *inventory.Assignment
	gates    []openGate // that rotations wait for
	plan     Plan
	due      time.Time
}

func newBuilder(s *Situation) *builder {
	b := &builder{s: s, p: s.Domain.Policy}
	keys := make(map[string][]*Key, len(s.Assignments))
	for i := range s.Keys {
		k := &s.Keys[i]
		keys[k.AssignmentID] = append(keys[k.AssignmentID], k)
	}
	for i := range s.Assignments {
		if a := &s.Assignments[i]; a.Class == inventory.ClassManaged {
			b.lines = append(b.lines, b.linesOf(a, keys[a.ID])...)
		}
	}
	b.rotating = b.turn()
	b.gates = b.openGates()
	return b
}

// next plans one line: each key by its state, then whether a new key is needed.
func (l *line) next() {
	for _, k := range l.keys {
		l.holders(k)
		switch {
		case k.Compromised() && k.State.Before(Revoked):
			l.compromised(k)
		case k.State.Before(Active):
			l.prepare(k)
		case k.State == Active:
			l.active(k)
		case k.State == Retired:
			l.retired(k)
		case k.State == Revoked:
			l.revoked(k)
		}
	}
	l.generate()
}

// prepare plans a key that does not sign mail yet.
func (l *line) prepare(k *Key) {
	if why := l.unwanted(k); why != "" {
		l.abandon(k, why)
		return
	}
	switch k.State {
	case Generated:
		l.publish(k)
	case Published:
		l.propagate(k)
	case Propagated:
		l.prove(k)
	case Proven:
		l.activate(k)
	}
}

// gated are the steps that holds, freezes, windows and approvals hold back. Observing, proving, falling back and
// everything after a compromise are not among them.
var gated = map[StepKind]bool{
	StepGenerate: true, StepPublish: true, StepActivate: true, StepRetire: true,
	StepRevoke: true, StepRemove: true, StepRestore: true, StepRepair: true, StepHolders: true,
}

// replacing are the gated steps that nothing holds back in a line whose only key was compromised: they bring the
// replacement, without which mail goes unsigned.
var replacing = map[StepKind]bool{StepGenerate: true, StepPublish: true, StepActivate: true, StepRestore: true, StepRepair: true}

// step adds a due step on a key, unless an operator's control holds it back; then it adds the reason and returns false.
func (l *line) step(kind StepKind, k *Key, why string) bool {
	id := l.a.ID // a step without a key is approved for its assignment
	if k != nil {
		id = k.ID
	}
	if gated[kind] && !(replacing[kind] && l.emergency()) {
		if text, until, blocked := l.s.Controls.Blocked(l.s.Domain.Name, string(kind), id, l.s.Now); blocked {
			l.wait(k, fmt.Sprintf("%s; held back: %s", why, text), until, kind)
			l.plan.Reasons[len(l.plan.Reasons)-1].Blocked = until.IsZero() // a person has to act
			return false
		}
	}
	return l.urgent(kind, k, why)
}

// urgent adds a due step that no hold or window holds back. In a domain that is only observed nothing is changed; the
// reason then says what would be.
func (l *line) urgent(kind StepKind, k *Key, why string) bool {
	if l.observed() {
		l.reason(k, observedText+"; otherwise now: "+why, false)
		l.plan.Reasons[len(l.plan.Reasons)-1].StepAfter = kind
		return false
	}
	l.always(kind, k, why)
	return true
}

// observedText is why nothing happens in a domain that is only observed.
const observedText = "the domain is only observed: nothing is changed"

// always adds a due step that nothing at all holds back.
func (l *line) always(kind StepKind, k *Key, why string) {
	s := Step{Kind: kind, AssignmentID: l.a.ID, Why: why}
	text, failed := why, false
	if k != nil {
		s.KeyID, s.Algorithm = k.ID, k.Algorithm
		if k.Record.Condition != "" {
			text, failed = fmt.Sprintf("%s; last try: %s", why, k.Record.Condition), true
		}
	} else {
		s.Algorithm = l.algorithm
	}
	l.plan.Steps = append(l.plan.Steps, s)
	l.reason(k, text, failed)
	l.plan.Reasons[len(l.plan.Reasons)-1].StepAfter = kind
}

func (l *line) reason(k *Key, text string, blocked bool) {
	r := Reason{AssignmentID: l.a.ID, Text: text, Blocked: blocked}
	if k != nil {
		r.KeyID = k.ID
	}
	l.plan.Reasons = append(l.plan.Reasons, r)
}

// wait says that time alone brings the next step; a zero until means that a person does.
func (l *line) wait(k *Key, text string, until time.Time, then StepKind) {
	l.reason(k, text, false)
	r := &l.plan.Reasons[len(l.plan.Reasons)-1]
	r.Next, r.StepAfter = until, then
	l.dueBy(until)
}

func (b *builder) observed() bool { return b.s.Domain.Mode != inventory.Managed }

// lookAgain has DNS looked at again soon, and less often the longer it has been going on: after a tenth of the time since
// then. A zero since means as often as possible.
func (b *builder) lookAgain(since time.Time) {
	if b.observed() {
		return
	}
	every := lookEvery(b.p)
	if !since.IsZero() {
		every = max(every, min(b.s.Now.Sub(since)/looksPerWait, b.p.CheckEvery))
	}
	b.dueBy(b.s.Now.Add(every))
}

// dueBy has the domain come up again at t. What is over is planned or said to be blocked by now, and must not make the
// loop spin.
func (b *builder) dueBy(t time.Time) {
	if t.After(b.s.Now) {
		b.due = earliest(b.due, t)
	}
}

// earliest returns the earlier time; a zero one does not count.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// waived reports whether a named person allowed a silent server to be ignored, for now. Servers are named as the resolver
// does, "ns1.example.org (192.0.2.1:53)", or by the name alone, which means all its addresses.
func (s *Situation) waived(server string) bool {
	return slices.ContainsFunc(s.Controls.Waivers, func(w inventory.Waiver) bool {
		return w.Domain == s.Domain.Name && s.Now.Before(w.Until) && (w.Server == server || strings.HasPrefix(server, w.Server+" ("))
	})
}

// names lists the holders for which f is true, for people.
func (l *line) names(k *Key, f func(Holding) bool) string {
	var names []string
	for _, h := range k.Holders {
		if f(h) {
			names = append(names, l.holderName(h.ServerID))
		}
	}
	return strings.Join(names, ", ")
}

func (b *builder) holderName(id string) string {
	if s, ok := b.s.Signers[id]; ok {
		return s.Name
	}
	return id
}

// clock prints a moment for people.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
