package dmarc

import (
	"bufio"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// The reader of reports with encoding/xml, which the scanner is compared with.

const (
	oracleBytes = 64 << 20
	oracleRows  = 200_000
)

// parseByDecoder reads a report of RFC 9990 or RFC 7489. Elements are matched by their local names and those it does not know
// are passed over. Words are trimmed and put in lower case, texts are cut at one kilobyte, numbers may have a fraction.
//
// Errors are *Error: ErrReport when it is no well-formed XML or no report, ErrReportTooBig when it exceeds oracleBytes
// or oracleRows. Errors of src are passed on.
func parseByDecoder(src io.Reader) (*Report, error) {
	limited := &limitReader{r: src, left: oracleBytes}
	in := bufio.NewReader(limited)
	if mark, _ := in.Peek(3); string(mark) == "\ufeff" {
		in.Discard(3)
	}
	d := xml.NewDecoder(in)
	d.CharsetReader = charset
	p := oracleParser{d: d}
	err := p.read()
	switch {
	case limited.err != nil:
		return nil, limited.err
	case limited.left < 0:
		return nil, &Error{Err: ErrReportTooBig, Detail: fmt.Sprintf("more than %d octets", oracleBytes)}
	case err != nil:
		return nil, err
	}
	return &p.report, nil
}

// charset reads the encodings that reporters are seen to declare.
func charset(label string, in io.Reader) (io.Reader, error) {
	switch strings.ToLower(label) {
	case "utf-8", "utf8", "us-ascii", "ascii":
		return in, nil
	case "iso-8859-1", "latin1", "windows-1252":
		return &latin1{in: bufio.NewReader(in)}, nil
	default:
		return nil, fmt.Errorf("the encoding %q is not known", label)
	}
}

// latin1 turns ISO 8859-1 into UTF-8. The few characters in which windows-1252 differs become control characters, which
// matters in comments only.
type latin1 struct {
	in   *bufio.Reader
	rest []byte
}

func (l *latin1) Read(b []byte) (int, error) {
	n := copy(b, l.rest)
	l.rest = l.rest[n:]
	for n < len(b) {
		c, err := l.in.ReadByte()
		if err != nil {
			if n > 0 {
				return n, nil
			}
			return 0, err
		}
		if c < utf8.RuneSelf || c >= 0xa0 {
			enc := utf8.AppendRune(nil, rune(c))
			m := copy(b[n:], enc)
			n, l.rest = n+m, enc[m:]
			continue
		}
		b[n] = ' ' // not allowed in XML
		n++
	}
	return n, nil
}

type oracleParser struct {
	d      *xml.Decoder
	report Report
	newer  bool // an element of RFC 9990 was seen
	seen   bool // metadata or policy was seen
}

func (p *oracleParser) read() error {
	for {
		token, err := p.d.Token()
		if err != nil {
			return malformed(err, "no feedback element")
		}
		start, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		if start.Name.Local != "feedback" {
			return &Error{Err: ErrReport, Detail: "the first element is not feedback"}
		}
		p.newer = start.Name.Space == Namespace
		break
	}
	for {
		token, err := p.d.Token()
		if err != nil {
			return malformed(err, "it breaks off")
		}
		switch e := token.(type) {
		case xml.StartElement:
			if err := p.part(e); err != nil {
				return err
			}
		case xml.EndElement: // of feedback: the decoder matches them
			if !p.seen {
				return &Error{Err: ErrReport, Detail: "neither metadata nor policy"}
			}
			p.report.Schema = RFC7489
			if p.newer {
				p.report.Schema = RFC9990
			}
			return nil
		}
	}
}

func malformed(err error, eof string) error {
	detail := err.Error()
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		detail = eof
	}
	return &Error{Err: ErrReport, Detail: detail}
}

