package lifecycle

import "time"

// retry says when a step that failed is tried again.
type retry struct {
	failures int
	at       time.Time // database time
}

// sameStep is a step without its sentence: what two tries of it have in common.
func sameStep(s Step) Step {
	s.Why = ""
	return s
}

// first returns the first due step that is not put off.
func (r *run) first(steps []Step) (Step, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range steps {
		if !r.s.Now.Before(r.retry[r.w.Domain][sameStep(s)].at) {
			return s, true
		}
	}
	return Step{}, false
}

// putOff delays the next try of a step that failed, for longer each time, so that a name server in trouble is not
// hammered. It is kept in memory: a restart tries at once.
func (r *run) putOff(s Step) {
	k := r.s.key(s.KeyID)
	r.mu.Lock()
	defer r.mu.Unlock()
	steps := r.retry[r.w.Domain]
	if steps == nil {
		steps = map[Step]retry{}
		r.retry[r.w.Domain] = steps
	}
	again := steps[sameStep(s)]
	again.failures++
	again.at = r.now().Add(retryAfter(r.s.Domain.Policy, again.failures, k != nil && k.Compromised()))
	steps[sameStep(s)] = again
}

// nextTry returns when the first of the steps that failed is tried again, and forgets those that are due no more.
func (r *run) nextTry(steps []Step) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	var at time.Time
	kept := map[Step]retry{}
	for _, s := range steps {
		if again, ok := r.retry[r.w.Domain][sameStep(s)]; ok {
			kept[sameStep(s)] = again
			at = earliest(at, again.at)
		}
	}
	if len(kept) == 0 {
		delete(r.retry, r.w.Domain)
	} else {
		r.retry[r.w.Domain] = kept
	}
	return at
}

// forget drops what is remembered of a domain that is gone.
func (r *Reconciler) forget(domain string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.retry, domain)
}
