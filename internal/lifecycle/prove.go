package lifecycle

import "fmt"

// prove: propagated → proven. Every holder signs a canary with our nonce, and each must verify through live DNS.
func (l *line) prove(k *Key) {
	if !l.agreedLongEnough(k, StepAsk) {
		return
	}
	if k.Canary == "" {
		l.urgent(StepAsk, k, "asking for a signed canary")
		return
	}
	open := l.names(k, func(h Holding) bool { return h.in() && !h.proved(k) })
	if open == "" {
		l.urgent(StepProve, k, "a canary of every holder verified through live DNS")
		return
	}
	l.lookAgain(k.CanaryAsked)
	problem := ""
	for _, h := range k.Holders {
		if h.in() && h.CanaryProblem != "" && h.CanaryNonce == k.Canary {
			problem = fmt.Sprintf("that of %s did not verify: %s", l.holderName(h.ServerID), h.CanaryProblem)
		}
	}
	if problem == "" {
		text := fmt.Sprintf("waiting for a canary of %s", open)
		if trouble := l.holderProblem(k); trouble != "" {
			l.reason(k, text+"; "+trouble, true)
			return
		}
		l.reason(k, text+l.silence(k), l.silent(k) != "")
		return
	}
	if again := k.CanaryAsked.Add(askEvery(l.p)); l.s.Now.Before(again) {
		l.wait(k, fmt.Sprintf("waiting for a canary of %s; %s", open, problem), again, StepAsk)
		l.plan.Reasons[len(l.plan.Reasons)-1].Blocked = true
		return
	}
	l.urgent(StepAsk, k, "asking for another canary: "+problem)
}
