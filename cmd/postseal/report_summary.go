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
	"github.com/postseal/postseal/internal/report"
)

func newReportSources() *cobra.Command {
	var q client.SourcesQuery
	var in between
	head := []string{"address", "name", "signer", "kind", "how", "address_of", "messages", "dkim", "spf", "dmarc", "reporters", "first", "last", "new", "signatures", "unvouched"}
	cmd := sheet(&cobra.Command{
		Use:   "sources DOMAIN",
		Short: "Where mail in the name of a domain came from: own servers, services, and others",
		Long: `Where mail in the name of a domain came from: own servers, services, and others, the largest first. The figures are of reports that are vouched for. Messages of the
others stand in a column of their own (unvouched) and change no figure; an address of which only such reports tell is listed at the end.`,
		Example: `  postseal report sources example.com --since 30d
  postseal report sources example.com --names --csv`,
		Args: cobra.ExactArgs(1),
	},
		func(ctx context.Context, c *client.Client, args []string) (out client.ReportSources, err error) {
			if q.Since, q.Until, err = in.times(time.Now()); err != nil {
				return out, err
			}
			return c.ReportSources(ctx, args[0], q)
		},
		func(out io.Writer, all client.ReportSources) error {
			t := table{head: []string{"ADDRESS", "WHO", "HOW", "MESSAGES", "DMARC", "DKIM", "SPF", "UNVOUCHED", "REPORTERS", "FIRST", "LAST", "SIGNATURES"}}
			for _, s := range all.Sources {
				m := good
				switch {
				case onlyUnvouched(s):
					m = calm
				case s.DMARC == 0:
					m = bad
				case s.DMARC < s.Messages:
					m = waiting
				}
				who := firstOf(s.Signer, s.Name, "-")
				if s.Signer != "" && s.From == "" && s.SignerKind != "service" {
					who += ", passed on" // our signature, and not our address
				}
				if onlyUnvouched(s) {
					who += " (only unvouched)"
				}
				if s.New {
					who += " (new)"
				}
				t.add(m, s.Address, who, s.How, count(s.Messages), share(s.DMARC, s.Messages), share(s.DKIM, s.Messages), share(s.SPF, s.Messages), dash(unvouchedOf(s)), strconv.Itoa(s.Reporters), day(s.First), day(s.Last),
					dash(strings.Join(s.Signatures, " ")))
			}
			if err := t.print(out, "No report says anything of that time."); err != nil || !all.More {
				return err
			}
			_, err := fmt.Fprintln(out, "\nThere are more, smaller ones: --limit")
			return err
		},
		head, func(all client.ReportSources) (rows [][]string) {
			for _, s := range all.Sources {
				rows = append(rows, []string{s.Address, s.Name, s.Signer, s.SignerKind, s.How, s.From, count(s.Messages), count(s.DKIM), count(s.SPF), count(s.DMARC), strconv.Itoa(s.Reporters), dayCell(s.First), dayCell(s.Last),
					strconv.FormatBool(s.New), strings.Join(s.Signatures, " "), count(s.Unvouched)})
			}
			return rows
		})
	in.add(cmd, "30d")
	cmd.Flags().BoolVar(&q.Names, "names", false, "ask DNS what the addresses of unknown ones are called")
	cmd.Flags().IntVar(&q.Limit, "limit", 100, "at most so many, the largest first")
	return cmd
}

// onlyUnvouched says of a source that nothing vouched for tells of it.
func onlyUnvouched(s client.ReportSource) bool { return s.Messages == 0 && s.Unvouched > 0 }

// unvouchedOf is what reports say of a source that nobody vouches for, "" for nothing.
func unvouchedOf(s client.ReportSource) string {
	if s.Unvouched == 0 {
		return ""
	}
	return count(s.Unvouched)
}

func newReportSummary() *cobra.Command {
	var in between
	head := []string{"signer", "kind", "how", "selector", "signing_domain", "messages", "dkim_passed", "reporters", "first", "last"}
	cmd := sheet(&cobra.Command{
		Use:   "summary DOMAIN",
		Short: "How a domain's mail fared: which server, key and selector fails, why, and what to do",
		Long: `How a domain's mail fared at those that report: by signer and selector, with what is found in it, whether large receivers' rules for bulk senders are met, and whether the
policy can be raised. Reports that nobody vouches for are counted apart.`,
		Example: `  postseal report summary example.com --since 30d`,
		Args:    cobra.ExactArgs(1),
	},
		func(ctx context.Context, c *client.Client, args []string) (out client.ReportSummary, err error) {
			since, until, err := in.times(time.Now())
			if err != nil {
				return out, err
			}
			return c.ReportSummary(ctx, args[0], since, until)
		},
		printSummary,
		head, func(all client.ReportSummary) (rows [][]string) {
			for _, s := range all.Signers {
				for _, x := range s.Selectors {
					rows = append(rows, []string{s.Signer, s.SignerKind, s.How, x.Selector, x.Domain, count(x.Messages), count(x.Passed), strconv.Itoa(x.Reporters), dayCell(x.First), dayCell(x.Last)})
				}
			}
			return rows
		})
	in.add(cmd, "30d")
	return cmd
}

