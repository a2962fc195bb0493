package dmarc

import (
	"bytes"
	"fmt"
	"io"
	"time"
	"unicode"
)

// The limits of a report that is read. Large receivers stay far below them.
const (
	// MaxReportBytes is the most XML that is read; larger reports have been seen only as attacks by decompression.
	MaxReportBytes = 512 << 20
	// MaxRows is the most rows of one report that ParseXML keeps. ReadXML has no such limit: it keeps none.
	MaxRows = 200_000
	// maxCount is the most messages of one row: more than any receiver has in a day, and sums of it do not overflow.
	maxCount = 1 << 40
	// maxRowResults is the most results of one row that are kept, of DKIM and SPF each; it is above MaxDKIMResults.
	maxRowResults = 200
	// maxText is the longest text that is kept, in octets; the rest is cut off.
	maxText = 1024
	// maxInterned bounds the texts that are kept so that those that come again and again are there once.
	maxInterned = 4096
	// maxInternedText is how long such a text is at most, in octets.
	maxInternedText = 64
)

// ParseXML reads a report of RFC 9990 or RFC 7489, with its rows. It forgives what reporters get wrong: elements are matched by their local names, those
// that it does not know are passed over, words are trimmed and put in lower case, texts are cut at one kilobyte, numbers may have a fraction, a schema may be
// left open, a & may stand for itself, and octets that are no text become U+FFFD.
//
// Errors are *Error: ErrReport when it is no report, or breaks off, ErrReportTooBig when it exceeds MaxReportBytes or MaxRows. Errors of src are passed on.
func ParseXML(src io.Reader) (*Report, error) {
	var rows []Row
	report, err := ReadXML(src, func(row *Row) error {
		if len(rows) == MaxRows {
			return &Error{Err: ErrReportTooBig, Detail: fmt.Sprintf("more than %d records", MaxRows)}
		}
		keep := *row
		keep.Reasons, keep.DKIMResults, keep.SPFResults = clone(row.Reasons), clone(row.DKIMResults), clone(row.SPFResults)
		rows = append(rows, keep)
		return nil
	})
	if err != nil {
		return nil, err
	}
	report.Rows = rows
	return report, nil
}

func clone[T any](s []T) []T {
	if len(s) == 0 {
		return nil
	}
	return append(make([]T, 0, len(s)), s...)
}

// ReadXML reads a report and hands out its rows one by one, so that memory does not grow with them; the report that it returns has none. A row is good during
// the call, its texts for ever. Rows may come before what is said about the whole report. An error of each ends the reading and is returned. Otherwise it is as ParseXML.
func ReadXML(src io.Reader, each func(*Row) error) (*Report, error) {
	limited := &limitReader{r: src, left: MaxReportBytes}
	p := reportParser{s: newScanner(limited), each: each, texts: make(map[string]string)}
	err := p.read()
	switch {
	case limited.err != nil:
		return nil, limited.err
	case limited.left < 0:
		return nil, &Error{Err: ErrReportTooBig, Detail: fmt.Sprintf("more than %d octets", MaxReportBytes)}
	case err != nil:
		return nil, err
	}
	return &p.report, nil
}

// limitReader ends the input one octet after the limit, and keeps what went wrong apart from the end.
type limitReader struct {
	r    io.Reader
	left int64
	err  error
}

func (l *limitReader) Read(b []byte) (int, error) {
	if l.left < 0 {
		return 0, io.EOF
	}
	if int64(len(b)) > l.left+1 {
		b = b[:l.left+1]
	}
	n, err := l.r.Read(b)
	l.left -= int64(n)
	if err != nil && err != io.EOF {
		l.err = err
	}
	return n, err
}

// frame is an element that is open.
type frame struct {
	element place
	name    int // where its name ends in reportParser.names
}

type reportParser struct {
	s      *scanner
	each   func(*Row) error
	report Report
	newer  bool // an element of RFC 9990 was seen
	seen   bool // elMetadata or policy was seen

	open   []frame
	names  []byte
	chars  []byte // of the leaf that is open
	leaf   int    // how many frames are open within which chars are gathered; 0 = none
	texts  map[string]string
	last   [places]string // what each element said last
	row    Row
	policy PublishedPolicy // that is being read
	rows   int
}

// within is the innermost open element.
func (p *reportParser) within() place {
	if len(p.open) == 0 {
		return elOutside
	}
	return p.open[len(p.open)-1].element
}

func (p *reportParser) read() error {
	for {
		wanted := p.leaf != 0 && p.leaf == len(p.open)
		var name []byte
		switch p.s.plain(wanted, p.innermost(), &p.chars, &name) {
		case endTag:
			if err := p.close(); err != nil {
				return err
			}
			if len(p.open) == 0 {
				return p.done()
			}
			continue
		case startTag:
			if err := p.start(name, false); err != nil {
				return err
			}
			continue
		}
		t, err := p.s.next(wanted)
		switch {
		case err != nil && p.s.err != nil: // a tag that goes on where the input ends
			return &Error{Err: ErrReport, Detail: "it breaks off"}
		case err != nil:
			return &Error{Err: ErrReport, Detail: err.Error()}
		}
		switch t.kind {
		case endOfInput:
			if len(p.open) == 0 {
				return &Error{Err: ErrReport, Detail: "no feedback element"}
			}
			return &Error{Err: ErrReport, Detail: "it breaks off"}
		case charData, rawData:
			if wanted {
				p.gather(t)
			}
			continue
		case startTag:
			if err := p.start(t.name, t.space); err != nil {
				return err
			}
			if !t.empty {
				continue
			}
		case endTag:
			at := p.opened(t.name)
			if at < 0 {
				continue // of nothing that is open
			}
			for len(p.open) > at+1 { // what was left open ends with it
				if err := p.close(); err != nil {
					return err
				}
			}
		}
		if err := p.close(); err != nil {
			return err
		}
		if len(p.open) == 0 {
			return p.done()
		}
	}
}

