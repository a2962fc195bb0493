package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/report"
)

func newReportShow() *cobra.Command {
	var raw string
	var asCSV bool
	cmd := query(&cobra.Command{
		Use:   "show ID",
		Short: "Show one report: who sent it, and its records with whom each is attributed to",
		Long: `Show one report: who sent it, and its records with whom each is attributed to. Of a TLS report its policies are shown, and of a failure report the message that it is
about; --csv prints these as "report parse" does.`,
		Example: `  postseal report show rep_01jd8x
  postseal report show rep_01jd8x --raw report.eml`,
		Args: cobra.ExactArgs(1),
	},
		func(ctx context.Context, c *client.Client, args []string) (all client.ReportDetail, err error) {
			if raw != "" {
				if err := saveRaw(ctx, c, args[0], raw); err != nil {
					return all, err
				}
				return all, errSaved
			}
			all.Rows = []client.ReportRow{}
			for page, err := range c.Report(ctx, args[0]) {
				if err != nil {
					return all, err
				}
				all.Report, all.Policies, all.Failure, all.Rows = page.Report, page.Policies, page.Failure, append(all.Rows, page.Rows...)
			}
			return all, nil
		},
		func(out io.Writer, all client.ReportDetail) error {
			if asCSV {
				return csvDetail(out, all)
			}
			return printDetail(out, all)
		})
	cmd.Flags().BoolVar(&asCSV, "csv", false, "print comma-separated values, with a line of headings")
	cmd.MarkFlagsMutuallyExclusive("csv", "json")
	cmd.Flags().StringVar(&raw, "raw", "", "write the input as it arrived to this `FILE`, which must not exist, and nothing else")
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := run(cmd, args); !errors.Is(err, errSaved) {
			return err
		}
		return nil
	}
	return cmd
}

// errSaved ends report show when the input is written: nothing is printed then.
var errSaved = errors.New("the input is written")

// detailDocument is the report as report parse has it, without rows.
func detailDocument(all client.ReportDetail) *parsedReport {
	r := all.Report
	d := &parsedReport{File: r.Document, Type: r.Type, Schema: r.Schema, OrgName: r.Org, ID: r.ReportID, Domain: r.Domain, Begin: unix(r.Begin), End: unix(r.End), Records: int64(r.Rows), Messages: r.Messages,
		Sessions: all.Policies, Failure: all.Failure}
	switch r.Type {
	case string(report.TLS):
		d.Schema = schemaTLS
	case string(report.Failure):
		d.Schema = schemaFailure
	}
	return d
}

func printDetail(out io.Writer, all client.ReportDetail) error {
	r := all.Report
	facts(out, "report", r.ID, "type", r.Type, "state", r.State, "problem", r.Problem, "about", r.Domain, "counted for", r.Counted, "reporter", r.Org, "address", r.Email, "its id", r.ReportID,
		"from", utc(r.Begin), "to", utc(r.End), "policy", r.Policy, "errors", strings.Join(r.Errors, "; "), "arrived", utc(r.Arrived)+" by "+r.Way+" "+r.Place, "document", r.Document, "trust", r.Trust, "because", r.Verdict)
	switch {
	case all.Failure != nil:
		fmt.Fprintln(out)
		printFailure(out, all.Failure)
		return nil
	case len(all.Policies) > 0:
		fmt.Fprintln(out)
		return detailDocument(all).policies().print(out, noPolicies)
	case len(all.Rows) == 0:
		return nil
	}
	fmt.Fprintln(out)
	t := table{head: []string{"SOURCE", "MESSAGES", "DKIM", "SPF", "POLICY", "WHO", "HOW", "SIGNATURES"}}
	for _, x := range all.Rows {
		m := good
		if !x.DKIM && !x.SPF {
			m = bad
		}
		t.add(m, dash(x.Source), strconv.FormatInt(x.Messages, 10), passed(x.DKIM), passed(x.SPF), dash(x.Disposition), dash(x.Signer), x.How, dash(results(x.Signatures)))
	}
	return t.print(out, "")
}

func csvDetail(out io.Writer, all client.ReportDetail) error {
	if all.Failure != nil || len(all.Policies) > 0 {
		c := newCSVReports(out, io.Discard)
		if err := c.document(detailDocument(all), nil); err != nil {
			return err
		}
		return c.end(nil)
	}
	head := []string{"source", "messages", "disposition", "dkim", "spf", "signer", "how", "from", "header_from", "envelope_from", "envelope_to", "signatures", "spf_results", "reasons"}
	var rows [][]string
	for _, x := range all.Rows {
		rows = append(rows, []string{x.Source, strconv.FormatInt(x.Messages, 10), x.Disposition, passed(x.DKIM), passed(x.SPF), x.Signer, x.How, x.From, x.HeaderFrom, x.EnvelopeFrom, x.EnvelopeTo,
			results(x.Signatures), results(x.SPFResults), strings.Join(x.Reasons, " ")})
	}
	return writeCSV(out, head, rows)
}

// saveRaw writes an input to a new file. The name is the user's, never one that came with the input.
func saveRaw(ctx context.Context, c *client.Client, id, path string) error {
	in, err := c.RawReport(ctx, id)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fault.New(fault.Invalid, "%s is not written: it is there already", path).WithHint("name a new file")
	}
	if err != nil {
		return fault.Wrap(fault.Invalid, err, "%s cannot be written", path)
	}
	if _, err = f.Write(in.Octets); err != nil {
		f.Close()
		return fault.Wrap(fault.Invalid, err, "%s cannot be written", path)
	}
	return f.Close()
}
