package ticket

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Whatever people, planners and time do to a publisher's changes: the open items are exactly the changes that wait; nothing is done that is not there;
// an expired ticket closes only by its changes; the revision tells two different texts apart; and what was written is stable.
func TestWhateverHappens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := hand()
		p.RemindEvery = time.Duration(rapid.IntRange(1, 72).Draw(t, "remind")) * time.Hour
		p.ExpiresAfter = time.Duration(rapid.IntRange(1, 20).Draw(t, "expire")) * day
		records := map[string]Change{}
		now := start
		var open *Ticket
		reminded, reminders := time.Time{}, 0
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			id := rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(t, "record")
			c := records[id]
			switch rapid.SampledFrom([]string{"ask", "do", "withdraw", "forget", "wait"}).Draw(t, "what") {
			case "ask":
				c = Change{RecordID: id, Publisher: p.Name, Domain: id + ".example", Name: id, Type: "TXT", Written: c.Written, Pending: true, Want: fmt.Sprint(rapid.IntRange(0, 3).Draw(t, "want"))}
				if c.Want == "0" {
					c.Want = ""
				}
				records[id] = c
			case "do":
				if c.Pending {
					c.Pending, c.Written, c.Agreed = false, c.Want, true
					records[id] = c
				}
			case "withdraw":
				if c.Pending {
					c.Pending = false
					records[id] = c
				}
			case "forget":
				delete(records, id)
			}
			now = now.Add(time.Duration(rapid.IntRange(0, 100).Draw(t, "hours")) * time.Hour)
			var waiting []Change
			for _, id := range []string{"a", "b", "c", "d", "e"} {
				if c := records[id]; c.Pending {
					waiting = append(waiting, c)
				}
			}
			before := open
			next, events := Tend(open, p, waiting, records, now)
			if len(events) == 0 && next != before {
				t.Fatalf("it changed and nothing happened")
			}
			if next == nil {
				if len(waiting) > 0 {
					t.Fatalf("%d wait without a ticket", len(waiting))
				}
				continue
			}
			// The open items are the changes that wait.
			var items, wishes []string
			for _, i := range next.OpenItems() {
				items = append(items, i.RecordID+"="+i.Want)
			}
			for _, c := range waiting {
				wishes = append(wishes, c.RecordID+"="+c.Want)
			}
			slices.Sort(items)
			slices.Sort(wishes)
			if !slices.Equal(items, wishes) {
				t.Fatalf("open %v, waiting %v", items, wishes)
			}
			// What has just been called done is there.
			for n, i := range next.Items {
				if i.Ending == Done && before != nil && before.Items[n].Open() && records[i.RecordID].Written != i.Want {
					t.Fatalf("%+v is called done and stands as %+v", i, records[i.RecordID])
				}
				if i.Open() != (i.Ending == "") {
					t.Fatalf("%+v", i)
				}
			}
			if before != nil {
				grown := len(next.Items) > len(before.Items)
				if grown != (next.Revision > before.Revision) || next.Revision < before.Revision {
					t.Fatalf("%d items and revision %d became %d and %d", len(before.Items), before.Revision, len(next.Items), next.Revision)
				}
			}
			if next.Reminders > reminders && !reminded.IsZero() && next.Reminded.Sub(reminded) < p.Reminding() {
				t.Fatalf("reminded after %s", next.Reminded.Sub(reminded))
			}
			reminded, reminders = next.Reminded, next.Reminders
			if !next.Closed.IsZero() {
				if len(waiting) > 0 || next.Why == "" {
					t.Fatalf("closed with %d waiting: %+v", len(waiting), next)
				}
				open, reminded, reminders = nil, time.Time{}, 0
				continue
			}
			if len(waiting) == 0 {
				t.Fatal("open without anything to do")
			}
			if again, more := Tend(next, p, waiting, records, now); len(more) > 0 || again != next {
				t.Fatalf("it goes on: %v", more)
			}
			if due := next.Due(p); !due.After(now) {
				t.Fatalf("due at %s, now %s", due, now)
			}
			if expired := !now.Before(next.Expires(p)); expired != !next.Expired.IsZero() {
				t.Fatalf("expired: %v, but %+v", expired, next)
			}
			open = next
		}
	})
}
