package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/dmarc"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/report"
)

// newReport makes "report".
func newReport() *cobra.Command {
	return noun("report", "Reports of receivers: DMARC aggregate and failure reports, SMTP TLS reports", newReportImport(), newReportList(), newReportShow(), newReportSources(), newReportSummary(), newReportParse())
}

// The document of report parse (CLI.md).
type (
	parsedReports struct {
		Documents []parsedReport  `json:"documents"`
		Errors    []unreadableOne `json:"errors"`
	}
	parsedReport struct {
		File     string         `json:"file"`
		Type     string         `json:"type"`
		Schema   string         `json:"schema,omitempty"`
		OrgName  string         `json:"org_name"`
		ID       string         `json:"report_id"`
		Domain   string         `json:"domain"`
		Begin    int64          `json:"begin"`
		End      int64          `json:"end"`
		Records  int            `json:"records"`
		Messages int64          `json:"messages"`
		Policy   string         `json:"policy,omitempty"`
		Rows     []parsedRow    `json:"rows,omitempty"`
		Sessions []parsedTLS    `json:"policies,omitempty"`
		Failure  *parsedFailure `json:"failure,omitempty"`
	}
	parsedRow struct {
		SourceIP     string         `json:"source_ip"`
		Count        int64          `json:"count"`
		Disposition  string         `json:"disposition"`
		HeaderFrom   string         `json:"header_from"`
		EnvelopeFrom string         `json:"envelope_from,omitempty"`
		EnvelopeTo   string         `json:"envelope_to,omitempty"`
		DKIM         []parsedResult `json:"dkim"`
		SPF          []parsedResult `json:"spf"`
		DKIMAligned  bool           `json:"dkim_aligned"`
		SPFAligned   bool           `json:"spf_aligned"`
		Reasons      []parsedReason `json:"reasons,omitempty"`
	}
	parsedResult struct {
		Domain   string `json:"domain"`
		Selector string `json:"selector,omitempty"`
		Scope    string `json:"scope,omitempty"`
		Result   string `json:"result"`
	}
	parsedReason struct {
		Type    string `json:"type"`
		Comment string `json:"comment,omitempty"`
	}
	parsedTLS struct {
		Type       string             `json:"type"`
		Domain     string             `json:"domain"`
		Successful int64              `json:"successful"`
		Failed     int64              `json:"failed"`
		Failures   []parsedTLSFailure `json:"failures,omitempty"`
	}
	parsedTLSFailure struct {
		Result      string `json:"result"`
		SendingIP   string `json:"sending_ip,omitempty"`
		ReceivingMX string `json:"receiving_mx,omitempty"`
		ReceivingIP string `json:"receiving_ip,omitempty"`
		Sessions    int64  `json:"sessions"`
		Reason      string `json:"reason,omitempty"`
	}
	parsedFailure struct {
		SourceIP     string   `json:"source_ip"`
		Failed       []string `json:"failed"`
		Alignment    string   `json:"alignment,omitempty"`
		Delivery     string   `json:"delivery,omitempty"`
		DKIMDomain   string   `json:"dkim_domain,omitempty"`
		DKIMSelector string   `json:"dkim_selector,omitempty"`
		HeaderFrom   string   `json:"header_from,omitempty"`
		MessageID    string   `json:"message_id,omitempty"`
	}
	unreadableOne struct {
		File  string `json:"file"`
		Error string `json:"error"`
	}
)

func newReportParse() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "parse FILE …",
		Short: "Read reports and print what they say",
		Long: `Read reports and print what they say: DMARC aggregate reports (RFC 7489, RFC 9990), failure reports, SMTP TLS reports; as they are, as gzip or zip, or in a mail.
What a file is, its content says. - is standard input. Nothing is stored, and nothing that a report names is fetched.

The exit status is 1 when something could not be read.`,
		Example: `  postseal report parse --json report.xml.gz
  postseal report parse Maildir/new/*`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			all := parsedReports{Documents: []parsedReport{}, Errors: []unreadableOne{}}
			for _, file := range args {
				data, err := readAtMost(file, cmd.InOrStdin(), report.MaxInput)
				if err != nil {
					all.Errors = append(all.Errors, unreadableOne{file, because(err)})
					continue
				}
				all.read(file, data)
			}
			var err error
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), all)
			} else {
				err = all.print(cmd.OutOrStdout())
			}
			if err == nil && len(all.Errors) > 0 {
				return errBad
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return cmd
}

// read reads all documents of one file.
func (p *parsedReports) read(file string, data []byte) {
	documents, problems := report.Open(file, data)
	for _, problem := range problems {
		p.Errors = append(p.Errors, unreadableOne{problem.Name, because(problem.Err)})
	}
	for _, d := range documents {
		out := parsedReport{File: d.Name}
		parsed, err := report.Parse(d, func(row *dmarc.Row) error {
			out.row(row)
			return nil
		})
		if err != nil {
			p.Errors = append(p.Errors, unreadableOne{d.Name, because(err)})
			continue
		}
		out.say(parsed)
		p.Documents = append(p.Documents, out)
	}
}

