package lifecycle

import (
	"fmt"
	"time"

	"github.com/postseal/postseal/internal/inventory"
)

// WantedRecords returns the records of a situation that are not of managed keys, with their ids: those that are stored,
// brought up to what the inventory wants, and new ones with an empty ID.
func WantedRecords(s Situation) []Record {
	wanted := append(inventory.WantedRecords(s.Domain, live(s.Assignments)), slotRecords(&s)...)
	wanted = append(wanted, inventory.ReportRecords(s.Domain, s.ReportsTo)...)
	var records []Record
	used := make([]bool, len(wanted))
	for _, r := range s.Records {
		want := ""
		for i, w := range wanted {
			if w.Name == r.Name && w.Type == r.Type && !used[i] {
				want, r.Purpose, r.AssignmentID = w.Value, Purpose(w.Purpose), w.AssignmentID
				r.Gone = time.Time{}
				r.movedTo(w.Publisher)
				if r.Purpose == ForReport {
					want = r.takesReports(want)
				}
				used[i] = true
				break
			}
		}
		r.wish(want)
		records = append(records, r)
	}
	for i, w := range wanted {
		if !used[i] {
			records = append(records, Record{Domain: s.Domain.Name, Purpose: Purpose(w.Purpose), AssignmentID: w.AssignmentID, Publisher: w.Publisher,
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
		if r := &b.s.Records[i]; r.Gone.IsZero() {
			b.record(r)
		}
	}
}

func (b *builder) record(r *Record) {
	if r.Last.At.IsZero() || r.Last.Expected != r.Want {
		b.recordReason(r, "not looked yet", false)
		b.lookAgain(time.Time{})
		return
	}
	switch {
	case r.Want == "":
		b.unwantedRecord(r)
	case b.s.Watched(r):
		b.watchedRecord(r)
	case r.Last.Agreed(b.s.waived):
		if r.Pending {
			b.recordStep(StepPublish, r, "the record that was asked for stands")
			return
		}
		b.recordReason(r, "stands on every authoritative server", false)
	case r.Pending && b.askAgain(r):
		b.recordStep(StepPublish, r, "waiting for a person to publish it; asked again")
	case r.Pending:
		text := "waiting for a person to publish it"
		if have := r.Last.Foreign(r.Want, r.Written); have != "" {
			text += fmt.Sprintf("; %q stands there", have)
		}
		b.awaitedRecord(r, text)
	case b.s.taken(r, nil) && r.Last.Foreign(r.Want, r.Written) != "":
		b.recordReason(r, "somebody else's record stands there and is left alone: "+r.takenBy(), true)
	case r.Written != r.Want:
		if r.Last.Problem != "" {
			b.recordReason(r, "its name cannot be looked at: "+r.Last.Problem, true)
			b.lookAgain(time.Time{})
			return
		}
		b.recordStep(StepPublish, r, "it does not stand yet")
	case b.repairable(r):
		b.recordStep(StepRepair, r, "it was changed by others: "+r.sentence())
	case b.s.changed(r, nil):
		b.recordReason(r, fmt.Sprintf("it was changed by others: %s; proposed: write %q again (postseal record adopt %s --reason TEXT --yes)", r.sentence(), r.Want, r.Name), true)
	default:
		b.recordReason(r, "written; not every server shows it: "+r.sentence(), true)
		b.lookAgain(r.WrittenAt)
	}
}

// unwantedRecord plans a record that the inventory does not want any more.
func (b *builder) unwantedRecord(r *Record) {
	switch {
	case r.Purpose == ForReport && r.Written == "" && !r.Pending:
		b.recordStep(StepEnd, r, "wanted no more; what stands there is not Postseal's")
	case b.s.gone(r, "") && (r.Written != "" || r.Last.Empty()):
		b.recordStep(StepEnd, r, "it is wanted no more and does not stand any more")
	case r.Written == "" && !r.WrittenAt.IsZero() && !r.Pending && r.Last.At.Before(r.WrittenAt):
		b.recordReason(r, "Postseal has removed it; not looked since", false)
		b.lookAgain(r.WrittenAt)
	case r.Written == "" && !r.WrittenAt.IsZero() && !r.Pending:
		b.recordReason(r, "nothing of Postseal's is left to remove; what still stands lags behind, or is somebody else's and stays: "+r.sentence(), false)
		b.lookAgain(r.WrittenAt)
	case r.Written == "":
		b.recordReason(r, "wanted no more; Postseal did not make it, so it stays until its owner removes it", false)
	case r.Pending && b.askAgain(r):
		b.recordStep(StepRemove, r, "waiting for a person to delete it; asked again")
	case r.Pending:
		b.awaitedRecord(r, "waiting for a person to delete it")
	default:
		b.recordStep(StepRemove, r, "wanted no more")
	}
}

func (b *builder) awaitedRecord(r *Record, text string) {
	b.recordReason(r, text, true)
	b.dueBy(r.WrittenAt.Add(askAgainEvery))
	b.lookAgain(r.WrittenAt)
}

func (b *builder) recordReason(r *Record, text string, blocked bool) {
	b.plan.Reasons = append(b.plan.Reasons, Reason{AssignmentID: r.AssignmentID, RecordID: r.ID, Text: text, Blocked: blocked})
}

// recordStep adds a due step on a record. Approvals are for keys; what a service's record or _dmarc should be, a person
// has said in the inventory.
func (b *builder) recordStep(kind StepKind, r *Record, why string) {
	controls := b.s.Controls
	controls.NeedApproval = nil
	text, until, held := controls.Blocked(b.s.Domain.Name, string(kind), "", b.s.Now)
	switch {
	case gated[kind] && held:
		b.recordReason(r, fmt.Sprintf("%s; held back: %s", why, text), until.IsZero())
		b.plan.Reasons[len(b.plan.Reasons)-1].Next = until
		b.dueBy(until)
	case b.observed():
		b.recordReason(r, observedText+"; otherwise now: "+why, false)
	default:
		b.plan.Steps = append(b.plan.Steps, Step{Kind: kind, AssignmentID: r.AssignmentID, RecordID: r.ID, Why: why})
		if r.Condition != "" {
			why = fmt.Sprintf("%s; last try: %s", why, r.Condition)
		}
		b.recordReason(r, why, r.Condition != "")
	}
	b.plan.Reasons[len(b.plan.Reasons)-1].StepAfter = kind
}
