package api

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/postseal/postseal/internal/access"
	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/ticket"
)

// maxTickets is how many tickets one list has. A closed one is of interest for weeks; a fleet opens some dozens in that time.
const maxTickets = 200

// ticketInput names a ticket in the path.
type ticketInput struct {
	Ticket string `path:"ticket" maxLength:"30" doc:"T-3"`
}

type ticketsInput struct {
	All bool `query:"all" doc:"closed ones too"`
}

type ticketTextInput struct {
	Ticket string `path:"ticket" maxLength:"30" doc:"T-3"`
	As     string `query:"as" enum:"text,mail,zone,steps" default:"text"`
	From   string `query:"from" maxLength:"320" doc:"mail: the sender; missing = none is written"`
	To     string `query:"to" maxLength:"2000" doc:"mail: whom to write to; missing = the contact"`
}

type ticketCheckInput struct {
	Ticket string `path:"ticket" maxLength:"30" doc:"T-3"`
	After  string `query:"after" maxLength:"1024" doc:"next of the page before"`
}

type ticketNoteInput struct {
	Ticket string `path:"ticket" maxLength:"30" doc:"T-3"`
	Body   client.TicketNote
}

func (a *API) ticketRoutes(h huma.API) {
	register(a, h, op{method: http.MethodGet, path: "/tickets", id: "tickets", summary: "List what people are asked to change by hand", role: access.Viewer, what: "read"},
		func(ctx context.Context, who access.Principal, in *ticketsInput) (client.Tickets, error) {
			a.tend(ctx)
			out := client.Tickets{}
			var err error
			if out.Now, err = a.storage.Now(ctx); err != nil {
				return out, err
			}
			out.Tickets, err = a.ticketList(ctx, TicketFilter{Closed: in.All, Labels: who.Labels, Limit: maxTickets})
			return out, err
		})
	register(a, h, op{method: http.MethodGet, path: "/tickets/{ticket}", id: "ticket", summary: "Show one ticket", role: access.Viewer, what: "read"},
		func(ctx context.Context, who access.Principal, in *ticketInput) (client.TicketShow, error) {
			v, p, err := a.ticketView(ctx, who, in.Ticket)
			if err != nil {
				return client.TicketShow{}, err
			}
			out := client.TicketShow{Now: v.Now, Ticket: ticketOut(v.Ticket, p)}
			out.Changes = ticketChanges(v)
			return out, nil
		})
	register(a, h, op{method: http.MethodGet, path: "/tickets/{ticket}/text", id: "ticket-text", summary: "A ticket as text, mail, zone file or click steps", role: access.Viewer, what: "read"},
		func(ctx context.Context, who access.Principal, in *ticketTextInput) (client.TicketText, error) {
			v, _, err := a.ticketView(ctx, who, in.Ticket)
			if err != nil {
				return client.TicketText{}, err
			}
			switch in.As {
			case "mail":
				raw, err := ticket.Mail(v, ticket.Envelope{From: in.From, To: in.To, ID: strings.TrimPrefix(inventory.NewID("mail"), "mail_")})
				return client.TicketText{Text: string(raw)}, err
			case "zone":
				return client.TicketText{Text: ticket.Zone(v)}, nil
			case "steps":
				return client.TicketText{Text: ticket.Steps(v)}, nil
			}
			return client.TicketText{Text: ticket.Text(v)}, nil
		})
	register(a, h, op{method: http.MethodPost, path: "/tickets/{ticket}/check", id: "check-ticket", summary: "Look at the records of a ticket now, a page of them", role: access.Operator, what: "have records looked at"},
		func(ctx context.Context, who access.Principal, in *ticketCheckInput) (client.TicketCheck, error) {
			after, err := readCursor(in.After, len(place(ticket.Change{})))
			if err != nil {
				return client.TicketCheck{}, err
			}
			v, _, err := a.ticketView(ctx, who, in.Ticket)
			if err != nil {
				return client.TicketCheck{}, err
			}
			return a.checkTicket(ctx, v, after, who.Labels)
		})
	register(a, h, op{method: http.MethodPut, path: "/tickets/{ticket}/note", id: "note-ticket", summary: "Keep words with a ticket", role: access.Operator, what: "note something at tickets"},
		func(ctx context.Context, who access.Principal, in *ticketNoteInput) (client.Done, error) {
			v, _, err := a.ticketView(ctx, who, in.Ticket)
			if err != nil {
				return client.Done{}, err
			}
			return done(a.storage.NoteTicket(ctx, v.Ticket.Number, in.Body.Note, who.Name))
		})
}

// Tender brings tickets up to date; *ticket.Keeper does, with one small question where nothing changed.
type Tender interface {
	Tend(ctx context.Context) error
}

// tend has the tickets follow what was seen meanwhile. What stands in its way is no reason not to show them as they are.
func (a *API) tend(ctx context.Context) {
	if a.tickets == nil {
		return
	}
	if err := a.tickets.Tend(ctx); err != nil && ctx.Err() == nil {
		a.log.Error("looking after tickets", "err", err)
	}
}

