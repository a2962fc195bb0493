package lifecycle

import (
	"fmt"
	"slices"
	"time"

	"github.com/postseal/postseal/internal/inventory"
)

// Violations returns what must never be true of a domain (DESIGN.md §4), one sentence each; nil when all is well. The
// simulation asserts it after every tick, together with what it knows of the world outside.
//
// Waits are compared with the policy of today, or with the default where that is shorter: what was right when it was
// done stays right when a policy becomes stricter.
func Violations(s Situation) []string {
	var v []string
	say := func(format string, args ...any) { v = append(v, fmt.Sprintf(format, args...)) }
	seen := map[string]*Key{}
	for i := range s.Keys {
		k := &s.Keys[i]
		if used := usedTooEarly(s, k); used != "" {
			say("invariant 1: %s", used)
		}
		if gone := goneTooEarly(s, k); gone != "" {
			say("invariant 2: %s", gone)
		}
		if other := seen[k.Selector]; other != nil && (!slot(s, k) || other.State != Removed && k.State != Removed) {
			say("invariant 3: selector %s carries %s and %s", k.Selector, other.ID, k.ID)
		}
		if other := seen[k.Selector]; other != nil && other.EndReason != takenReason && other.State == Removed &&
			k.Created.Sub(other.Removed) < max(other.Record.TTL, other.Record.PositiveTTL, other.Record.NegativeTTL) {
			say("invariant 3: slot %s carries %s before caches have forgotten %s", k.Selector, k.ID, other.ID)
		}
		if led := ledAstray(s, k); led != "" {
			say("invariant 2: %s", led)
		}
		if other := seen[k.Selector]; other == nil || other.State == Removed {
			seen[k.Selector] = k
		}
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
	signs := slices.ContainsFunc(k.Holders, func(h Holding) bool { return h.Gone.IsZero() && h.Want == WantSign })
	if !signs && k.Activated.IsZero() {
		return ""
	}
	waited := k.Propagated.Sub(k.Record.FirstAgreed)
	switch {
	case k.Proven.IsZero(), k.Propagated.IsZero():
		return fmt.Sprintf("%s signs without proof", k.Selector)
	case signs && k.State != Active:
		return fmt.Sprintf("%s is %s and its holders are told to sign", k.Selector, k.State)
	case k.Record.FirstAgreed.IsZero() && k.State == Active:
		return fmt.Sprintf("%s signs and its record was never agreed upon", k.Selector)
	case k.State == Active && waited < min(s.Domain.Policy.MinWait, inventory.DefaultMinWait):
		return fmt.Sprintf("%s signs and its waiting time was %s", k.Selector, waited)
	}
	for _, h := range k.Holders {
		if h.Gone.IsZero() && h.Want == WantSign && h.CanaryVerified.IsZero() {
			return fmt.Sprintf("%s signs on %s without a canary of it", k.Selector, h.ServerID)
		}
	}
	return ""
}

// ledAstray: a slot is used once its CNAME has stood, and as long as a key lies behind it that CNAME is wanted.
func ledAstray(s Situation, k *Key) string {
	if k.Record.Alias == "" || k.State == Removed {
		return ""
	}
	for _, r := range s.Records {
		if r.Name != k.Record.Alias || r.Type != "CNAME" || r.Want != k.Record.Name || !r.Gone.IsZero() {
			continue
		}
		if r.FirstAgreed.IsZero() || r.FirstAgreed.After(k.Created) {
			return fmt.Sprintf("%s was used before its CNAME stood everywhere", k.Selector)
		}
		return ""
	}
	return fmt.Sprintf("%s is %s, and nothing shall lead from %s to it", k.Selector, k.State, k.Record.Alias)
}

// goneTooEarly: a record is emptied or removed only after its retention, unless the key never signed or is compromised.
func goneTooEarly(s Situation, k *Key) string {
	if k.State.Before(Revoked) || k.Activated.IsZero() || k.Compromised() {
		return ""
	}
	emptied := k.Revoked
	if emptied.IsZero() {
		emptied = k.Removed
	}
	if k.Stopped.IsZero() {
		return fmt.Sprintf("%s was emptied while a holder may still sign with it", k.Selector)
	}
	// A holder that signs again later, restored from a backup say, does not make the past wrong.
	last := k.Stopped
	for _, h := range k.Holders {
		if h.LastSigned.After(last) && h.LastSigned.Before(emptied) {
			last = h.LastSigned
		}
	}
	if kept := emptied.Sub(last); kept < min(s.Domain.Policy.Retention, inventory.MinRetention) {
		return fmt.Sprintf("%s was emptied %s after its last use", k.Selector, kept.Round(time.Second))
	}
	return ""
}

// leftWithout: an assignment that had a signing key has one, for each signature algorithm that it wants.
func leftWithout(s Situation, a *inventory.Assignment) string {
	if a.Class != inventory.ClassManaged || !a.Ended.IsZero() || !s.Signers[a.SignerID].Decommissioned.IsZero() {
		return ""
	}
	had := map[string]bool{}
	has := map[string]bool{}
	for _, k := range s.Keys {
		if k.AssignmentID != a.ID {
			continue
		}
		if k.Compromised() {
			return "" // the one exception beside a person's removal
		}
		family := familyOf(k.Algorithm)
		had[family] = had[family] || !k.Signing.IsZero() || !k.Retired.IsZero() && !k.Activated.IsZero()
		has[family] = has[family] || k.State == Active && slices.ContainsFunc(k.Holders, func(h Holding) bool { return h.Want == WantSign })
	}
	covered := false
	for _, algorithm := range a.Algorithms {
		family := familyOf(algorithm)
		covered = covered || has[family]
		if had[family] && !has[family] {
			return fmt.Sprintf("%s had a signing key of %s for %s and has none", a.SignerID, family, a.Domain)
		}
	}
	for family, once := range had {
		if once && !covered && !has[family] {
			return fmt.Sprintf("%s had a signing key of %s for %s and has none of any kind", a.SignerID, family, a.Domain)
		}
	}
	return ""
}

func slot(s Situation, k *Key) bool {
	for _, a := range s.Assignments {
		if a.ID == k.AssignmentID && slices.Contains(a.Slots, k.Selector) {
			return true
		}
	}
	return false
}
