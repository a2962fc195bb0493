// Command postseal is the control plane, the agent and the command line of Postseal in one binary.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/fault"
)

// Exit status (CLI.md): 0 good; 1 the thing asked about is bad; 2 wrong usage or the command could not do its work.
const (
	exitBad   = 1
	exitUsage = 2
)

// errBad ends a command that did its work and found the thing asked about to be bad; everything worth saying is printed already.
var errBad = errors.New("bad")

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, newRoot(), os.Args[1:])
	stop()
	os.Exit(code)
}

// run executes one command line and returns its exit status.
func run(ctx context.Context, root *cobra.Command, args []string) int {
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errBad):
		return exitBad
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		err = fault.Wrap(fault.Unavailable, err, "interrupted")
	}
	err = flagGroups(err)
	message, hint := fault.Show(err)
	if fault.CodeOf(err) == fault.Internal {
		message = err.Error()
	}
	fmt.Fprintf(root.ErrOrStderr(), "postseal: %s\n", message)
	if hint != "" {
		fmt.Fprintf(root.ErrOrStderr(), "  %s\n", hint)
	}
	return exitUsage
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "postseal",
		Short:         "DKIM for organisations that send mail from more than one place",
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       ownBuild().String(),
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.AddCommand(newKeygen(), newSign(), newVerify(), newAudit(), newReport())
	root.AddCommand(newAgent(), newServe(), newDemo(), newMan(), newVersion())
	root.AddCommand(remoteCommands()...)
	root.InitDefaultCompletionCmd() // now, so that a shell that it does not know is wrong usage as well
	completions(root)
	domainArguments(root)
	askForVerb(root)
	root.SetFlagErrorFunc(flagError)
	return root
}

// askForVerb makes a word that is no command wrong usage, at every level; cobra prints the help and calls it good.
func askForVerb(cmd *cobra.Command) {
	for _, sub := range cmd.Commands() {
		askForVerb(sub)
	}
	if cmd.Runnable() || !cmd.HasSubCommands() {
		return
	}
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		err := fault.New(fault.Invalid, "%q is no command of %s", args[0], cmd.CommandPath())
		if near := near(cmd, args[0]); len(near) > 0 {
			return err.WithHint("did you mean %s?", strings.Join(near, " or "))
		}
		return err.WithHint("%s --help lists them", cmd.CommandPath())
	}
}
