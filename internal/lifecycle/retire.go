package lifecycle

import (
	"fmt"
	"time"

	"github.com/postseal/postseal/internal/inventory"
)

// retired: the record stands until the last signature made with the key has had time to be checked (invariant 2).
func (l *line) retired(k *Key) {
	if k.Stopped.IsZero() {
		l.stopping(k)
		return
	}
	if l.wrong(&k.Record) {
		l.missing(k)
	}
	until := lastUse(k).Add(l.p.Retention)
	if l.s.Now.Before(until) {
		l.wait(k, "kept for mail still under way", until, StepRevoke)
		return
	}
	if text := l.unsafe(k); text != "" {
		l.reason(k, text, true)
		return
	}
	if k.Record.Pending {
		if k.Record.Last.Expected == k.Record.Want && k.Record.Last.Agreed(l.s.waived) {
			l.urgent(StepRevoke, k, "the empty p= that was asked for stands")
			return
		}
		l.reason(k, "waiting for a person to empty p=", true)
		return
	}
	if k.Record.Last.Empty() {
		l.step(StepRemove, k, "its retention is over, and somebody took the record away already")
		return
	}
	l.step(StepRevoke, k, fmt.Sprintf("last signature %s ago", days(l.s.Now.Sub(lastUse(k)))))
}

// stopping waits for every holder's word; a silent one counts as signing until a named person declares it gone.
func (l *line) stopping(k *Key) {
	open := l.names(k, func(h Holding) bool { _, stopped := h.StoppedSigning(); return !stopped })
	if open == "" {
		l.urgent(StepStopped, k, "no holder signs with it any more")
		return
	}
	text := fmt.Sprintf("waiting for %s to acknowledge that it stopped signing", open)
	silent := l.silent(k)
	if silent != "" {
		text += fmt.Sprintf("; %s is silent and counts as signing until it answers or is decommissioned", silent)
	}
	l.reason(k, text, silent != "")
}

// lastUse is the latest moment at which mail may have been signed with the key.
func lastUse(k *Key) time.Time {
	last := k.Stopped
	for _, h := range k.Holders {
		if h.LastSigned.After(last) {
			last = h.LastSigned
		}
	}
	return last
}

// unsafe returns why a destructive step must wait although its time has come; "" when it need not.
func (l *line) unsafe(k *Key) string {
	for _, h := range k.Holders {
		if h.Gone.IsZero() && (h.Skew > inventory.MaxClockSkew || h.Skew < -inventory.MaxClockSkew) {
			return fmt.Sprintf("the clock of %s is wrong by %s: nothing is taken away until it is right", l.holderName(h.ServerID), h.Skew.Round(time.Second))
		}
		if h.Gone.IsZero() && h.Signing {
			return fmt.Sprintf("%s says that it signs with the key", l.holderName(h.ServerID))
		}
	}
	return ""
}
