package report

import (
	"context"
	"net/netip"
	"time"

	"github.com/postseal/postseal/dmarc"
)

// Archive keeps inputs and what they say. Every method is one transaction: it happens wholly or not at all.
type Archive interface {
	// Save stores an arrival whose octets have this hash, with what its documents say. It returns when everything is on the disk. The very same octets again are
	// not stored again, and neither is a report whose Key is there; but a copy that is vouched for vouches for the report that was there.
	Save(ctx context.Context, a Arrival, hash [32]byte, facts []Facts) (Receipt, error)
	// Resave stores what a newer reading of a kept input says. What was stored of it stays unless the new reading replaces it by something that is stored too; what was
	// unreadable, foreign or a duplicate is replaced. fault.NotFound when there is no such input.
	Resave(ctx context.Context, input string, facts []Facts) (Receipt, error)
	// Octets returns an input as it arrived. fault.NotFound when there is none, and when its octets are kept no more.
	Octets(ctx context.Context, input string) (Arrival, error)
	// CountFrom says how much came from a sender's domain since a time: quotas are made of it.
	CountFrom(ctx context.Context, sender string, since time.Time) (Volume, error)
}

// Ledger gives stored reports to be attributed anew.
type Ledger interface {
	// ReportsToRead returns up to limit stored aggregate reports that are counted for a domain ("" = any), after the one with this id, oldest first, with their rows. Fewer come when
	// they are large; none means that there are no more.
	ReportsToRead(ctx context.Context, ours, after string, limit int) ([]WithRows, error)
	// ReplaceCells sets the domain of the inventory that a stored report is counted for and its cells; roll-ups follow.
	ReplaceCells(ctx context.Context, id, ours string, cells []Cell) error
	// Counting says up to where reports were counted anew, and by which roll.
	Counting(ctx context.Context) (Counting, error)
	SetCounting(ctx context.Context, c Counting) error
}

// ReaderVersion is raised when more can be read of inputs than before, so that those with something unreadable are read again.
const ReaderVersion = 1

// CountingStep says what is being done anew.
type CountingStep string

// The steps, in their order.
const (
	CountingReports CountingStep = "reports" // stored reports are attributed
	CountingInputs  CountingStep = "inputs"  // inputs with something unreadable or foreign are read
	CountingDone    CountingStep = ""
)

// Counting is up to where stored reports were attributed anew, and inputs read again.
type Counting struct {
	Roll   string // its Fingerprint
	Reader int64  // ReaderVersion
	Step   CountingStep
	After  string // the last report or input of the step that is done
}

// Answers are the questions that people ask.
type Answers interface {
	// Reports lists documents, the newest arrival first.
	Reports(ctx context.Context, f ReportFilter) ([]Listed, error)
	// Details lists documents as Reports does, with all that they say; without Cells.
	Details(ctx context.Context, f ReportFilter) ([]Detail, error)
	// Report returns one document. fault.NotFound when there is none.
	Report(ctx context.Context, id string) (Detail, error)
	// Rows returns up to limit rows of a report from the given one on, in the order of the document.
	Rows(ctx context.Context, id string, from, limit int) ([]StoredRow, error)
	// Inputs lists inputs, the newest first.
	Inputs(ctx context.Context, f InputFilter) ([]Input, error)
	// Sources says which addresses sent in the name of domains, those with most messages first, and last those of which only reports tell that nobody vouches for.
	Sources(ctx context.Context, p Period, limit int) (Sources, error)
	// Counts returns sums from the roll-up, ordered by what they are grouped by.
	Counts(ctx context.Context, p Period, by Grouping) ([]Count, error)
	// Groups returns the cells of domains, summed over reports, and over days unless daily: the ground of diagnosis. At most MaxGroups, those with most messages first.
	Groups(ctx context.Context, p Period, daily bool) ([]Group, error)
	// CountReports says how many aggregate reports of a time are counted that are vouched for, and how many others there are.
	CountReports(ctx context.Context, p Period) (vouched, others int, err error)
	// LastPassed returns, by selector, the latest end of a vouched report in which a signature of this domain passed in mail from one of these signers' own addresses.
	// Selectors that nobody reported since the given time are missing.
	LastPassed(ctx context.Context, domain string, selectors, own []string, since time.Time) (map[string]time.Time, error)
}

// Upkeep deletes what is old enough.
type Upkeep interface {
	// Prune deletes a batch of what arrived before the cutoffs. Call it until it says that there is no more; others get their turn between.
	Prune(ctx context.Context, c Cutoffs) (Pruned, error)
}

// MaxGroups is how many groups one question gets: half a year of days of a domain with twenty signers, reported by a dozen.
const MaxGroups = 50_000

// Volume is how much came.
type Volume struct {
	Inputs int
	Octets int64
}