func (p *parsedReport) row(row *dmarc.Row) {
	out := parsedRow{SourceIP: row.SourceIP, Count: row.Count, Disposition: row.Disposition, HeaderFrom: row.HeaderFrom, EnvelopeFrom: row.EnvelopeFrom, EnvelopeTo: row.EnvelopeTo,
		DKIM: []parsedResult{}, SPF: []parsedResult{}, DKIMAligned: row.DKIM == dmarc.Pass, SPFAligned: row.SPF == dmarc.Pass}
	for _, r := range row.DKIMResults {
		out.DKIM = append(out.DKIM, parsedResult{Domain: r.Domain, Selector: r.Selector, Result: r.Result})
	}
	for _, r := range row.SPFResults {
		out.SPF = append(out.SPF, parsedResult{Domain: r.Domain, Scope: r.Scope, Result: r.Result})
	}
	for _, r := range row.Reasons {
		out.Reasons = append(out.Reasons, parsedReason(r))
	}
	p.Rows = append(p.Rows, out)
	p.Records++
	p.Messages += row.Count
}

// say takes over what is not in rows.
func (p *parsedReport) say(r report.Parsed) {
	p.Type = string(r.Type)
	switch r.Type {
	case report.Aggregate:
		a := r.Aggregate
		p.Schema, p.OrgName, p.ID, p.Domain, p.Policy = string(a.Schema), a.OrgName, a.ID, a.Policy.Domain, string(a.Policy.Policy)
		p.Begin, p.End = a.Begin.Unix(), a.End.Unix()
	case report.TLS:
		p.Schema, p.OrgName, p.ID = "rfc8460", r.TLS.OrgName, r.TLS.ID
		p.Begin, p.End = unix(r.TLS.Begin), unix(r.TLS.End)
		for _, x := range r.TLS.Policies {
			out := parsedTLS{Type: x.Type, Domain: x.Domain, Successful: x.Successful, Failed: x.Failed}
			for _, f := range x.Failures {
				out.Failures = append(out.Failures, parsedTLSFailure{f.Result, f.SendingIP, f.ReceivingMX, f.ReceivingIP, f.Sessions, f.Reason})
			}
			p.Sessions = append(p.Sessions, out)
			p.Domain = x.Domain
			p.Records++
		}
		good, bad := r.TLS.Sessions()
		p.Messages = good + bad
	case report.Failure:
		f := r.Failure
		p.Schema, p.OrgName, p.Domain, p.Begin, p.End, p.Records, p.Messages = "rfc6591", f.Reporter, f.Domain, unix(f.Arrived), unix(f.Arrived), 1, 1
		p.Failure = &parsedFailure{f.SourceIP, f.Failed, f.Alignment, f.Delivery, f.DKIMDomain, f.DKIMSelector, f.HeaderFrom, f.MessageID}
	}
}

func unix(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// print prints what the reports say for people.
func (p *parsedReports) print(out io.Writer) error {
	for i, d := range p.Documents {
		if i > 0 {
			fmt.Fprintln(out)
		}
		day := func(n int64) string { return time.Unix(n, 0).UTC().Format("2006-01-02 15:04") }
		fmt.Fprintf(out, "%s: %s report (%s) of %s about %s, %s to %s\n", clean(d.File), d.Type, d.Schema, clean(dash(d.OrgName)), clean(dash(d.Domain)), day(d.Begin), day(d.End))
		if err := d.print(out); err != nil {
			return err
		}
	}
	for i, e := range p.Errors {
		if i == 0 && len(p.Documents) > 0 {
			fmt.Fprintln(out)
		}
		fmt.Fprintf(out, "%s: cannot be read: %s\n", clean(e.File), clean(e.Error))
	}
	return nil
}

func (d *parsedReport) print(out io.Writer) error {
	switch {
	case d.Failure != nil:
		f := d.Failure
		facts(out, "  from", f.SourceIP, "  author's domain", f.HeaderFrom, "  failed", strings.Join(f.Failed, ", "), "  aligned", f.Alignment, "  delivered", f.Delivery, "  DKIM domain", f.DKIMDomain,
			"  selector", f.DKIMSelector, "  message", f.MessageID)
		return nil
	case d.Type == string(report.TLS):
		t := table{head: []string{"  POLICY", "DOMAIN", "SESSIONS", "FAILED", "WHY"}}
		for _, x := range d.Sessions {
			m := good
			var why []string
			for _, f := range x.Failures {
				m = bad
				why = append(why, fmt.Sprintf("%s %d×", f.Result, f.Sessions))
			}
			t.add(m, "  "+x.Type, x.Domain, strconv.FormatInt(x.Successful+x.Failed, 10), strconv.FormatInt(x.Failed, 10), dash(strings.Join(why, ", ")))
		}
		return t.print(out, "  It says nothing of any policy.")
	}
	fmt.Fprintf(out, "  %d messages in %d records, policy %s\n", d.Messages, d.Records, clean(dash(d.Policy)))
	t := table{head: []string{"  SOURCE", "MESSAGES", "FROM", "DKIM", "SPF", "DISPOSITION", "SIGNATURES"}}
	for _, r := range d.Rows {
		m := bad
		if r.DKIMAligned || r.SPFAligned {
			m = good
		}
		t.add(m, "  "+dash(r.SourceIP), strconv.FormatInt(r.Count, 10), dash(r.HeaderFrom), passOrFail(r.DKIMAligned), passOrFail(r.SPFAligned), dash(r.Disposition), dash(signaturesOf(r)))
	}
	return t.print(out, "  It has no records.")
}

func passOrFail(pass bool) string {
	if pass {
		return "pass"
	}
	return "fail"
}

// signaturesOf says which selectors a row names, with what became of each.
func signaturesOf(r parsedRow) string {
	var out []string
	for _, s := range r.DKIM {
		name := s.Domain
		if s.Selector != "" {
			name = s.Selector + "._domainkey." + s.Domain
		}
		out = append(out, name+" "+s.Result)
	}
	return strings.Join(out, ", ")
}

// because turns an error into a sentence.
func because(err error) string {
	message, _ := fault.Show(err)
	return message
}
