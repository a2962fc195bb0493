package api_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/mail"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/evidence"
	"github.com/postseal/postseal/internal/fakedns"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/lifecycle"
	"github.com/postseal/postseal/internal/resolver"
	"github.com/postseal/postseal/internal/ticket"
)

// withTicket asks a person for two records of example.org and one of example.net, and opens the ticket.
func withTicket(t *testing.T) *bench {
	b := newBench(t, nil)
	b.wants(t, "example.org", record("rec_1", "example.org", "_dmarc.example.org", "TXT", "v=DMARC1; p=none"), record("rec_2", "example.org", "s1._domainkey.example.org", "CNAME", "s1.service.example"))
	b.wants(t, "example.net", record("rec_3", "example.net", "m._domainkey.example.net", "TXT", "v=DKIM1; p=AAAA"))
	b.tend(t)
	return b
}

func record(id, domain, name, rrtype, want string) lifecycle.Record {
	return lifecycle.Record{ID: id, Domain: domain, Purpose: lifecycle.ForDMARC, Name: name, Type: rrtype, TTL: time.Hour, Want: want, Pending: true, WrittenAt: time.Now()}
}

func (b *bench) wants(t *testing.T, domain string, records ...lifecycle.Record) {
	t.Helper()
	must(t, b.store.CheckNow(t.Context(), domain))
	works, err := b.store.Claim(t.Context(), "test", 100, time.Minute)
	must(t, err)
	for _, w := range works {
		if w.Domain == domain {
			must(t, b.store.Commit(t.Context(), w, lifecycle.Commit{Records: records}))
		}
		must(t, b.store.Finish(t.Context(), w, time.Now().Add(time.Hour)))
	}
}

func (b *bench) tend(t *testing.T) {
	t.Helper()
	must(t, ticket.NewKeeper(b.store, slog.New(slog.DiscardHandler)).Tend(t.Context()))
}

func TestTickets(t *testing.T) {
	b := withTicket(t)
	c := b.as(t, b.tokens[access.Viewer])
	list, err := c.Tickets(t.Context(), false)
	must(t, err)
	if len(list.Tickets) != 1 {
		t.Fatalf("%+v", list)
	}
	x := list.Tickets[0]
	if x.Ticket != "T-1" || x.State != "open" || x.Publisher != "hand" || x.Contact != "dns@example.org" || x.Open != 3 || x.Host != "generic" || strings.Join(x.Domains, " ") != "example.net example.org" ||
		x.NextReminder.Sub(x.Opened) != 48*time.Hour || x.Expires.Sub(x.Opened) != 14*24*time.Hour || x.Severity != "" {
		t.Errorf("%+v", x)
	}
	show, err := c.Ticket(t.Context(), "t-1")
	must(t, err)
	if len(show.Changes) != 3 || show.Changes[0].Name != "_dmarc.example.org" || show.Changes[0].Kind != "add" || show.Changes[0].TTL != 3600 || show.Changes[0].Zone != "example.org" {
		t.Errorf("%+v", show.Changes)
	}
	for form, says := range map[string]string{
		"text": "Please make these 3 changes", "zone": "s1._domainkey.example.org. 3600 IN CNAME s1.service.example.\n", "steps": "Steps for your DNS host", "mail": "To: <dns@example.org>\r\n",
	} {
		text, err := c.TicketText(t.Context(), "T-1", client.TicketForm{As: form})
		if err != nil || !strings.Contains(text, says) {
			t.Errorf("%s: %v %s", form, err, text)
		}
	}
	text, err := c.TicketText(t.Context(), "T-1", client.TicketForm{As: "mail", From: "a@example.org", To: "b@example.org"})
	must(t, err)
	m, err := mail.ReadMessage(strings.NewReader(text))
	must(t, err)
	if m.Header.Get("To") != "<b@example.org>" || m.Header.Get("From") != "<a@example.org>" {
		t.Errorf("%v", m.Header)
	}
	for name, e := range map[string]struct {
		err  error
		code fault.Code
	}{
		"no such ticket": {second(c.Ticket(t.Context(), "T-7")), fault.NotFound},
		"no number":      {second(c.Ticket(t.Context(), "mine")), fault.Invalid},
		"no such form":   {second(c.TicketText(t.Context(), "T-1", client.TicketForm{As: "fax"})), fault.Invalid},
		"no address":     {second(c.TicketText(t.Context(), "T-1", client.TicketForm{As: "mail", To: "nobody"})), fault.Invalid},
		"a viewer notes": {c.NoteTicket(t.Context(), "T-1", "x"), fault.Denied},
		"a viewer looks": {second(checked(t, c)), fault.Denied},
	} {
		if fault.CodeOf(e.err) != e.code {
			t.Errorf("%s: %v, want %s", name, e.err, e.code)
		}
	}
	must(t, b.as(t, b.tokens[access.Operator]).NoteTicket(t.Context(), "T-1", "asked by phone"))
	if show, err := c.Ticket(t.Context(), "T-1"); err != nil || show.Note != "asked by phone" || show.NoteBy != "operator-ann" {
		t.Errorf("%+v %v", show, err)
	}
	// The status names it, where it waits.
	status, err := c.Status(t.Context(), "example.org")
	must(t, err)
	named := 0
	for _, row := range status.Domains[0].Rows {
		if row.Ticket == "T-1" && strings.Contains(row.Reason, "ticket T-1") {
			named++
		}
	}
	if named == 0 || len(status.Tickets) != 1 || status.Tickets[0].Ticket != "T-1" {
		t.Errorf("%+v", status)
	}
	if status, err := c.Status(t.Context(), "watched.example"); err != nil || len(status.Tickets) > 0 {
		t.Errorf("a ticket that does not concern the domain: %+v %v", status.Tickets, err)
	}
}

