package main

import (
	"context"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/api/client"
)

func newReportIntake() *cobra.Command {
	return query(&cobra.Command{
		Use:   "intake",
		Short: "How the ways fare by which reports get in: the listener, mailboxes, folders",
		Args:  cobra.NoArgs,
	},
		func(ctx context.Context, c *client.Client, _ []string) (client.Intake, error) { return c.Intake(ctx) },
		func(out io.Writer, all client.Intake) error {
			t := table{head: []string{"WAY", "PLACE", "STATE", "STORED", "VERIFIED", "UNREAD", "PROBES", "REFUSED", "DEFERRED", "LAST", "TROUBLE"}}
			for _, w := range all.Ways {
				m, state, trouble := good, "up", "-"
				if !w.Up {
					m, state = bad, "down"
				}
				if w.LastError.After(w.LastSuccess) {
					m, trouble = bad, w.Error
				}
				number := func(n uint64) string { return strconv.FormatUint(n, 10) }
				t.add(m, w.Way, w.Place, state, number(w.Stored), number(w.Verified), number(w.Unread), number(w.Probes), number(w.Refused), number(w.Deferred), stamp(w.LastInput), trouble)
			}
			return t.print(out, "Reports come by hand only: postseal serve --report-listen, --report-mailbox and --report-folder take them in (docs/reports.md).")
		})
}
