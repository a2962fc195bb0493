package audit

import (
	"slices"
	"time"

	"github.com/postseal/postseal/internal/inventory"
)

// Against compares a report with an earlier one of the same domain: every finding gets a State, and Resolved has what is not there any more. What this audit
// could not have found is not resolved; nor is what is about a selector that was named then and is not now.
func (r *Report) Against(before Report) {
	unasked := make(map[string]bool)
	for _, s := range before.Selectors {
		if !Source(s.Source).guess() && !slices.ContainsFunc(r.Selectors, func(x Selector) bool { return x.Selector == s.Selector }) {
			unasked[inventory.KeyName(s.Selector, r.Domain)] = true
		}
	}
	covered := func(id, subject string) bool { return !unasked[subject] && r.Covers(id, subject) }
	var standing []Standing
	for _, f := range before.Findings {
		standing = append(standing, Standing{Finding: f})
	}
	_, events := Fold(standing, r.Findings, covered, time.Time{})
	fresh := make(map[[2]string]bool)
	r.Resolved = nil
	for _, e := range events {
		switch e.Change {
		case Opened:
			fresh[[2]string{e.ID, e.Subject}] = true
		case Resolved:
			e.State = Resolved
			r.Resolved = append(r.Resolved, e.Finding)
		}
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		f.State = Repeated
		if fresh[[2]string{f.ID, f.Subject}] {
			f.State = Opened
		}
	}
}

// Mute marks the findings that one of the mutes covers now. They stay in the report and in its score. Domain "" in a mute is every domain.
func (r *Report) Mute(mutes []Mute, now time.Time) {
	for i := range r.Findings {
		f := &r.Findings[i]
		for _, m := range mutes {
			if (m.Domain == "" || m.Domain == r.Domain) && m.Covers(f.ID, f.Subject, now) {
				f.Muted = &Muted{By: m.By, Reason: m.Reason, Until: m.Until}
				break
			}
		}
	}
}