// checked looks at every page of a ticket.
func checked(t *testing.T, c *client.Client) (all client.TicketCheck, err error) {
	t.Helper()
	for page, err := range c.CheckTicket(t.Context(), "T-1") {
		if err != nil {
			return all, err
		}
		all.Changes = append(all.Changes, page.Changes...)
		if (page.NotLooked > 0) != (page.Next != "") {
			t.Errorf("%d are not looked at, and the next page begins at %q", page.NotLooked, page.Next)
		}
	}
	return all, nil
}

func second[T any](_ T, err error) error { return err }

// Who may see some of a ticket's domains sees those, and nothing tells of the others.
func TestTicketsWithinLabels(t *testing.T) {
	b := withTicket(t)
	c := b.as(t, b.user(t, "carl", access.Admin, "customer-a"))
	list, err := c.Tickets(t.Context(), true)
	must(t, err)
	if len(list.Tickets) != 1 || list.Tickets[0].Open != 2 || strings.Join(list.Tickets[0].Domains, " ") != "example.org" {
		t.Errorf("%+v", list)
	}
	for _, form := range []string{"text", "zone", "steps", "mail"} {
		if text, err := c.TicketText(t.Context(), "T-1", client.TicketForm{As: form}); err != nil || strings.Contains(text, "example.net") {
			t.Errorf("%s: %v %s", form, err, text)
		}
	}
	if check, err := checked(t, c); err != nil || len(check.Changes) != 2 {
		t.Errorf("%+v %v", check, err)
	}
	nobody := b.as(t, b.user(t, "dora", access.Admin, "customer-z"))
	if list, err := nobody.Tickets(t.Context(), true); err != nil || len(list.Tickets) > 0 {
		t.Errorf("%+v %v", list, err)
	}
	_, err = nobody.Ticket(t.Context(), "T-1")
	wantCode(t, err, fault.NotFound)
	wantCode(t, nobody.NoteTicket(t.Context(), "T-1", "x"), fault.NotFound)
}

