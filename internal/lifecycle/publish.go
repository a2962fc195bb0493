package lifecycle

import "fmt"

// publish: generated → published. The public half must have come from every holder before anything is written.
func (l *line) publish(k *Key) {
	if k.Value == "" {
		who := l.names(k, func(h Holding) bool { return !h.Has && h.Gone.IsZero() })
		if problem := l.holderProblem(k); problem != "" {
			l.reason(k, "making the key: "+problem, true)
			return
		}
		l.reason(k, fmt.Sprintf("waiting for %s to make the key", who), l.silent(k) != "")
		return
	}
	for _, h := range k.Holders {
		if h.Gone.IsZero() && !h.Has {
			l.reason(k, fmt.Sprintf("waiting for %s to have the key", l.holderName(h.ServerID)), false)
			return
		}
	}
	if k.Record.Pending {
		if k.Record.Last.Expected == k.Record.Want && k.Record.Last.Agreed(l.s.waived) {
			l.urgent(StepPublish, k, "the record that was asked for stands")
			return
		}
		l.reason(k, "waiting for a person to publish the record", true)
		return
	}
	l.step(StepPublish, k, fmt.Sprintf("%s has made the key", l.names(k, func(h Holding) bool { return h.Has })))
}

// holderProblem returns what a holder says is wrong, with its name.
func (l *line) holderProblem(k *Key) string {
	for _, h := range k.Holders {
		if h.Gone.IsZero() && h.Error != "" {
			return fmt.Sprintf("%s: %s", l.holderName(h.ServerID), h.Error)
		}
	}
	return ""
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
