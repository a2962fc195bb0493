package lifecycle

import "fmt"

// publish: generated → published. The public half must have come from every holder before anything is written.
func (l *line) publish(k *Key) {
	without := l.names(k, func(h Holding) bool { return h.in() && !h.holds(k) })
	switch {
	case l.awaited(k, k.Value, StepPublish, "the record that was asked for stands", "waiting for a person to publish the record"):
	case without != "" || k.Value == "":
		if problem := l.holderProblem(k); problem != "" {
			l.reason(k, "making the key: "+problem, true)
			return
		}
		if other := l.mismatch(k); other != "" {
			l.reason(k, other, true)
			return
		}
		l.reason(k, fmt.Sprintf("waiting for %s to make the key", without)+l.silence(k), l.silent(k) != "")
	case k.Record.Last.Problem != "":
		l.reason(k, "its name cannot be looked at: "+k.Record.Last.Problem, true)
		l.lookAgain(k.Created)
	default:
		l.step(StepPublish, k, "the key was made by "+l.names(k, Holding.in))
	}
}

// awaited plans a change that was asked of a person, or of a provider that takes its time; false when none was.
func (l *line) awaited(k *Key, want string, kind StepKind, done, waiting string) bool {
	r := &k.Record
	if !r.Pending || r.Want != want || want == "" && kind != StepRemove {
		return false
	}
	switch {
	case l.s.shown(r, k.Value):
		l.urgent(kind, k, done)
	case l.askAgain(r):
		l.step(kind, k, waiting+"; asked again")
	default:
		if have := r.Last.Foreign(r.Want, r.Written, k.Value); have != "" && r.Last.Expected == r.Want {
			waiting += fmt.Sprintf("; %q stands there", have)
		}
		l.reason(k, waiting, true)
		l.dueBy(r.WrittenAt.Add(askAgainEvery))
		l.lookAgain(r.WrittenAt)
	}
	return true
}

func (b *builder) askAgain(r *Record) bool {
	return r.Pending && !b.s.Now.Before(r.WrittenAt.Add(askAgainEvery))
}

// holderProblem returns what a holder says is wrong, with its name.
func (l *line) holderProblem(k *Key) string {
	for _, h := range k.Holders {
		if h.in() && h.Error != "" {
			return fmt.Sprintf("%s: %s", l.holderName(h.ServerID), h.Error)
		}
	}
	return ""
}

// mismatch says which holder reports another public half than the one that the key has.
func (l *line) mismatch(k *Key) string {
	other := l.names(k, func(h Holding) bool { return h.in() && h.Value != "" && k.Value != "" && h.Value != k.Value })
	if other == "" {
		return ""
	}
	return fmt.Sprintf("%s reports another public key for this selector than the first one that came; revoke this key to have another one made", other)
}

// silent names the holders that have not reported for long.
func (l *line) silent(k *Key) string {
	return l.names(k, func(h Holding) bool {
		since := h.Reported
		if since.IsZero() {
			since = k.Created
		}
		return h.Gone.IsZero() && l.s.Now.Sub(since) > silentAfter
	})
}

// silence is the end of a sentence about holders that have not reported for long, "" when all have.
func (l *line) silence(k *Key) string {
	if silent := l.silent(k); silent != "" {
		return fmt.Sprintf("; %s has not reported for more than %d minutes", silent, int(silentAfter.Minutes()))
	}
	return ""
}