// WithRows is a stored report and what it says; Facts has no cells.
type WithRows struct {
	ID    string
	Trust Trust
	Facts Facts
}

// ReportFilter chooses documents. Zero fields choose everything.
type ReportFilter struct {
	Domains []string // of the inventory; nil = all, and what is foreign or unreadable
	About   string   // the domain of the policy, ours or not: what is foreign is found by it when its domain comes into the inventory
	Org     string
	Type    Type
	State   State
	Since   time.Time // reports that end at or after it
	Until   time.Time // reports that begin before it
	Input   string    // of this input
	With    string    // of this input, and what arrived elsewhere as a duplicate of something in it: what goes when it is removed
	After   string    // id: those that follow it in the list
	Limit   int
}

// Listed is a document in a list.
type Listed struct {
	ReceivedReport // its ID is that of this document, of whatever State
	Input          string
	SameAs         string // of a duplicate: the report that was there
	Ours           string
	Trust          Trust
	Arrived        time.Time
	Way            Way    // of the input
	Place          string // of the input
}

// Detail is everything about a document but its rows.
type Detail struct {
	Listed
	Email    string
	Schema   dmarc.Schema
	Policy   dmarc.PublishedPolicy
	Errors   []string
	Failure  *FailureReport
	TLS      *TLSReport
	RowsKept bool   // false when its rows were deleted because of their age
	Cells    []Cell // what is counted of it
}

// StoredRow is a row of a report as it was received.
type StoredRow struct {
	Source netip.Addr // invalid when it was no address: Row.SourceIP is what stood there
	dmarc.Row
}

// InputFilter chooses inputs.
type InputFilter struct {
	ID       string // only this one; "" = all
	Problems bool   // only those with something unreadable or foreign
	Kept     bool   // only those whose octets are kept
	After    string // id: those that follow it in the list
	Limit    int
}

// Input is a mail or a file as it came.
type Input struct {
	ID      string
	Arrived time.Time
	Way     Way
	Place   string
	Name    string
	Sender  string
	Trust   Trust
	Verdict string
	Size    int64
	Kept    bool // the octets are there
	Reports int  // documents in it
	Unread  int  // of them unreadable
	Foreign int  // of them about domains that are not ours
}

// Period is a time and the domains of the inventory that are asked about.
type Period struct {
	Domains []string  // nil = all
	Since   time.Time // the first day; of reports, that end at or after it
	Until   time.Time // the first moment after; zero = no end
}

// Sources are addresses.
type Sources struct {
	Top    []SeenSource
	Others SeenSource // the sum of the rest; it has no address
	Count  int        // of addresses; at most those that could be told apart (store.maxSources)
}

// SeenSource is what an address sent, as reports say that are vouched for. Others add to Unvouched and to nothing else.
type SeenSource struct {
	Source    netip.Addr
	Messages  int64
	DKIM      int64 // messages that pass DKIM, aligned
	SPF       int64
	Passed    int64     // messages that pass one of them
	First     time.Time // begin of the first report; zero when none is vouched for
	Last      time.Time // end of the last report
	Reports   int
	Orgs      []string // who reported it; the first few
	Signed    []SeenSignature
	From      []string // From domains; the first few
	Unvouched int64    // messages of reports that nobody vouches for, beside Messages
}

// SeenSignature is a signature in what an address sent.
type SeenSignature struct {
	Domain   string
	Selector string
	Passed   int64 // messages
	Failed   int64
}

// Grouping says by what counts are kept apart, besides by whether reports are vouched for.
type Grouping struct {
	Day, Domain, Sender bool
}

// Count is a sum over messages.
type Count struct {
	Day    time.Time // zero = not grouped by it
	Domain string    // of the inventory
	Signer Who
	How    Confidence
	Source Who

	Vouched    bool
	Messages   int64
	BothPass   int64 // DKIM and SPF, both aligned
	OnlyDKIM   int64
	OnlySPF    int64
	Quarantine int64
	Reject     int64
}

// Passed is how many messages pass DMARC.
func (c *Count) Passed() int64 { return c.BothPass + c.OnlyDKIM + c.OnlySPF }

// Cutoffs are the times of arrival before which things are deleted; zero = never. Each is at or before the one above it, because what remains of a report needs no more
// than what is below.
type Cutoffs struct {
	Octets time.Time // of inputs
	Rows   time.Time // of reports
	All    time.Time // everything that is left, roll-ups as well
}

// Pruned says what a batch deleted.
type Pruned struct {
	Octets  int // inputs whose octets went
	Rows    int // reports whose rows went
	Inputs  int // that went altogether
	Reports int
	Days    int  // of Postmaster Tools
	Unused  int  // entries that nothing uses any more
	More    bool // there may be more
}
