package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/api/client"
)

func newDomain() *cobra.Command {
	list := query(&cobra.Command{Use: "list", Short: "List domains", Args: cobra.NoArgs},
		func(ctx context.Context, c *client.Client, _ []string) (client.DomainPage, error) {
			all := client.DomainPage{Domains: []client.Domain{}}
			for page, err := range c.AllDomains(ctx) {
				if err != nil {
					return all, err
				}
				all.Domains = append(all.Domains, page.Domains...)
			}
			return all, nil
		},
		func(out io.Writer, page client.DomainPage) error {
			t := table{head: []string{"DOMAIN", "MODE", "PUBLISHER", "NO KEY", "LABELS"}}
			for _, d := range page.Domains {
				t.add(calm, d.Name, d.Mode, dash(d.Publisher), d.NoKey, dash(strings.Join(d.Labels, ", ")))
			}
			return t.print(out, "There are no domains. They come from fleet.yaml: postseal apply -f fleet.yaml")
		})
	show := query(&cobra.Command{Use: "show DOMAIN", Short: "Show a domain and who signs for it", Args: cobra.ExactArgs(1)},
		func(ctx context.Context, c *client.Client, args []string) (client.DomainShow, error) {
			return c.Domain(ctx, args[0])
		},
		printDomain)
	return noun("domain", "Signing domains (they come from fleet.yaml)", list, show, newDomainAudit())
}

func printDomain(out io.Writer, d client.DomainShow) error {
	seconds := func(n int64) string { return span(time.Duration(n) * time.Second) }
	test := ""
	if d.Policy.TestMode {
		test = "on: the waits are too short for production"
	}
	hold := ""
	if d.Hold != nil {
		hold = fmt.Sprintf("by %s%s: %s", d.Hold.By, untilText(d.Hold.Until), d.Hold.Reason)
	}
	facts(out, "domain", d.Name, "mode", d.Mode, "labels", strings.Join(d.Labels, ", "), "publisher", d.Publisher, "no key", d.NoKey, "DMARC", d.DMARC,
		"rotate every", seconds(d.Policy.RotateEvery), "record kept", seconds(d.Policy.Retention)+" after the last signature, then p= empty for "+seconds(d.Policy.Tombstone),
		"TTL", seconds(d.Policy.TTL), "test mode", test, "held", hold)
	for _, w := range d.Waivers {
		facts(out, "waived", fmt.Sprintf("%s by %s%s: %s", w.Server, w.By, untilText(w.Until), w.Reason))
	}
	fmt.Fprintln(out)
	t := table{head: []string{"SIGNER", "KIND", "STREAM", "CLASS", "KEYS", "STATE"}}
	for _, a := range d.Assignments {
		state, m := "may sign", good
		if a.Ended {
			state, m = "ended by "+a.EndedBy, calm
		}
		what := strings.Join(a.Algorithms, ", ")
		if what == "" {
			var selectors []string
			for _, r := range a.Records {
				selectors = append(selectors, r.Selector+" "+r.Type)
			}
			what = strings.Join(selectors, ", ")
		}
		t.add(m, a.Signer, a.SignerKind, a.Stream, a.Class, dash(what), state)
	}
	if err := t.print(out, "Nobody signs for it."); err != nil {
		return err
	}
	for _, f := range d.Findings {
		fmt.Fprintf(out, "%s %s: %s\n", f.Severity, f.ID, clean(f.Message))
	}
	return nil
}
