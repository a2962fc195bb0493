package main

import (
	"errors"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/demo"
	"github.com/postseal/postseal/internal/fault"
)

func newDemo() *cobra.Command {
	var once, asJSON, verbose bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "A whole fleet in one process: watch it sign, verify and rotate",
		Long: `Run a whole fleet in one process, on free loopback ports, with throw-away data: the control plane and its built-in
name server, two mail servers whose agents sign real SMTP traffic through the milter, an outside service, and a receiver
that verifies every message. Both servers' keys are rotated while mail flows. Waits are seconds instead of days.

Without --once it goes on until interrupted.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON && !once {
				return fault.New(fault.Invalid, "--json goes with --once").WithHint("postseal demo --once --json")
			}
			o := demo.Options{Once: once, Say: cmd.OutOrStdout()}
			if asJSON {
				o.Say = io.Discard
			}
			if verbose {
				o.Log = slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), nil))
			}
			outcome, err := demo.Run(cmd.Context(), o)
			switch {
			case err != nil && cmd.Context().Err() != nil && !once:
				return nil // interrupted, as announced
			case err != nil:
				return err
			case asJSON:
				err = outcome.WriteJSON(cmd.OutOrStdout())
			case once:
				outcome.WriteText(cmd.OutOrStdout())
			}
			if !outcome.OK {
				return errors.Join(err, errBad)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "go through it all once, print the outcome, and exit 0 only if every message verified")
	cmd.Flags().BoolVar(&asJSON, "json", false, "with --once: print one JSON document and nothing else")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "also show the parts' logs on standard error")
	return cmd
}
