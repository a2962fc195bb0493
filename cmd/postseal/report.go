package main

import (
	"io"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/report"
)

// newReport makes "report".
func newReport() *cobra.Command {
	return noun("report", "Reports of receivers: DMARC aggregate and failure reports, SMTP TLS reports", newReportImport(), newReportList(), newReportShow(), newReportRemove(), newReportSources(), newReportSummary(), newReportPostmaster(), newReportIntake(), newReportParse())
}

func newReportParse() *cobra.Command {
	var asJSON, asCSV bool
	cmd := &cobra.Command{
		Use:   "parse FILE …",
		Short: "Read reports and print what they say",
		Long: `Read reports and print what they say: DMARC aggregate reports (RFC 7489, RFC 9990), failure reports, SMTP TLS reports; as they are, as gzip or zip, or in a mail.
What a file is, its content says. Of a folder every file is read, and of a Maildir every mail; - is standard input. Nothing is stored, and nothing that a report names
is fetched.

The exit status is 1 when something could not be read.`,
		Example: `  postseal report parse --json report.xml.gz
  postseal report parse --csv Maildir > rows.csv`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var out reportPrinter
			switch {
			case asJSON:
				out = newJSONReports(cmd.OutOrStdout())
			case asCSV:
				out = newCSVReports(cmd.OutOrStdout(), cmd.ErrOrStderr())
			default:
				out = &shownReports{out: cmd.OutOrStdout()}
			}
			return parseReports(args, cmd.InOrStdin(), out)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	cmd.Flags().BoolVar(&asCSV, "csv", false, "print a line per row, for spreadsheets; what could not be read goes to standard error")
	cmd.MarkFlagsMutuallyExclusive("json", "csv")
	return cmd
}

// reportPrinter prints what was read, document by document: nothing is gathered that grows with what there is.
type reportPrinter interface {
	// document prints a document. rows hands its rows to each, one by one.
	document(p *parsedReport, rows func(each func(*parsedRow) error) error) error
	// end prints what could not be read.
	end(problems []unreadableOne) error
}

// parseReports reads all arguments.
func parseReports(args []string, in io.Reader, out reportPrinter) error {
	problems := []unreadableOne{}
	for _, arg := range args {
		for file, err := range reportFiles(arg) {
			var data []byte
			if err == nil {
				data, err = readReport(file, in)
			}
			if err != nil {
				problems = append(problems, unreadableOne{file, because(err)})
				continue
			}
			documents, unread := report.Open(file, data)
			for _, u := range unread {
				problems = append(problems, unreadableOne{u.Name, because(u.Err)})
			}
			for _, d := range documents {
				p, rows, err := readDocument(d)
				if err != nil {
					problems = append(problems, unreadableOne{d.Name, because(err)})
				} else if err := out.document(p, rows); err != nil {
					return err
				}
			}
		}
	}
	if err := out.end(problems); err != nil {
		return err
	}
	if len(problems) > 0 {
		return errBad
	}
	return nil
}