func TestTicketCheck(t *testing.T) {
	b := withTicket(t)
	c := b.as(t, b.tokens[access.Operator])
	check := func() map[string]client.TicketChecked {
		t.Helper()
		got, err := checked(t, c)
		must(t, err)
		all := map[string]client.TicketChecked{}
		for _, x := range got.Changes {
			all[x.Name] = x
		}
		return all
	}
	if x := check()["_dmarc.example.org"]; x.State != "unseen" || len(x.Silent) != 1 {
		t.Errorf("without DNS: %+v", x)
	}
	network := fakedns.New(t)
	org, net := network.Zone("example.org", 2), network.Zone("example.net", 2)
	r, err := resolver.New(resolver.Config{Recursive: []string{network.Recursive()}, AuthorityPort: network.Port(), Timeout: fakedns.Patience})
	must(t, err)
	b.looker = evidence.New(r, time.Now)
	for _, x := range check() {
		if x.State != "waiting" || len(x.Mistakes) != 1 || x.Mistakes[0].Code != "absent" || len(x.Mistakes[0].Servers) != 2 {
			t.Errorf("nothing done: %+v", x)
		}
	}
	net.TXT("m._domainkey.example.net.example.net", "v=DKIM1; p=AAAA")
	org.TXT("_dmarc.example.org", `"v=DMARC1; p=none"`)
	org.TXT("s1._domainkey.example.org", "s1.service.example")
	found := check()
	for name, want := range map[string]string{"m._domainkey.example.net": "doubled-name", "_dmarc.example.org": "quotes", "s1._domainkey.example.org": "type"} {
		x := found[name]
		if x.State != "wrong" || len(x.Mistakes) != 1 || x.Mistakes[0].Code != want || x.Mistakes[0].Fix == "" || len(x.Mistakes[0].Servers) != 2 {
			t.Errorf("%s: %+v", name, x)
		}
	}
	// One server is behind, one says nothing.
	net.Servers()[1].Lag()
	net.TXT("m._domainkey.example.net", "v=DKIM1; p=AAAA")
	org.Servers()[1].Fail(fakedns.Refused)
	org.TXT("_dmarc.example.org", "v=DMARC1; p=none")
	found = check()
	if x := found["_dmarc.example.org"]; x.State != "waiting" || len(x.Silent) != 1 || len(x.Mistakes) != 0 {
		t.Errorf("one is silent: %+v", x)
	}
	if x := found["m._domainkey.example.net"]; x.State == "done" || len(x.Mistakes) == 0 || len(x.Mistakes[0].Servers) > 1 && x.Mistakes[0].Code == "absent" {
		t.Errorf("one is behind: %+v", x)
	}
	net.Servers()[1].CatchUp()
	org.Servers()[1].Fail(fakedns.None)
	if x := check()["m._domainkey.example.net"]; x.State != "done" {
		t.Errorf("%+v", x)
	}
	if x := check()["_dmarc.example.org"]; x.State != "done" {
		t.Errorf("%+v", x)
	}
	// What was looked at is work for the loop now: it counts what is done.
	works, err := b.store.Claim(t.Context(), "test", 100, time.Minute)
	must(t, err)
	if len(works) < 2 {
		t.Errorf("due: %v", works)
	}
}

// A large ticket is looked at page by page, every change once.
func TestTicketCheckOfManyChanges(t *testing.T) {
	b := newBench(t, nil)
	var many []lifecycle.Record
	for i := range 450 {
		many = append(many, record(fmt.Sprint("rec_", i), "example.org", fmt.Sprintf("s%d._domainkey.example.org", i), "TXT", "v=DKIM1; p=AAAA"))
	}
	b.wants(t, "example.org", many...)
	b.tend(t)
	c, pages, seen := b.as(t, b.tokens[access.Operator]), 0, map[string]bool{}
	for page, err := range c.CheckTicket(t.Context(), "T-1") {
		must(t, err)
		pages++
		for _, x := range page.Changes {
			if seen[x.Name] {
				t.Errorf("%s is looked at twice", x.Name)
			}
			seen[x.Name] = true
		}
	}
	if pages != 3 || len(seen) != len(many) {
		t.Errorf("%d changes on %d pages", len(seen), pages)
	}
}

// follower does what the planner does where a check has found something done.
type follower struct {
	*ticket.Keeper
	tended atomic.Int64
}