func printSummary(out io.Writer, s client.ReportSummary) error {
	unvouched := ""
	if s.UnvouchedReports > 0 || s.Unvouched > 0 {
		unvouched = fmt.Sprintf("%s of %s that nobody vouches for; in no other figure but those of notes that say so", counted(s.Unvouched, "message"), counted(int64(s.UnvouchedReports), "report"))
	}
	facts(out, "domain", s.Domain, "time", day(s.Since)+" to "+day(s.Until), "reports", fmt.Sprintf("%d of %s", s.Reports, reporters(s.Reporters)),
		"messages", count(s.Messages), "pass DMARC", share(s.DMARC, s.Messages), "pass DKIM", share(s.DKIM, s.Messages), "pass SPF", share(s.SPF, s.Messages), "apart", unvouched)
	if s.Reports == 0 {
		fmt.Fprintln(out, "\nNo report that is vouched for says anything of that time.")
		printSummaryFindings(out, s.Findings)
		return printSecondWitness(out, s.Postmaster)
	}
	fmt.Fprintln(out)
	t := table{head: []string{"SIGNER", "HOW", "SELECTOR", "MESSAGES", "DKIM", "REPORTERS", "FIRST", "LAST"}, group: true}
	for _, x := range s.Signers {
		who := firstOf(x.Signer, "unknown")
		if len(x.Selectors) == 0 {
			t.add(calm, who, x.How, "-", count(x.Messages), share(x.DKIM, x.Messages), "-", "-", "-")
		}
		for _, sel := range x.Selectors {
			m := good
			switch {
			case sel.Passed == 0:
				m = bad
			case sel.Passed < sel.Messages:
				m = waiting
			}
			name := "not signed"
			if sel.Domain != "" {
				name = sel.Selector + "@" + sel.Domain
			}
			t.add(m, who, x.How, name, count(sel.Messages), share(sel.Passed, sel.Messages), strconv.Itoa(sel.Reporters), day(sel.First), day(sel.Last))
		}
	}
	if err := t.print(out, "No message."); err != nil {
		return err
	}
	printSummaryFindings(out, s.Findings)
	if err := printSecondWitness(out, s.Postmaster); err != nil {
		return err
	}
	if len(s.Compliance) > 0 {
		fmt.Fprintln(out)
		rules := table{head: []string{"RULES OF", "FOR BULK SENDERS", "KEPT", "WHY"}, group: true}
		for _, c := range s.Compliance {
			rules.add(map[string]mood{"kept": good, "broken": bad}[c.Met], c.Receiver, c.Rule, c.Met, c.Why)
		}
		if err := rules.print(out, ""); err != nil {
			return err
		}
	}
	fmt.Fprintln(out)
	return printDMARCStep(out, s.NextPolicy)
}

func printSummaryFindings(out io.Writer, all []client.Finding) {
	for _, f := range all {
		fmt.Fprintf(out, "\n%s %s  %s\n  %s.\n", f.Severity, f.ID, clean(f.Subject), clean(f.Message))
		if f.Fix != "" {
			fmt.Fprintf(out, "  → %s\n", clean(f.Fix))
		}
	}
}

// printSecondWitness prints what Google Postmaster Tools say, where they are asked.
func printSecondWitness(out io.Writer, p *client.Postmaster) error {
	if p == nil {
		return nil
	}
	fmt.Fprintln(out, "\nGoogle Postmaster Tools")
	return printPostmaster(out, *p, summaryDays, summaryDisagreements)
}

func reporters(names []string) string {
	if len(names) > 3 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:3], ", "), len(names)-3)
	}
	return strings.Join(names, ", ")
}

func count(n int64) string { return strconv.FormatInt(n, 10) }

// share is how many of a number, "-" of none.
func share(part, whole int64) string {
	if whole == 0 {
		return "-"
	}
	return report.Share(part, whole)
}
