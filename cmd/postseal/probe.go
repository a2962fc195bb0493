package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/services"
)

const (
	// probeWait is how long "probe send" waits: an MTA that is not busy delivers within seconds, and greylisting takes a few minutes.
	probeWait = 5 * time.Minute
	// probeLook is how often it asks whether something has arrived.
	probeLook = time.Second
)

// newProbe makes "probe".
func newProbe() *cobra.Command {
	return noun("probe", "Test messages that prove how mail really leaves: through a server's MTA, or from a service's console", newProbeSend(), newProbeService(), newProbeList(), newProbeShow())
}

func newProbeSend() *cobra.Command {
	var r remote
	var domain string
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "send SERVER",
		Short: "Send a probe through a server's MTA and say whether it arrived signed",
		Long: `Have the agent on a server hand a small message to its MTA, as other mail is, filters, disclaimers and smarthosts included. The message goes to the probe address of the
installation (probes in fleet.yaml) and is looked at there: signed, by which key, aligned, changed on the way. Without --domain: one for each domain that the server signs for.

The exit status is 1 when a message did not arrive in time, or is not signed as it should be.`,
		Example: `  postseal probe send mx1 --domain example.com`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return r.probe(cmd, client.ProbeAsk{Server: args[0], Domain: domain}, wait)
		},
	}
	cmd.Flags().StringVar(&domain, "domain", "", "only mail of this `DOMAIN`")
	cmd.Flags().DurationVar(&wait, "wait", probeWait, "how long to wait for it; 0 = not at all")
	return r.add(cmd, true)
}

func newProbeService() *cobra.Command {
	var r remote
	var domain string
	var wait time.Duration
	cmd := &cobra.Command{
		Use:   "service SERVICE --domain DOMAIN",
		Short: "Make a fresh address; what you send there from a service's console proves how it signs",
		Long: `Print an address that only this probe has. Send a message to it from the console of the service, with a sender of the domain: what arrives shows whether the service signs for the
domain, with which key, and aligned. The address is good for a day and is not shown again.

With --wait the exit status is 1 when nothing arrives in time, or what arrives is not signed as it should be.`,
		Example: `  postseal probe service mailchimp --domain example.com --wait 10m`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if domain == "" {
				return fault.New(fault.Invalid, "a service signs for each domain by itself").WithHint("add --domain DOMAIN")
			}
			return r.probe(cmd, client.ProbeAsk{Service: args[0], Domain: domain}, wait)
		},
	}
	cmd.Flags().StringVar(&domain, "domain", "", "the `DOMAIN` that the message is sent from")
	cmd.Flags().DurationVar(&wait, "wait", 0, "how long to wait for it; 0 = not at all")
	return r.add(cmd, true)
}

// probe asks, waits and prints.
func (r *remote) probe(cmd *cobra.Command, ask client.ProbeAsk, wait time.Duration) error {
	if wait < 0 {
		return fault.New(fault.Invalid, "--wait is a time such as 5m")
	}
	c, err := r.open()
	if err != nil {
		return err
	}
	asked, err := c.AskProbes(cmd.Context(), ask)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if !r.asJSON {
		for _, p := range asked.Probes {
			printAsked(out, p)
		}
	}
	if wait > 0 {
		if !r.asJSON {
			fmt.Fprintf(out, "\nWaiting up to %s …\n", wait)
		}
		if err := awaitProbes(cmd.Context(), c, asked.Probes, wait, func(p client.Probe) {
			if !r.asJSON {
				fmt.Fprintln(out)
				printProbe(out, p)
			}
		}); err != nil {
			return err
		}
	}
	if r.asJSON {
		if err := r.json(out, asked); err != nil {
			return err
		}
	}
	if wait > 0 && !allGood(asked.Probes) {
		return errBad
	}
	return nil
}

func allGood(probes []client.Probe) bool {
	for _, p := range probes {
		if !p.Good {
			return false
		}
	}
	return true
}

