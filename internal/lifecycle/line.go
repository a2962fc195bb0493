package lifecycle

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/inventory"
)

// line is the succession of keys of one signature algorithm (RSA, Ed25519) in one assignment: at most one in preparation,
// one in use, and those on their way out. Keys of different sizes are of one line, because a server signs with one of
// them only.
type line struct {
	*builder
	a         *inventory.Assignment
	signer    inventory.Signer
	members   []string // servers that should hold the keys
	sorted    []string // the same, to look them up
	family    string
	algorithm string // of new keys; "" = none are wanted any more
	keys      []*Key // oldest first, without removed ones
	removed   []*Key
}

// familyOf returns the signature algorithm behind a key algorithm.
func familyOf(algorithm string) string {
	if strings.HasPrefix(algorithm, "rsa") {
		return "rsa"
	}
	return algorithm
}

// linesOf returns an assignment's lines: one per wanted signature algorithm, and those that only have keys left.
func (b *builder) linesOf(a *inventory.Assignment, keys []*Key) []*line {
	var lines []*line
	signer := b.s.Signers[a.SignerID]
	members := b.s.membersOf(signer)
	sorted := slices.Sorted(slices.Values(members))
	of := func(family string) *line {
		at := slices.IndexFunc(lines, func(l *line) bool { return l.family == family })
		if at < 0 {
			lines = append(lines, &line{builder: b, a: a, signer: signer, members: members, sorted: sorted, family: family})
			at = len(lines) - 1
		}
		return lines[at]
	}
	for _, algorithm := range a.Algorithms {
		if l := of(familyOf(algorithm)); l.algorithm == "" {
			l.algorithm = algorithm
		}
	}
	for _, k := range keys {
		l := of(familyOf(k.Algorithm))
		if k.State == Removed {
			l.removed = append(l.removed, k)
			continue
		}
		l.keys = append(l.keys, k)
	}
	for _, l := range lines {
		slices.SortStableFunc(l.keys, func(x, y *Key) int { return cmp.Or(x.Created.Compare(y.Created), cmp.Compare(x.ID, y.ID)) })
	}
	return lines
}

// ended reports whether a person ended the assignment or declared its server gone.
func (l *line) ended() bool { return !l.a.Ended.IsZero() || !l.signer.Decommissioned.IsZero() }

// ending reports whether the line shall have no keys any more.
func (l *line) ending() bool { return l.ended() || l.algorithm == "" }

