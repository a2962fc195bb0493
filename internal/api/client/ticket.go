package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Ticket is all that one owner of zones is asked to change by hand.
type Ticket struct {
	Ticket    string    `json:"ticket" doc:"T-1, T-2, …"`
	State     string    `json:"state" enum:"open,expired,done,withdrawn"`
	Publisher string    `json:"publisher"`
	Contact   string    `json:"contact,omitempty" doc:"the owner of the zones"`
	Host      string    `json:"host,omitempty" doc:"whose console the steps are for"`
	Opened    time.Time `json:"opened"`
	Revision  int       `json:"revision" doc:"grows when a change joins"`
	Revised   time.Time `json:"revised"`
	Open      int       `json:"open" doc:"changes that wait"`
	Done      int       `json:"done" doc:"changes that every name server shows"`
	Withdrawn int       `json:"withdrawn,omitempty" doc:"changes that are no longer asked for"`
	Domains   []string  `json:"domains"`
	// Oldest is since when the change that waits longest has been asked for.
	Oldest    time.Time `json:"oldest,omitzero"`
	Reminders int       `json:"reminders,omitempty"`
	Reminded  time.Time `json:"reminded,omitzero"`
	// NextReminder and Expires are missing when nothing waits.
	NextReminder time.Time `json:"next_reminder,omitzero"`
	Expires      time.Time `json:"expires,omitzero"`
	Expired      time.Time `json:"expired,omitzero"`
	Closed       time.Time `json:"closed,omitzero"`
	Note         string    `json:"note,omitempty"`
	NoteBy       string    `json:"note_by,omitempty"`
	NoteAt       time.Time `json:"note_at,omitzero"`
	// Severity is error when it has expired, warning when somebody was reminded; else it is missing.
	Severity string `json:"severity,omitempty"`
	// Changes are listed where one ticket is shown.
	Changes []TicketChange `json:"changes,omitempty"`
}

// TicketChange is one change of a ticket.
type TicketChange struct {
	Kind   string    `json:"kind" enum:"add,replace,restore,remove"`
	State  string    `json:"state" enum:"open,done,withdrawn"`
	Domain string    `json:"domain"`
	Zone   string    `json:"zone,omitempty"`
	Name   string    `json:"name"`
	Type   string    `json:"type"`
	TTL    int64     `json:"ttl,omitempty"`
	Want   string    `json:"want,omitempty" doc:"missing = nothing should stand there"`
	Before string    `json:"before,omitempty" doc:"what of ours stood there when it was asked for"`
	Since  time.Time `json:"since" doc:"asked for"`
	Left   time.Time `json:"left,omitzero" doc:"done or withdrawn"`
	Urgent bool      `json:"urgent,omitempty" doc:"the private key is in the wrong hands"`
	DNS    string    `json:"dns,omitempty" doc:"who shows something else, at the newest look"`
}

// Tickets is a list of tickets, newest first.
type Tickets struct {
	Now     time.Time `json:"now" doc:"database time"`
	Tickets []Ticket  `json:"tickets"`
}

// TicketShow is one ticket.
type TicketShow struct {
	Now time.Time `json:"now" doc:"database time"`
	Ticket
}

// TicketText is a ticket in words.
type TicketText struct {
	Text string `json:"text"`
}

// TicketNote is a person's words at a ticket.
type TicketNote struct {
	Note string `json:"note" maxLength:"500" doc:"empty = none any more"`
}

// TicketCheck is what DNS shows of a ticket now.
type TicketCheck struct {
	Now     time.Time       `json:"now"`
	Ticket  string          `json:"ticket"`
	Changes []TicketChecked `json:"changes"`
	// NotLooked is how many more changes the ticket has than were looked at.
	NotLooked int `json:"not_looked,omitempty"`
	// Next is where the following page begins; "" = this was the last.
	Next string `json:"next,omitempty"`
}

// TicketChecked is one change, looked at now.
type TicketChecked struct {
	Kind     string          `json:"kind"`
	Name     string          `json:"name"`
	Type     string          `json:"type"`
	State    string          `json:"state" enum:"done,waiting,wrong,unseen" doc:"waiting: not carried out yet, or not everywhere; unseen: nobody answers"`
	Mistakes []TicketMistake `json:"mistakes,omitempty"`
	Silent   []string        `json:"silent,omitempty" doc:"name servers without a usable answer, and why"`
}

// TicketMistake is what stands in place of what was asked for.
type TicketMistake struct {
	Code    string   `json:"code" doc:"absent, unchanged, several, other, type, quotes, zone-line, name-in-value, cut, pieces, escapes, spaces, letters, characters, more, other-words, doubled-name, zone-appended, wrong-name"`
	Message string   `json:"message"`
	Fix     string   `json:"fix"`
	Servers []string `json:"servers,omitempty" doc:"who shows it; missing = where the record was looked for besides"`
}

// Tickets returns the open tickets; all = closed ones too, as far as one answer holds them.
func (c *Client) Tickets(ctx context.Context, all bool) (Tickets, error) {
	q := url.Values{}
	if all {
		q.Set("all", "true")
	}
	var out Tickets
	return out, c.get(ctx, place("tickets"), q, &out)
}

// Ticket returns one ticket.
func (c *Client) Ticket(ctx context.Context, ticket string) (TicketShow, error) {
	var out TicketShow
	return out, c.get(ctx, place("tickets", ticket), nil, &out)
}

// TicketForm says how a ticket is written.
type TicketForm struct {
	As   string // text, mail, zone or steps
	From string // mail: the sender; "" = none is written
	To   string // mail: whom to write to; "" = the contact
}

// TicketText returns a ticket as text.
func (c *Client) TicketText(ctx context.Context, ticket string, f TicketForm) (string, error) {
	q := url.Values{"as": {f.As}}
	if f.From != "" {
		q.Set("from", f.From)
	}
	if f.To != "" {
		q.Set("to", f.To)
	}
	var out TicketText
	err := c.get(ctx, place("tickets", ticket, "text"), q, &out)
	return out.Text, err
}

// CheckTicket looks at the records of a ticket now, a page at a time: each step of the loop waits for its looks.
func (c *Client) CheckTicket(ctx context.Context, ticket string) iter.Seq2[TicketCheck, error] {
	return func(yield func(TicketCheck, error) bool) {
		for after := ""; ; {
			q := url.Values{}
			if after != "" {
				q.Set("after", after)
			}
			var out TicketCheck
			err := c.call(ctx, http.MethodPost, place("tickets", ticket, "check"), q, nil, &out)
			if !yield(out, err) || err != nil || out.Next == "" {
				return
			}
			after = out.Next
		}
	}
}

// NoteTicket keeps words with a ticket.
func (c *Client) NoteTicket(ctx context.Context, ticket, note string) error {
	return c.call(ctx, http.MethodPut, place("tickets", ticket, "note"), nil, TicketNote{note}, nil)
}
