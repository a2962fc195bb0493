package lifecycle

import (
	"fmt"
	"time"

	"github.com/postseal/postseal/internal/inventory"
)

// retired: the record stands until the last signature made with the key has had time to be checked (invariant 2).
func (l *line) retired(k *Key) {
	until, later := l.keptUntil(k)
	over := !k.Stopped.IsZero() && !l.s.Now.Before(until)
	if !over && k.Record.Want == k.Value && l.wrong(&k.Record) {
		l.missing(k)
	}
	if k.Stopped.IsZero() {
		l.stopping(k)
		return
	}
	if !over {
		text := "kept for mail that is still under way"
		if later != "" {
			text = "kept longer: " + later
		}
		l.wait(k, text, until, StepRevoke)
		return
	}
	if text := l.unsafe(k); text != "" {
		l.reason(k, text, true)
		return
	}
	if l.awaited(k, TombstoneValue, StepRevoke, "the empty p= that was asked for stands", "waiting for a person to empty p=") {
		return
	}
	if k.Record.Last.Expected == k.Record.Want && l.s.gone(&k.Record, k.Value) {
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
		if !h.Gone.IsZero() {
			continue
		}
		if h.Signing {
			return fmt.Sprintf("%s says that it signs with the key", l.holderName(h.ServerID))
		}
		if h.Skew.Abs() > inventory.MaxClockSkew {
			return fmt.Sprintf("the clock of %s is wrong by %s: nothing is taken away until it is right, or %s is decommissioned",
				l.holderName(h.ServerID), h.Skew.Round(time.Second), l.holderName(h.ServerID))
		}
	}
	return ""
}
