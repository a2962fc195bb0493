package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/services"
)

// completeWithin is how long the shell waits for the control plane when somebody presses Tab: longer would feel like a broken shell.
const completeWithin = time.Second

// completions gives every command whose first argument is a domain, a ticket or a service what the shell can propose for it. Domains and tickets are
// asked of the control plane (its first page); without one, nothing is proposed.
func completions(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		completions(sub)
	}
	words := strings.Fields(strings.ReplaceAll(cmd.Use, "[-f fleet.yaml]", ""))
	if len(words) < 2 || cmd.ValidArgsFunction != nil {
		return
	}
	var propose func(ctx context.Context, cmd *cobra.Command) ([]string, error)
	switch strings.Trim(words[1], "[]") {
	case "DOMAIN":
		propose = asked(domainsOf)
	case "TICKET":
		propose = asked(ticketsOf)
	case "SERVICE":
		propose = func(context.Context, *cobra.Command) ([]string, error) { return catalogueIDs() }
	default:
		return
	}
	cmd.ValidArgsFunction = func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		const none = cobra.ShellCompDirectiveNoFileComp
		if len(args) > 0 {
			return nil, none
		}
		base := cmd.Context()
		if base == nil {
			base = context.Background()
		}
		ctx, cancel := context.WithTimeout(base, completeWithin)
		defer cancel()
		all, err := propose(ctx, cmd)
		if err != nil {
			return nil, none
		}
		var out []cobra.Completion
		for _, one := range all {
			if strings.HasPrefix(strings.ToLower(one), strings.ToLower(begun)) {
				out = append(out, one)
			}
		}
		return out, none
	}
}

// asked makes a proposal of a question to the control plane that the command's flags name.
func asked(ask func(context.Context, *client.Client) ([]string, error)) func(context.Context, *cobra.Command) ([]string, error) {
	return func(ctx context.Context, cmd *cobra.Command) ([]string, error) {
		var r remote
		for flag, into := range map[string]*string{"url": &r.url, "token-file": &r.tokenFile, "ca": &r.ca, "data": &r.data} {
			f := cmd.Flags().Lookup(flag)
			if f == nil {
				return nil, nil // it needs no control plane
			}
			*into = f.Value.String()
		}
		c, err := r.open()
		if err != nil {
			return nil, err
		}
		return ask(ctx, c)
	}
}

func domainsOf(ctx context.Context, c *client.Client) ([]string, error) {
	page, err := c.Domains(ctx, "", 0)
	var out []string
	for _, d := range page.Domains {
		out = append(out, d.Name)
	}
	return out, err
}

func ticketsOf(ctx context.Context, c *client.Client) ([]string, error) {
	open, err := c.Tickets(ctx, false)
	var out []string
	for _, t := range open.Tickets {
		out = append(out, t.Ticket)
	}
	return out, err
}

func catalogueIDs() ([]string, error) {
	catalogue, err := services.Load()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, s := range catalogue.All() {
		out = append(out, s.ID)
	}
	return out, nil
}
