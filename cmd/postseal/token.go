package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
)

func newToken() *cobra.Command {
	list := query(&cobra.Command{Use: "list", Short: "List join tokens", Args: cobra.NoArgs},
		func(ctx context.Context, c *client.Client, _ []string) (client.JoinTokens, error) {
			return c.JoinTokens(ctx)
		},
		func(out io.Writer, all client.JoinTokens) error {
			t := table{head: []string{"ID", "SERVER", "STATE", "EXPIRES", "USED", "FROM", "MADE BY"}}
			for _, x := range all.Tokens {
				m := calm
				if x.State == "open" {
					m = good
				}
				t.add(m, x.ID, x.Server, x.State, stamp(x.Expires), stamp(x.UsedAt), dash(x.Network), x.CreatedBy)
			}
			return t.print(out, "There are no join tokens.")
		})
	var r remote
	remove := &cobra.Command{Use: "remove ID", Short: "Make a join token unusable", Args: cobra.ExactArgs(1)}
	remove = act(&r, remove, func(c *client.Client, args []string) (string, error) {
		return "The join token " + args[0] + " cannot be used any more.", c.RevokeJoinToken(remove.Context(), args[0])
	})
	return noun("token", "Join tokens, with which the agent of a server gets its identity", newTokenAdd(), list, remove)
}

func newTokenAdd() *cobra.Command {
	var r remote
	var request client.JoinTokenRequest
	var life, out string
	cmd := &cobra.Command{
		Use:   "add --server NAME",
		Short: "Make a join token for one server",
		Long: `Make a join token for one server of the inventory. It works once, for an hour unless --life says otherwise. The token is printed once, or written
to --out with mode 0600, and kept nowhere: bring it to the server and give it to postseal agent join there. Whoever has it first becomes that
server.`,
		Example: `  postseal token add --server mx1 --out /root/mx1.token`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if request.Server == "" {
				return fault.New(fault.Invalid, "no server was named").WithHint("postseal token add --server NAME; postseal server list shows them")
			}
			if life != "" {
				d, err := inventory.ParseDuration(life)
				if err != nil {
					return fault.Wrap(fault.Invalid, err, "--life %s", life)
				}
				request.Seconds = int64(d.Seconds())
			}
			return addToken(cmd, &r, request, out)
		},
	}
	cmd.Flags().StringVar(&request.Server, "server", "", "the server that joins with it (required)")
	cmd.Flags().StringVar(&life, "life", "", "how long it works, at most 7d (default 1h)")
	cmd.Flags().StringVar(&request.Network, "network", "", "address or network from where it works (default anywhere)")
	cmd.Flags().StringVar(&out, "out", "", "write it to this `FILE` (mode 0600, never over an existing file) instead of printing it")
	return r.add(cmd, true)
}

func addToken(cmd *cobra.Command, r *remote, request client.JoinTokenRequest, path string) error {
	c, err := r.open()
	if err != nil {
		return err
	}
	// The file comes first: a token that cannot be written down must not be made.
	var file *os.File
	if path != "" {
		file, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			return fault.Wrap(fault.Conflict, err, "%s exists already", path)
		}
		if err != nil {
			return fault.Wrap(fault.Invalid, err, "%s cannot be written", path)
		}
	}
	token, err := c.AddJoinToken(cmd.Context(), request)
	if file != nil {
		if err == nil {
			_, err = fmt.Fprintln(file, token.Token)
		}
		if err = errors.Join(err, file.Close()); err != nil {
			os.Remove(path)
			return err
		}
		token.Token = ""
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "Join token %s for %s, until %s.\n", token.ID, clean(token.Server), stamp(token.Expires))
	switch {
	case r.asJSON:
		return r.json(cmd.OutOrStdout(), token)
	case path != "":
		return nil
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), token.Token)
	return err
}
