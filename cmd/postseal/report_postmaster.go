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
	"github.com/postseal/postseal/internal/serviceclient/postmaster"
)

const (
	// summaryDays and summaryDisagreements are how many a summary shows; the newest are enough to see whether all is well.
	summaryDays          = 7
	summaryDisagreements = 5
)

func newReportPostmaster() *cobra.Command {
	var in between
	head := []string{"domain", "day", "dkim", "spf", "dmarc", "spam", "reputation", "errors", "reports_messages", "reports_signed", "reports_dkim", "reports_dmarc", "disagreement", "fetched"}
	cmd := sheet(&cobra.Command{
		Use:   "postmaster DOMAIN",
		Short: "What Google Postmaster Tools say of a domain, day by day, beside the reports of google.com",
		Long: `What Google Postmaster Tools say of a domain, day by day, beside the reports of google.com, and where both disagree. Google counts mail by the domain that it is signed with, without
spoofed and forwarded mail, and figures of a day come two days later; one with little mail has none.`,
		Example: `  postseal report postmaster example.com --since 14d
  postseal report postmaster example.com --csv`,
		Args: cobra.ExactArgs(1),
	},
		func(ctx context.Context, c *client.Client, args []string) (out client.Postmaster, err error) {
			since, until, err := in.times(time.Now())
			if err != nil {
				return out, err
			}
			return c.ReportPostmaster(ctx, args[0], since, until)
		},
		func(out io.Writer, p client.Postmaster) error {
			return printPostmaster(out, p, len(p.Days), len(p.Disagreements))
		},
		head, postmasterRows)
	in.add(cmd, "30d")
	return cmd
}

// postmasterRows are the days as a table for programs: what Google does not tell is empty.
func postmasterRows(p client.Postmaster) (rows [][]string) {
	number := func(v *float64) string {
		if v == nil {
			return ""
		}
		return strconv.FormatFloat(*v, 'f', -1, 64)
	}
	for _, d := range p.Days {
		var said, errors []string
		for _, x := range p.Disagreements {
			if x.Domain == d.Domain && x.Day.Equal(d.Day) {
				said = append(said, x.Message)
			}
		}
		for _, e := range d.Errors {
			errors = append(errors, e.Class+"/"+e.Type+":"+strconv.FormatFloat(e.Share, 'f', -1, 64))
		}
		row := []string{d.Domain, day(d.Day), number(d.DKIM), number(d.SPF), number(d.DMARC), number(d.Spam), d.Reputation, strings.Join(errors, " "), "", "", "", "", strings.Join(said, "; "), utc(d.Fetched)}
		if r := d.Reports; r != nil {
			copy(row[8:], []string{count(r.Messages), count(r.Signed), count(r.DKIM), count(r.DMARC)})
		}
		rows = append(rows, row)
	}
	return rows
}

// printPostmaster prints the newest days and disagreements, so many of each.
func printPostmaster(out io.Writer, p client.Postmaster, days, disagreements int) error {
	switch {
	case !p.On && len(p.Days) == 0:
		_, err := fmt.Fprintln(out, "Google Postmaster Tools are not asked: the control plane has no account (serve --postmaster-credential; docs/reports.md).")
		return err
	case !p.On:
		fmt.Fprintln(out, "Google Postmaster Tools are not asked any more; this was stored before.")
	case p.Account.Asked.IsZero():
		_, err := fmt.Fprintln(out, "Google Postmaster Tools have not been asked yet.")
		return err
	case p.Account.Problem == "" && len(p.Domains) == 0:
		fmt.Fprintf(out, "The account of Google Postmaster Tools has neither %s nor a name below it: add it there.\n", clean(p.Domain))
	}
	for _, a := range append([]client.PostmasterAsked{p.Account}, p.Domains...) {
		if a.Problem != "" {
			fmt.Fprintf(out, "No new figures: %s.\n", clean(strings.TrimSuffix(a.Problem, ".")))
			if a.Hint != "" {
				fmt.Fprintf(out, "  → %s\n", clean(a.Hint))
			}
		}
	}
	t := table{head: []string{"DOMAIN", "DAY", "DKIM", "SPF", "DMARC", "SPAM", "REFUSED", "REPORTED", "DKIM", "DMARC"}, group: true}
	for i, d := range p.Days {
		if newer(p.Days, i) >= days {
			continue
		}
		m := good
		switch {
		case d.Spam != nil && *d.Spam >= postmaster.SpamLimit:
			m = bad
		case d.Spam != nil && *d.Spam >= postmaster.SpamTarget || len(d.Errors) > 0:
			m = waiting
		}
		messages, dkim, dmarc := "-", "-", "-"
		if r := d.Reports; r != nil {
			messages, dkim, dmarc = count(r.Messages), share(r.DKIM, r.Signed), share(r.DMARC, r.Messages)
		}
		t.add(m, d.Domain, day(d.Day), ratio(d.DKIM), ratio(d.SPF), ratio(d.DMARC), ratio(d.Spam), refused(d.Errors), messages, dkim, dmarc)
	}
	if err := t.print(out, "Google has no figures of that time."); err != nil {
		return err
	}
	for i := max(0, len(p.Disagreements)-disagreements); i < len(p.Disagreements); i++ {
		fmt.Fprintf(out, "\n%s.\n", clean(p.Disagreements[i].Message))
	}
	if n := len(p.Disagreements) - disagreements; n > 0 {
		fmt.Fprintf(out, "\nThere are %d earlier disagreements: postseal report postmaster %s\n", n, clean(p.Domain))
	}
	return nil
}

// newer is how many later days of the same domain there are; days are sorted.
func newer(all []client.PostmasterDay, i int) (n int) {
	for _, d := range all[i+1:] {
		if d.Domain == all[i].Domain {
			n++
		}
	}
	return n
}

// ratio is a share that a program told, "-" when it told none.
func ratio(v *float64) string {
	if v == nil {
		return "-"
	}
	return postmaster.Share(v)
}

// refused is the largest of a day's delivery errors.
func refused(all []client.PostmasterError) string {
	if len(all) == 0 {
		return "-"
	}
	text := ratio(&all[0].Share) + " " + strings.ToLower(all[0].Type)
	if n := len(all) - 1; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text
}
