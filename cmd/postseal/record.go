package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/api/client"
)

// newRecordNoun makes "record".
func newRecordNoun() *cobra.Command {
	return noun("record", "DNS records: those that Postseal wants, and checking any", newRecordList(), newRecordShow(), newRecordAdopt(), newRecordDisown(), newRecordLint())
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

func newRecordShow() *cobra.Command {
	var r remote
	var rrtype string
	cmd := &cobra.Command{
		Use:     "show NAME",
		Short:   "Show one record: what is wanted, what was written, and what every name server shows",
		Example: `  postseal record show _dmarc.example.com`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := r.open()
			if err != nil {
				return err
			}
			x, err := oneRecord(cmd, c, args[0], rrtype)
			if err != nil {
				return err
			}
			if r.asJSON {
				return r.json(cmd.OutOrStdout(), x)
			}
			return printRecord(cmd.OutOrStdout(), x)
		},
	}
	cmd.Flags().StringVar(&rrtype, "type", "", "TXT or CNAME, where Postseal wants both")
	return r.add(cmd, true)
}

func printRecord(out io.Writer, x client.Record) error {
	fmt.Fprintf(out, "%s %s of %s (%s), TTL %d s\n", clean(x.Name), x.Type, clean(x.Domain), x.Purpose, x.TTL)
	fmt.Fprintf(out, "  wanted:  %s\n  written: %s%s\n", clean(orNothing(x.Want)), clean(orNothing(x.Written)), whenAfter(", ", x.WrittenAt))
	if x.Adopted != "" {
		fmt.Fprintf(out, "  adopted by %s\n", clean(x.Adopted))
	}
	fmt.Fprintf(out, "  DNS:     %s%s\n", x.DNS, whenAfter(", looked at ", x.SeenAt))
	if what := firstOf(x.Condition, x.DNSDetail); what != "" {
		fmt.Fprintf(out, "           %s\n", clean(what))
	}
	for _, s := range x.Servers {
		fmt.Fprintf(out, "    %s: %s\n", clean(s.Server), clean(orNothing(s.Answer)))
	}
	for _, k := range x.Keys {
		fmt.Fprintf(out, "  key seen behind it: %s %d, %s to %s\n", k.Type, k.Bits, k.First.Format(time.DateOnly), k.Last.Format(time.DateOnly))
	}
	if x.Zone != "" {
		fmt.Fprintf(out, "  zone file:\n    %s\n", clean(x.Zone))
	}
	return nil
}

// whenAfter is a time after a few words; nothing for a time that never was.
func whenAfter(words string, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return words + t.UTC().Format(time.RFC3339)
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
