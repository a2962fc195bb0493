package main

import (
	"context"
	"encoding/csv"
	"io"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/api/client"
)

// sheet is a query that can be printed as CSV as well: rows gives its table, whole values, one heading each.
func sheet[T any](cmd *cobra.Command, ask func(ctx context.Context, c *client.Client, args []string) (T, error), print func(out io.Writer, v T) error,
	head []string, rows func(v T) [][]string) *cobra.Command {
	var asCSV bool
	cmd = query(cmd, ask, func(out io.Writer, v T) error {
		if asCSV {
			return writeCSV(out, head, rows(v))
		}
		return print(out, v)
	})
	cmd.Flags().BoolVar(&asCSV, "csv", false, "print comma-separated values, with a line of headings")
	cmd.MarkFlagsMutuallyExclusive("csv", "json")
	return cmd
}

// writeCSV writes a table for spreadsheets (RFC 4180). Texts come from strangers: what a spreadsheet would take for a formula begins with an apostrophe.
func writeCSV(out io.Writer, head []string, rows [][]string) error {
	w := csv.NewWriter(out)
	if err := w.Write(head); err != nil {
		return err
	}
	for _, row := range rows {
		for i, cell := range row {
			row[i] = csvCell(clean(cell))
		}
		if err := w.Write(row); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}
