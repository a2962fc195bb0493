package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/api/client"
)

// noun is a command whose verbs are subcommands: list, show, add, remove.
func noun(use, short string, verbs ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: use, Short: short}
	cmd.AddCommand(verbs...)
	return cmd
}

// query is a verb that asks something and prints the answer, as a document with --json.
func query[T any](cmd *cobra.Command, ask func(ctx context.Context, c *client.Client, args []string) (T, error), print func(out io.Writer, v T) error) *cobra.Command {
	r := &remote{}
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := r.open()
		if err != nil {
			return err
		}
		v, err := ask(cmd.Context(), c, args)
		if err != nil {
			return err
		}
		if r.asJSON {
			return r.json(cmd.OutOrStdout(), v)
		}
		return print(cmd.OutOrStdout(), v)
	}
	return r.add(cmd, true)
}

// facts prints names and values below one another; empty values are left out.
func facts(out io.Writer, pairs ...string) {
	width := 0
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" && pairs[i+1] != "-" {
			width = max(width, len(pairs[i]))
		}
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" && pairs[i+1] != "-" {
			fmt.Fprintf(out, "%-*s  %s\n", width, pairs[i], clean(pairs[i+1]))
		}
	}
}
