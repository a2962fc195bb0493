package main

import (
	"time"

	"github.com/postseal/postseal/dmarc"
	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/report"
)

// The document of report parse (CLI.md).
type (
	parsedReport struct {
		File     string         `json:"file"`
		Type     string         `json:"type"`
		Schema   string         `json:"schema"`
		OrgName  string         `json:"org_name"`
		ID       string         `json:"report_id"`
		Domain   string         `json:"domain"`
		Begin    int64          `json:"begin"`
		End      int64          `json:"end"`
		Records  int64          `json:"records"`
		Messages int64          `json:"messages"`
		Policy   string         `json:"policy,omitempty"`
		Errors   []string       `json:"reporter_errors,omitempty"`
		Sessions []parsedTLS    `json:"policies,omitempty"`
		Failure  *parsedFailure `json:"failure,omitempty"`
		// "rows" is the last one: they are printed one by one.
	}
	parsedRow struct {
		SourceIP     string         `json:"source_ip"`
		Count        int64          `json:"count"`
		Disposition  string         `json:"disposition"`
		HeaderFrom   string         `json:"header_from"`
		EnvelopeFrom string         `json:"envelope_from,omitempty"`
		EnvelopeTo   string         `json:"envelope_to,omitempty"`
		DKIM         []parsedDKIM   `json:"dkim"`
		SPF          []parsedSPF    `json:"spf"`
		DKIMAligned  bool           `json:"dkim_aligned"`
		SPFAligned   bool           `json:"spf_aligned"`
		Reasons      []parsedReason `json:"reasons,omitempty"`
	}
	parsedDKIM struct {
		Domain   string `json:"domain"`
		Selector string `json:"selector"`
		Result   string `json:"result"`
		Human    string `json:"human_result,omitempty"`
	}
	parsedSPF struct {
		Domain string `json:"domain"`
		Scope  string `json:"scope,omitempty"`
		Result string `json:"result"`
		Human  string `json:"human_result,omitempty"`
	}
	parsedReason struct {
		Type    string `json:"type"`
		Comment string `json:"comment,omitempty"`
	}
	parsedTLS        = client.TLSSessions // the control plane says it alike
	parsedTLSFailure = client.TLSFailure
	parsedFailure    = client.FailedMessage
	unreadableOne    struct {
		File  string `json:"file"`
		Error string `json:"error"`
	}
)

// What stands for the format of reports that have but one.
const (
	schemaTLS     = "rfc8460"
	schemaFailure = "rfc6591"
)

// maxHeldRows is how many rows of a document are held in memory; of a larger one they are read a second time when they are printed. Nearly all reports have fewer.
const maxHeldRows = 1000

// readDocument reads a document to its end, so that nothing is printed of one that breaks off. rows hands out its rows.
func readDocument(d report.Document) (p *parsedReport, rows func(each func(*parsedRow) error) error, err error) {
	p = &parsedReport{File: d.Name}
	var held []parsedRow
	parsed, err := report.Parse(d, func(row *dmarc.Row) error {
		if len(held) < maxHeldRows {
			held = append(held, parsedRow{})
			held[len(held)-1].say(row)
		}
		p.Records++
		p.Messages += row.Count
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	p.say(parsed)
	rows = func(each func(*parsedRow) error) error {
		if p.Records > maxHeldRows && parsed.Type == report.Aggregate {
			var one parsedRow
			_, err := report.Parse(d, func(row *dmarc.Row) error {
				one.say(row)
				return each(&one)
			})
			return err
		}
		for i := range held {
			if err := each(&held[i]); err != nil {
				return err
			}
		}
		return nil
	}
	return p, rows, nil
}

// say takes over a row, whose slices are used again for the next one.
func (p *parsedRow) say(row *dmarc.Row) {
	dkim, spf, reasons := p.DKIM[:0], p.SPF[:0], p.Reasons[:0]
	*p = parsedRow{SourceIP: row.SourceIP, Count: row.Count, Disposition: row.Disposition, HeaderFrom: row.HeaderFrom, EnvelopeFrom: row.EnvelopeFrom, EnvelopeTo: row.EnvelopeTo,
		DKIM: []parsedDKIM{}, SPF: []parsedSPF{}, DKIMAligned: row.DKIM == dmarc.Pass, SPFAligned: row.SPF == dmarc.Pass}
	for _, r := range row.DKIMResults {
		dkim = append(dkim, parsedDKIM(r))
	}
	for _, r := range row.SPFResults {
		spf = append(spf, parsedSPF(r))
	}
	for _, r := range row.Reasons {
		reasons = append(reasons, parsedReason(r))
	}
	if dkim != nil {
		p.DKIM = dkim
	}
	if spf != nil {
		p.SPF = spf
	}
	p.Reasons = reasons
}

// say takes over what is not in rows.
func (p *parsedReport) say(r report.Parsed) {
	p.Type = string(r.Type)
	switch r.Type {
	case report.Aggregate:
		a := r.Aggregate
		p.Schema, p.OrgName, p.ID, p.Domain, p.Policy, p.Errors = string(a.Schema), a.OrgName, a.ID, a.Policy.Domain, string(a.Policy.Policy), a.Errors
		p.Begin, p.End = a.Begin.Unix(), a.End.Unix()
	case report.TLS:
		p.Schema, p.OrgName, p.ID = schemaTLS, r.TLS.OrgName, r.TLS.ID
		p.Begin, p.End = unix(r.TLS.Begin), unix(r.TLS.End)
		for i, x := range r.TLS.Policies {
			out := parsedTLS{Type: x.Type, Domain: x.Domain, Successful: x.Successful, Failed: x.Failed}
			for _, f := range x.Failures {
				out.Failures = append(out.Failures, parsedTLSFailure{Result: f.Result, SendingIP: f.SendingIP, ReceivingMX: f.ReceivingMX, ReceivingIP: f.ReceivingIP, Sessions: f.Sessions, Reason: f.Reason})
			}
			p.Sessions = append(p.Sessions, out)
			if i == 0 {
				p.Domain = x.Domain // nearly always the only one
			}
			p.Records++
		}
		good, bad := r.TLS.Sessions()
		p.Messages = good + bad
	case report.Failure:
		f := r.Failure
		p.Schema, p.OrgName, p.Domain, p.Begin, p.End, p.Records, p.Messages = schemaFailure, f.Reporter, f.Domain, unix(f.Arrived), unix(f.Arrived), 1, 1
		p.Failure = &parsedFailure{SourceIP: f.SourceIP, Failed: append([]string{}, f.Failed...), Alignment: f.Alignment, Delivery: f.Delivery, DKIMDomain: f.DKIMDomain, DKIMSelector: f.DKIMSelector,
			HeaderFrom: f.HeaderFrom, MessageID: f.MessageID}
	}
}

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// because turns an error into a sentence.
func because(err error) string {
	message, _ := fault.Show(err)
	return message
}
