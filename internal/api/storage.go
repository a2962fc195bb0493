package api

import (
	"context"
	"time"

	"github.com/postseal/postseal/internal/audit"
	"github.com/postseal/postseal/internal/fleet"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/journal"
	"github.com/postseal/postseal/internal/lifecycle"
	"github.com/postseal/postseal/internal/probe"
	"github.com/postseal/postseal/internal/ticket"
)

// Storage is what the API needs of a store. Every method is one transaction.
type Storage interface {
	Inventory
	Reading
	Acts
	Controls
	Tickets
	Probes
}

// Inventory is the whole inventory, and the one way to change it.
type Inventory interface {
	Inventory(ctx context.Context) (inventory.State, error)
	// SaveInventory replaces it if the generation is still expect (fault.Conflict), writes only what differs, journals
	// each difference with the person's name, and wakes the domains and agents that are touched.
	SaveInventory(ctx context.Context, by string, expect int64, next inventory.State) error
	// Domains returns a page of domains by name.
	Domains(ctx context.Context, f DomainFilter) ([]inventory.Domain, error)
	// Domain returns one domain; fault.NotFound.
	Domain(ctx context.Context, name string) (inventory.Domain, error)
	// Signers returns every signer, by name, decommissioned ones included.
	Signers(ctx context.Context) ([]inventory.Signer, error)
}

// Reading is everything that is only looked at.
type Reading interface {
	// Now is the database's time. It also says whether the database answers.
	Now(ctx context.Context) (time.Time, error)
	// Situation reads everything about a domain; fault.NotFound.
	Situation(ctx context.Context, domain string) (lifecycle.Situation, error)
	// Records returns a page of records by name and type, those of managed keys included (KeyID is set).
	Records(ctx context.Context, f RecordFilter) ([]lifecycle.Record, error)
	// Journal returns entries, newest first unless the filter says otherwise.
	Journal(ctx context.Context, f JournalFilter) ([]journal.Entry, error)
	// Findings returns a page of open findings by domain, id and subject, each once.
	Findings(ctx context.Context, f audit.FindingFilter) ([]audit.OpenFinding, error)
	// FindingCounts counts the open findings of domains, each once; a domain without any is missing.
	FindingCounts(ctx context.Context, domains []string) (map[string]audit.Counts, error)
	// Mutes returns the mutes of domains that have not ended.
	Mutes(ctx context.Context, domains []string) ([]audit.Mute, error)
	// FindingEvents returns a page of what changed about findings, newest first.
	FindingEvents(ctx context.Context, f audit.EventFilter) ([]audit.FindingEvent, error)
	// Audits returns a page of what is known of audits, by domain.
	Audits(ctx context.Context, f audit.SummaryFilter) ([]audit.Summary, error)
	// Agents returns what is known of the agent of each server, by server name, decommissioned ones included. Of refusals it has those of domains with at least one of the labels; empty = all.
	Agents(ctx context.Context, labels []string) ([]Agent, error)
}

// Acts are a person's one-time wishes. Each is journalled as an event with the person's name in the same transaction,
// and makes the work of the domains that it touches due now.
type Acts interface {
	// RequestRotation sets RotateRequested = now and RotateBy on these assignments (event "rotate").
	// fault.NotFound when one does not exist or has ended.
	RequestRotation(ctx context.Context, domain string, assignmentIDs []string, by string) error
	// EndKey sets End of a key; End.At is set by the store (event "revoke", or "compromise"). When it is set already
	// only an ordinary end may become a compromise; else fault.Conflict. fault.NotFound.
	EndKey(ctx context.Context, keyID string, end lifecycle.End) error
	// Decommission declares a server gone: Decommissioned and DecommissionedBy, Gone of its holdings, its certificates
	// refused and its join tokens revoked from now, a new inventory generation (event "decommission"). fault.NotFound; nothing happens when it is
	// decommissioned already.
	Decommission(ctx context.Context, serverID, by, reason string) error
	// AdoptRecord lets Postseal change what stands at a record's name, if that is seen (event "adopt"). fault.NotFound, fault.Conflict.
	AdoptRecord(ctx context.Context, id, seen, by, reason string) error
	// DisownRecord gives a record back (event "disown"). fault.NotFound, fault.Conflict.
	DisownRecord(ctx context.Context, id, by, reason string) error
	// CheckNow makes the work of a domain due now (no event). fault.NotFound.
	CheckNow(ctx context.Context, domain string) error
	// AuditNow makes the audit of a domain due now (no event). fault.NotFound.
	AuditNow(ctx context.Context, domain string) error
	// Mute mutes an open finding, or replaces its mute (event "mute"); At is set by the store. fault.NotFound.
	Mute(ctx context.Context, m audit.Mute) error
	// Unmute shows it again (event "unmute"). fault.NotFound when it is not muted.
	Unmute(ctx context.Context, m audit.Mute) error
}

