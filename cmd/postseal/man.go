package main

import (
	"os"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"github.com/postseal/postseal/internal/fault"
)

func newMan() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIR",
		Short: "Write the manual pages into a directory",
		Long: `Write one manual page for each command into a directory, from the same definitions as the help text.

Packages call this when they are built: postseal man /usr/share/man/man1`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return fault.Wrap(fault.Invalid, err, "the directory %s cannot be made", args[0])
			}
			root := cmd.Root()
			root.DisableAutoGenTag = true // the same sources give the same pages
			return doc.GenManTree(root, &doc.GenManHeader{Title: "POSTSEAL", Section: "1", Source: "Postseal"}, args[0])
		},
	}
}
