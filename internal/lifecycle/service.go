package lifecycle

import (
	"fmt"
	"time"

	"github.com/postseal/postseal/internal/inventory"
)

// WantedRecords returns the records of a situation that are not of managed keys, with their ids: those that are stored,
// brought up to what the inventory wants, and new ones with an empty ID.
func WantedRecords(s Situation) []Record {
	wanted := inventory.WantedRecords(s.Domain, live(s.Assignments))
	var records []Record
	used := make([]bool, len(wanted))
	for _, r := range s.Records {
		r.Want = ""
		for i, w := range wanted {
			if w.Name == r.Name && w.Type == r.Type {
				r.Want, r.Purpose, r.AssignmentID = w.Value, Purpose(w.Purpose), w.AssignmentID
				r.Gone = time.Time{}
				used[i] = true
			}
		}
		records = append(records, r)
	}
	for i, w := range wanted {
		if !used[i] {
			records = append(records, Record{Domain: s.Domain.Name, Purpose: Purpose(w.Purpose), AssignmentID: w.AssignmentID,
				Name: w.Name, Type: w.Type, TTL: s.Domain.Policy.TTL, Want: w.Value})
		}
	}
	return records
}

func live(all []inventory.Assignment) []inventory.Assignment {
	var out []inventory.Assignment
	for _, a := range all {
		if a.Ended.IsZero() {
			out = append(out, a)
		}
	}
	return out
}

// records plans the records whose keys others hold, and the domain's own: published, observed, gone.
func (b *builder) records() {
	for i := range b.s.Records {
		b.record(&b.s.Records[i])
	}
}

func (b *builder) record(r *Record) {
	if !r.Gone.IsZero() {
		return
	}
	if b.s.Domain.Mode != inventory.Managed {
		b.recordReason(r, "the domain is only observed: nothing is changed", false)
		return
	}
	if r.Last.At.IsZero() || r.Last.Expected != r.Want {
		b.recordReason(r, "not looked yet", false)
		b.lookAgain()
		return
	}
	agreed := r.Last.Agreed(b.s.waived)
	switch {
	case r.Want == "" && agreed:
		b.recordStep(StepEnd, r, "it is wanted no more and does not stand any more")
	case r.Want == "" && r.Written == "":
		b.recordReason(r, "wanted no more; Postseal did not make it, so it stays until its owner removes it", false)
	case r.Want == "":
		b.recordStep(StepRemove, r, "wanted no more")
	case agreed && (r.Written == r.Want || !r.Pending):
		b.recordReason(r, "stands on every authoritative server", false)
	case r.Pending && agreed:
		b.recordStep(StepPublish, r, "the record that was asked for stands")
	case r.Pending:
		b.recordReason(r, "waiting for a person to publish it", true)
	case r.Written == r.Want && b.wrong(r):
		if b.repairable(r) {
			b.recordStep(StepRepair, r, "it was changed by others: "+r.Last.Sentence())
			return
		}
		b.recordReason(r, "it was changed by others: "+r.Last.Sentence(), true)
	case r.Written == r.Want:
		b.recordReason(r, "written; not every server shows it yet: "+r.Last.Sentence(), true)
	case r.Last.Foreign(r.Want, r.Written) != "":
		b.recordReason(r, fmt.Sprintf("somebody else's record stands there and is left alone: %q", r.Last.Foreign(r.Want, r.Written)), true)
		b.plan.Findings = append(b.plan.Findings, takenFinding(r.Domain, r.Name, r.Last.Foreign(r.Want, r.Written)))
	default:
		b.recordStep(StepPublish, r, "it does not stand yet")
	}
}

// TakenFinding is the id of the finding that a name is taken in DNS by somebody else's record.
const TakenFinding = "LIFE-01"

// takenFinding says it; what is what stands there, or the publisher's sentence about it.
func takenFinding(domain, name, what string) Finding {
	return Finding{
		ID: TakenFinding, Severity: "warning", Domain: domain, Subject: name,
		Message: fmt.Sprintf("a record that Postseal did not make stands at %s and was left alone: %s", name, what),
		Fix:     "if nobody needs it, delete it; if it should be Postseal's, adopt it",
	}
}

func (b *builder) recordReason(r *Record, text string, blocked bool) {
	b.plan.Reasons = append(b.plan.Reasons, Reason{AssignmentID: r.AssignmentID, RecordID: r.ID, Text: text, Blocked: blocked})
	if blocked {
		b.lookAgain()
	}
}

func (b *builder) recordStep(kind StepKind, r *Record, why string) {
	if gated[kind] {
		if text, until, blocked := b.s.Controls.Blocked(b.s.Domain.Name, string(kind), r.ID, b.s.Now); blocked {
			b.recordReason(r, fmt.Sprintf("%s: %s", kind, text), false)
			b.dueBy(until)
			return
		}
	}
	b.plan.Steps = append(b.plan.Steps, Step{Kind: kind, AssignmentID: r.AssignmentID, RecordID: r.ID, Why: why})
	text := why
	if r.Condition != "" {
		text = fmt.Sprintf("%s; last try: %s", why, r.Condition)
	}
	b.plan.Reasons = append(b.plan.Reasons, Reason{AssignmentID: r.AssignmentID, RecordID: r.ID, Text: text, Blocked: r.Condition != "", StepAfter: kind})
}
