package main

import (
	"context"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/services"
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
	list := query(&cobra.Command{Use: "list", Short: "List the outside services that sign for a domain", Args: cobra.NoArgs},
		func(ctx context.Context, c *client.Client, _ []string) (client.Signers, error) {
			return c.Services(ctx)
		}, printSigners("services"))
	show := query(&cobra.Command{Use: "show NAME", Short: "Show a service and the domains that it signs for", Args: cobra.ExactArgs(1)},
		func(ctx context.Context, c *client.Client, args []string) (client.SignerShow, error) {
			return c.Service(ctx, args[0])
		}, printSigner)
	return noun("service", "Outside services that send mail: add, remove, detect", list, show, newServiceAdd(), newServiceRemove(), newServiceDetect(), newCatalogue())
}

// catalogued is a service in the JSON document of service catalogue.
type catalogued struct {
	ID       string `json:"id"`
	Title    string `json:"title"`
	Category string `json:"category"`
	Signs    string `json:"signs"`
	Rotation string `json:"rotation"`
	Evidence string `json:"evidence"`
}

func newCatalogue() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "catalogue [WORD]",
		Short: "List the services that fleet.yaml can name; needs no server",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			catalogue, err := services.Load()
			if err != nil {
				return err
			}
			word := strings.ToLower(strings.Join(args, ""))
			found := []catalogued{}
			t := table{head: []string{"ID", "SERVICE", "KIND", "SIGNS WITH", "KEY CHANGED BY", "KNOWN FROM"}}
			for _, s := range catalogue.All() {
				if !strings.Contains(strings.ToLower(s.ID+" "+s.Title+" "+string(s.Category)+" "+strings.Join(s.Aliases, " ")), word) {
					continue
				}
				found = append(found, catalogued{s.ID, s.Title, string(s.Category), string(s.Signs), string(s.Rotation), string(s.Evidence)})
				t.add(calm, s.ID, s.Title, string(s.Category), string(s.Signs), string(s.Rotation), string(s.Evidence))
			}
			if asJSON {
				return (&remote{}).json(cmd.OutOrStdout(), map[string]any{"services": found})
			}
			return t.print(cmd.OutOrStdout(), "No service of the catalogue matches. fleet.yaml takes any name with custom: true.")
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return cmd
}

func printSigners(what string) func(io.Writer, client.Signers) error {
	return func(out io.Writer, all client.Signers) error {
		t := table{head: []string{"NAME", "MEMBERS OR CATALOGUE"}}
		for _, s := range all.Signers {
			t.add(calm, s.Name, dash(firstOf(strings.Join(s.Members, ", "), s.Service)))
		}
		return t.print(out, "There are no "+what+". They come from fleet.yaml: postseal apply -f fleet.yaml")
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
