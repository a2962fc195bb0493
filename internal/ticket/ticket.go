package ticket

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
)

// Ticket is all that one owner of zones, which is one publisher of kind manual, is asked for at a time. There is at most one open ticket of each.
type Ticket struct {
	Number    int64 // T-1, T-2, …; 0 = not written yet
	Publisher string
	Opened    time.Time
	Revision  int       // grows when a change joins, so that people can tell an older text from a newer one
	Revised   time.Time // when it last grew
	Reminded  time.Time // zero = never
	Reminders int
	Expired   time.Time // when it expired; zero = it has not, or what waited too long is done
	Closed    time.Time // zero = open
	Why       Closing
	Note      string // a person's
	NoteBy    string
	NoteAt    time.Time
	Items     []Item // in the order in which they joined
	Version   int64  // of the stored row
}

// Closing says why a ticket was closed.
type Closing string

const (
	Done      Closing = "done"      // every name server shows what was asked for
	Withdrawn Closing = "withdrawn" // nothing of it is asked of these people any more
)

// Item is one change of a ticket.
type Item struct {
	RecordID string
	Domain   string
	Name     string
	Type     string
	Want     string
	Written  string // what of ours stood there when it was asked for
	Joined   time.Time
	Left     time.Time // zero = open
	Ending   Closing   // Done or Withdrawn
}

// Kind says what the person has to do.
func (i Item) Kind() Kind { return kindOf(i.Want, i.Written) }

// Open reports whether the change is still asked for.
func (i Item) Open() bool { return i.Left.IsZero() }

// Name is how people call the ticket.
func (t *Ticket) Name() string { return Name(t.Number) }

// Name is how people call the ticket with a number.
func Name(number int64) string { return "T-" + strconv.FormatInt(number, 10) }

// ParseName reads "T-3" or "3". fault.Invalid.
func ParseName(s string) (int64, error) {
	digits := strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(s)), "T-")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 1 || digits[0] == '+' {
		return 0, fault.New(fault.Invalid, "%.40q is not the number of a ticket", s).WithHint("write T-3; postseal ticket list shows them")
	}
	return n, nil
}

// OpenItems returns the changes that are still asked for.
func (t *Ticket) OpenItems() []Item {
	var open []Item
	for _, i := range t.Items {
		if i.Open() {
			open = append(open, i)
		}
	}
	return open
}

// Oldest is since when the change that waits longest has been asked for; zero when none waits.
func (t *Ticket) Oldest() time.Time {
	var oldest time.Time
	for _, i := range t.Items {
		if i.Open() && (oldest.IsZero() || i.Joined.Before(oldest)) {
			oldest = i.Joined
		}
	}
	return oldest
}

// Expires is when the ticket expires, or did: when a change of it has waited for as long as its publisher allows. Zero when none waits.
func (t *Ticket) Expires(p inventory.Publisher) time.Time {
	if oldest := t.Oldest(); !oldest.IsZero() {
		return oldest.Add(p.Expiring())
	}
	return time.Time{}
}

// lessOften is how much rarer the reminders of an expired ticket are: whoever has not listened seven times is not reached by an eighth word, but must not
// forget it either.
const lessOften = 4

// Reminder is when the ticket comes up next; zero when nothing waits.
func (t *Ticket) Reminder(p inventory.Publisher) time.Time {
	if !t.Closed.IsZero() || t.Oldest().IsZero() {
		return time.Time{}
	}
	last, every := t.Opened, p.Reminding()
	for _, at := range []time.Time{t.Reminded, t.Expired} {
		if at.After(last) {
			last = at
		}
	}
	if !t.Expired.IsZero() {
		every *= lessOften
	}
	return last.Add(every)
}

// Due is when time alone changes something about the ticket.
func (t *Ticket) Due(p inventory.Publisher) time.Time {
	due := t.Reminder(p)
	if expires := t.Expires(p); t.Expired.IsZero() && !expires.IsZero() && expires.Before(due) {
		return expires
	}
	return due
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func trimDot(name string) string { return strings.TrimSuffix(name, ".") }
