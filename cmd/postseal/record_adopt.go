package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fault"
)

// adoption is the JSON document of record adopt.
type adoption struct {
	Name    string                `json:"name"`
	Type    string                `json:"type"`
	Stands  string                `json:"stands"` // what is given away; empty = nothing stands there
	Wanted  string                `json:"wanted"`
	Servers []client.RecordServer `json:"servers,omitempty"`
	Adopted bool                  `json:"adopted"` // false without --yes: nothing was done
}

func newRecordAdopt() *cobra.Command {
	var r remote
	var take client.TakeRecord
	var yes bool
	cmd := &cobra.Command{
		Use:   "adopt NAME --reason TEXT",
		Short: "Let Postseal change what stands at a name: a record that others made or changed",
		Long: `Let Postseal change what stands at a name that it wants a record at: one that others made before, or one of its own that others changed or
removed. What stands is shown, server by server, and only that is given away: if it changes in the meantime, nothing happens. The old value is
in the journal. Afterwards Postseal writes what it wants there at its next step.

Without --yes nothing is given away; what would be is printed, with --json as a document that says "adopted": false.`,
		Example: `  postseal record adopt _dmarc.example.org --reason "fleet.yaml has the policy from now on" --yes`,
		Args:    cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&take.Type, "type", "", "TXT or CNAME, where Postseal wants both")
	cmd.Flags().StringVar(&take.Reason, "reason", "", "why, for others and the journal (required)")
	cmd.Flags().BoolVar(&yes, "yes", false, "give it away")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if err := needReason(take.Reason); err != nil {
			return err
		}
		c, err := r.open()
		if err != nil {
			return err
		}
		record, err := oneRecord(cmd, c, args[0], take.Type)
		if err != nil {
			return err
		}
		if record.Stands == nil {
			return fault.New(fault.Conflict, "at %s the servers differ, or several records stand; nothing single can be taken over", record.Name).
				WithHint("%s", serversLine(record))
		}
		take.Name, take.Type, take.Seen = record.Name, record.Type, *record.Stands
		out := cmd.OutOrStdout()
		if !r.asJSON {
			fmt.Fprintf(out, "%s %s\n  stands:  %s\n  wanted:  %s\n", clean(record.Name), record.Type, clean(orNothing(take.Seen)), clean(orNothing(record.Want)))
			for _, s := range record.Servers {
				fmt.Fprintf(out, "  %s: %s\n", clean(s.Server), clean(orNothing(s.Answer)))
			}
		}
		if !yes && !r.asJSON {
			fmt.Fprintln(cmd.ErrOrStderr(), "Nothing was done; --yes lets Postseal change what stands there.")
			return nil
		}
		if yes {
			if err := c.AdoptRecord(cmd.Context(), take); err != nil {
				return err
			}
		}
		if r.asJSON {
			return r.json(out, adoption{Name: record.Name, Type: record.Type, Stands: take.Seen, Wanted: record.Want, Servers: record.Servers, Adopted: yes})
		}
		_, err = fmt.Fprintln(out, "Postseal may change it now, and does at its next step.")
		return err
	}
	return r.add(cmd, true)
}

func newRecordDisown() *cobra.Command {
	var r remote
	var take client.TakeRecord
	cmd := &cobra.Command{
		Use:   "disown NAME --reason TEXT",
		Short: "Give a record back: it stays in DNS, and Postseal changes it no more",
		Args:  cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&take.Type, "type", "", "TXT or CNAME, where Postseal wants both")
	cmd.Flags().StringVar(&take.Reason, "reason", "", "why, for others and the journal (required)")
	return act(&r, cmd, func(c *client.Client, args []string) (string, error) {
		if err := needReason(take.Reason); err != nil {
			return "", err
		}
		take.Name = args[0]
		return args[0] + " is not Postseal's any more.", c.DisownRecord(cmd.Context(), take)
	})
}

// oneRecord finds the record of a name.
func oneRecord(cmd *cobra.Command, c *client.Client, name, rrtype string) (client.Record, error) {
	var found []client.Record
	for page, err := range c.Records(cmd.Context(), client.RecordQuery{Name: strings.ToLower(strings.TrimSuffix(name, "."))}) {
		if err != nil {
			return client.Record{}, err
		}
		for _, r := range page.Records {
			if rrtype == "" || r.Type == rrtype {
				found = append(found, r)
			}
		}
	}
	switch len(found) {
	case 0:
		return client.Record{}, fault.New(fault.NotFound, "Postseal wants no record at %s", name).WithHint("postseal record list shows those that it wants")
	case 1:
		return found[0], nil
	}
	return client.Record{}, fault.New(fault.Conflict, "Postseal wants several records at %s", name).WithHint("add --type TXT or --type CNAME")
}

func serversLine(r client.Record) string {
	var parts []string
	for _, s := range r.Servers {
		parts = append(parts, s.Server+": "+orNothing(s.Answer))
	}
	return strings.Join(parts, "; ")
}

func orNothing(s string) string {
	if s == "" {
		return "nothing"
	}
	return s
}