// Controls are an operator's words about time. Each is journalled as an event with the person's name in the same
// transaction, and makes the work of the domains that it touches due now. At is set by the store.
type Controls interface {
	// SetHold replaces the hold of its domain (event "hold"). fault.NotFound when there is no such domain.
	SetHold(ctx context.Context, h inventory.Hold) error
	// ReleaseHold ends the hold of a domain (event "release"). fault.NotFound when there is none.
	ReleaseHold(ctx context.Context, domain, by string) error
	// SetFreeze replaces the freeze of everything (event "freeze").
	SetFreeze(ctx context.Context, f inventory.Freeze) error
	// LiftFreeze ends it (event "thaw"). fault.NotFound when there is none.
	LiftFreeze(ctx context.Context, by string) error
	// Freeze returns the freeze that stands, false when none does.
	Freeze(ctx context.Context) (inventory.Freeze, bool, error)
	// Waive replaces the waiver of its domain and server (event "waive").
	Waive(ctx context.Context, w inventory.Waiver) error
	// Approve adds an approval (event "approve"); adding it twice is no error. fault.NotFound when there is no such key.
	Approve(ctx context.Context, a inventory.Approval) error
}

// Tickets are what people are asked to change by hand.
type Tickets interface {
	// Tickets returns tickets, newest first.
	Tickets(ctx context.Context, f TicketFilter) ([]ticket.Ticket, error)
	// Ticket returns one ticket, and its open changes with what was seen of them, as far as they are of domains with one of the labels (empty = all).
	// fault.NotFound.
	Ticket(ctx context.Context, number int64, labels []string) (ticket.Ticket, []ticket.Change, error)
	// NoteTicket keeps a person's words with a ticket (event "ticket-note"). fault.NotFound.
	NoteTicket(ctx context.Context, number int64, note, by string) error
}

// Probes are messages that prove paths.
type Probes interface {
	// ProbeSettings returns what the inventory says of probes, and the database's time.
	ProbeSettings(ctx context.Context) (inventory.Probes, time.Time, error)
	// Probes returns probes, newest first.
	Probes(ctx context.Context, f ProbeFilter) ([]probe.Probe, error)
	// Probe returns one probe; fault.NotFound.
	Probe(ctx context.Context, id string) (probe.Probe, error)
}

// ProbeFilter selects probes.
type ProbeFilter struct {
	Domain string // "" = all
	Signer string // name of a server or service; "" = all
	State  probe.State
	Newest bool     // only the newest of each path
	Labels []string // of domains with at least one of these; empty = all
	Limit  int      // > 0
}

// TicketFilter selects tickets.
type TicketFilter struct {
	Closed bool     // closed ones too
	Labels []string // with a change of a domain with at least one of these, and only those changes; empty = all
	Limit  int      // > 0
}

// DomainFilter selects a page of domains.
type DomainFilter struct {
	After  string   // names after this one, exclusive; "" = from the start
	Limit  int      // at most so many; > 0
	Labels []string // with at least one of these; empty = all
	Signer string   // signer id that has an assignment of it which has not ended; "" = all
}

// RecordFilter selects a page of records.
type RecordFilter struct {
	Domain  string   // "" = every domain
	Name    string   // only this name; "" = all
	Pending bool     // only those that wait for a person
	After   string   // names after this one, exclusive
	Limit   int      // > 0; all records of the last name are returned even when that exceeds it
	Labels  []string // of domains with at least one of these; empty = all
}

// JournalFilter selects entries.
type JournalFilter struct {
	Domain string
	KeyID  string
	Actor  string
	// After and Before are exclusive bounds on Seq; 0 = none.
	After, Before int64
	Limit         int  // > 0
	Ascending     bool // oldest first; what a check of the chain reads
}

// Agent is what is known of a server's agent.
type Agent struct {
	Server inventory.Signer
	// Joined is when its newest certificate by token was issued; zero = never joined.
	Joined time.Time
	// CertificateEnds is when its newest certificate ends; zero = it has none that is accepted.
	CertificateEnds time.Time
	Reported        time.Time // last report; zero = never
	Applied         int64     // instruction version in force on it
	Latest          int64     // present instruction version
	Skew            time.Duration
	Software        string
	Keys            int               // holdings that are neither destroyed nor gone
	Unsigned        map[string]uint64 // messages not signed, by reason
	Refused         []fleet.Refused   // what receivers refused in the last fleet.RefusalQuiet, the newest first
}
