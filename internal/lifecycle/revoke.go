package lifecycle

// TombstoneValue is the record of a revoked key (RFC 6376 §3.6.1: an empty p= means that the key has been revoked).
const TombstoneValue = "v=DKIM1; p="

// revoked: p= stays empty for a while, so that verifiers can tell "revoked" from "never was", then the record goes.
func (l *line) revoked(k *Key) {
	if l.awaitedRemoval(k) {
		return
	}
	if until := k.Revoked.Add(l.p.Tombstone); l.s.Now.Before(until) {
		l.wait(k, "revoked: p= is empty", until, StepRemove)
		return
	}
	if text := l.unsafe(k); text != "" {
		l.reason(k, text, true)
		return
	}
	l.step(StepRemove, k, "it has been revoked for long enough")
}
