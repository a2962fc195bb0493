package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/audit"
	"github.com/postseal/postseal/internal/fault"
)

// newFinding makes "finding".
func newFinding() *cobra.Command {
	return noun("finding", "What people should know: what audits found and what is muted", newFindingList(), newFindingShow(), newFindingHistory(), newFindingMute(), newFindingUnmute())
}

func newFindingList() *cobra.Command {
	var q client.FindingQuery
	list := query(&cobra.Command{
		Use:   "list [DOMAIN]",
		Short: "List open findings, the worst first",
		Long: `List open findings, the worst first. A finding is open until the look or the audit that found it does not find it any more. Muted ones are listed
with --muted; they count in every score all the same. Details, with who answered what, are in finding show.`,
		Example: `  postseal finding list
  postseal finding list --severity error example.org`,
		Args: cobra.MaximumNArgs(1),
	},
		func(ctx context.Context, c *client.Client, args []string) (client.Findings, error) {
			if len(args) > 0 {
				q.Domain = args[0]
			}
			return allFindings(ctx, c, q)
		},
		func(out io.Writer, all client.Findings) error {
			t := table{head: []string{"SEVERITY", "ID", "SUBJECT", "SINCE", "STATE", "WHAT", "HOW TO MEND IT"}}
			if q.Muted {
				t.head = []string{"SEVERITY", "ID", "SUBJECT", "MUTED UNTIL", "BY", "WHY", "WHAT"}
			}
			for _, f := range all.Findings {
				if m := f.Muted; m != nil {
					t.add(calm, f.Severity, f.ID, f.Subject, stamp(m.Until), m.By, m.Reason, f.Message)
					continue
				}
				t.add(moodOf(f.Severity), f.Severity, f.ID, f.Subject, stamp(f.Since), foundState(f), f.Message, dash(f.Fix))
			}
			return t.print(out, "There are no findings.")
		})
	list.Flags().StringVar(&q.ID, "id", "", "only findings with this id")
	list.Flags().StringVar(&q.Severity, "severity", "", "only error, warning or info")
	list.Flags().BoolVar(&q.Muted, "muted", false, "the muted ones")
	return list
}

// moodOf is how a severity looks.
func moodOf(severity string) mood {
	switch severity {
	case "error":
		return bad
	case "warning":
		return waiting
	}
	return calm
}

func foundState(f client.Finding) string {
	if f.Times <= 1 {
		return "new"
	}
	return "repeated " + strconv.Itoa(f.Times-1) + "×"
}

// allFindings reads every page, the worst first.
func allFindings(ctx context.Context, c *client.Client, q client.FindingQuery) (client.Findings, error) {
	all := client.Findings{Findings: []client.Finding{}}
	for page, err := range c.Findings(ctx, q) {
		if err != nil {
			return all, err
		}
		all.Findings = append(all.Findings, page.Findings...)
	}
	rank := func(f client.Finding) int { return slices.Index([]string{"error", "warning", "info"}, f.Severity) }
	slices.SortStableFunc(all.Findings, func(a, b client.Finding) int { return cmp.Compare(rank(a), rank(b)) })
	return all, nil
}

func newFindingShow() *cobra.Command {
	return query(&cobra.Command{
		Use:     "show DOMAIN ID [SUBJECT]",
		Short:   "Show findings with who answered what, and the records that mend them",
		Example: `  postseal finding show example.org DKIM-D13`,
		Args:    cobra.RangeArgs(2, 3),
	},
		func(ctx context.Context, c *client.Client, args []string) (client.Findings, error) {
			all, err := allFindings(ctx, c, client.FindingQuery{Domain: args[0], ID: args[1]})
			if err != nil {
				return all, err
			}
			muted, err := allFindings(ctx, c, client.FindingQuery{Domain: args[0], ID: args[1], Muted: true})
			all.Findings = append(all.Findings, muted.Findings...)
			if len(args) > 2 {
				all.Findings = slices.DeleteFunc(all.Findings, func(f client.Finding) bool { return f.Subject != args[2] })
			}
			if err == nil && len(all.Findings) == 0 {
				err = fault.New(fault.NotFound, "no such finding is open").WithHint("postseal finding list %s", args[0])
			}
			return all, err
		},
		func(out io.Writer, all client.Findings) error {
			for _, f := range all.Findings {
				fmt.Fprintf(out, "%s %s  %s\n  %s.\n", f.Severity, f.ID, clean(f.Subject), clean(f.Message))
				for _, s := range f.Seen {
					fmt.Fprintf(out, "  %s: %s\n", clean(s.Server), clean(short(s.Answer)))
				}
				if f.Fix != "" {
					fmt.Fprintf(out, "  → %s\n", clean(f.Fix))
				}
				for _, m := range f.Mend {
					fmt.Fprintf(out, "    %s\n", clean(audit.Mend(m).String()))
				}
				fmt.Fprintf(out, "  since %s, %s, last found %s\n", stamp(f.Since), foundState(f), stamp(f.Last))
				if m := f.Muted; m != nil {
					fmt.Fprintf(out, "  muted by %s until %s: %s\n", clean(m.By), stamp(m.Until), clean(m.Reason))
				}
				fmt.Fprintln(out)
			}
			return nil
		})
}

