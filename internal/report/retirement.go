package report

import (
	"fmt"
	"time"
)

// LastUses says when each managed key was last seen at work, by its id: midnight UTC of the last day on which mail of ours verified with it, straight from an address of ours,
// in a report that is vouched for. What was passed on says nothing: a list may deliver mail weeks after it was signed.
func LastUses(groups []Group) map[string]time.Time {
	uses := map[string]time.Time{}
	for i := range groups {
		g := &groups[i]
		if g.KeyID != "" && g.How == Exact && g.Vouched && g.Result == "pass" && g.home() && !g.passedOn() && g.Messages > 0 && g.Last.After(uses[g.KeyID]) {
			uses[g.KeyID] = g.Last
		}
	}
	return uses
}

// KeepUntil says until when the record of a key that left service should stand, and why when reports are the reason. Every holder had stopped signing with it at stopped; lastSeen is of LastUses,
// zero = it was not seen. Reports come from strangers, so that they can only delay, and that once: a key that is still seen at work is kept for as long again from that day on, and never longer
// than two retentions. That nobody reports it delays nothing.
func KeepUntil(stopped time.Time, retention time.Duration, lastSeen, now time.Time) (until time.Time, why string) {
	until = stopped.Add(retention)
	// On the day of the change mail of both keys is seen. A day that has not been yet was made up.
	if lastSeen.IsZero() || !lastSeen.After(stopped) || lastSeen.After(now) {
		return until, ""
	}
	const day = 24 * time.Hour // the use may have been at its end
	later, most := lastSeen.Add(day+retention), stopped.Add(2*retention)
	if !later.After(until) {
		return until, ""
	}
	why = fmt.Sprintf("reports still saw it at work on %s, after its signers had stopped: it is kept until %s", date(lastSeen), date(later))
	if later.After(most) {
		return most, fmt.Sprintf("reports still saw it at work on %s, after its signers had stopped: it is kept until %s, one retention longer and no more", date(lastSeen), date(most))
	}
	return later, why
}
