package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fault"
)

func newServerNoun() *cobra.Command {
	list := query(&cobra.Command{Use: "list", Short: "List servers and their agents", Args: cobra.NoArgs},
		func(ctx context.Context, c *client.Client, _ []string) (client.Servers, error) { return c.Servers(ctx) }, printServers)
	show := query(&cobra.Command{Use: "show NAME", Short: "Show a server and its agent", Args: cobra.ExactArgs(1)},
		func(ctx context.Context, c *client.Client, args []string) (client.Server, error) {
			return c.Server(ctx, args[0])
		}, printServer)
	return noun("server", "Mail servers and their agents (they come from fleet.yaml)", list, show, newDecommission())
}

func newDecommission() *cobra.Command {
	var r remote
	var reason string
	var yes bool
	cmd := &cobra.Command{
		Use:   "decommission NAME --reason TEXT",
		Short: "Declare a server gone",
		Long: `Declare a server gone: its agent is refused from now on, its keys count as unused, and their records go after the usual time. It cannot come
back under its identity; a machine that takes its place is a new server with a name of its own.

It is for a machine that signs no more. An agent that still runs is refused and goes on signing with what it has, until its keys'
records go: revoke its keys, or drop the server from fleet.yaml and apply with --prune, to have it stop first. An agent that reported a
short while ago is such a machine, therefore it takes --yes.`,
		Example: `  postseal server decommission mx1 --reason "the machine burnt"`,
		Args:    cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&reason, "reason", "", "why, for the journal (required)")
	cmd.Flags().BoolVar(&yes, "yes", false, "also when its agent reported a short while ago")
	return act(&r, cmd, func(c *client.Client, args []string) (string, error) {
		if err := needReason(reason); err != nil {
			return "", err
		}
		server, err := c.Server(cmd.Context(), args[0])
		if err != nil {
			return "", err
		}
		if age := time.Since(server.Reported); !yes && server.Decommissioned.IsZero() && age < stillThere {
			return "", fault.New(fault.Conflict, "the agent of %s reported %s ago: it runs, and would go on signing with keys whose records go", args[0], age.Round(time.Second)).
				WithHint("revoke its keys first, or drop it from fleet.yaml and apply with --prune; --yes if the machine is lost all the same")
		}
		return args[0] + " is decommissioned.", c.Decommission(cmd.Context(), args[0], reason)
	})
}

// stillThere is how long after its last report an agent counts as running: it reports every five minutes at least.
const stillThere = 11 * time.Minute

func printServers(out io.Writer, all client.Servers) error {
	t := table{head: []string{"SERVER", "AGENT", "LAST REPORT", "CERTIFICATE ENDS", "KEYS", "UNSIGNED", "REFUSED", "SOFTWARE"}}
	for _, s := range all.Servers {
		m := calm
		switch s.State {
		case "current":
			m = good
		case "behind", "new":
			m = waiting
		case "silent":
			m = bad
		}
		var unsigned uint64
		for _, n := range s.Unsigned {
			unsigned += n
		}
		var refused uint64
		for _, r := range s.Refused {
			refused += r.Messages
		}
		t.add(m, s.Name, s.State, since(s.Reported, all.Now), stamp(s.CertificateEnds), strconv.Itoa(s.Keys), strconv.FormatUint(unsigned, 10), strconv.FormatUint(refused, 10), dash(s.Software))
	}
	return t.print(out, "There are no servers. They come from fleet.yaml: postseal apply -f fleet.yaml")
}

func printServer(out io.Writer, s client.Server) error {
	gone, skew := "", ""
	if !s.Decommissioned.IsZero() {
		gone = stamp(s.Decommissioned) + " by " + s.DecommissionedBy
	}
	if d := time.Duration(s.SkewSeconds) * time.Second; d != 0 {
		skew = d.String() + " against the control plane"
	}
	facts(out, "server", s.Name, "id", s.ID, "label", s.Label, "agent", s.State, "joined", stamp(s.Joined), "last report", stamp(s.Reported),
		"certificate ends", stamp(s.CertificateEnds), "clock", skew, "software", s.Software, "keys", strconv.Itoa(s.Keys), "decommissioned", gone)
	for _, reason := range slices.Sorted(maps.Keys(s.Unsigned)) {
		fmt.Fprintf(out, "not signed: %d × %s\n", s.Unsigned[reason], clean(reason))
	}
	for _, r := range s.Refused {
		verb := "deferred"
		if r.Permanent {
			verb = "refused"
		}
		domain := r.Domain
		if domain == "" {
			domain = "(sender not known)"
		}
		fmt.Fprintf(out, "%s by %s in the last 24 hours: %d × %s, last %s: %s %s\n", verb, clean(r.Receiver), r.Messages, clean(domain), stamp(r.Last), clean(r.Code), clean(r.Text))
	}
	if s.State == "new" {
		fmt.Fprintf(out, "\nIts agent has not joined yet: postseal token add --server %s\n", clean(s.Name))
	}
	return nil
}
