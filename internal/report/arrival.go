package report

import "time"

// Way says how an input arrived.
type Way string

// The ways.
const (
	BySMTP   Way = "smtp"   // our own listener
	ByIMAP   Way = "imap"   // a mailbox
	ByFolder Way = "folder" // a Maildir or a folder of files that is watched
	ByHand   Way = "hand"   // a person uploaded or imported it
)

// Trust says how sure it is that an input comes from the reporter that it names. Reports are numbers from strangers: what is not vouched for is counted apart.
type Trust string

// The trusts.
const (
	Verified   Trust = "verified"   // the mail passes DMARC (RFC 9990 §3.5.2 obliges reporters to), or is validly signed by an author's domain that has no policy
	Given      Trust = "given"      // a person who may do so handed it in
	Unverified Trust = "unverified" // neither
)

// Vouched says whether reports of this trust are counted with the others.
func (t Trust) Vouched() bool { return t == Verified || t == Given }

// Arrival is an input as it came, not read yet: a mail or a file.
type Arrival struct {
	Way    Way
	Place  string // where exactly, for people: a mailbox, a folder, the address of a peer
	Name   string // of the file, or the Message-ID of the mail; for people
	Octets []byte // at most MaxInput
	At     time.Time
	// Sender is the domain that the mail's DMARC result is about, lower-case A-labels; "" for what is no mail.
	Sender string
	Trust  Trust
	// Verdict says why it is trusted or not, in a sentence: "dkim=pass header.d=google.com header.s=20251104".
	Verdict string
	// To are the addresses that it was sent to, lower-case; empty when they are not known.
	To []string
}

// State says what became of a document.
type State string

// The states.
const (
	Stored    State = "stored"
	Duplicate State = "duplicate" // the same report is there already
	Foreign   State = "foreign"   // about a domain that is not in the inventory: kept, not counted
	Unread    State = "unreadable"
)

// Receipt says what became of an arrival. It is written when everything is stored: a sender may forget the input then.
type Receipt struct {
	Input   string           // the id under which it is kept; "" when the very same octets are kept already
	Again   bool             // the same octets had arrived before; Reports are what became of them then
	Reports []ReceivedReport // in the order of the documents
}

// ReceivedReport is one document of an arrival.
type ReceivedReport struct {
	ID       string // of the stored report; of the one that was there already for a duplicate; "" else
	Document string // where in the input it was found
	State    State
	Type     Type   // "" = it could not be told
	Domain   string // of the policy
	Org      string // who reports
	ReportID string
	Begin    time.Time
	End      time.Time
	Rows     int
	Messages int64
	Problem  string // why it was not read, or is not counted
}
