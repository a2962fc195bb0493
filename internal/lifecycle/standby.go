package lifecycle

import (
	"fmt"
	"slices"
)

// A line that keeps a standby makes its next key ahead of time. It is published, waits and is proven like any other, and then rests: no holder
// signs with it before it is needed. What a rotation, a fallback or a compromise would otherwise wait for has happened by then.

// resting reports whether a key is, or is on its way to be, a standby that nothing calls for now.
func (l *line) resting(k *Key) bool {
	if !l.a.Standby || !k.State.Before(Active) {
		return false
	}
	why, _ := l.called()
	return why == ""
}

// called says why the line's next key is to come into use now, "" when the present one goes on, and whether that is a way back from trouble,
// which no hold keeps back (invariant 4).
func (l *line) called() (why string, fallback bool) {
	now := l.current()
	switch {
	case now == nil && l.taken():
		return "", false
	case now == nil:
		return "no other key signs", l.demotes()
	case l.lost(now):
		return l.lostText(now), true
	case l.wrong(&now.Record) && l.fallback(now) == nil:
		return fmt.Sprintf("the record of %s is wrong (%s), and no older key stands that could take over", now.Selector, now.Record.sentence()), true
	}
	why, _ = l.needsKey()
	return why, false
}

// taken reports whether another key is being taken into use and nothing speaks against it: one that the line fell back to, say.
func (l *line) taken() bool {
	return slices.ContainsFunc(l.keys, func(k *Key) bool {
		return k.State == Active && k.Signing.IsZero() && k.Demoted.IsZero() && !k.Compromised() && !l.lost(k) && !l.wrong(&k.Record)
	})
}

// demotes reports whether the line signs with a key that has stepped back, for want of another one.
func (l *line) demotes() bool {
	return slices.ContainsFunc(l.keys, func(k *Key) bool { return k.State == Active && !k.Demoted.IsZero() })
}

// ready returns the proven key that rests and could be used at once, nil when there is none.
func (l *line) ready() *Key {
	if k := l.successor(); k != nil && l.a.Standby && k.State == Proven && l.provedBy(k) != "" && l.stands(k) && !l.s.Now.Before(k.Record.AgreedSince.Add(waitAfterAgreement(l.p, k.Record))) {
		return k
	}
	return nil
}

// provedBy names the holders whose canary verified: those that may sign with the key.
func (l *line) provedBy(k *Key) string {
	return l.names(k, Holding.mayBegin)
}

// rest says what a standby is for, once its record has been looked at as that of any key on its way.
func (l *line) rest(k *Key) {
	present := "the key in use"
	if now := l.current(); now != nil {
		present = now.Selector
	}
	text := "standby: published and proven, it takes over at once when " + present + " is replaced, revoked or cannot be used"
	if l.p.TestMode {
		text += " (test mode: short waits)"
	}
	if problem := l.holderProblem(k); problem != "" {
		l.reason(k, text+"; "+problem, true)
		return
	}
	l.reason(k, text+l.silence(k), false)
}

// exposed returns the stolen key beside which this one lay on the same servers before it was taken into use in its place, nil when there is
// none: who took one may have taken all.
func (l *line) exposed(k *Key) *Key {
	for _, stolen := range slices.Concat(l.keys, l.removed) {
		if stolen != k && stolen.Compromised() && k.Created.Before(stolen.End.At) && !k.Activated.Before(stolen.End.At) {
			return stolen
		}
	}
	return nil
}