// awaitProbes brings probes up to date until all have ended or the wait is over, and tells of each that ended, and in the end of the others.
func awaitProbes(ctx context.Context, c *client.Client, probes []client.Probe, wait time.Duration, tell func(client.Probe)) error {
	deadline := time.Now().Add(wait)
	told := make([]bool, len(probes))
	for {
		open := 0
		for i := range probes {
			if told[i] {
				continue
			}
			now, err := c.Probe(ctx, probes[i].Probe)
			if err != nil {
				return err
			}
			now.Address = probes[i].Address
			probes[i] = now.Probe
			if now.State == "arrived" || now.State == "refused" || now.State == "lost" {
				told[i] = true
				tell(now.Probe)
			} else {
				open++
			}
		}
		if open == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			for i, p := range probes {
				if !told[i] {
					tell(p)
				}
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(probeLook):
		}
	}
}

func printAsked(out io.Writer, p client.Probe) {
	if p.Kind == "server" {
		fmt.Fprintf(out, "%s: asked the agent on %s for a message of %s\n", p.Probe, clean(p.Signer), clean(p.Domain))
		return
	}
	fmt.Fprintf(out, "%s: send a message to this address, within a day:\n\n  %s\n\n", p.Probe, p.Address)
	fmt.Fprintf(out, "%s\nThe sender is an address of %s; what the message says does not matter. The address is not shown\nagain; postseal probe show %s says what arrived.\n", consoleText(p.Signer), clean(p.Domain), p.Probe)
}

// consoleText says how a message is sent from a service, and where its set-up is if that should be needed.
func consoleText(service string) string {
	catalogue, err := services.Load()
	if err != nil {
		catalogue = nil
	}
	s := services.Service{Title: service}
	if catalogue != nil {
		if found, ok := catalogue.Lookup(service); ok {
			s = found
		}
	}
	how := "Send it from " + clean(s.Title) + " as your mail is sent there otherwise."
	switch s.Category {
	case services.Mailbox:
		how = "Write it from a mailbox at " + clean(s.Title) + "."
	case services.Transactional:
		how = "Send it through the console or the API of " + clean(s.Title) + ", with the settings that your programs use."
	case services.Marketing:
		how = "In " + clean(s.Title) + ", send a test of a campaign to it, or make it the only recipient of one."
	case services.Commerce, services.Support:
		how = "In " + clean(s.Title) + ", have one of its usual mails sent to it: let it be a customer's address."
	case services.Gateway:
		how = "Send it through " + clean(s.Title) + " as your mail goes."
	}
	if s.Console != "" {
		how += "\nWhere it is told to sign (as expected): " + clean(s.Console) + "."
	}
	return how
}

func newProbeList() *cobra.Command {
	var f client.ProbeFilter
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List probes, newest first, with what they showed",
		Example: "  postseal probe list --newest\n  postseal probe list --domain example.com",
		Args:    cobra.NoArgs,
	}
	cmd.Flags().StringVar(&f.Domain, "domain", "", "only of this `DOMAIN`")
	cmd.Flags().StringVar(&f.Signer, "signer", "", "only through this server, or from this service")
	cmd.Flags().StringVar(&f.State, "state", "", "asked, submitted, arrived, refused or lost")
	cmd.Flags().BoolVar(&f.Newest, "newest", false, "only the newest of each path: how things stand")
	cmd.Flags().IntVar(&f.Limit, "limit", 0, "at most so many (default 100)")
	return query(cmd, func(ctx context.Context, c *client.Client, _ []string) (client.Probes, error) {
		return c.Probes(ctx, f)
	}, printProbes)
}

func newProbeShow() *cobra.Command {
	var r remote
	cmd := &cobra.Command{
		Use:   "show PROBE",
		Short: "Show one probe: what was asked for, what the MTA said, what arrived",
		Long: `Show one probe with everything that was seen of the message: who delivered it, its signatures and what became of each, SPF, DMARC.

The exit status is 1 when it has ended and is not good.`,
		Example: `  postseal probe show prb_k3v9x2m4q7w8e5rt`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := r.open()
			if err != nil {
				return err
			}
			p, err := c.Probe(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if r.asJSON {
				if err := r.json(cmd.OutOrStdout(), p); err != nil {
					return err
				}
			} else {
				printProbe(cmd.OutOrStdout(), p.Probe)
			}
			if !p.Ended.IsZero() && !p.Good {
				return errBad
			}
			return nil
		},
	}
	return r.add(cmd, true)
}

