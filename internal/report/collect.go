package report

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"

	"github.com/postseal/postseal/dmarc"
	"github.com/postseal/postseal/internal/fault"
)

// Collect reads a document into the facts that are stored. A document that cannot be read gives facts with a Problem: it is kept and listed all the same.
func Collect(d Document) Facts {
	c := collector{known: make(map[string]int)}
	parsed, err := Parse(d, c.row)
	f := Facts{Document: d.Name}
	if err != nil {
		f.Problem = sentence(err)
		return f
	}
	f.Type = parsed.Type
	switch parsed.Type {
	case Aggregate:
		r := parsed.Aggregate
		f.Domain, f.Email, f.ReportID, f.Begin, f.End, f.Schema, f.Policy = domainOf(r.Policy.Domain), kept(r.Email), kept(strings.Trim(r.ID, "<>")), r.Begin, r.End, r.Schema, r.Policy
		if f.Org = kept(r.OrgName); f.Org == "" {
			f.Org = fromDomain(r.Email)
		}
		for _, e := range r.Errors[:min(len(r.Errors), maxErrors)] {
			f.Errors = append(f.Errors, kept(e))
		}
		f.Shapes, f.Rows, f.Messages = c.shapes, c.rows, c.messages
		if f.Domain == "" {
			f.Domain = c.onlyFrom()
		}
		if f.Domain == "" {
			f.Problem = "it does not say which domain's policy it is about"
		}
	case Failure:
		r := parsed.Failure
		f.Failure, f.Domain, f.Org, f.ReportID, f.Begin, f.End, f.Messages = r, r.Domain, r.Reporter, r.MessageID, r.Arrived, r.Arrived, 1
	case TLS:
		r := parsed.TLS
		f.TLS, f.Org, f.Email, f.ReportID, f.Begin, f.End = r, r.OrgName, r.Contact, r.ID, r.Begin, r.End
		for _, p := range r.Policies {
			if f.Domain == "" {
				f.Domain = p.Domain
			}
		}
		good, bad := r.Sessions()
		f.Messages = good + bad
	}
	f.Key = f.key(c.content)
	return f
}

// collector gathers rows: those that differ only in source and count share a shape.
type collector struct {
	known    map[string]int // what a shape says to its index
	shapes   []Shape
	rows     []Row
	messages int64
	size     int // of the shapes, in octets
	content  [4]uint64
	buf      []byte
}

func (c *collector) row(r *dmarc.Row) error {
	source, err := netip.ParseAddr(r.SourceIP)
	if err == nil {
		source = source.Unmap().WithZone("")
	}
	c.buf = appendShape(c.buf[:0], r, err != nil)
	i, ok := c.known[string(c.buf)]
	if !ok {
		if c.size += len(c.buf); c.size > maxShapes {
			return fault.New(fault.Invalid, "its records differ in more than %d octets", maxShapes)
		}
		i = len(c.shapes)
		sum := sha256.Sum256(c.buf)
		s := Shape{Hash: [16]byte(sum[:16]), Row: shapeOf(r, err != nil)}
		c.shapes = append(c.shapes, s)
		c.known[string(c.buf)] = i
	}
	c.rows = append(c.rows, Row{Shape: i, Source: source, Count: r.Count})
	c.messages += r.Count
	// The sum does not depend on the order: the same report is sometimes made again with its records in another one.
	b := append(c.buf[:0], c.shapes[i].Hash[:]...)
	b = append(b, source.AsSlice()...)
	b = binary.AppendVarint(b, r.Count)
	sum := sha256.Sum256(b)
	for j := range c.content {
		c.content[j] += binary.BigEndian.Uint64(sum[8*j:])
	}
	c.buf = b
	return nil
}