func newFindingHistory() *cobra.Command {
	var q client.EventQuery
	cmd := query(&cobra.Command{
		Use:     "history [DOMAIN]",
		Short:   "What changed about findings, newest first: new, graver, milder, resolved",
		Example: `  postseal finding history example.org`,
		Args:    cobra.MaximumNArgs(1),
	},
		func(ctx context.Context, c *client.Client, args []string) (client.FindingEvents, error) {
			if len(args) > 0 {
				q.Domain = args[0]
			}
			return c.FindingHistory(ctx, q)
		},
		func(out io.Writer, all client.FindingEvents) error {
			t := table{head: []string{"WHEN", "DOMAIN", "CHANGE", "SEVERITY", "ID", "SUBJECT", "WHAT"}}
			for _, e := range all.Events {
				m := moodOf(e.Severity)
				if e.Change == "resolved" {
					m = good
				}
				t.add(m, stamp(e.At), e.Domain, e.Change, e.Severity, e.ID, e.Subject, e.Message)
			}
			if err := t.print(out, "Nothing has changed yet."); err != nil || all.Next == "" {
				return err
			}
			_, err := fmt.Fprintf(out, "\nOlder ones: --before %s\n", all.Next)
			return err
		})
	cmd.Flags().StringVar(&q.ID, "id", "", "only findings with this id")
	cmd.Flags().StringVar(&q.Before, "before", "", "go on from here (printed below a full page)")
	cmd.Flags().IntVar(&q.Limit, "limit", 0, "at most so many (default 100, at most 500)")
	return cmd
}

func newFindingMute() *cobra.Command {
	var r remote
	var m client.Mute
	var u untilReason
	cmd := &cobra.Command{
		Use:   "mute DOMAIN ID [SUBJECT] --until TIME --reason TEXT",
		Short: "Keep a finding out of lists for a time",
		Long: `Keep a finding out of lists for a time, at most 366 days. Without SUBJECT it is every finding of the domain with that id. A muted finding is still looked
for, still has a history, and counts in the score: a score gets better by mending only. Who muted it and why is in the journal.`,
		Example: `  postseal finding mute example.org DKIM-K02 google._domainkey.example.org --until 30d --reason "the new key is ordered"`,
		Args:    cobra.RangeArgs(2, 3),
	}
	u.add(cmd)
	return act(&r, cmd, func(c *client.Client, args []string) (string, error) {
		if err := needReason(u.reason); err != nil {
			return "", err
		}
		until, err := parseUntil(u.until, time.Now())
		if err == nil && until.IsZero() {
			err = fault.New(fault.Invalid, "it must be said until when").WithHint("--until 30d")
		}
		if err != nil {
			return "", err
		}
		m = muteOf(args)
		m.Reason, m.Until = u.reason, until
		return fmt.Sprintf("%s of %s is muted%s.", m.ID, m.Domain, untilText(until)), c.MuteFinding(cmd.Context(), m)
	})
}

func newFindingUnmute() *cobra.Command {
	var r remote
	cmd := &cobra.Command{Use: "unmute DOMAIN ID [SUBJECT]", Short: "Show a muted finding again", Args: cobra.RangeArgs(2, 3)}
	return act(&r, cmd, func(c *client.Client, args []string) (string, error) {
		return args[1] + " of " + args[0] + " is shown again.", c.UnmuteFinding(cmd.Context(), muteOf(args))
	})
}

func muteOf(args []string) client.Mute {
	m := client.Mute{Domain: args[0], ID: args[1]}
	if len(args) > 2 {
		m.Subject = args[2]
	}
	return m
}