// ticketList reads tickets in the words of the wire.
func (a *API) ticketList(ctx context.Context, f TicketFilter) ([]client.Ticket, error) {
	found, err := a.storage.Tickets(ctx, f)
	if err != nil || len(found) == 0 {
		return []client.Ticket{}, err
	}
	state, err := a.storage.Inventory(ctx)
	if err != nil {
		return nil, err
	}
	return convert(found, func(t ticket.Ticket) client.Ticket { return ticketOut(t, publisherOf(state, t.Publisher)) }), nil
}

// ticketView reads one ticket as far as the person may see it.
func (a *API) ticketView(ctx context.Context, who access.Principal, name string) (ticket.View, inventory.Publisher, error) {
	var v ticket.View
	number, err := ticket.ParseName(name)
	if err != nil {
		return v, inventory.Publisher{}, err
	}
	a.tend(ctx)
	if v.Now, err = a.storage.Now(ctx); err != nil {
		return v, inventory.Publisher{}, err
	}
	if v.Ticket, v.Changes, err = a.storage.Ticket(ctx, number, who.Labels); err != nil {
		return v, inventory.Publisher{}, err
	}
	state, err := a.storage.Inventory(ctx)
	if err != nil {
		return v, inventory.Publisher{}, err
	}
	p := publisherOf(state, v.Ticket.Publisher)
	v.Contact, v.Host, v.Expires = p.Contact, p.Console(), v.Ticket.Expires(p)
	return v, p, nil
}

// publisherOf finds a publisher; one that has left the inventory has only its name.
func publisherOf(state inventory.State, name string) inventory.Publisher {
	if i := slices.IndexFunc(state.Publishers, func(p inventory.Publisher) bool { return p.Name == name }); i >= 0 {
		return state.Publishers[i]
	}
	return inventory.Publisher{Name: name, Kind: inventory.PublisherManual}
}

func ticketOut(t ticket.Ticket, p inventory.Publisher) client.Ticket {
	out := client.Ticket{
		Ticket: t.Name(), State: "open", Publisher: t.Publisher, Contact: p.Contact, Host: p.Console(), Opened: t.Opened, Revision: t.Revision, Revised: t.Revised,
		Domains: []string{}, Oldest: t.Oldest(), Reminders: t.Reminders, Reminded: t.Reminded, Expired: t.Expired, Closed: t.Closed, Note: t.Note, NoteBy: t.NoteBy, NoteAt: t.NoteAt,
	}
	for _, i := range t.Items {
		out.Domains = append(out.Domains, i.Domain)
		switch i.Ending {
		case ticket.Done:
			out.Done++
		case ticket.Withdrawn:
			out.Withdrawn++
		default:
			out.Open++
		}
	}
	slices.Sort(out.Domains)
	out.Domains = slices.Compact(out.Domains)
	switch {
	case !t.Closed.IsZero():
		out.State = string(t.Why)
	case !t.Expired.IsZero():
		out.State = "expired"
	}
	if t.Closed.IsZero() {
		out.NextReminder, out.Expires = t.Reminder(p), t.Expires(p)
	}
	if c, stands := t.Condition(p); stands {
		out.Severity = c.Severity
	}
	return out
}

// ticketChanges lists a ticket's items, the open ones with what was seen of them.
func ticketChanges(v ticket.View) []client.TicketChange {
	return convert(v.Ticket.Items, func(i ticket.Item) client.TicketChange {
		out := client.TicketChange{Kind: string(i.Kind()), State: "open", Domain: i.Domain, Name: i.Name, Type: i.Type, Want: i.Want, Before: i.Written, Since: i.Joined, Left: i.Left}
		if !i.Open() {
			out.State = string(i.Ending)
			return out
		}
		for _, c := range v.Changes {
			if c.RecordID == i.RecordID {
				out.Zone, out.TTL, out.DNS, out.Urgent = c.Zone(), int64(c.TTL/time.Second), c.Last.Sentence(), c.Urgent()
			}
		}
		return out
	})
}

// waitingTickets are the open tickets that concern a page of the status, and by record name which one asks for it.
func (a *API) waitingTickets(ctx context.Context, who access.Principal, domains []inventory.Domain) (tickets []client.Ticket, names map[string]string, err error) {
	found, err := a.storage.Tickets(ctx, TicketFilter{Labels: who.Labels, Limit: maxTickets})
	if err != nil || len(found) == 0 {
		return nil, nil, err
	}
	shown := make(map[string]bool, len(domains))
	for _, d := range domains {
		shown[d.Name] = true
	}
	state, err := a.storage.Inventory(ctx)
	names = make(map[string]string)
	for _, t := range found {
		concerns := false
		for _, i := range t.OpenItems() {
			if shown[i.Domain] {
				concerns = true
				names[i.Name] = t.Name()
			}
		}
		if concerns {
			tickets = append(tickets, ticketOut(t, publisherOf(state, t.Publisher)))
		}
	}
	return tickets, names, err
}

// nameTickets says in the rows that wait for a person which ticket asks for it.
func nameTickets(s *client.Status, names map[string]string) {
	for i := range s.Rows {
		row := &s.Rows[i]
		if name := names[row.RecordName]; name != "" {
			row.Ticket = name
			row.Reason = strings.TrimPrefix(row.Reason+"; ticket "+name, "; ")
		}
	}
}

var errNoLooker = fault.New(fault.Unavailable, "this control plane cannot look at DNS now")
