package main

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/api/client"
)

func newJournal() *cobra.Command {
	var q client.JournalQuery
	list := query(&cobra.Command{Use: "list [DOMAIN]", Short: "What was done and why, newest first", Args: cobra.MaximumNArgs(1)},
		func(ctx context.Context, c *client.Client, args []string) (client.Entries, error) {
			if len(args) > 0 {
				q.Domain = args[0]
			}
			return c.Journal(ctx, q)
		},
		func(out io.Writer, all client.Entries) error {
			t := table{head: []string{"NO", "WHEN", "WHO", "DOMAIN", "STEP", "WHAT", "WHY"}}
			for _, e := range all.Entries {
				m, what := calm, e.Kind
				if e.Kind == "outcome" {
					m, what = good, "done"
					if !e.OK {
						m, what = bad, "failed"
					}
				}
				t.add(m, strconv.FormatInt(e.Seq, 10), stamp(e.At), e.Actor, dash(e.Domain), e.Step, what, e.Why)
			}
			return t.print(out, "The journal has no such entries.")
		})
	list.Flags().StringVar(&q.Actor, "actor", "", "only what this person, agent or part did")
	list.Flags().StringVar(&q.Key, "key", "", "only what concerns the key with this id")
	list.Flags().Int64Var(&q.Before, "before", 0, "only entries with smaller numbers")
	list.Flags().IntVar(&q.Limit, "limit", 0, "at most so many (default 100, at most 500)")
	return noun("journal", "The memory of what was done and why", list, newJournalCheck())
}

func newJournalCheck() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Recompute the journal's chain",
		Long: `Recompute the hash of every entry. A changed or missing entry is named, and the exit status is 1. Keep the last hash elsewhere: a journal that
was written anew from the start can only be noticed by it.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := r.open()
			if err != nil {
				return err
			}
			check, err := c.CheckJournal(cmd.Context())
			if err != nil {
				return err
			}
			switch {
			case r.asJSON:
				err = r.json(cmd.OutOrStdout(), check)
			case check.OK:
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d entries, unbroken; the last is %d with %s\n", check.Checked, check.Last, check.Hash)
			default:
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "BROKEN after entry %d: %s\n", check.Last, clean(check.Problem))
			}
			if err == nil && !check.OK {
				return errBad
			}
			return err
		},
	}
	return r.add(cmd, true)
}