// shapeOf is a row without source and count, with texts that can be stored. A source that is no address stays in it, so that it is not lost.
func shapeOf(r *dmarc.Row, strange bool) dmarc.Row {
	out := dmarc.Row{
		Disposition: kept(r.Disposition), DKIM: r.DKIM, SPF: r.SPF, HeaderFrom: domainOf(r.HeaderFrom), EnvelopeFrom: domainOf(r.EnvelopeFrom), EnvelopeTo: domainOf(r.EnvelopeTo),
	}
	if strange {
		out.SourceIP = kept(r.SourceIP)
	}
	for _, x := range r.Reasons[:min(len(r.Reasons), maxReasons)] {
		out.Reasons = append(out.Reasons, dmarc.Reason{Type: kept(x.Type), Comment: kept(x.Comment)})
	}
	for _, x := range r.DKIMResults[:min(len(r.DKIMResults), dmarc.MaxDKIMResults)] {
		out.DKIMResults = append(out.DKIMResults, dmarc.DKIMResult{Domain: domainOf(x.Domain), Selector: domainOf(x.Selector), Result: kept(x.Result), Human: kept(x.Human)})
	}
	for _, x := range r.SPFResults[:min(len(r.SPFResults), maxSPFResults)] {
		out.SPFResults = append(out.SPFResults, dmarc.SPFResult{Domain: domainOf(x.Domain), Scope: kept(x.Scope), Result: kept(x.Result), Human: kept(x.Human)})
	}
	return out
}

// appendShape writes down what a row says beside source and count, so that different rows give different octets.
func appendShape(b []byte, r *dmarc.Row, strange bool) []byte {
	text := func(s string) {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	for _, s := range []string{r.Disposition, string(r.DKIM), string(r.SPF), r.HeaderFrom, r.EnvelopeFrom, r.EnvelopeTo} {
		text(s)
	}
	if strange {
		text(r.SourceIP)
	} else {
		text("")
	}
	b = binary.AppendUvarint(b, uint64(len(r.Reasons)))
	for _, x := range r.Reasons {
		text(x.Type)
		text(x.Comment)
	}
	b = binary.AppendUvarint(b, uint64(len(r.DKIMResults)))
	for _, x := range r.DKIMResults {
		for _, s := range []string{x.Domain, x.Selector, x.Result, x.Human} {
			text(s)
		}
	}
	for _, x := range r.SPFResults {
		for _, s := range []string{x.Domain, x.Scope, x.Result, x.Human} {
			text(s)
		}
	}
	return b
}

// onlyFrom is the From domain that all rows share, "" when they differ: some reports do not name the policy's domain.
func (c *collector) onlyFrom() string {
	var from string
	for _, s := range c.shapes {
		if from != "" && s.HeaderFrom != from {
			return ""
		}
		from = s.HeaderFrom
	}
	return from
}

// key tells reports apart. The id alone does not: reporters send one again, and use one for different domains.
func (f *Facts) key(content [4]uint64) [32]byte {
	who := f.Org
	if d := fromDomain(f.Email); d != "" {
		who = d
	}
	var b []byte
	for _, s := range []string{string(f.Type), strings.ToLower(who), f.ReportID, f.Domain} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	b = binary.AppendVarint(b, f.Begin.Unix())
	b = binary.AppendVarint(b, f.End.Unix())
	for _, n := range content {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	switch {
	case f.Failure != nil:
		x := f.Failure
		for _, s := range []string{x.SourceIP, x.Subject, x.HeaderFrom, x.DKIMDomain, x.DKIMSelector, x.Results, strings.Join(x.Failed, " ")} {
			b = binary.AppendUvarint(b, uint64(len(s)))
			b = append(b, s...)
		}
	case f.TLS != nil:
		b = binary.AppendVarint(b, f.Messages)
		for _, p := range f.TLS.Policies {
			b = append(b, p.Domain...)
			b = binary.AppendVarint(b, p.Successful)
			b = binary.AppendVarint(b, p.Failed)
		}
	}
	return sha256.Sum256(b)
}

// sentence is what is shown of an error.
func sentence(err error) string {
	var known *fault.Error
	if errors.As(err, &known) {
		return kept(strings.TrimPrefix(known.Message, "dmarc: "))
	}
	return kept(strings.TrimPrefix(err.Error(), "dmarc: "))
}
