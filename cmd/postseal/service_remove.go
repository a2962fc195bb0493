package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/services"
)

func newServiceRemove() *cobra.Command {
	var r remote
	var domain, stream string
	var dry, yes bool
	cmd := &cobra.Command{
		Use:   "remove SERVICE --domain DOMAIN",
		Short: "Let an outside service sign for a domain no more: its records are taken away",
		Long: `Take a service away from a domain. The records that Postseal published for it are removed; those that others made stay, and
are told. Mail that the service still sends fails DKIM from then on, so switch it off there first.

On a terminal it is asked once more; in scripts --yes is the word for it. Take the service out of fleet.yaml as well: an apply of a file
that names it adds it again.`,
		Example: `  postseal service remove sendgrid --domain example.com`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := domainName(domain)
			if err != nil {
				return err
			}
			c, err := r.open()
			if err != nil {
				return err
			}
			request := client.ServiceRequest{Service: serviceName(args[0]), Stream: stream, Remove: true}
			plan, err := c.PlanService(cmd.Context(), name, request)
			if err != nil {
				return err
			}
			report := applyReport{Generation: plan.Generation, Changes: plan.Changes}
			if !r.asJSON {
				if err := printChanges(cmd.OutOrStdout(), plan.Changes); err != nil {
					return err
				}
			}
			if !dry {
				if err := mayRemoveService(cmd, yes); err != nil {
					return err
				}
				request.Generation = plan.Generation
				done, err := c.ChangeService(cmd.Context(), name, request)
				if err != nil {
					return err
				}
				report.Applied, report.Generation, report.Changes = true, done.Generation, done.Changes
			}
			switch {
			case r.asJSON:
				return r.json(cmd.OutOrStdout(), report)
			case dry:
				fmt.Fprintln(cmd.OutOrStdout(), "Nothing was changed (--dry-run).")
			default:
				fmt.Fprintf(cmd.OutOrStdout(), "Removed: generation %d. Take it out of fleet.yaml too.\n", report.Generation)
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&domain, "domain", "", "the `DOMAIN` that the service signs for")
	f.StringVar(&stream, "stream", "", "the `STREAM`, when it signs several")
	f.BoolVar(&dry, "dry-run", false, "show what would change and change nothing")
	f.BoolVarP(&yes, "yes", "y", false, "do not ask before removing")
	return r.add(cmd, true)
}

// mayRemoveService wants an explicit word (invariant 9): on a terminal an answer, elsewhere --yes.
func mayRemoveService(cmd *cobra.Command, yes bool) error {
	if yes {
		return nil
	}
	if !term.IsTerminal(int(os.Stdin.Fd())) {
		return fault.New(fault.Invalid, "a removal wants a word for it").WithHint("pass --yes; --dry-run shows what it would do")
	}
	return ask(cmd.InOrStdin(), cmd.ErrOrStderr(), "Take it away?")
}

// serviceName turns an alias of the catalogue into the name that the inventory has.
func serviceName(name string) string {
	if c, err := services.Load(); err == nil {
		if s, known := c.Lookup(name); known {
			return s.ID
		}
	}
	return name
}
