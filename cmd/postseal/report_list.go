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
	"time"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
)

// maxListed is how many reports are listed at once.
const maxListed = 10_000

// span is a time that is asked about.
type between struct{ since, until string }

func (s *between) add(cmd *cobra.Command, since string) {
	cmd.Flags().StringVar(&s.since, "since", since, "from this time on: 30d, 2026-11-01")
	cmd.Flags().StringVar(&s.until, "until", "", "before this time")
}

// times reads both; what is no time yet is counted back from now.
func (s *between) times(now time.Time) (since, until time.Time, err error) {
	if since, err = parseAgo(s.since, now); err != nil {
		return
	}
	if until, err = parseAgo(s.until, now); err != nil {
		return
	}
	if !until.IsZero() && !until.After(since) {
		err = fault.New(fault.Invalid, "--until is not after --since")
	}
	return
}

// parseAgo reads a day, a time, or how long ago it was; "" is the zero time.
func parseAgo(text string, now time.Time) (time.Time, error) {
	if d, err := inventory.ParseDuration(text); err == nil && d > 0 {
		return now.Add(-d).Truncate(time.Second), nil
	}
	t, err := parseUntil(text, now)
	if err != nil {
		err = fault.New(fault.Invalid, "%q is not a time", clean(text)).WithHint("2026-11-01, 2026-11-01T06:00, or so long ago: 12h, 30d")
	}
	return t, err
}

// allReports is what report list prints.
type allReports struct {
	Reports []client.Report `json:"reports"`
	More    bool            `json:"more,omitempty"`
}

func newReportList() *cobra.Command {
	var q client.ReportQuery
	var in between
	limit := 0
	head := []string{"id", "arrived", "type", "domain", "org", "report_id", "begin", "end", "records", "messages", "state", "trust", "way", "place", "problem"}
	cmd := sheet(&cobra.Command{
		Use:   "list [DOMAIN]",
		Short: "List the reports that were received, the newest first",
		Long: `List the reports that were received, the newest first: also those that were there already, that are about other people's domains, and that cannot be read. Each of
these is kept, and none is counted.`,
		Example: `  postseal report list example.com --since 7d
  postseal report list --state unreadable`,
		Args: cobra.MaximumNArgs(1),
	},
		func(ctx context.Context, c *client.Client, args []string) (all allReports, err error) {
			if len(args) > 0 {
				q.Domain = args[0]
			}
			if q.Since, q.Until, err = in.times(time.Now()); err != nil {
				return all, err
			}
			if limit < 1 || limit > maxListed {
				return all, fault.New(fault.Invalid, "--limit is between 1 and %d", maxListed)
			}
			all.Reports = []client.Report{}
			for page, err := range c.Reports(ctx, q) {
				if err != nil {
					return all, err
				}
				if all.Reports = append(all.Reports, page.Reports...); len(all.Reports) >= limit {
					all.More = len(all.Reports) > limit || page.Next != ""
					all.Reports = all.Reports[:limit]
					break
				}
			}
			return all, nil
		},
		func(out io.Writer, all allReports) error {
			t := table{head: []string{"ID", "DAY", "TYPE", "DOMAIN", "REPORTER", "RECORDS", "MESSAGES", "STATE", "TRUST", "PROBLEM"}}
			for _, r := range all.Reports {
				t.add(reportMood(r), r.ID, day(r.Begin), dash(r.Type), dash(r.Domain), dash(r.Org), strconv.Itoa(r.Rows), strconv.FormatInt(r.Messages, 10), r.State, r.Trust, dash(r.Problem))
			}
			if err := t.print(out, "There are no such reports."); err != nil || !all.More {
				return err
			}
			_, err := fmt.Fprintf(out, "\nThere are more: --limit %d, --since, --until\n", min(maxListed, 10*limit))
			return err
		},
		head, func(all allReports) (rows [][]string) {
			for _, r := range all.Reports {
				rows = append(rows, []string{r.ID, utc(r.Arrived), r.Type, r.Domain, r.Org, r.ReportID, utc(r.Begin), utc(r.End), strconv.Itoa(r.Rows), strconv.FormatInt(r.Messages, 10),
					r.State, r.Trust, r.Way, r.Place, r.Problem})
			}
			return rows
		})
	f := cmd.Flags()
	f.StringVar(&q.Org, "org", "", "only of this reporter")
	f.StringVar(&q.Type, "type", "", "only aggregate, failure or tls")
	f.StringVar(&q.State, "state", "", "only stored, duplicate, foreign or unreadable")
	f.IntVar(&limit, "limit", 100, "at most so many")
	in.add(cmd, "")
	return cmd
}

