package lifecycle

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/inventory"
)

// Next plans every key and record of a domain: which steps are due now, and for everything else what comes next and why
// not yet. It is pure: the same situation gives the same plan.
func Next(s Situation) Plan {
	b := &builder{s: &s, p: s.Domain.Policy}
	b.rotating = b.turn()
	for i := range s.Assignments {
		a := &s.Assignments[i]
		if a.Class != inventory.ClassManaged {
			continue
		}
		for _, l := range b.lines(a) {
			l.next()
		}
	}
	b.records()
	b.plan.Due = earliest(b.due, s.Now.Add(max(b.p.CheckEvery, lookEvery(b.p))))
	return b.plan
}

type builder struct {
	s    *Situation
	p    inventory.Policy
	plan Plan
	due  time.Time
	// rotating is the assignment whose rotation is under way; "" = nobody's.
	rotating string
}

// line is the succession of keys of one algorithm in one assignment: at most one in preparation, one in use, and those
// on their way out.
type line struct {
	*builder
	a         *inventory.Assignment
	signer    inventory.Signer
	algorithm string
	keys      []*Key // by age, oldest first
}

// lines returns the assignment's lines: one per wanted algorithm, and those that only have keys left.
func (b *builder) lines(a *inventory.Assignment) []*line {
	var lines []*line
	for _, algorithm := range a.Algorithms {
		lines = append(lines, &line{builder: b, a: a, signer: b.s.Signers[a.SignerID], algorithm: algorithm})
	}
	for i := range b.s.Keys {
		k := &b.s.Keys[i]
		if k.AssignmentID != a.ID || k.State == Removed {
			continue
		}
		at := slices.IndexFunc(lines, func(l *line) bool { return l.algorithm == k.Algorithm })
		if at < 0 {
			lines = append(lines, &line{builder: b, a: a, signer: b.s.Signers[a.SignerID], algorithm: k.Algorithm})
			at = len(lines) - 1
		}
		lines[at].keys = append(lines[at].keys, k)
	}
	for _, l := range lines {
		slices.SortStableFunc(l.keys, func(x, y *Key) int { return cmp.Or(x.Created.Compare(y.Created), cmp.Compare(x.ID, y.ID)) })
	}
	return lines
}

// ending reports whether the line shall have no keys any more.
func (l *line) ending() bool {
	return !l.a.Ended.IsZero() || !l.signer.Decommissioned.IsZero() || !slices.Contains(l.a.Algorithms, l.algorithm)
}

// current returns the newest key that its holders sign with and have acknowledged, nil when there is none.
func (l *line) current() *Key {
	for _, k := range slices.Backward(l.keys) {
		if k.State == Active && !k.Signing.IsZero() && k.Demoted.IsZero() && !k.Compromised() {
			return k
		}
	}
	return nil
}

// successor returns the key in preparation, nil when there is none.
func (l *line) successor() *Key {
	for _, k := range slices.Backward(l.keys) {
		if !k.Compromised() && (k.State.Before(Active) || k.State == Active && k.Signing.IsZero()) {
			return k
		}
	}
	return nil
}

// turn returns the assignment whose rotation is under way, so that two signers of one domain never rotate at once
// (idea 2 of DESIGN.md). A first key is no rotation.
func (b *builder) turn() string {
	var holder *Key
	for i := range b.s.Assignments {
		a := &b.s.Assignments[i]
		for _, l := range b.lines(a) {
			next, now := l.successor(), l.current()
			if next == nil || now == nil || l.ending() {
				continue
			}
			if holder == nil || next.Created.Before(holder.Created) {
				holder = next
			}
		}
	}
	if holder == nil {
		return ""
	}
	return holder.AssignmentID
}

// myTurn reports whether this line's assignment may rotate now.
func (l *line) myTurn() bool { return l.rotating == "" || l.rotating == l.a.ID }

