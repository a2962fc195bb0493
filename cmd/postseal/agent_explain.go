package main

import (
	"fmt"
	"io"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/agent"
	"github.com/postseal/postseal/internal/fault"
)

func newAgentExplain(config *string) *cobra.Command {
	var q agent.Question
	var client string
	var macros []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "explain [FILE]",
		Short: "Say what would be done with a message, and why",
		Long: `Say what the agent would do with a message that a mail server shows it: whether it is ours, which rule matches,
which keys sign, and why not. Nothing is sent, changed or signed, and no agent need run: the answer comes from agent.yaml
and from what the agent last saved. It has to be asked as the agent's user or as root.

The header is read from FILE or standard input; the flags say what the mail server would say.
Exit status 1 when the message would not be signed.`,
		Example: `  postseal agent explain --login ann@example.org --from ann@example.org message.eml`,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var err error
			if client != "" {
				if q.Client, err = netip.ParseAddr(client); err != nil {
					return fault.New(fault.Invalid, "--client: %q is not an address", client)
				}
				q.Client = q.Client.Unmap()
			}
			q.Macros = map[string]string{}
			for _, m := range macros {
				name, value, ok := strings.Cut(m, "=")
				if !ok {
					return fault.New(fault.Invalid, "--macro: %q is not NAME=VALUE", m)
				}
				if len(name) > 1 && name[0] != '{' {
					name = "{" + name + "}"
				}
				q.Macros[name] = value
			}
			q.Sender = strings.TrimSuffix(strings.TrimPrefix(q.Sender, "<"), ">")
			cfg, err := agentConfig(cmd, *config)
			if err != nil {
				return err
			}
			message := cmd.InOrStdin()
			if len(args) == 1 && args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return fault.Wrap(fault.Invalid, err, "%s cannot be read", args[0])
				}
				defer f.Close()
				message = f
			}
			e, err := agent.Explain(cfg, q, message)
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), e)
			} else {
				err = printExplanation(cmd.OutOrStdout(), e)
			}
			if err == nil && e.Outcome != agent.OutcomeSigned {
				err = errBad
			}
			return err
		},
	}
	f := cmd.Flags()
	f.BoolVar(&q.Outbound, "outbound", false, "it comes in at a listener with sign: outbound")
	f.StringVar(&q.Listener, "listener", "", "the `NAME` of the mail server's listener, {daemon_name}")
	f.StringVar(&client, "client", "", "the SMTP client's `ADDRESS`")
	f.StringVar(&q.Login, "login", "", "the sender's `LOGIN`")
	f.StringVar(&q.Sender, "from", "", "the envelope `SENDER`; none for notifications")
	f.StringArrayVar(&macros, "macro", nil, "another macro, `NAME=VALUE`; may be given several times")
	f.BoolVar(&asJSON, "json", false, "print one JSON document")
	return cmd
}

func printExplanation(out io.Writer, e agent.Explanation) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name, value string) { fmt.Fprintf(w, "%s\t%s\n", name, value) }
	if !e.Ours {
		row("ours", "no: neither listener, login, client nor macros say so; it passes untouched")
		return w.Flush()
	}
	row("ours", "yes")
	row("domain", dash(e.Domain))
	if e.Rule > 0 {
		row("rule", strconv.Itoa(e.Rule))
	} else {
		row("rule", "none matches")
	}
	stream := dash(e.Stream)
	if e.StreamUnknown {
		stream += " (no assignment: the default stream signs)"
	}
	row("stream", stream)
	for _, s := range e.Signatures {
		row("signature", "d="+s.Domain+" s="+s.Selector)
	}
	if e.AlsoMissing > 0 {
		row("left out", fmt.Sprintf("%d further signatures: not assigned, not allowed, or without a key", e.AlsoMissing))
	}
	for _, k := range e.Keys {
		row("key", k.Selector+"._domainkey."+k.Domain+" ("+k.Stream+"): "+k.Why)
	}
	if e.Outcome == agent.OutcomeSigned {
		row("outcome", e.Outcome)
	} else {
		row("outcome", "not signed, "+e.Outcome+": "+e.Reason)
	}
	return w.Flush()
}
