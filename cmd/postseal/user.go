package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
)

func newUser() *cobra.Command {
	list := query(&cobra.Command{Use: "list", Short: "List users", Args: cobra.NoArgs},
		func(ctx context.Context, c *client.Client, _ []string) (client.Users, error) { return c.Users(ctx) },
		func(out io.Writer, all client.Users) error {
			t := table{head: []string{"USER", "ROLE", "LABELS", "SINCE", "STATE"}}
			for _, u := range all.Users {
				m, state := good, "active"
				if !u.Disabled.IsZero() {
					m, state = calm, "disabled "+stamp(u.Disabled)
				}
				t.add(m, u.Name, u.Role, dash(strings.Join(u.Labels, ", ")), stamp(u.Created), state)
			}
			return t.print(out, "There are no users.")
		})
	me := query(&cobra.Command{Use: "me", Short: "Show who the token belongs to", Args: cobra.NoArgs},
		func(ctx context.Context, c *client.Client, _ []string) (client.User, error) { return c.Me(ctx) },
		func(out io.Writer, u client.User) error {
			facts(out, "user", u.Name, "role", u.Role, "labels", strings.Join(u.Labels, ", "))
			return nil
		})
	var r remote
	remove := &cobra.Command{Use: "remove NAME", Short: "Take away a user's access; the name stays taken", Args: cobra.ExactArgs(1)}
	remove = act(&r, remove, func(c *client.Client, args []string) (string, error) {
		return args[0] + " has no access any more.", c.DisableUser(remove.Context(), args[0])
	})
	return noun("user", "People and programs that may use the control plane", newUserAdd(), list, me, remove, newUserToken())
}

func newUserAdd() *cobra.Command {
	var r remote
	var request client.UserRequest
	cmd := &cobra.Command{
		Use:     "add NAME --role ROLE",
		Short:   "Add a user",
		Example: `  postseal user add ann --role operator && postseal user token add ann`,
		Args:    cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&request.Role, "role", "viewer", "viewer (reads), operator (rotates, holds) or admin (everything)")
	cmd.Flags().StringSliceVar(&request.Labels, "label", nil, "only domains with one of these labels")
	return act(&r, cmd, func(c *client.Client, args []string) (string, error) {
		request.Name = args[0]
		u, err := c.AddUser(cmd.Context(), request)
		return fmt.Sprintf("%s is a user with the role %s; a token: postseal user token add %s", u.Name, u.Role, u.Name), err
	})
}

func newUserToken() *cobra.Command {
	var request client.AccessTokenRequest
	var life string
	add := query(&cobra.Command{Use: "add USER", Short: "Make an access token for a user; it is printed once", Args: cobra.ExactArgs(1)},
		func(ctx context.Context, c *client.Client, args []string) (client.NewAccessToken, error) {
			if life != "" {
				d, err := inventory.ParseDuration(life)
				if err != nil {
					return client.NewAccessToken{}, fault.Wrap(fault.Invalid, err, "--life %s", life)
				}
				request.Seconds = int64(d.Seconds())
			}
			return c.AddAccessToken(ctx, args[0], request)
		},
		func(out io.Writer, t client.NewAccessToken) error {
			_, err := fmt.Fprintln(out, t.Token)
			return err
		})
	add.Flags().StringVar(&request.Note, "note", "", "what it is for")
	add.Flags().StringVar(&life, "life", "", "how long it works (default until it is removed)")
	list := query(&cobra.Command{Use: "list [USER]", Short: "List access tokens", Args: cobra.MaximumNArgs(1)},
		func(ctx context.Context, c *client.Client, args []string) (client.AccessTokens, error) {
			return c.AccessTokens(ctx, strings.Join(args, ""))
		},
		func(out io.Writer, all client.AccessTokens) error {
			t := table{head: []string{"ID", "USER", "NOTE", "MADE", "EXPIRES", "LAST USED", "REVOKED"}}
			for _, x := range all.Tokens {
				t.add(calm, x.ID, x.User, dash(x.Note), stamp(x.Created), stamp(x.Expires), stamp(x.LastUsed), stamp(x.Revoked))
			}
			return t.print(out, "There are no access tokens.")
		})
	var r remote
	remove := &cobra.Command{Use: "remove ID", Short: "End an access token", Args: cobra.ExactArgs(1)}
	remove = act(&r, remove, func(c *client.Client, args []string) (string, error) {
		return "The access token " + args[0] + " cannot be used any more.", c.RevokeAccessToken(remove.Context(), args[0])
	})
	return noun("token", "Access tokens of users", add, list, remove)
}
