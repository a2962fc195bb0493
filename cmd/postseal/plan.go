package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/services"
)

// maxFleetFile is what is read of a fleet.yaml; larger fleets use the API.
const maxFleetFile = 32 << 20

// planReport is the JSON document of plan. Generation and Changes are there with -f.
type planReport struct {
	Generation int64               `json:"generation,omitempty"`
	Changes    []client.Change     `json:"changes"`
	Warnings   []string            `json:"warnings,omitempty"`
	Domains    []client.DomainPlan `json:"domains"`
}

func newPlan() *cobra.Command {
	var r remote
	var file string
	cmd := &cobra.Command{
		Use:   "plan [-f fleet.yaml] [DOMAIN]",
		Short: "What would change, each with its reason; changes nothing",
		Long: `Say what would change, each with its reason, and change nothing: with -f first what applying the file would change in the
inventory, and always what the planner is about to do with each key and record as things stand.`,
		Example: `  postseal plan -f fleet.yaml
  postseal plan example.org`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			report := planReport{Changes: []client.Change{}, Domains: []client.DomainPlan{}}
			var document json.RawMessage
			if file != "" {
				fleet, err := readFleet(file, cmd.InOrStdin())
				if err != nil {
					return err
				}
				document, report.Warnings = fleet.document, fleet.warnings
			}
			c, err := r.open()
			if err != nil {
				return err
			}
			if file != "" {
				changes, err := c.PlanFleet(cmd.Context(), client.FleetRequest{Fleet: document})
				if err != nil {
					return err
				}
				report.Generation, report.Changes = changes.Generation, changes.Changes
			}
			for page, err := range planPages(cmd.Context(), c, args) {
				if err != nil {
					return err
				}
				report.Domains = append(report.Domains, page.Domains...)
			}
			if r.asJSON {
				return r.json(cmd.OutOrStdout(), report)
			}
			printWarnings(cmd.ErrOrStderr(), report.Warnings)
			if file != "" {
				if err := printChanges(cmd.OutOrStdout(), report.Changes); err != nil {
					return err
				}
				fmt.Fprintln(cmd.OutOrStdout())
			}
			return printPlans(cmd.OutOrStdout(), report.Domains)
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "compare this `FILE` with the inventory (- = standard input)")
	return r.add(cmd, true)
}

func planPages(ctx context.Context, c *client.Client, args []string) iter.Seq2[client.PlanPage, error] {
	if len(args) == 0 {
		return c.AllPlans(ctx)
	}
	return func(yield func(client.PlanPage, error) bool) {
		p, err := c.Plan(ctx, args[0])
		yield(client.PlanPage{Domains: []client.DomainPlan{p}}, err)
	}
}

// fleetFile is a fleet.yaml that was read.
type fleetFile struct {
	document json.RawMessage
	warnings []string
}

// readFleet reads a fleet.yaml here, so that a mistake is shown with its line before anything is asked of the server.
func readFleet(path string, in io.Reader) (fleetFile, error) {
	content, err := readAtMost(path, in, maxFleetFile)
	if err != nil {
		return fleetFile{}, err
	}
	catalogue, err := services.Load()
	if err != nil {
		return fleetFile{}, err
	}
	fleet, err := inventory.ParseFleet(path, content, catalogue)
	if err != nil {
		return fleetFile{}, err
	}
	var out fleetFile
	for _, w := range fleet.Warnings {
		out.warnings = append(out.warnings, w.String())
	}
	fleet.Warnings = nil
	out.document, err = json.Marshal(fleet)
	return out, err
}

func printWarnings(out io.Writer, warnings []string) {
	for _, w := range warnings {
		fmt.Fprintf(out, "warning: %s\n", clean(w))
	}
}

func printChanges(out io.Writer, changes []client.Change) error {
	t := table{head: []string{"CHANGE", "WHAT", "NAME", "WHY"}}
	for _, x := range changes {
		m, action := calm, x.Action
		switch {
		case x.Destructive:
			m, action = bad, action+" !"
		case x.Action == "add":
			m = good
		case x.Action == "change":
			m = waiting
		}
		t.add(m, action, x.Noun, x.Name, x.Why)
	}
	return t.print(out, "The file and the inventory agree: nothing would change.")
}

func printPlans(out io.Writer, plans []client.DomainPlan) error {
	t := table{head: []string{"DOMAIN", "SIGNER", "SELECTOR", "NEXT", "WHEN", "WHY"}, group: true}
	for _, p := range plans {
		for _, x := range p.Reasons {
			m, when := calm, "now"
			switch {
			case x.Blocked:
				m, when = waiting, "blocked"
			case !x.NextAt.IsZero():
				when = stamp(x.NextAt)
			case x.Next == "":
				when = "-"
			}
			what := x.Selector
			if what == "" {
				what = x.Record
			}
			t.add(m, p.Domain, dash(x.Signer), dash(what), dash(x.Next), when, x.Text)
		}
	}
	return t.print(out, "The planner has nothing to say: there are no domains, or nobody signs for them.")
}