// next plans one line: each key by its state, then whether a new key is needed.
func (l *line) next() {
	if l.s.Domain.Mode != inventory.Managed {
		l.reason(nil, "the domain is only observed: nothing is changed", false)
		return
	}
	for _, k := range l.keys {
		switch {
		case k.Compromised() && k.State.Before(Revoked):
			l.compromised(k)
		case k.State.Before(Active) && l.ending():
			l.abandon(k, "the assignment ended before the key was used")
		case k.State == Generated:
			l.publish(k)
		case k.State == Published:
			l.propagate(k)
		case k.State == Propagated:
			l.prove(k)
		case k.State == Proven:
			l.activate(k)
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

// step adds a due step on a key, unless an operator's control holds it back; then it adds the reason and returns false.
func (l *line) step(kind StepKind, k *Key, why string) bool {
	id := l.a.ID // a step without a key is approved for its assignment
	if k != nil {
		id = k.ID
	}
	if gated[kind] {
		if text, until, blocked := l.s.Controls.Blocked(l.s.Domain.Name, string(kind), id, l.s.Now); blocked {
			l.wait(k, fmt.Sprintf("%s: %s", kind, text), until, kind)
			return false
		}
	}
	l.urgent(kind, k, why)
	return true
}

// urgent adds a due step that nothing holds back.
func (l *line) urgent(kind StepKind, k *Key, why string) {
	s := Step{Kind: kind, AssignmentID: l.a.ID, Algorithm: l.algorithm, Why: why}
	if k != nil {
		s.KeyID = k.ID
	}
	l.plan.Steps = append(l.plan.Steps, s)
	text, failed := why, false
	if k != nil && k.Record.Condition != "" {
		text, failed = fmt.Sprintf("%s; last try: %s", why, k.Record.Condition), true
	}
	l.reason(k, text, failed)
	l.plan.Reasons[len(l.plan.Reasons)-1].StepAfter = kind
}

// gated are the steps that holds, freezes, windows and approvals hold back. Observing, proving, falling back and
// everything after a compromise are not among them.
var gated = map[StepKind]bool{
	StepGenerate: true, StepPublish: true, StepActivate: true, StepRetire: true,
	StepRevoke: true, StepRemove: true, StepRestore: true, StepRepair: true,
}

func (l *line) reason(k *Key, text string, blocked bool) {
	r := Reason{AssignmentID: l.a.ID, Text: text, Blocked: blocked}
	if k != nil {
		r.KeyID = k.ID
	}
	l.plan.Reasons = append(l.plan.Reasons, r)
	if blocked || k != nil && k.State.Before(Active) {
		l.lookAgain()
	}
}

// wait says that time alone brings the next step.
func (l *line) wait(k *Key, text string, until time.Time, then StepKind) {
	l.reason(k, text, false)
	r := &l.plan.Reasons[len(l.plan.Reasons)-1]
	r.Next, r.StepAfter = until, then
	l.dueBy(until)
}

func (b *builder) lookAgain() { b.dueBy(b.s.Now.Add(lookEvery(b.p))) }

func (b *builder) dueBy(t time.Time) { b.due = earliest(b.due, t) }

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// waived reports whether a named person allowed a silent server to be ignored, for now.
func (s *Situation) waived(server string) bool {
	return slices.ContainsFunc(s.Controls.Waivers, func(w inventory.Waiver) bool {
		return w.Domain == s.Domain.Name && w.Server == server && s.Now.Before(w.Until)
	})
}

// stands reports whether the record is shown by every authoritative server at the newest look.
func (b *builder) stands(r *Record) bool {
	return !r.AgreedSince.IsZero() && r.Last.Expected == r.Want && r.Last.Agreed(b.s.waived)
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

// maxRank is the highest rank given in the line so far.
func (l *line) maxRank() int {
	top := 0
	for _, k := range l.keys {
		for _, h := range k.Holders {
			top = max(top, h.Rank)
		}
	}
	return top
}
