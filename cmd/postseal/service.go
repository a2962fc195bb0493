package main

import (
	"context"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/api/client"
)

func newPool() *cobra.Command {
	list := query(&cobra.Command{Use: "list", Short: "List pools", Args: cobra.NoArgs},
		func(ctx context.Context, c *client.Client, _ []string) (client.Signers, error) { return c.Pools(ctx) }, printSigners("pools"))
	show := query(&cobra.Command{Use: "show NAME", Short: "Show a pool and the domains that it signs for", Args: cobra.ExactArgs(1)},
		func(ctx context.Context, c *client.Client, args []string) (client.SignerShow, error) {
			return c.Pool(ctx, args[0])
		}, printSigner)
	return noun("pool", "Pools of servers that share keys (they come from fleet.yaml)", list, show)
}

func newService() *cobra.Command {
	removed := false
	list := query(&cobra.Command{Use: "list", Short: "List the outside services that sign for a domain", Args: cobra.NoArgs},
		func(ctx context.Context, c *client.Client, _ []string) (client.Signers, error) {
			all, err := c.Services(ctx)
			if !removed {
				all.Signers = slices.DeleteFunc(all.Signers, func(s client.Signer) bool { return s.Removed })
			}
			return all, err
		}, printSigners("services"))
	list.Flags().BoolVar(&removed, "all", false, "also those that were removed from every domain")
	show := query(&cobra.Command{Use: "show NAME", Short: "Show a service and the domains that it signs for", Args: cobra.ExactArgs(1)},
		func(ctx context.Context, c *client.Client, args []string) (client.SignerShow, error) {
			return c.Service(ctx, args[0])
		}, printSigner)
	return noun("service", "Outside services that send mail: add, remove, detect, check", list, show, newServiceAdd(), newServiceRemove(), newServiceDetect(), newServiceCheck(), newCatalogue())
}

func printSigners(what string) func(io.Writer, client.Signers) error {
	return func(out io.Writer, all client.Signers) error {
		more := ""
		if what == "services" {
			more = ", or postseal service add"
		}
		t := table{head: []string{"NAME", "MEMBERS OR CATALOGUE"}}
		for _, s := range all.Signers {
			name := s.Name
			if s.Removed {
				name += " (removed)"
			}
			t.add(calm, name, dash(firstOf(strings.Join(s.Members, ", "), s.Service)))
		}
		return t.print(out, "There are no "+what+". They come from fleet.yaml: postseal apply -f fleet.yaml"+more)
	}
}

func printSigner(out io.Writer, s client.SignerShow) error {
	domains := strings.Join(s.Domains, ", ")
	if s.More {
		domains += ", …"
	}
	facts(out, s.Kind, s.Name, "id", s.ID, "label", s.Label, "catalogue", s.Service, "members", strings.Join(s.Members, ", "), "domains", domains)
	return nil
}
