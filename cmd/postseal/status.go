package main

import (
	"context"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/api/client"
)

// statusReport is the JSON document of status.
type statusReport struct {
	Now     time.Time       `json:"now"`
	Freeze  *client.Freeze  `json:"freeze,omitempty"`
	Domains []client.Status `json:"domains"`
	Tickets []client.Ticket `json:"tickets,omitempty"`
}

func newStatus() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "status [DOMAIN]",
		Short: "Every domain and signer at a glance: keys, DNS, proof, and what comes next",
		Long: `Show domain × signer: selector, state of the key, what DNS shows, the last canary, the last signature, the key's age,
and the next step with the planner's reason. Below stand the findings that are open and not muted: of one domain all of them, of all domains
those that the planner sees now, and how many more audits found.

The exit status is 1 if any of them, shown or counted, is an error, or if a ticket has expired.`,
		Example: `  postseal status
  postseal status example.org --json`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := r.open()
			if err != nil {
				return err
			}
			report := statusReport{Domains: []client.Status{}}
			for page, err := range statusPages(cmd.Context(), c, args) {
				if err != nil {
					return err
				}
				report.Now, report.Freeze = page.Now, page.Freeze
				report.Domains = append(report.Domains, page.Domains...)
				report.addTickets(page.Tickets)
			}
			if r.asJSON {
				err = r.json(cmd.OutOrStdout(), report)
			} else {
				err = report.print(cmd.OutOrStdout())
			}
			if err == nil && report.wrong() {
				return errBad
			}
			return err
		},
	}
	return r.add(cmd, true)
}

func statusPages(ctx context.Context, c *client.Client, args []string) iter.Seq2[client.StatusPage, error] {
	if len(args) == 0 {
		return c.AllStatus(ctx)
	}
	return func(yield func(client.StatusPage, error) bool) { yield(c.Status(ctx, args[0])) }
}

// addTickets takes the tickets of a page in; a ticket of many domains comes with several pages.
func (s *statusReport) addTickets(tickets []client.Ticket) {
	for _, t := range tickets {
		if !slices.ContainsFunc(s.Tickets, func(x client.Ticket) bool { return x.Ticket == t.Ticket }) {
			s.Tickets = append(s.Tickets, t)
		}
	}
}

func (s statusReport) wrong() bool {
	return slices.ContainsFunc(s.Tickets, func(t client.Ticket) bool { return t.Severity == "error" }) || slices.ContainsFunc(s.Domains, func(d client.Status) bool {
		return d.Open.Errors > 0 || slices.ContainsFunc(d.Findings, func(f client.Finding) bool { return f.Severity == "error" })
	})
}

func (s statusReport) print(out io.Writer) error {
	if s.Freeze != nil {
		fmt.Fprintf(out, "Everything is frozen%s by %s: %s\n", untilText(s.Freeze.Until), clean(s.Freeze.By), clean(s.Freeze.Reason))
	}
	t := table{head: []string{"DOMAIN", "SIGNER", "SELECTOR", "STATE", "DNS", "CANARY", "SIGNED", "AGE", "NEXT"}, group: true}
	test := false
	for _, d := range s.Domains {
		test = test || d.TestMode
		for _, row := range d.Rows {
			t.add(rowMood(d, row), d.Domain, signerText(row), dash(row.Selector), stateText(row), row.DNS, since(row.LastCanary, s.Now),
				since(row.LastSignature, s.Now), ageText(row), nextText(row, s.Now))
		}
		if len(d.Rows) == 0 {
			t.add(calm, d.Domain, "-", "-", "-", "-", "-", "-", "-", "nobody signs for it")
		}
	}
	if err := t.print(out, "There are no domains. They come from fleet.yaml: postseal apply -f fleet.yaml"); err != nil {
		return err
	}
	for _, d := range s.Domains {
		if d.Hold != nil {
			fmt.Fprintf(out, "%s is held%s by %s: %s\n", d.Domain, untilText(d.Hold.Until), clean(d.Hold.By), clean(d.Hold.Reason))
		}
	}
	for _, d := range s.Domains {
		for _, f := range d.Findings {
			if slices.ContainsFunc(s.Tickets, func(t client.Ticket) bool { return t.Ticket == f.Subject }) {
				continue // the ticket's own line says it
			}
			fmt.Fprintf(out, "%s %s %s: %s\n", f.Severity, f.ID, clean(f.Subject), clean(f.Message))
			if f.Fix != "" {
				fmt.Fprintf(out, "  %s\n", clean(f.Fix))
			}
		}
		if text := moreFindings(d); text != "" {
			fmt.Fprintf(out, "%s: %s in all: postseal finding list %s\n", d.Domain, text, d.Domain)
		}
	}
	printTicketLines(out, s.Tickets, s.Now)
	if test {
		fmt.Fprintln(out, "Test mode: the waits are too short for production.")
	}
	return nil
}

// moreFindings counts a domain's errors and warnings, if not all of them are shown.
func moreFindings(d client.Status) string {
	shown := 0
	for _, f := range d.Findings {
		if f.Severity != "info" {
			shown++
		}
	}
	if d.Open.Errors+d.Open.Warnings <= shown {
		return ""
	}
	var parts []string
	for _, p := range []struct {
		n    int
		what string
	}{{d.Open.Errors, "error"}, {d.Open.Warnings, "warning"}} {
		if p.n > 0 {
			parts = append(parts, countOf(p.n, p.what))
		}
	}
	return strings.Join(parts, " and ") + " open"
}

func rowMood(d client.Status, row client.StatusRow) mood {
	switch {
	case row.Blocked && (row.State == "active" || row.DNS == "differs"):
		return bad
	case row.Blocked || row.DNS == "pending" || d.Hold != nil && row.Next != "":
		return waiting
	case row.State == "active" && row.DNS == "agrees" && !row.Ended:
		return good
	default:
		return calm
	}
}

func signerText(row client.StatusRow) string {
	text := row.Signer
	if text == "" {
		text = "(domain)"
	}
	if row.Stream != "" && row.Stream != "default" {
		text += "/" + row.Stream
	}
	if row.Ended {
		text += " (leaving)"
	}
	return text
}

func stateText(row client.StatusRow) string {
	switch {
	case row.Class == "delegated" || row.Class == "foreign":
		return row.State + ", " + row.Class
	case row.Algorithm != "" && row.Algorithm != "rsa2048":
		return row.State + ", " + row.Algorithm
	case row.Selector == "" && row.RecordName != "":
		return row.State + ", " + row.RecordName
	default:
		return row.State
	}
}

func ageText(row client.StatusRow) string {
	if row.Created.IsZero() {
		return "-"
	}
	return span(time.Duration(row.AgeSeconds) * time.Second)
}

// nextText is the planner's word: what, when, and why.
func nextText(row client.StatusRow, now time.Time) string {
	text := ""
	if row.Next != "" {
		text = row.Next
		if !row.NextAt.IsZero() {
			text += " " + until(row.NextAt, now)
		}
		text += ": "
	}
	text += dash(row.Reason)
	if row.Blocked {
		text = "! " + text
	}
	return text
}

func untilText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return " until " + stamp(t)
}
