package ticket

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postseal/postseal/internal/inventory"
)

const day = 24 * time.Hour

// life is a publisher's tickets under a clock that the test turns.
type life struct {
	t       *testing.T
	p       inventory.Publisher
	now     time.Time
	open    *Ticket
	closed  []Ticket
	records map[string]Change
	log     []string
}

func newLife(t *testing.T) *life {
	return &life{t: t, p: hand(), now: start, records: map[string]Change{}}
}

// ask makes a record wait for the person.
func (l *life) ask(id, want, written string) {
	l.records[id] = Change{RecordID: id, Publisher: "hand", Domain: "example.com", Name: id + "._domainkey.example.com", Type: "TXT", Want: want, Written: written, Pending: true}
}

// done makes every server show what was asked for.
func (l *life) done(id string) {
	c := l.records[id]
	c.Pending, c.Written, c.Agreed = false, c.Want, true
	l.records[id] = c
}

func (l *life) withdraw(id string) {
	c := l.records[id]
	c.Pending = false
	l.records[id] = c
}

// pass lets time pass and tends the ticket.
func (l *life) pass(d time.Duration) {
	l.t.Helper()
	l.now = l.now.Add(d)
	var waiting []Change
	for _, id := range []string{"a", "b", "c", "d"} {
		if c := l.records[id]; c.Pending {
			waiting = append(waiting, c)
		}
	}
	next, events := Tend(l.open, l.p, waiting, l.records, l.now)
	for _, e := range events {
		l.log = append(l.log, fmt.Sprintf("%s %s: %s", l.now.Sub(start), strings.TrimPrefix(string(e.Step), "ticket-"), e.Why))
	}
	if again, more := Tend(next, l.p, waiting, l.records, l.now); len(more) > 0 && next != nil && next.Closed.IsZero() {
		l.t.Errorf("at %s it is not finished: %v %+v", l.now.Sub(start), more, again)
	}
	if next != nil && !next.Closed.IsZero() {
		l.closed = append(l.closed, *next)
		next = nil
	}
	l.open = next
}

func (l *life) logged(want ...string) {
	l.t.Helper()
	if diff := cmp.Diff(want, l.log); diff != "" {
		l.t.Error(diff)
	}
	l.log = nil
}

func TestATicketIsDoneWhenEverythingIsSeen(t *testing.T) {
	l := newLife(t)
	l.pass(0)
	l.logged()
	l.ask("a", "new", "")
	l.ask("b", "new", "old")
	l.pass(time.Minute)
	l.logged("1m0s open: 2 changes asked of DNS-Team <dns-team@example.com>: 1 to add, 1 to replace")
	l.pass(time.Hour)
	l.logged()
	l.ask("c", "", "old") // a removal joins
	l.done("a")
	l.pass(time.Hour)
	l.logged("2h1m0s progress: 1 change seen on every name server; 1 change left", "2h1m0s revise: 1 change joined, revision 2")
	if l.open.Revision != 2 || l.open.Items[0].Ending != Done || len(l.open.OpenItems()) != 2 {
		t.Errorf("%+v", l.open)
	}
	l.withdraw("b")
	l.done("c")
	l.pass(time.Hour)
	if len(l.closed) != 1 || l.closed[0].Why != Done || !l.closed[0].Closed.Equal(l.now) || l.closed[0].Items[1].Ending != Withdrawn || l.closed[0].Items[2].Ending != Done {
		t.Errorf("%+v", l.closed)
	}
	l.logged("3h1m0s close: done: 2 changes seen on every name server, 1 change no longer asked for")
	// What comes later is another ticket, also of the same record.
	l.ask("a", "newer", "new")
	l.pass(time.Hour)
	l.logged("4h1m0s open: 1 change asked of DNS-Team <dns-team@example.com>: 1 to replace")
	l.withdraw("a")
	l.pass(time.Hour)
	l.logged("5h1m0s close: withdrawn: nothing of it is asked for any more")
	if l.closed[1].Why != Withdrawn {
		t.Errorf("%+v", l.closed[1])
	}
}

func TestAnotherWishIsAnotherChange(t *testing.T) {
	l := newLife(t)
	l.ask("a", "key", "")
	l.pass(0)
	l.ask("a", "v=DKIM1; p=", "key") // seen, and revoked before anybody looked at tickets
	l.pass(day)
	if len(l.open.Items) != 2 || l.open.Items[0].Ending != Withdrawn || !l.open.Items[1].Joined.Equal(l.now) || l.open.Revision != 2 {
		t.Errorf("%+v", l.open)
	}
}

