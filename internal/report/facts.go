package report

import (
	"net/netip"
	"time"

	"github.com/postseal/postseal/dmarc"
)

// Facts are what one document says, in the form in which it is stored. Rows that differ only in their source and count share a shape: reports of a hundred thousand rows
// have a few hundred shapes.
type Facts struct {
	Document string // where in the input it was found
	Problem  string // why it cannot be read; nothing else is set then but perhaps Type
	Type     Type
	Domain   string // of the policy, lower-case A-labels
	Ours     string // the domain of the inventory that it is counted for; "" = not ours
	Org      string // who reports, for people: org_name or the domain of Email, with the domain that vouches for it behind it
	Email    string
	ReportID string
	Begin    time.Time
	End      time.Time
	Schema   dmarc.Schema
	Policy   dmarc.PublishedPolicy // as the reporter found it
	Errors   []string              // of the reporter
	Failure  *FailureReport        // of Type Failure
	TLS      *TLSReport            // of Type TLS
	Key      [32]byte              // tells reports apart: who, id, domain, times, content; equal = the same report again
	Shapes   []Shape
	Rows     []Row
	Messages int64
	Cells    []Cell
}

// Shape is what rows have in common.
type Shape struct {
	Hash [16]byte // of everything below
	// Of a row: its Source and Count are not used.
	dmarc.Row
}

// Row is a row of an aggregate report.
type Row struct {
	Shape  int // index into Shapes
	Source netip.Addr
	Count  int64
}

// Confidence says how an attribution was made.
type Confidence string

// The confidences.
const (
	Exact    Confidence = "exact"    // by domain and selector of a key of ours
	Inferred Confidence = "inferred" // by address, or by names that a service uses
	Unknown  Confidence = "unknown"
)

// Who is whoever mail is attributed to: a signer of the inventory, a service of the catalogue that is not in it, or nobody known.
type Who struct {
	Kind string // server, pool, service; "" = unknown
	ID   string // of the signer in the inventory; of a service that is not in it, its catalogue id; "" = unknown
	Name string // of the signer or service
}

// Cell counts the messages of one report and one day that fared alike and are attributed alike: the unit of roll-ups. A report has a handful.
type Cell struct {
	Day        time.Time // midnight UTC
	HeaderFrom string
	// Of the signature that counts: an aligned one that passes, else an aligned one, else one of ours, else the first; empty when there is none.
	SigningDomain string
	Selector      string
	Result        string // its result: pass, fail, temperror, …; "" = not signed
	Cause         Cause  // why it did not pass, where the reporter says so
	Signer        Who    // whose key that is, or who sent it as far as can be told
	How           Confidence
	KeyID         string // of the managed key; "" = none of ours
	Source        Who    // whose address it came from
	DKIM          bool   // passes DKIM, aligned
	SPF           bool   // passes SPF, aligned
	Disposition   string // none, pass, quarantine, reject
	Reason        string // the first override's type; "" = none
	Messages      int64
}
