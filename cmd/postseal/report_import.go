package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/report"
)

// maxImport is how many files one import takes: a year's reports of a large organisation.
const maxImport = 1_000_000

// importReport is the JSON document of report import.
type importReport struct {
	Files     int              `json:"files"`
	Stored    int              `json:"stored"`
	Duplicate int              `json:"duplicate"`
	Foreign   int              `json:"foreign"`
	Unread    int              `json:"unreadable"`
	Messages  int64            `json:"messages"` // of stored reports
	Problems  []importProblem  `json:"problems"`
	Receipts  []importedReport `json:"reports"`
}

type importProblem struct {
	File    string `json:"file"`
	Problem string `json:"problem"`
}

type importedReport struct {
	File string `json:"file"`
	client.ReceivedReport
}

func newReportImport() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "import FILE|DIRECTORY …",
		Short: "Hand reports in: files, compressed files, mails, or directories of them",
		Long: `Hand reports in. Each file is sent to the control plane as it is: an aggregate, failure or TLS report, compressed or not, or a mail that carries some. Directories
are gone through with everything below them; symbolic links are not followed. A report that is there already is counted once, so that an import which was
interrupted can simply be run again. Nothing is deleted. What cannot be read is kept by the control plane and listed: report list --state unreadable.

The exit status is 1 when a file could not be handed in or nothing could be read in it.`,
		Example: `  postseal report import google.com!example.com!1763856000!1763942399.zip
  postseal report import ~/Maildir/.dmarc/cur`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := r.open()
			if err != nil {
				return err
			}
			files, err := filesBelow(args)
			if err != nil {
				return err
			}
			out, err := importAll(cmd.Context(), c, files, cmd.ErrOrStderr())
			if r.asJSON {
				if e := r.json(cmd.OutOrStdout(), out); err == nil {
					err = e
				}
			} else if err == nil || len(out.Receipts)+len(out.Problems) > 0 {
				printImport(cmd.OutOrStdout(), out)
			}
			if err == nil && len(out.Problems) > 0 {
				err = errBad
			}
			return err
		},
	}
	return r.add(cmd, true)
}

// filesBelow lists regular files: those that are named, and those in directories that are.
func filesBelow(paths []string) ([]string, error) {
	var files []string
	for _, path := range paths {
		err := filepath.WalkDir(path, func(at string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case len(files) >= maxImport:
				return fault.New(fault.Invalid, "there are more than %d files", maxImport).WithHint("import them directory by directory")
			case d.Type().IsRegular(), at == path && !d.IsDir():
				files = append(files, at)
			}
			return nil
		})
		if known, ok := errors.AsType[*fault.Error](err); ok {
			return nil, known
		}
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "%s cannot be read", path)
		}
	}
	return files, nil
}

// importAll hands files in one after another. An error of the control plane ends it: it would be the same for the next file.
func importAll(ctx context.Context, c *client.Client, files []string, status io.Writer) (out importReport, err error) {
	out.Problems, out.Receipts = []importProblem{}, []importedReport{}
	step, done := progressBar(status, "importing", len(files))
	defer done()
	for _, path := range files {
		out.Files++
		octets, err := readRegular(path)
		if err == nil && len(octets) == 0 {
			err = fault.New(fault.Invalid, "it is empty")
		}
		if err != nil {
			message, _ := fault.Show(err)
			out.Problems = append(out.Problems, importProblem{path, message})
			step()
			continue
		}
		receipt, err := c.ImportReports(ctx, filepath.Base(path), octets)
		if fault.CodeOf(err) == fault.Invalid {
			message, _ := fault.Show(err)
			out.Problems = append(out.Problems, importProblem{path, message})
			step()
			continue
		}
		if fault.CodeOf(err) == fault.Unavailable {
			return out, fault.Wrap(fault.Unavailable, err, "after %d of %d files: %v", out.Files-1, len(files), err).WithHint("run the same command again: what is there already is not counted twice")
		}
		if err != nil {
			return out, err
		}
		out.add(path, receipt)
		step()
	}
	return out, nil
}

func (out *importReport) add(path string, receipt client.ReportReceipt) {
	for _, r := range receipt.Reports {
		if receipt.Again && r.State == string(report.Stored) {
			r.State = string(report.Duplicate)
		}
		switch report.State(r.State) {
		case report.Stored:
			out.Stored++
			out.Messages += r.Messages
		case report.Duplicate:
			out.Duplicate++
		case report.Foreign:
			out.Foreign++
		default:
			out.Unread++
			out.Problems = append(out.Problems, importProblem{path, r.Problem})
		}
		out.Receipts = append(out.Receipts, importedReport{path, r})
	}
}

// readRegular reads a file as it is. What is no regular file is not opened: reading a pipe would not end.
func readRegular(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err == nil && !info.Mode().IsRegular() {
		return nil, fault.New(fault.Invalid, "it is no regular file")
	}
	return readAtMost(path, nil, report.MaxInput)
}

func printImport(out io.Writer, x importReport) {
	facts(out, "files", fmt.Sprint(x.Files), "new reports", fmt.Sprintf("%d, with %d messages", x.Stored, x.Messages), "there already", fmt.Sprint(x.Duplicate),
		"not ours", fmt.Sprint(x.Foreign), "unreadable", fmt.Sprint(x.Unread))
	if len(x.Problems) == 0 {
		return
	}
	fmt.Fprintln(out)
	t := table{head: []string{"FILE", "PROBLEM"}}
	for _, p := range x.Problems {
		t.add(bad, p.File, p.Problem)
	}
	_ = t.print(out, "")
}