func TestRemindersAndExpiry(t *testing.T) {
	l := newLife(t)
	l.p.RemindEvery, l.p.ExpiresAfter = 2*day, 5*day
	l.ask("a", "new", "")
	l.pass(0)
	l.log = nil
	condition := func(id string) {
		t.Helper()
		if c, _ := l.open.Condition(l.p); c.ID != id {
			t.Errorf("at %s the condition is %q, want %q", l.now.Sub(start), c.ID, id)
		}
	}
	condition("")
	l.pass(2*day - time.Second)
	l.logged()
	l.pass(time.Second)
	l.logged("48h0m0s remind: reminder 1: 1 change has been asked of DNS-Team <dns-team@example.com> since 2026-11-23 09:30 UTC")
	condition(WaitsFinding)
	l.pass(day)
	l.ask("b", "new", "") // joins on the third day: it has five days of its own
	l.pass(0)
	l.logged("72h0m0s revise: 1 change joined, revision 2")
	l.pass(2 * day)
	l.logged("120h0m0s expire: 2 changes asked of DNS-Team <dns-team@example.com> for 5d without result; nothing is undone, and a record that comes now still counts")
	condition(ExpiredFinding)
	if l.open.Reminder(l.p) != l.now.Add(8*day) {
		t.Errorf("the next reminder is at %s", l.open.Reminder(l.p))
	}
	// The one that waited too long is done; the other one has three days left.
	l.done("a")
	l.pass(time.Hour)
	l.logged("121h0m0s progress: 1 change seen on every name server; 1 change left",
		"121h0m0s revive: what had waited too long is done; the rest has until 2026-12-01 09:30 UTC",
		"121h0m0s remind: reminder 2: 1 change has been asked of DNS-Team <dns-team@example.com> since 2026-11-26 09:30 UTC")
	condition(WaitsFinding)
	l.pass(3 * day)
	l.log = nil
	condition(ExpiredFinding)
	// Reminders go on, less often; a month away is one reminder, not many.
	for range 3 {
		l.pass(30 * day)
	}
	if len(l.log) != 3 || l.open.Reminders != 5 {
		t.Errorf("%d reminders: %v", l.open.Reminders, l.log)
	}
	// What comes after all completes it.
	l.done("b")
	l.pass(time.Minute)
	if len(l.closed) != 1 || l.closed[0].Why != Done || !l.closed[0].Expired.IsZero() {
		t.Errorf("%+v", l.closed)
	}
	if _, stands := l.closed[0].Condition(l.p); stands {
		t.Error("a closed ticket has a condition")
	}
}

// Due is exactly when time alone changes something: a moment before nothing happens, then something does.
func TestDueIsWhenSomethingHappens(t *testing.T) {
	l := newLife(t)
	l.ask("a", "new", "")
	l.pass(0)
	l.log = nil
	for range 20 {
		due := l.open.Due(l.p)
		l.pass(due.Sub(l.now) - time.Nanosecond)
		l.logged()
		l.pass(time.Nanosecond)
		if len(l.log) != 1 {
			t.Fatalf("at %s happened %v", due.Sub(start), l.log)
		}
		l.log = nil
	}
	if got := l.open.Reminders; got != 19 || l.open.Expired.IsZero() {
		t.Errorf("%d reminders", got)
	}
}

func TestAPublisherThatLeaves(t *testing.T) {
	w := Work{Open: []Ticket{{Number: 1, Publisher: "gone", Opened: start, Items: []Item{{RecordID: "a", Domain: "example.com", Joined: start, Want: "x"}}}}, Now: start.Add(day)}
	all := w.publishers()
	if len(all) != 1 || all[0].Name != "gone" {
		t.Fatalf("%+v", all)
	}
	v, changes := w.of("gone")
	next, events := Tend(v, all[0], changes, nil, w.Now)
	if len(events) != 1 || next.Why != Withdrawn {
		t.Errorf("%+v %+v", next, events)
	}
}

func TestNames(t *testing.T) {
	for text, want := range map[string]int64{"T-3": 3, "t-12": 12, "7": 7, " T-1 ": 1, "T-0": 0, "T--1": 0, "-1": 0, "+1": 0, "T-": 0, "": 0, "T-99999999999999999999": 0, "3a": 0, "T-T-1": 0} {
		got, err := ParseName(text)
		if (err == nil) != (want > 0) || err == nil && got != want {
			t.Errorf("%q is %d, %v", text, got, err)
		}
	}
}

func FuzzParseName(f *testing.F) {
	f.Add("T-3")
	f.Add("+7")
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseName(s)
		if err != nil {
			return
		}
		if again, err := ParseName(Name(n)); err != nil || again != n || n < 1 {
			t.Errorf("%q is %d, which is %d, %v", s, n, again, err)
		}
	})
}

func TestUrgent(t *testing.T) {
	for _, c := range []struct {
		want, written string
		urgent        bool
	}{{emptyKey, "key", true}, {"", "key", true}, {"", emptyKey, false}, {"key", "", false}, {emptyKey, "", true}, {"", "", false}} {
		if got := (Change{Stolen: true, Want: c.want, Written: c.written}).Urgent(); got != c.urgent {
			t.Errorf("%q in place of %q is urgent: %v", c.want, c.written, got)
		}
		if (Change{Want: c.want, Written: c.written}).Urgent() {
			t.Errorf("%q in place of %q is urgent although nothing was stolen", c.want, c.written)
		}
	}
}
