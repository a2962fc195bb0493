package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/audit"
)

func newDMARC() *cobra.Command {
	return noun("dmarc", "The DMARC policy of a domain: show, set, next step", newDMARCShow(), newDMARCSet(), newDMARCNext())
}

func newDMARCNext() *cobra.Command {
	return query(&cobra.Command{
		Use:   "next DOMAIN",
		Short: "Propose the next step of a domain's DMARC policy, with the evidence for it",
		Long: `Propose the step after the present policy, and say what speaks for it and what should be settled first:

  no policy → none with reports → quarantine, tested (t=y) → quarantine → reject, tested (t=y) → reject → the same for subdomains

The evidence: for how long the present policy has stood on every authoritative server, whether every signer signs and its records stand,
open findings, and whether the reports' destinations take them. Steps that act on mail are ready only when aggregate reports were
read: nothing else tells what is sent in the domain's name besides what is known. Nothing is changed; the command to do it is printed.`,
		Example: `  postseal dmarc next example.com`,
		Args:    cobra.ExactArgs(1),
	}, func(ctx context.Context, c *client.Client, args []string) (client.DMARCStep, error) {
		name, err := domainName(args[0])
		if err != nil {
			return client.DMARCStep{}, err
		}
		return c.NextDMARC(ctx, name)
	}, printDMARCStep)
}

func printDMARCStep(out io.Writer, s client.DMARCStep) error {
	facts(out, "domain", s.Domain, "present", firstOf(s.Present, "no policy in the inventory"), "next", firstOf(s.Step, "nothing: this is the last step"), "becomes", s.Policy)
	section := func(title string, lines []string) {
		if len(lines) == 0 {
			return
		}
		fmt.Fprintf(out, "\n%s\n", title)
		for _, l := range lines {
			fmt.Fprintf(out, "  - %s\n", clean(l))
		}
	}
	section("What speaks for it:", s.Reasons)
	section("What should be settled first:", s.Missing)
	section("What is worth knowing:", s.Notes)
	if s.Command == "" {
		return nil
	}
	title := "When that is settled:"
	if s.Ready {
		title = "Nothing is missing. To do it:"
	}
	_, err := fmt.Fprintf(out, "\n%s\n  %s\n", title, clean(s.Command))
	return err
}

// txtLine is a TXT record as a line of a zone file, in strings of at most 255 octets.
func txtLine(name, value string) string {
	return strings.TrimPrefix(audit.Mend{Name: name, Type: "TXT", Value: value}.String(), "+ ")
}

// printTags explains a policy tag by tag.
func printTags(out io.Writer, tags []audit.TagMeaning) error {
	t := table{head: []string{"TAG", "VALUE", "MEANING"}}
	for _, x := range tags {
		t.add(calm, x.Tag, firstOf(x.Value, "(not there)"), x.Meaning)
	}
	return t.print(out, "The record has no tags.")
}

// printDestinations says of each address whether reports come there, and which records are missing.
func printDestinations(out io.Writer, all []client.DMARCDestination) error {
	if len(all) == 0 {
		_, err := fmt.Fprintln(out, "Reports go to nobody.")
		return err
	}
	t := table{head: []string{"TAG", "REPORTS TO", "STATE", "WHY"}}
	var asked []string
	for _, d := range all {
		m := good
		switch d.State {
		case "missing":
			m = bad
			if d.Record != "" {
				asked = append(asked, txtLine(d.Record, d.Value))
			}
		case "waiting", "unseen":
			m = waiting
		}
		t.add(m, d.Tag, d.Address, d.State, d.Text)
	}
	if err := t.print(out, ""); err != nil {
		return err
	}
	if len(asked) > 0 {
		fmt.Fprintln(out, "\nTo be published by the destination; ask its owner for exactly this:")
		for _, l := range asked {
			fmt.Fprintf(out, "  %s\n", clean(l))
		}
	}
	return nil
}
