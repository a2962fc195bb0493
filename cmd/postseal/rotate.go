package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/api/client"
)

// act is a command that asks the control plane for one thing and prints one line.
func act(r *remote, cmd *cobra.Command, do func(c *client.Client, args []string) (string, error)) *cobra.Command {
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := r.open()
		if err != nil {
			return err
		}
		line, err := do(c, args)
		if err != nil {
			return err
		}
		if r.asJSON {
			return r.json(cmd.OutOrStdout(), client.Done{OK: true})
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), clean(line))
		return err
	}
	return r.add(cmd, true)
}

func newRotate() *cobra.Command {
	var r remote
	var signer string
	cmd := &cobra.Command{
		Use:   "rotate DOMAIN",
		Short: "Ask for new keys",
		Long: `Ask for new keys of a domain's servers and pools, or of one of them. It happens through the whole life of a key: made, published,
waited for, proven, used; the old key's record stays until mail signed with it has been checked. Two signers of a domain take turns.`,
		Example: `  postseal rotate example.org --signer mx1`,
		Args:    cobra.ExactArgs(1),
	}
	cmd.Flags().StringVar(&signer, "signer", "", "only this server or pool")
	return act(&r, cmd, func(c *client.Client, args []string) (string, error) {
		done, err := c.Rotate(cmd.Context(), args[0], signer)
		return fmt.Sprintf("New keys will be made for %s in %s; postseal status %s shows how far they are.", strings.Join(done.Signers, ", "), args[0], args[0]), err
	})
}

func newCheck() *cobra.Command {
	var r remote
	cmd := &cobra.Command{Use: "check DOMAIN", Short: "Have a domain looked at now instead of at its next turn", Args: cobra.ExactArgs(1)}
	return act(&r, cmd, func(c *client.Client, args []string) (string, error) {
		return args[0] + " is looked at now.", c.CheckNow(cmd.Context(), args[0])
	})
}

func newRevoke() *cobra.Command {
	var r remote
	var request client.RevokeRequest
	cmd := &cobra.Command{
		Use:   "revoke DOMAIN SELECTOR --reason TEXT",
		Short: "End a key",
		Long: `End a key. Without --compromised it is replaced first and then goes through retirement, so that no mail loses its signature.

With --compromised its holders are told to stop at once, and p= is emptied as soon as they say that they have, at the latest after a
minute: mail that was signed with it and is still under way will not verify any more. Say it only when the private key may be known to
somebody else.`,
		Example: `  postseal revoke example.org mx1-2611abcd --reason "mx1 was broken into" --compromised`,
		Args:    cobra.ExactArgs(2),
	}
	cmd.Flags().StringVar(&request.Reason, "reason", "", "why, for the journal (required)")
	cmd.Flags().BoolVar(&request.Compromised, "compromised", false, "the private key may be known to somebody else: at once, ahead of every waiting time")
	return act(&r, cmd, func(c *client.Client, args []string) (string, error) {
		if err := needReason(request.Reason); err != nil {
			return "", err
		}
		line := fmt.Sprintf("%s of %s will be replaced and retired.", args[1], args[0])
		if request.Compromised {
			line = fmt.Sprintf("%s of %s is revoked at once; its holders are told to stop.", args[1], args[0])
		}
		return line, c.Revoke(cmd.Context(), args[0], args[1], request)
	})
}
