package ticket

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/inventory"
)

// Step is what happened to a ticket; the journal has it under this name.
type Step string

const (
	StepOpen     Step = "ticket-open"
	StepRevise   Step = "ticket-revise"   // changes joined
	StepProgress Step = "ticket-progress" // some changes are done, or no longer asked for
	StepRemind   Step = "ticket-remind"
	StepExpire   Step = "ticket-expire"
	StepRevive   Step = "ticket-revive" // what had waited too long is done; the rest has time left
	StepClose    Step = "ticket-close"  // done, or nothing is left to ask for
	StepNote     Step = "ticket-note"   // a person's
)

// Event is one thing that happened to a ticket.
type Event struct {
	Step Step
	Why  string // a sentence without the ticket's name
}

// Tend says what becomes of a publisher's ticket now, and what happened to it; nothing happened = nothing to write. t is the open ticket, or nil; p the
// publisher it belongs to; open are the changes that wait for its people now, sorted by name; records are the items' records as they are now, by id (a
// record that is gone is missing).
func Tend(t *Ticket, p inventory.Publisher, open []Change, records map[string]Change, now time.Time) (*Ticket, []Event) {
	if t == nil {
		if len(open) == 0 {
			return nil, nil
		}
		t = &Ticket{Publisher: p.Name, Opened: now, Revision: 1, Revised: now}
		t.join(open, now)
		return t, []Event{{StepOpen, fmt.Sprintf("%s asked of %s: %s", count(len(open), "change"), p.Contact, kinds(t.Items))}}
	}
	next := *t
	next.Items = slices.Clone(t.Items)
	var events []Event
	tell := func(step Step, format string, args ...any) {
		events = append(events, Event{step, fmt.Sprintf(format, args...)})
	}

	if done, withdrawn := next.leave(open, records, now); done+withdrawn > 0 {
		tell(StepProgress, "%s; %s left", endings(done, withdrawn), count(len(next.OpenItems()), "change"))
	}
	if joined := next.join(open, now); joined > 0 {
		next.Revision++
		next.Revised = now
		tell(StepRevise, "%s joined, revision %d", count(joined, "change"), next.Revision)
	}
	if len(next.OpenItems()) == 0 {
		return next.close(now)
	}
	expires := next.Expires(p)
	switch {
	case next.Expired.IsZero() && !now.Before(expires):
		next.Expired = now
		tell(StepExpire, "%s asked of %s for %s without result; nothing is undone, and a record that comes now still counts",
			count(len(next.OpenItems()), "change"), p.Contact, inventory.FormatDuration(p.Expiring()))
		return &next, events
	case !next.Expired.IsZero() && now.Before(expires):
		next.Expired = time.Time{}
		tell(StepRevive, "what had waited too long is done; the rest has until %s", clock(expires))
	}
	if due := next.Reminder(p); !now.Before(due) {
		next.Reminded = now
		next.Reminders++
		tell(StepRemind, "reminder %d: %s been asked of %s since %s", next.Reminders, has(len(next.OpenItems())), p.Contact, clock(next.Oldest()))
	}
	if len(events) == 0 {
		return t, nil
	}
	return &next, events
}

func has(n int) string {
	if n == 1 {
		return "1 change has"
	}
	return fmt.Sprintf("%d changes have", n)
}

// leave ends the items that are no longer asked for.
func (t *Ticket) leave(open []Change, records map[string]Change, now time.Time) (done, withdrawn int) {
	waiting := make(map[string]string, len(open))
	for _, c := range open {
		waiting[c.RecordID] = c.Want
	}
	for n := range t.Items {
		i := &t.Items[n]
		if want, asked := waiting[i.RecordID]; !i.Open() || asked && want == i.Want {
			continue
		}
		i.Left, i.Ending = now, Withdrawn
		if c, there := records[i.RecordID]; there && c.done(i.Want) {
			i.Ending = Done
			done++
			continue
		}
		withdrawn++
	}
	return done, withdrawn
}

// join takes changes in that it does not have yet.
func (t *Ticket) join(open []Change, now time.Time) (joined int) {
	have := make(map[string]bool, len(t.Items))
	for _, i := range t.Items {
		if i.Open() {
			have[i.RecordID] = true
		}
	}
	for _, c := range open {
		if have[c.RecordID] {
			continue
		}
		t.Items = append(t.Items, Item{RecordID: c.RecordID, Domain: c.Domain, Name: c.Name, Type: c.Type, Want: c.Want, Written: c.Written, Joined: now})
		joined++
	}
	return joined
}

// close ends a ticket of which nothing is left.
func (t *Ticket) close(now time.Time) (*Ticket, []Event) {
	done := 0
	for _, i := range t.Items {
		if i.Ending == Done {
			done++
		}
	}
	t.Closed, t.Why, t.Expired = now, Done, time.Time{}
	if done == 0 {
		t.Why = Withdrawn
		return t, []Event{{StepClose, "withdrawn: nothing of it is asked for any more"}}
	}
	return t, []Event{{StepClose, "done: " + endings(done, len(t.Items)-done)}}
}

func endings(done, withdrawn int) string {
	var parts []string
	if done > 0 {
		parts = append(parts, count(done, "change")+" seen on every name server")
	}
	if withdrawn > 0 {
		parts = append(parts, count(withdrawn, "change")+" no longer asked for")
	}
	return strings.Join(parts, ", ")
}

// kinds counts what there is to do: "2 to add, 1 to remove".
func kinds(items []Item) string {
	n := map[Kind]int{}
	for _, i := range items {
		n[i.Kind()]++
	}
	var parts []string
	for _, k := range []Kind{Add, Replace, Restore, Remove} {
		if n[k] > 0 {
			parts = append(parts, fmt.Sprintf("%d to %s", n[k], k))
		}
	}
	return strings.Join(parts, ", ")
}

func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 UTC") }
