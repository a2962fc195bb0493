package report

import (
	"errors"
	"io"

	"github.com/postseal/postseal/dmarc"
	"github.com/postseal/postseal/internal/fault"
)

// Type says what a report is about.
type Type string

// The types.
const (
	Aggregate Type = "aggregate" // of DMARC: RFC 7489, RFC 9990
	Failure   Type = "failure"   // of one message: RFC 6591, RFC 9991
	TLS       Type = "tls"       // of SMTP TLS: RFC 8460
)

// Parsed is what a document says; exactly one of the three is set.
type Parsed struct {
	Type      Type
	Aggregate *dmarc.Report // without rows
	Failure   *FailureReport
	TLS       *TLSReport
}

// Parse reads a document. The rows of an aggregate report are handed to each, one by one, as dmarc.ReadXML does; they may come before an error. Errors are fault.Invalid, and
// those of each.
func Parse(d Document, each func(*dmarc.Row) error) (Parsed, error) {
	switch d.kind {
	case xmlDocument:
		var theirs error
		r, err := dmarc.ReadXML(&fromMarkup{r: d.open()}, func(row *dmarc.Row) error {
			theirs = each(row)
			return theirs
		})
		switch {
		case theirs != nil:
			return Parsed{}, theirs
		case err != nil:
			return Parsed{}, invalid(err)
		}
		return Parsed{Type: Aggregate, Aggregate: r}, nil
	case jsonDocument:
		r, err := parseTLS(d.open())
		return Parsed{Type: TLS, TLS: r}, err
	case failureDocument:
		raw, err := io.ReadAll(io.LimitReader(d.open(), maxFailure))
		if err != nil {
			return Parsed{}, invalid(err)
		}
		r, err := parseFailure(raw)
		return Parsed{Type: Failure, Failure: r}, err
	}
	return Parsed{}, fault.New(fault.Invalid, "it is no report")
}

func invalid(err error) error {
	var known *fault.Error
	if errors.As(err, &known) {
		return known
	}
	return fault.Wrap(fault.Invalid, err, "%v", err)
}

// maxBefore is how much text may stand before a document, in octets.
const maxBefore = sniffed

// fromMarkup leaves out text before the first <.
type fromMarkup struct {
	r     io.Reader
	begun bool
}

func (f *fromMarkup) Read(b []byte) (int, error) {
	for skipped := 0; !f.begun && skipped < maxBefore; {
		n, err := f.r.Read(b[:min(len(b), maxBefore)])
		for i := range n {
			// UTF-16 and a mark before UTF-8 begin with such octets.
			if c := b[i]; c == '<' || c >= 0xef {
				f.begun = true
				return copy(b, b[i:n]), err
			}
		}
		if skipped += n; err != nil {
			return 0, err
		}
	}
	f.begun = true
	return f.r.Read(b)
}