func reportMood(r client.Report) mood {
	switch {
	case r.State == "unreadable":
		return bad
	case r.State == "stored" && r.Trust == "unverified":
		return waiting
	}
	return calm
}

// day is the day of a time, as reports count days.
func day(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.DateOnly)
}

// utc is a time for programs, "" for none.
func utc(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func newReportShow() *cobra.Command {
	var raw string
	head := []string{"source", "messages", "disposition", "dkim", "spf", "signer", "how", "from", "header_from", "envelope_from", "envelope_to", "signatures", "spf_results", "reasons"}
	cmd := sheet(&cobra.Command{
		Use:   "show ID",
		Short: "Show one report: who sent it, and its records with whom each is attributed to",
		Example: `  postseal report show rep_01jd8x
  postseal report show rep_01jd8x --raw report.eml`,
		Args: cobra.ExactArgs(1),
	},
		func(ctx context.Context, c *client.Client, args []string) (all client.ReportDetail, err error) {
			if raw != "" {
				return all, saveRaw(ctx, c, args[0], raw)
			}
			all.Rows = []client.ReportRow{}
			for page, err := range c.Report(ctx, args[0]) {
				if err != nil {
					return all, err
				}
				all.Report, all.Facts, all.Rows = page.Report, page.Facts, append(all.Rows, page.Rows...)
			}
			return all, nil
		},
		func(out io.Writer, all client.ReportDetail) error {
			if raw != "" {
				return nil
			}
			r := all.Report
			facts(out, "report", r.ID, "type", r.Type, "state", r.State, "problem", r.Problem, "about", r.Domain, "counted for", r.Counted, "reporter", r.Org, "address", r.Email, "its id", r.ReportID,
				"from", utc(r.Begin), "to", utc(r.End), "policy", r.Policy, "arrived", utc(r.Arrived)+" by "+r.Way+" "+r.Place, "document", r.Document, "trust", r.Trust, "because", r.Verdict)
			if len(all.Rows) == 0 {
				if all.Facts != nil {
					fmt.Fprintln(out)
					return (&remote{}).json(out, all.Facts)
				}
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
		},
		head, func(all client.ReportDetail) (rows [][]string) {
			for _, x := range all.Rows {
				rows = append(rows, []string{x.Source, strconv.FormatInt(x.Messages, 10), x.Disposition, passed(x.DKIM), passed(x.SPF), x.Signer, x.How, x.From, x.HeaderFrom, x.EnvelopeFrom, x.EnvelopeTo,
					results(x.Signatures), results(x.SPFResults), strings.Join(x.Reasons, " ")})
			}
			return rows
		})
	cmd.Flags().StringVar(&raw, "raw", "", "write the input as it arrived to this `FILE`, which must not exist, and nothing else")
	return cmd
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

func passed(ok bool) string {
	if ok {
		return "pass"
	}
	return "fail"
}

// results are "selector@domain=pass" of signatures, "domain=pass" of SPF.
func results(list []client.ReportResult) string {
	var out []string
	for _, x := range list {
		name := x.Domain
		if x.Selector != "" {
			name = x.Selector + "@" + x.Domain
		}
		out = append(out, name+"="+x.Result)
	}
	return strings.Join(out, " ")
}