func (f *follower) Tend(ctx context.Context) error {
	f.tended.Add(1)
	return f.Keeper.Tend(ctx)
}

// The moment that a record has been seen it is asked for no more, whether or not the keeper has come by since, and is never called one to put back.
func TestTicketFollows(t *testing.T) {
	b := withTicket(t)
	must(t, b.store.CheckNow(t.Context(), "example.org"))
	if n := b.see(t, "rec_1"); n != 1 {
		t.Fatalf("%d records were seen", n)
	}
	c := b.as(t, b.tokens[access.Operator])
	if text, err := c.TicketText(t.Context(), "T-1", client.TicketForm{As: "text"}); err != nil || strings.Contains(text, "Put back") || strings.Contains(text, "_dmarc") || !strings.Contains(text, "2 changes of DNS") && !strings.Contains(text, "these 2 changes") {
		t.Errorf("before the keeper comes by: %v\n%s", err, text)
	}
	if check, err := checked(t, c); err != nil || len(check.Changes) != 2 {
		t.Errorf("%+v %v", check, err)
	}
	// With a keeper at hand every answer is up to date.
	f := &follower{Keeper: ticket.NewKeeper(b.store, slog.New(slog.DiscardHandler))}
	b.keep(t, f)
	c = b.as(t, b.tokens[access.Operator])
	if list, err := c.Tickets(t.Context(), false); err != nil || list.Tickets[0].Done != 1 || list.Tickets[0].Open != 2 || f.tended.Load() != 1 {
		t.Errorf("%+v %v, tended %d times", list, err, f.tended.Load())
	}
	// What a check sees done, the planner sees as well, and the ticket says the same at once.
	asked := make(chan struct{})
	b.looker = everywhere{sync.OnceFunc(func() { close(asked) })}
	planned := make(chan int)
	go func() {
		<-asked // the check has begun, with both changes
		n := 0
		for n < 2 && t.Context().Err() == nil {
			n += b.see(t, "rec_2", "rec_3")
		}
		planned <- n
	}()
	if check, err := checked(t, c); err != nil || len(check.Changes) != 2 || check.Changes[0].State != "done" || check.Changes[0].Kind != "add" || check.Changes[1].State != "done" {
		t.Errorf("%+v %v", check, err)
	}
	if list, err := c.Tickets(t.Context(), true); err != nil || list.Tickets[0].Done != 3 || list.Tickets[0].State != "done" {
		t.Errorf("after a good check: %+v %v", list, err)
	}
	<-planned
}

// everywhere shows what is expected.
type everywhere struct{ asked func() }

func (e everywhere) Look(_ context.Context, name, rrtype, expected string) evidence.Sighting {
	e.asked()
	return evidence.Sighting{Name: name, Type: rrtype, Expected: expected, At: time.Now(), Servers: []evidence.ServerSight{{Server: "ns1", Verdict: evidence.Shows}}}
}

// see does what the planner does in domains that are due: what was asked for stands. It returns how many records that was true of.
func (b *bench) see(t *testing.T, ids ...string) (n int) {
	works, err := b.store.Claim(t.Context(), "test", 100, time.Minute)
	for _, w := range works {
		s, err := b.store.Situation(t.Context(), w.Domain)
		if err != nil {
			t.Error(err)
		}
		var c lifecycle.Commit
		for _, r := range s.Records {
			if r.Pending && slices.Contains(ids, r.ID) {
				r.Pending, r.Written, r.AgreedSince = false, r.Want, time.Now()
				c.Records = append(c.Records, r)
			}
		}
		again := time.Now().Add(time.Hour)
		switch err := b.store.Commit(t.Context(), w, c); {
		case err == nil:
			n += len(c.Records)
		case fault.CodeOf(err) == fault.Conflict: // the check made it due meanwhile
			again = time.Now()
		default:
			t.Error(err)
		}
		if err := b.store.Finish(t.Context(), w, again); err != nil && fault.CodeOf(err) != fault.Conflict {
			t.Error(err)
		}
	}
	if err != nil {
		t.Error(err)
	}
	return n
}
