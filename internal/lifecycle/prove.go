package lifecycle

import "fmt"

// prove: propagated → proven. Every holder signs a canary with our nonce, and each must verify through live DNS.
func (l *line) prove(k *Key) {
	if !l.agreedLongEnough(k) {
		return
	}
	if k.Canary == "" {
		l.urgent(StepAsk, k, "asking for a signed canary")
		return
	}
	open := l.names(k, func(h Holding) bool { return !h.proved(k) })
	if open == "" {
		l.urgent(StepProve, k, "a canary of every holder verified through live DNS")
		return
	}
	problem := ""
	for _, h := range k.Holders {
		if h.CanaryProblem != "" && h.CanaryNonce == k.Canary && h.Gone.IsZero() {
			problem = h.CanaryProblem
		}
	}
	if again := k.CanaryAsked.Add(askEvery(l.p)); problem != "" && !l.s.Now.Before(again) {
		l.urgent(StepAsk, k, fmt.Sprintf("the canary of %s did not verify (%s): asking again", open, problem))
		return
	} else if problem != "" {
		l.dueBy(again)
	}
	text := fmt.Sprintf("waiting for a canary of %s", open)
	if problem != "" {
		text += ": the last one did not verify: " + problem
	}
	l.reason(k, text, problem != "" || l.silent(k) != "")
}

// proved reports whether this holder's canary verified for the nonce that the key has now, or the holder is gone.
func (h Holding) proved(k *Key) bool {
	return !h.Gone.IsZero() || !h.CanaryVerified.IsZero() && h.CanaryNonce == k.Canary && k.Canary != ""
}
