package lifecycle

import (
	"fmt"
	"time"

	"github.com/postseal/postseal/internal/inventory"
)

// Violations returns what must never be true of a domain (DESIGN.md §4), one sentence each; nil when all is well. The
// simulation asserts it after every tick, together with what it knows of the world outside.
func Violations(s Situation) []string {
	var v []string
	say := func(format string, args ...any) { v = append(v, fmt.Sprintf(format, args...)) }
	seen := map[string]string{}
	for i := range s.Keys {
		k := &s.Keys[i]
		if used := usedTooEarly(s, k); used != "" {
			say("invariant 1: %s", used)
		}
		if gone := goneTooEarly(s, k); gone != "" {
			say("invariant 2: %s", gone)
		}
		if other, twice := seen[k.Selector]; twice && !slot(s, k) {
			say("invariant 3: selector %s carries %s and %s", k.Selector, other, k.ID)
		}
		seen[k.Selector] = k.ID
	}
	for i := range s.Assignments {
		if left := leftWithout(s, &s.Assignments[i]); left != "" {
			say("invariant 4: %s", left)
		}
	}
	return v
}

// usedTooEarly: no holder is told to sign before the record stood everywhere, the wait was over, and a canary verified.
func usedTooEarly(s Situation, k *Key) string {
	signs := false
	for _, h := range k.Holders {
		signs = signs || h.Want == WantSign
	}
	if !signs && k.Activated.IsZero() {
		return ""
	}
	switch {
	case k.Proven.IsZero(), k.Propagated.IsZero():
		return fmt.Sprintf("%s signs without proof", k.Selector)
	case k.Record.FirstAgreed.IsZero() && k.State == Active:
		return fmt.Sprintf("%s signs and its record was never agreed upon", k.Selector)
	case k.State == Active && k.Propagated.Sub(k.Record.FirstAgreed) < s.Domain.Policy.MinWait:
		return fmt.Sprintf("%s signs and its waiting time was %s", k.Selector, k.Propagated.Sub(k.Record.FirstAgreed))
	}
	for _, h := range k.Holders {
		if h.Gone.IsZero() && h.CanaryVerified.IsZero() {
			return fmt.Sprintf("%s signs on %s without a canary of it", k.Selector, h.ServerID)
		}
	}
	return ""
}

// goneTooEarly: a record is emptied or removed only after its retention, unless the key never signed or is compromised.
func goneTooEarly(s Situation, k *Key) string {
	if k.State.Before(Revoked) || k.Activated.IsZero() {
		return ""
	}
	emptied := k.Revoked
	if emptied.IsZero() {
		emptied = k.Removed
	}
	if k.Compromised() {
		return ""
	}
	if k.Stopped.IsZero() {
		return fmt.Sprintf("%s was emptied while a holder may still sign with it", k.Selector)
	}
	if kept := emptied.Sub(lastUse(k)); kept < s.Domain.Policy.Retention {
		return fmt.Sprintf("%s was emptied %s after its last use", k.Selector, kept.Round(time.Second))
	}
	return ""
}

// leftWithout: an assignment that had a signing key has one.
func leftWithout(s Situation, a *inventory.Assignment) string {
	if a.Class != inventory.ClassManaged || !a.Ended.IsZero() || !s.Signers[a.SignerID].Decommissioned.IsZero() {
		return ""
	}
	had := map[string]bool{}
	has := map[string]bool{}
	for _, k := range s.Keys {
		if k.AssignmentID != a.ID || k.Compromised() {
			continue
		}
		had[k.Algorithm] = had[k.Algorithm] || !k.Signing.IsZero() || !k.Retired.IsZero() && !k.Activated.IsZero()
		for _, h := range k.Holders {
			if h.Want == WantSign && k.State == Active {
				has[k.Algorithm] = true
			}
		}
	}
	for _, algorithm := range a.Algorithms {
		if had[algorithm] && !has[algorithm] && !compromised(s, a) {
			return fmt.Sprintf("%s had a signing key of %s for %s and has none", a.SignerID, algorithm, a.Domain)
		}
	}
	return ""
}

func compromised(s Situation, a *inventory.Assignment) bool {
	for _, k := range s.Keys {
		if k.AssignmentID == a.ID && k.Compromised() {
			return true
		}
	}
	return false
}

func slot(s Situation, k *Key) bool {
	for _, a := range s.Assignments {
		for _, declared := range a.Slots {
			if a.ID == k.AssignmentID && declared == k.Selector {
				return true
			}
		}
	}
	return false
}
