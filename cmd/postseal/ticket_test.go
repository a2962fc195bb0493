package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/postseal/postseal/internal/api/client"
)

// tickets are one in each state, as the control plane gives them.
func tickets(now time.Time) []client.Ticket {
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	const day = 24 * time.Hour
	return []client.Ticket{
		{Ticket: "T-4", State: "open", Publisher: "hand", Contact: "dns-team@example.com", Opened: ago(3 * day), Oldest: ago(3 * day), Open: 2, Done: 1, Reminders: 1, Reminded: ago(day),
			NextReminder: now.Add(day), Expires: now.Add(11 * day), Severity: "warning", Domains: []string{"a.example", "b.example", "c.example", "d.example", "e.example"}},
		{Ticket: "T-3", State: "expired", Publisher: "web", Contact: "the second floor", Opened: ago(20 * day), Oldest: ago(20 * day), Open: 1, Reminders: 6, Reminded: ago(2 * day),
			NextReminder: now.Add(6 * day), Expires: ago(6 * day), Expired: ago(6 * day), Severity: "error", Domains: []string{"a.example"}},
		{Ticket: "T-2", State: "done", Publisher: "hand", Contact: "dns-team@example.com", Opened: ago(9 * day), Done: 4, Closed: ago(5 * day), Domains: []string{"a.example"}},
		{Ticket: "T-1", State: "withdrawn", Publisher: "gone", Opened: ago(30 * day), Withdrawn: 1, Closed: ago(29 * day), Domains: []string{"a.example"}},
	}
}

func TestPrintTickets(t *testing.T) {
	now := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	var out strings.Builder
	if err := printTickets(&out, client.Tickets{Now: now, Tickets: tickets(now)}); err != nil {
		t.Fatal(err)
	}
	want := `TICKET  STATE      FOR                   DONE    WAITING          REMINDED          EXPIRES          DOMAINS
T-4     open       dns-team@example.com  1 of 3  3 d              1×, next in 24 h  in 11 d          a.example, b.example and 3 more
T-3     expired    the second floor      0 of 1  20 d             6×, next in 6 d   expired 6 d ago  a.example
T-2     done       dns-team@example.com  4 of 4  closed 5 d ago   -                 -                a.example
T-1     withdrawn  gone                  0 of 0  closed 29 d ago  -                 -                a.example
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

// An expired ticket is an error: the status says so, and ends with 1.
func TestStatusOfTickets(t *testing.T) {
	now := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	all := tickets(now)
	r := statusReport{Now: now}
	r.addTickets(all[:1])
	r.addTickets(all[:1]) // the next page has it too
	if r.wrong() || len(r.Tickets) != 1 {
		t.Errorf("%+v", r.Tickets)
	}
	r.addTickets(all[1:2])
	if !r.wrong() {
		t.Error("an expired ticket is no error")
	}
	var out strings.Builder
	printTicketLines(&out, r.Tickets, now)
	want := `warning TICKET-01 T-4: dns-team@example.com asked for 2 changes 3 d ago; next reminder in 24 h, expires in 11 d
error TICKET-02 T-3: the second floor asked for 1 change for 20 d, EXPIRED 6 d ago; next reminder in 6 d
  postseal ticket check T-3 says what is still wrong
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
}

func TestPrintTicketCheck(t *testing.T) {
	check := client.TicketCheck{Ticket: "T-3", Changes: []client.TicketChecked{
		{Kind: "add", Name: "x._domainkey.example.com", Type: "TXT", State: "wrong", Mistakes: []client.TicketMistake{{Code: "quotes", Message: "quotes are part\x1b[31m of the value", Fix: "enter it without", Servers: []string{"ns1", "ns2"}}}},
		{Kind: "remove", Name: "y._domainkey.example.com", Type: "CNAME", State: "done"},
		{Kind: "replace", Name: "z._domainkey.example.com", Type: "TXT", State: "unseen", Silent: []string{"ns1: timeout"}},
	}}
	var out strings.Builder
	printTicketChecked(&out, check.Changes)
	if err := printTicketDone(&out, check); err != nil {
		t.Fatal(err)
	}
	want := `wrong    add the TXT record at x._domainkey.example.com
         quotes are part [31m of the value (ns1, ns2)
           enter it without
done     remove the CNAME record at y._domainkey.example.com
unseen   replace the TXT record at z._domainkey.example.com
         no usable answer: ns1: timeout
T-3: 1 of 3 done.
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Error(diff)
	}
	if allDone(check) || !allDone(client.TicketCheck{Changes: check.Changes[1:2]}) || allDone(client.TicketCheck{Changes: check.Changes[1:2], NotLooked: 1}) {
		t.Error("what is done is told wrongly")
	}
}
