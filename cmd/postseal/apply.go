package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fault"
)

// applyReport is the JSON document of apply.
type applyReport struct {
	Applied    bool            `json:"applied"`
	Generation int64           `json:"generation"`
	Changes    []client.Change `json:"changes"`
	Warnings   []string        `json:"warnings,omitempty"`
}

func newApply() *cobra.Command {
	var r remote
	var file string
	var prune, yes bool
	cmd := &cobra.Command{
		Use:   "apply -f fleet.yaml",
		Short: "Make a fleet.yaml the inventory",
		Long: `Show what the file changes and make it the inventory. Signers that the file no longer names are only removed with --prune: their
keys stop signing, and their records stay for as long as mail signed with them may still be verified.

On a terminal a removal is asked about once more; --yes answers that. If somebody else changed the inventory between the plan and
the act, nothing is changed.`,
		Example: `  postseal apply -f fleet.yaml
  postseal apply -f fleet.yaml --prune`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return fault.New(fault.Invalid, "no file was named").WithHint("postseal apply -f fleet.yaml")
			}
			fleet, err := readFleet(file, cmd.InOrStdin())
			if err != nil {
				return err
			}
			c, err := r.open()
			if err != nil {
				return err
			}
			printWarnings(cmd.ErrOrStderr(), fleet.warnings)
			request := client.FleetRequest{Fleet: fleet.document, Prune: prune}
			plan, err := c.PlanFleet(cmd.Context(), request)
			if err != nil {
				return err
			}
			report := applyReport{Generation: plan.Generation, Changes: plan.Changes, Warnings: fleet.warnings}
			if len(plan.Changes) > 0 {
				if !r.asJSON {
					if err := printChanges(cmd.OutOrStdout(), plan.Changes); err != nil {
						return err
					}
				}
				if err := mayRemove(cmd, plan.Destructive(), prune, yes, file == "-"); err != nil {
					return err
				}
				request.Generation = plan.Generation
				done, err := c.Apply(cmd.Context(), request)
				if err != nil {
					return err
				}
				report.Applied, report.Generation, report.Changes = true, done.Generation, done.Changes
			}
			switch {
			case r.asJSON:
				return r.json(cmd.OutOrStdout(), report)
			case report.Applied:
				fmt.Fprintf(cmd.OutOrStdout(), "Applied: generation %d.\n", report.Generation)
			default:
				fmt.Fprintln(cmd.OutOrStdout(), "The file and the inventory agree: nothing was changed.")
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "the fleet.yaml `FILE` (- = standard input)")
	cmd.Flags().BoolVar(&prune, "prune", false, "remove what the file no longer names, through retirement")
	cmd.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask before removing")
	return r.add(cmd, true)
}

// mayRemove wants an explicit word before anything is taken away (invariant 9).
func mayRemove(cmd *cobra.Command, removals []client.Change, prune, yes, stdinTaken bool) error {
	if len(removals) == 0 {
		return nil
	}
	if !prune {
		names := make([]string, 0, len(removals))
		for _, x := range removals {
			names = append(names, x.Noun+" "+x.Name)
		}
		return fault.New(fault.Conflict, "the file takes away what is in use today: %s", clean(strings.Join(names, ", "))).
			WithHint("nothing was changed; pass --prune to remove it through retirement, or name it in the file again")
	}
	if yes || stdinTaken || !term.IsTerminal(int(os.Stdin.Fd())) {
		return nil
	}
	return ask(cmd.InOrStdin(), cmd.ErrOrStderr(), fmt.Sprintf("%d of these take something away. Go on?", len(removals)))
}

// ask wants a yes.
func ask(in io.Reader, out io.Writer, question string) error {
	fmt.Fprintf(out, "%s [yes/no] ", question)
	line, err := bufio.NewReader(in).ReadString('\n')
	if answer := strings.ToLower(strings.TrimSpace(line)); err == nil && (answer == "yes" || answer == "y") {
		return nil
	}
	return fault.New(fault.Denied, "not done: the answer was not yes")
}
