package api_test

import (
	"log/slog"
	"net/mail"
	"strings"
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
		"a viewer looks": {second(c.CheckTicket(t.Context(), "T-1")), fault.Denied},
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
	if check, err := c.CheckTicket(t.Context(), "T-1"); err != nil || len(check.Changes) != 2 {
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
		got, err := c.CheckTicket(t.Context(), "T-1")
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