func (l *line) endReason() string {
	switch {
	case !l.signer.Decommissioned.IsZero():
		return fmt.Sprintf("%s was decommissioned by %s", l.signer.Name, l.signer.DecommissionedBy)
	case !l.a.Ended.IsZero():
		return fmt.Sprintf("%s ended the assignment", l.a.EndedBy)
	default:
		return fmt.Sprintf("keys of %s are not wanted any more", l.family)
	}
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

// successor returns the key in preparation or being taken into use, nil when there is none.
func (l *line) successor() *Key { return l.coming(func(*Key) bool { return true }) }

// incoming returns the key that is exchanged for the present one: the successor, unless it only stands by. nil when there is none.
func (l *line) incoming() *Key { return l.coming(func(k *Key) bool { return !l.resting(k) }) }

// coming returns the newest key in preparation or being taken into use of those that is selects.
func (l *line) coming(is func(*Key) bool) *Key {
	for _, k := range slices.Backward(l.keys) {
		if (k.State.Before(Active) || k.State == Active && k.Signing.IsZero() && k.Demoted.IsZero()) && !k.Compromised() && l.unwanted(k) == "" && is(k) {
			return k
		}
	}
	return nil
}

// unwanted says why a key that does not sign yet shall not come into use; "" when it shall.
func (l *line) unwanted(k *Key) string {
	switch {
	case l.ending():
		return l.endReason()
	case k.End != nil:
		return fmt.Sprintf("%s asked to revoke it: %s", k.End.By, k.End.Reason)
	case k.Algorithm != l.algorithm:
		return fmt.Sprintf("%s is wanted instead of %s", l.algorithm, k.Algorithm)
	case !slices.ContainsFunc(k.Holders, Holding.in):
		return "no server is left that could hold it"
	case l.lost(k):
		return l.lostText(k)
	}
	return ""
}

// lost reports whether the private half of a key is nowhere any more: no server that should have it does. A key that has
// not been made yet is not lost, nor is one that signed a moment ago.
func (l *line) lost(k *Key) bool {
	if k.Value == "" {
		return false
	}
	without, waits := false, false
	for _, h := range k.Holders {
		switch {
		case !h.in() || !l.member(h.ServerID):
		case h.holds(k) || h.Reported.IsZero():
			return false
		case l.s.Now.Sub(h.LastSigned) < lostAfter(l.p):
			l.dueBy(h.LastSigned.Add(lostAfter(l.p)))
			waits = true
		default:
			without = true
		}
	}
	return without && !waits
}

func (l *line) lostText(k *Key) string {
	for _, h := range k.Holders {
		if h.in() && h.Value != "" && h.Value != k.Value {
			return fmt.Sprintf("%s has another key than the one that was made for this selector", l.holderName(h.ServerID))
		}
	}
	text := fmt.Sprintf("the private key is not on %s any more", l.names(k, func(h Holding) bool { return h.in() && !h.holds(k) }))
	if problem := l.holderProblem(k); problem != "" {
		text += " (" + problem + ")"
	}
	return text
}

// signs reports whether the line has a key with which mail is signed now.
func (l *line) signs() bool {
	now := l.current()
	return now != nil && !l.lost(now)
}

// emergency reports whether the key in use was compromised and no other one signs.
func (l *line) emergency() bool {
	return !l.ending() && l.current() == nil &&
		slices.ContainsFunc(l.keys, func(k *Key) bool { return k.Compromised() && !k.Activated.IsZero() })
}

// rotation reports whether the line is exchanging its key: a first key is no rotation.
func (l *line) rotation() bool {
	next := l.incoming()
	return next != nil && slices.ContainsFunc(l.keys, func(k *Key) bool { return k != next && !k.Activated.IsZero() })
}

// turn returns the assignment whose rotation is under way, so that two signers of one domain never rotate at once
// (idea 2 of DESIGN.md): one that is being taken into use, else the oldest in preparation. One that cannot go on because
// its holder is silent or cannot make the key does not keep the others from rotating; it gets its turn when it can.
func (b *builder) turn() *inventory.Assignment {
	var first *line
	var key *Key
	for _, l := range b.lines {
		next := l.incoming()
		if !l.rotation() || next.State.Before(Active) && (l.silent(next) != "" || next.Value == "" && l.holderProblem(next) != "") {
			continue
		}
		using := next.State == Active
		if first == nil || using && key.State != Active || using == (key.State == Active) && next.Created.Before(key.Created) {
			first, key = l, next
		}
	}
	if first == nil {
		return nil
	}
	return first.a
}

// myTurn reports whether this line's assignment may rotate now.
func (l *line) myTurn() bool { return l.rotating == nil || l.rotating.ID == l.a.ID }

// whoseTurn names the signer that rotates.
func (b *builder) whoseTurn() string {
	return cmp.Or(b.s.Signers[b.rotating.SignerID].Name, b.rotating.SignerID)
}

// rotateDue is when the key is to be replaced because of its age: as fixed when it came into use, or sooner when the
// policy was made stricter since.
func (l *line) rotateDue(k *Key) time.Time {
	if k.RotateAfter.IsZero() || l.p.RotateEvery <= 0 {
		return k.RotateAfter
	}
	latest := k.Activated.Add(l.p.RotateEvery + l.p.RotateEvery*time.Duration(l.p.JitterPercent)/100)
	return earliest(k.RotateAfter, latest)
}

// maxRank is the highest rank given to any key of the domain. A holder uses the highest rank that works among the keys
// it may sign with, whichever assignment or algorithm they were made for.
func (s *Situation) maxRank() int {
	top := 0
	for i := range s.Keys {
		top = max(top, s.Keys[i].rank())
	}
	return top
}
