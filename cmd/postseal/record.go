package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/api/client"
)

// newRecordNoun makes "record".
func newRecordNoun() *cobra.Command {
	return noun("record", "DNS records: those that Postseal wants, and checking any", newRecordList(), newRecordAdopt(), newRecordDisown(), newRecordLint())
}

func newRecordList() *cobra.Command {
	var r remote
	var q client.RecordQuery
	var zone bool
	cmd := &cobra.Command{
		Use:   "list [DOMAIN]",
		Short: "List the records that Postseal wants, and those that wait for a person",
		Long: `List the records that Postseal wants and what DNS shows. Those that wait for a person (publisher kind "manual") are printed in the form of a
zone file as well, ready to be published; with --zone nothing else is printed.`,
		Example: `  postseal record list --pending --zone`,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := r.open()
			if err != nil {
				return err
			}
			if len(args) > 0 {
				q.Domain = args[0]
			}
			all := client.Records{Records: []client.Record{}}
			for page, err := range c.Records(cmd.Context(), q) {
				if err != nil {
					return err
				}
				all.Records = append(all.Records, page.Records...)
			}
			switch {
			case r.asJSON:
				return r.json(cmd.OutOrStdout(), all)
			case zone:
				return printZone(cmd.OutOrStdout(), all.Records)
			}
			return printRecords(cmd.OutOrStdout(), all.Records)
		},
	}
	cmd.Flags().BoolVar(&q.Pending, "pending", false, "only those that wait for a person")
	cmd.Flags().BoolVar(&zone, "zone", false, "print them in the form of a zone file and nothing else")
	return r.add(cmd, true)
}

func printRecords(out io.Writer, records []client.Record) error {
	t := table{head: []string{"NAME", "TYPE", "FOR", "DNS", "DETAIL"}}
	var pending []client.Record
	for _, x := range records {
		m := calm
		switch x.DNS {
		case "agrees":
			m = good
		case "differs":
			m = bad
		case "pending", "silent":
			m = waiting
		}
		if x.Pending {
			pending = append(pending, x)
		}
		t.add(m, x.Name, x.Type, x.Purpose, x.DNS, dash(firstOf(x.Condition, x.DNSDetail)))
	}
	if err := t.print(out, "There are no such records."); err != nil || len(pending) == 0 {
		return err
	}
	fmt.Fprintln(out, "\nTo be published by a person; it counts once every name server shows it:")
	return printZone(out, pending)
}

func printZone(out io.Writer, records []client.Record) error {
	for _, x := range records {
		if x.Zone == "" {
			continue
		}
		if _, err := fmt.Fprintln(out, clean(x.Zone)); err != nil {
			return err
		}
	}
	return nil
}