// innermost is the name of the innermost open element; nil when none is.
func (p *reportParser) innermost() []byte {
	switch n := len(p.open); n {
	case 0:
		return nil
	case 1:
		return p.names[:p.open[0].name]
	default:
		return p.names[p.open[n-2].name:p.open[n-1].name]
	}
}

func (p *reportParser) done() error {
	if !p.seen {
		return &Error{Err: ErrReport, Detail: "neither metadata nor policy"}
	}
	p.report.Schema = RFC7489
	if p.newer {
		p.report.Schema = RFC9990
	}
	return nil
}

// gather appends to the text of a leaf, without what stands before it.
func (p *reportParser) gather(t token) {
	const limit = maxText + 8 // what is cut off must be seen to be there
	from := len(p.chars)
	p.chars = p.s.appendText(p.chars, t, limit)
	if from == 0 {
		p.chars = trimLeft(p.chars)
		for len(p.chars) == 0 && len(t.text) > limit { // space without elEnd
			t.text = t.text[limit:]
			p.chars = trimLeft(p.s.appendText(p.chars, t, limit))
		}
	}
}

func trimLeft(b []byte) []byte {
	rest := bytes.TrimLeftFunc(b, unicode.IsSpace)
	if len(rest) == len(b) {
		return b
	}
	return append(b[:0], rest...)
}

// opened is the innermost open element with a name; -1: there is none.
func (p *reportParser) opened(name []byte) int {
	for i := len(p.open) - 1; i >= 0; i-- {
		begin := 0
		if i > 0 {
			begin = p.open[i-1].name
		}
		if string(p.names[begin:p.open[i].name]) == string(name) {
			return i
		}
	}
	return -1
}

func (p *reportParser) start(name []byte, space bool) error {
	parent := p.within()
	if parent == elOutside && string(name) != "feedback" {
		return &Error{Err: ErrReport, Detail: "the first element is not feedback"}
	}
	// A schema that is left open does not hide the report (seen in 2018).
	for parent == elOther && len(p.open) > 1 && p.schemaOnly() && elFeedback.child(name) != elOther {
		p.pop()
		parent = p.within()
	}
	if len(p.open) == maxDepth {
		return &Error{Err: ErrReport, Detail: errDepth().Error()}
	}
	is := parent.child(name)
	p.names = append(p.names, name...)
	p.open = append(p.open, frame{is, len(p.names)})
	switch is {
	case elFeedback:
		p.newer = space
	case elMetadata:
		p.seen = true
		p.report = Report{Version: p.report.Version, Policy: p.report.Policy, Errors: p.report.Errors, Begin: time.Unix(0, 0).UTC(), End: time.Unix(0, 0).UTC()}
	case elPublished:
		p.seen = true
		p.policy = PublishedPolicy{}
	case elRecord:
		p.row = Row{Reasons: p.row.Reasons[:0], DKIMResults: p.row.DKIMResults[:0], SPFResults: p.row.SPFResults[:0]}
	case elReason:
		p.row.Reasons = grow(p.row.Reasons)
	case elDkim:
		p.row.DKIMResults = grow(p.row.DKIMResults)
	case elSpf:
		p.row.SPFResults = grow(p.row.SPFResults)
	case elOther, elOutside, elDateRange, elRow, elEvaluated, elIdentifiers, elAuthResults:
	default:
		p.leaf, p.chars = len(p.open), p.chars[:0]
	}
	return nil
}

// grow adds one, but for those beyond the limit: they take the place of each other and are dropped at the end.
func grow[T any](s []T) []T {
	var zero T
	if len(s) > maxRowResults {
		s[maxRowResults] = zero
		return s
	}
	return append(s, zero)
}

// schemaOnly reports whether what is open below feedback is a schema's elements.
func (p *reportParser) schemaOnly() bool {
	return string(p.names[p.open[0].name:p.open[1].name]) == "schema"
}

func (p *reportParser) pop() frame {
	f := p.open[len(p.open)-1]
	p.open = p.open[:len(p.open)-1]
	begin := 0
	if len(p.open) > 0 {
		begin = p.open[len(p.open)-1].name
	}
	p.names = p.names[:begin]
	return f
}

// close ends the innermost element.
func (p *reportParser) close() error {
	if p.leaf == len(p.open) {
		p.leaf = 0
		return p.set(p.pop().element)
	}
	switch p.pop().element {
	case elPublished:
		if p.report.Policy.Domain == "" { // some reporters repeat it: the first one counts
			p.report.Policy = p.policy
			p.newer = p.newer || p.policy.Nonexistent != "" || p.policy.Testing != "" || p.policy.Discovery != ""
		}
	case elMetadata:
		p.newer = p.newer || p.report.Generator != ""
	case elRecord:
		return p.endRow()
	}
	return nil
}

func (p *reportParser) endRow() error {
	row := &p.row
	reasons := row.Reasons[:0]
	for _, r := range row.Reasons[:min(len(row.Reasons), maxRowResults)] {
		if r.Type+r.Comment != "" {
			reasons = append(reasons, r)
		}
	}
	row.Reasons = reasons
	row.DKIMResults = row.DKIMResults[:min(len(row.DKIMResults), maxRowResults)]
	row.SPFResults = row.SPFResults[:min(len(row.SPFResults), maxRowResults)]
	p.rows++
	return p.each(row)
}
