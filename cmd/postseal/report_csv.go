package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/postseal/postseal/internal/report"
)

// csvReports prints a line per row, for spreadsheets.
type csvReports struct {
	csv      *csv.Writer
	problems io.Writer
	begun    bool
}

func newCSVReports(out, problems io.Writer) *csvReports {
	return &csvReports{csv: csv.NewWriter(out), problems: problems}
}

// csvHead names the columns. New ones are added at the end.
var csvHead = []string{"file", "type", "schema", "org_name", "report_id", "domain", "begin", "end", "policy", "source_ip", "count", "disposition", "header_from", "envelope_from", "envelope_to",
	"dkim_aligned", "spf_aligned", "dkim", "spf", "reasons", "result", "detail"}

// csvLine is what a line has beside the columns of its report.
type csvLine struct {
	domain, source                                    string
	count                                             int64
	disposition, headerFrom, envelopeFrom, envelopeTo string
	dkimAligned, spfAligned                           string
	dkim, spf, reasons, result, detail                string
}

func (c *csvReports) head() error {
	if c.begun {
		return nil
	}
	c.begun = true
	return c.csv.Write(csvHead)
}

func (c *csvReports) line(d *parsedReport, l csvLine) error {
	cells := []string{d.File, d.Type, d.Schema, d.OrgName, d.ID, l.domain, csvTime(d.Begin), csvTime(d.End), d.Policy, l.source, strconv.FormatInt(l.count, 10), l.disposition, l.headerFrom,
		l.envelopeFrom, l.envelopeTo, l.dkimAligned, l.spfAligned, l.dkim, l.spf, l.reasons, l.result, l.detail}
	for i := range cells {
		cells[i] = csvCell(cells[i])
	}
	return c.csv.Write(cells)
}

func (c *csvReports) document(d *parsedReport, rows func(each func(*parsedRow) error) error) error {
	if err := c.head(); err != nil {
		return err
	}
	switch d.Type {
	case string(report.TLS):
		return c.policies(d)
	case string(report.Failure):
		f := d.Failure
		l := csvLine{domain: d.Domain, source: f.SourceIP, count: 1, headerFrom: f.HeaderFrom, result: strings.Join(f.Failed, " "), detail: f.Delivery}
		if f.DKIMDomain != "" {
			l.dkim = dkimName(f.DKIMDomain, f.DKIMSelector)
		}
		return c.line(d, l)
	}
	return rows(func(r *parsedRow) error {
		l := csvLine{domain: d.Domain, source: r.SourceIP, count: r.Count, disposition: r.Disposition, headerFrom: r.HeaderFrom, envelopeFrom: r.EnvelopeFrom, envelopeTo: r.EnvelopeTo,
			dkimAligned: passOrFail(r.DKIMAligned), spfAligned: passOrFail(r.SPFAligned)}
		var b strings.Builder
		for _, s := range r.DKIM {
			fmt.Fprintf(&b, " %s:%s", dkimName(s.Domain, s.Selector), s.Result)
		}
		l.dkim = csvList(&b)
		for _, s := range r.SPF {
			fmt.Fprintf(&b, " %s:%s", s.Domain, s.Result)
		}
		l.spf = csvList(&b)
		for _, s := range r.Reasons {
			b.WriteString(" " + s.Type)
			if s.Comment != "" {
				b.WriteString(" (" + s.Comment + ")")
			}
		}
		l.reasons = csvList(&b)
		return c.line(d, l)
	})
}

// policies prints a line for the sessions that succeeded under each policy of a TLS report, and one for each way to fail.
func (c *csvReports) policies(d *parsedReport) error {
	for _, p := range d.Sessions {
		rest := p.Failed
		lines := []csvLine{{domain: p.Domain, count: p.Successful, result: "success", detail: p.Type}}
		for _, f := range p.Failures {
			rest -= f.Sessions
			lines = append(lines, csvLine{domain: p.Domain, source: f.SendingIP, count: f.Sessions, result: f.Result, detail: strings.TrimSpace(p.Type + " " + f.ReceivingMX + " " + f.ReceivingIP + " " + f.Reason)})
		}
		if rest > 0 { // reporters need not say how
			lines = append(lines, csvLine{domain: p.Domain, count: rest, result: "failure", detail: p.Type})
		}
		for _, l := range lines {
			if err := c.line(d, l); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *csvReports) end(problems []unreadableOne) error {
	if err := c.head(); err != nil {
		return err
	}
	c.csv.Flush()
	for _, p := range problems {
		fmt.Fprintf(c.problems, "postseal: %s: cannot be read: %s\n", clean(p.File), clean(p.Error))
	}
	return c.csv.Error()
}

// dkimName is domain and selector of a signature, as domain/selector; the domain alone when no selector is told.
func dkimName(domain, selector string) string {
	if selector == "" {
		return domain
	}
	return domain + "/" + selector
}

// csvList takes what was written, without the first space.
func csvList(b *strings.Builder) string {
	s := strings.TrimPrefix(b.String(), " ")
	b.Reset()
	return s
}

// csvTime is a time that spreadsheets understand; nothing when there is none.
func csvTime(n int64) string {
	if n == 0 {
		return ""
	}
	return time.Unix(n, 0).UTC().Format(time.RFC3339)
}

// csvCell is a text that no spreadsheet takes for a formula: an apostrophe stands before whatever would begin one. It does so too behind what separates cells in some countries, where a
// text could be split. What a report says comes from strangers (reference: attack A21).
func csvCell(s string) string {
	if harmless(s) {
		return s
	}
	s = clean(s)
	if !strings.ContainsAny(s, formulaBegins) {
		return s
	}
	var b strings.Builder
	begins := true
	for _, r := range s {
		if begins && strings.ContainsRune(formulaBegins, r) {
			b.WriteByte('\'')
		}
		b.WriteRune(r)
		switch r {
		case ',', ';', '|', '"':
			begins = true
		case ' ': // space before a formula does not keep it from being one
		default:
			begins = false
		}
	}
	return b.String()
}

// harmless says of most texts that they stay as they are: letters of ASCII, in one piece, that begin with a letter or digit.
func harmless(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c <= ' ' || c >= 0x7f || strings.IndexByte(`,;|"`, c) >= 0:
			return false
		case i == 0 && strings.IndexByte(formulaBegins, c) >= 0:
			return false
		}
	}
	return true
}

// formulaBegins are the characters with which formulas begin, also as East Asian keyboards write them.
const formulaBegins = "=+-@＝＋－＠"
