package main

import (
	"context"
	"fmt"
	"io"
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

// dayCell is a day for programs, "" for none.
func dayCell(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return day(t)
}

// utc is a time for programs, "" for none.
func utc(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
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