func printProbes(out io.Writer, all client.Probes) error {
	t := table{head: []string{"PROBE", "DOMAIN", "THROUGH", "ASKED", "STATE", "SHOWS"}}
	for _, p := range all.Probes {
		t.add(probeMood(p), p.Probe, p.Domain, throughText(p), since(p.Asked, all.Now), p.State, dash(probeText(p)))
	}
	nobody := "There are no probes."
	if all.Address == "" {
		nobody = "There are no probes, and no address for them: add probes to fleet.yaml."
	}
	return t.print(out, nobody)
}

func throughText(p client.Probe) string {
	if p.Kind == "service" {
		return "service " + p.Signer
	}
	return p.Signer
}

func probeMood(p client.Probe) mood {
	switch {
	case p.Good:
		return good
	case p.NotSetUp, p.Kind == "service" && p.State == "lost":
		return calm
	case p.Ended.IsZero():
		return waiting
	}
	return bad
}

// probeText is the sentence about a probe.
func probeText(p client.Probe) string {
	switch {
	case p.Verdict != nil:
		return p.Verdict.Sentence
	case p.State == "refused":
		return p.Reply
	case p.State == "lost" && p.Kind == "service":
		return "nothing came from the service within a day"
	case p.State == "lost" && p.Submitted.IsZero():
		return "the agent did not take the order: it does not run, cannot reach the control plane, or is of an older release"
	case p.State == "lost":
		return "the MTA took it and it did not arrive; " + p.Reply
	case p.State == "submitted":
		return "under way; " + p.Reply
	case p.Kind == "service":
		return "nothing has come yet"
	}
	return "the agent has not answered yet"
}

// whoSaid introduces a reply: of what was not handed over the agent speaks, which may never have asked the MTA.
func whoSaid(p client.Probe) string {
	if p.Submitted.IsZero() {
		return "the agent said"
	}
	return "the MTA said"
}

func printProbe(out io.Writer, p client.Probe) {
	facts(out, "probe", p.Probe, "domain", p.Domain, "through", throughText(p), "asked", stamp(p.Asked)+" by "+askerText(p), "submitted", stamp(p.Submitted), whoSaid(p), p.Reply, "state", p.State,
		"ended", stamp(p.Ended), "waited for until", stamp(p.Deadline), "expected", strings.Join(p.Wanted, ", "))
	if m := p.Mail; m != nil {
		spf, dmarc := m.SPF, m.DMARC
		if m.SPFDomain != "" {
			spf += " for " + m.SPFDomain
		}
		if m.DMARCPolicy != "" {
			dmarc += ", policy " + m.DMARCPolicy
		}
		facts(out, "delivered by", m.Peer, "HELO", m.HELO, "author", m.From, "envelope", m.EnvelopeFrom, "hops", fmt.Sprint(m.Hops), "SPF", spf, "DMARC", dmarc)
		for _, s := range m.Signatures {
			what := s.Result
			if s.Reason != "" {
				what += ", " + strings.ReplaceAll(s.Reason, "_", " ")
			}
			if s.Aligned {
				what += ", aligned"
			}
			fmt.Fprintf(out, "signature  %s._domainkey.%s (%s): %s\n", clean(s.Selector), clean(s.Domain), clean(dash(s.Algorithm)), clean(what))
		}
	}
	word := "BAD"
	switch probeMood(p) {
	case good:
		word = "GOOD"
	case waiting:
		word = "NOT YET"
	case calm:
		word = "NOTHING"
	}
	fmt.Fprintf(out, "%s: %s\n", word, clean(probeText(p)))
	if p.Verdict == nil {
		return
	}
	for _, n := range p.Verdict.Notes {
		fmt.Fprintf(out, "  %s\n", clean(n))
	}
	if p.Verdict.Fix != "" {
		fmt.Fprintf(out, "  what to do: %s\n", clean(p.Verdict.Fix))
	}
}

func askerText(p client.Probe) string {
	switch p.Why {
	case "person":
		return p.By
	case "rotation":
		return "Postseal, because another key signs"
	}
	return "Postseal, on schedule"
}
