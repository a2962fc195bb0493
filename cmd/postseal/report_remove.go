package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/api/client"
)

func newReportRemove() *cobra.Command {
	var r remote
	var yes, dry bool
	cmd := &cobra.Command{
		Use:   "remove ID",
		Short: "Remove a report that should not have been handed in, and all that was counted of it",
		Long: `Remove the mail or file that a report came in, with every report in it, their records and their share of all figures. It is for what was handed in by mistake; old reports go by
themselves. What would go is shown first. What arrived elsewhere as a duplicate of one of these reports goes with it. The same file counts when it is handed in again.`,
		Example: `  postseal report remove rep_12 --dry-run
  postseal report remove rep_12 --yes`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := r.open()
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			gone, err := c.RemoveReport(cmd.Context(), args[0], true)
			if err != nil {
				return err
			}
			if !r.asJSON {
				if err := printRemoved(cmd, gone); err != nil {
					return err
				}
			}
			if !dry {
				if !yes {
					if err := ask(cmd.InOrStdin(), cmd.ErrOrStderr(), "Remove "+strings.ToLower(counted(int64(len(gone.Reports)), "report"))+"?"); err != nil {
						return err
					}
				}
				if gone, err = c.RemoveReport(cmd.Context(), args[0], false); err != nil {
					return err
				}
			}
			switch {
			case r.asJSON:
				return r.json(out, gone)
			case dry:
				_, err = fmt.Fprintln(out, "\nNothing was removed: this was a dry run.")
			default:
				_, err = fmt.Fprintf(out, "\nRemoved %s.\n", clean(gone.Input))
			}
			return err
		},
	}
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask before removing")
	cmd.Flags().BoolVar(&dry, "dry-run", false, "show what would go and remove nothing")
	return r.add(cmd, true)
}

// printRemoved lists what goes with an input.
func printRemoved(cmd *cobra.Command, gone client.RemovedReports) error {
	t := table{head: []string{"ID", "STATE", "TYPE", "DOMAIN", "REPORTER", "DAY", "MESSAGES", "BY"}}
	for _, x := range gone.Reports {
		t.add(calm, x.ID, x.State, dash(x.Type), dash(x.Domain), dash(x.Org), day(x.Begin), count(x.Messages), strings.TrimSpace(x.Way+" "+x.Place))
	}
	return t.print(cmd.OutOrStdout(), "Nothing is in it.")
}
