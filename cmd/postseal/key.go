package main

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/api/client"
)

func newKeyNoun() *cobra.Command {
	list := query(&cobra.Command{Use: "list DOMAIN", Short: "List the keys of a domain", Args: cobra.ExactArgs(1)},
		func(ctx context.Context, c *client.Client, args []string) (client.Keys, error) {
			return c.Keys(ctx, args[0])
		}, printKeys)
	show := query(&cobra.Command{Use: "show DOMAIN SELECTOR", Short: "Show a key: its life, its record, its holders, and what the planner says", Args: cobra.ExactArgs(2)},
		func(ctx context.Context, c *client.Client, args []string) (client.Key, error) {
			return c.Key(ctx, args[0], args[1])
		}, printKey)
	return noun("key", "DKIM keys", list, show)
}

func printKeys(out io.Writer, all client.Keys) error {
	t := table{head: []string{"SELECTOR", "SIGNER", "ALGORITHM", "STATE", "DNS", "MADE", "SIGNED", "WHY"}}
	for _, k := range all.Keys {
		m := calm
		if k.State == "active" {
			m = good
		}
		var signed uint64
		for _, h := range k.Holders {
			signed += h.Signed
		}
		why := k.EndReason
		for _, r := range k.Reasons {
			if why = r.Text; r.Blocked {
				m = waiting
				break
			}
		}
		t.add(m, k.Selector, k.Signer, k.Algorithm, k.State, k.Record.DNS, stamp(k.Created), strconv.FormatUint(signed, 10), dash(why))
	}
	return t.print(out, "There are no keys.")
}

func printKey(out io.Writer, k client.Key) error {
	end := k.EndReason
	if k.End != nil {
		end = k.End.By + ": " + k.End.Reason
		if k.End.Compromised {
			end = "COMPROMISED, " + end
		}
	}
	facts(out, "key", k.Selector+"._domainkey."+k.Domain, "id", k.ID, "signer", k.Signer, "stream", k.Stream, "algorithm", k.Algorithm, "state", k.State,
		"made", stamp(k.Created), "propagated", stamp(k.Propagated), "proven", stamp(k.Proven), "told to sign", stamp(k.Activated), "signs since", stamp(k.Signing),
		"told to stop", stamp(k.Retired), "stopped", stamp(k.Stopped), "p= emptied", stamp(k.Revoked), "removed", stamp(k.Removed),
		"fallen back from", stamp(k.Demoted), "rotate after", stamp(k.RotateAfter), "ended", end, "DNS", k.Record.DNS, "DNS detail", k.Record.DNSDetail)
	for _, r := range k.Reasons {
		fmt.Fprintf(out, "next: %s\n", clean(planText(r)))
	}
	if k.Record.Zone != "" {
		fmt.Fprintf(out, "\n%s\n", clean(k.Record.Zone))
	}
	fmt.Fprintln(out)
	t := table{head: []string{"HOLDER", "TOLD TO", "DOES", "SIGNED", "LAST SIGNATURE", "CANARY", "TROUBLE"}}
	for _, h := range k.Holders {
		m, trouble := calm, firstOf(h.Error, h.CanaryProblem)
		if trouble != "" {
			m = waiting
		}
		does := dash(h.Acked)
		if !h.Gone.IsZero() {
			does = "gone"
		}
		t.add(m, h.Server, h.Want, does, strconv.FormatUint(h.Signed, 10), stamp(h.LastSignature), stamp(h.CanaryVerified), dash(trouble))
	}
	return t.print(out, "Nobody holds it.")
}

func planText(r client.PlanReason) string {
	text := r.Text
	if r.Next != "" {
		text = r.Next + ": " + text
	}
	if !r.NextAt.IsZero() {
		text += " (" + stamp(r.NextAt) + ")"
	}
	if r.Blocked {
		text = "! " + text
	}
	return text
}
