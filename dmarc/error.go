package dmarc

import "errors"

// errSyntax is why a single tag was ignored.
var errSyntax = errors.New("dmarc: ignored")

// What can be wrong with a record, a name or a report; test with errors.Is.
var (
	// ErrNotDMARC: the text does not begin with v=DMARC1, so that it is no DMARC record at all (RFC 9989 §4.7).
	ErrNotDMARC = errors.New("dmarc: not a DMARC record")
	// ErrDuplicateTag: a tag appears twice, which makes the whole record invalid (RFC 6376 §3.2).
	ErrDuplicateTag = errors.New("dmarc: a tag appears twice")
	// ErrNoPolicy: there is no valid policy and no report URI, so that no DMARC processing happens (RFC 9989 §4.10.1).
	ErrNoPolicy = errors.New("dmarc: the record has neither a valid policy nor a report URI")
	// ErrTooLong: the record is longer than MaxRecord.
	ErrTooLong = errors.New("dmarc: the record is too long")
	// ErrDomain: a name is not a domain name in ASCII form.
	ErrDomain = errors.New("dmarc: not a domain name in ASCII form")
	// ErrReport: a report is not well-formed, or lacks what it must have (RFC 9990 §3.1.1).
	ErrReport = errors.New("dmarc: not a complete aggregate report")
	// ErrReportTooBig: a report exceeds a limit.
	ErrReportTooBig = errors.New("dmarc: the report is too big")
)

// Error says where in a record or report something is wrong. It unwraps to one of the errors above.
type Error struct {
	Err    error
	Where  string // tag or element; "" = as a whole
	Detail string // for people; "" = Err says it all
}

func (e *Error) Error() string {
	s := e.Err.Error()
	if e.Where != "" {
		s += ": " + e.Where
	}
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// Result is the word for Authentication-Results (RFC 8601 §2.7, RFC 9989 §4.4).
type Result string

// The results of an evaluation.
const (
	None      Result = "none" // no policy applies
	Pass      Result = "pass"
	Fail      Result = "fail"
	TempError Result = "temperror" // DNS did not answer
	PermError Result = "permerror" // the message or record cannot be evaluated
)