// part reads one child of feedback.
func (p *oracleParser) part(e xml.StartElement) error {
	var err error
	switch e.Name.Local {
	case "version":
		var v string
		err = p.d.DecodeElement(&v, &e)
		p.report.Version = text(v)
	case "report_metadata":
		var m xmlMetadata
		if err = p.d.DecodeElement(&m, &e); err == nil {
			err = p.metadata(m)
		}
	case "policy_published":
		var x xmlPolicy
		err = p.d.DecodeElement(&x, &e)
		p.policy(x)
	case "record":
		var x xmlRecord
		if err = p.d.DecodeElement(&x, &e); err == nil {
			err = p.record(x)
		}
	default:
		err = p.d.Skip()
	}
	var ours *Error
	if err != nil && !errors.As(err, &ours) {
		return malformed(err, "it breaks off")
	}
	return err
}

func (p *oracleParser) metadata(m xmlMetadata) error {
	r := &p.report
	p.seen = true
	p.newer = p.newer || m.Generator != ""
	r.OrgName, r.Email, r.Contact, r.ID, r.Generator = text(m.OrgName), text(m.Email), text(m.Contact), text(m.ID), text(m.Generator)
	for _, e := range m.Errors[:min(len(m.Errors), maxRowResults)] {
		r.Errors = append(r.Errors, text(e))
	}
	var err error
	if r.Begin, err = instant("begin", []byte(text(m.Begin))); err != nil {
		return err
	}
	r.End, err = instant("end", []byte(text(m.End)))
	return err
}

func (p *oracleParser) policy(x xmlPolicy) {
	if p.report.Policy.Domain != "" {
		return // some reporters repeat it: the first one counts
	}
	p.seen = true
	p.newer = p.newer || x.Nonexistent != "" || x.Testing != "" || x.Discovery != ""
	p.report.Policy = PublishedPolicy{
		Domain: name(x.Domain), Policy: Policy(word(x.Policy)), Subdomains: Policy(word(x.Subdomains)), Nonexistent: Policy(word(x.Nonexistent)),
		DKIM: Mode(word(x.DKIM)), SPF: Mode(word(x.SPF)), FailureWhen: word(x.FailureWhen), Testing: word(x.Testing),
		Discovery: word(x.Discovery), Percent: word(x.Percent),
	}
}

func (p *oracleParser) record(x xmlRecord) error {
	if len(p.report.Rows) == oracleRows {
		return &Error{Err: ErrReportTooBig, Detail: fmt.Sprintf("more than %d records", oracleRows)}
	}
	count, err := number("count", []byte(text(x.Count)))
	if err == nil && count > maxCount {
		err = &Error{Err: ErrReport, Where: "count", Detail: "more messages than there are"}
	}
	if err != nil {
		return err
	}
	row := Row{
		SourceIP: text(x.SourceIP), Count: count, Disposition: word(x.Disposition), DKIM: Result(word(x.DKIM)), SPF: Result(word(x.SPF)),
		HeaderFrom: name(x.HeaderFrom), EnvelopeFrom: name(x.EnvelopeFrom), EnvelopeTo: name(x.EnvelopeTo),
	}
	for _, y := range x.Reasons[:min(len(x.Reasons), maxRowResults)] {
		if y.Type+y.Comment != "" {
			row.Reasons = append(row.Reasons, Reason{word(y.Type), text(y.Comment)})
		}
	}
	for _, y := range x.Auth.DKIM[:min(len(x.Auth.DKIM), maxRowResults)] {
		row.DKIMResults = append(row.DKIMResults, DKIMResult{name(y.Domain), name(y.Selector), word(y.Result), text(y.Human)})
	}
	for _, y := range x.Auth.SPF[:min(len(x.Auth.SPF), maxRowResults)] {
		row.SPFResults = append(row.SPFResults, SPFResult{name(y.Domain), word(y.Scope), word(y.Result), text(y.Human)})
	}
	p.report.Rows = append(p.report.Rows, row)
	return nil
}

// text trims and bounds a text, without cutting a character in two. The copy lets go of the document.
func text(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > maxText {
		s = strings.ToValidUTF8(s[:maxText], "")
	}
	return strings.Clone(s)
}

// word is text of a vocabulary: some reporters write Pass.
func word(s string) string { return strings.ToLower(text(s)) }

// name is a domain or selector.
func name(s string) string { return strings.TrimSuffix(word(s), ".") }
