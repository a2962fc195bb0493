package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/dmarc"
	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/audit"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
)

// dmarcLook is the JSON document of dmarc show without a control plane.
type dmarcLook struct {
	Domain       string                    `json:"domain"`
	Found        string                    `json:"found,omitempty"` // the domain whose record applies; "" = none does
	Organization string                    `json:"organization"`
	Record       string                    `json:"record,omitempty"`
	Policy       string                    `json:"policy,omitempty"`    // what is asked for mail of Domain
	Requested    string                    `json:"requested,omitempty"` // after t=y
	Tags         []audit.TagMeaning        `json:"tags"`
	Destinations []client.DMARCDestination `json:"destinations"`
	Findings     []audit.Finding           `json:"findings"`
}

// dmarcShown is the JSON document of dmarc show with a control plane.
type dmarcShown struct {
	client.DMARC
	Tags []audit.TagMeaning `json:"tags"`
}

func newDMARCShow() *cobra.Command {
	var r remote
	var dns dnsFlags
	cmd := &cobra.Command{
		Use:   "show DOMAIN",
		Short: "Show a domain's DMARC policy, what it means, and whether its reports arrive",
		Long: `Show the DMARC policy that the inventory wants for a domain, how it stands in DNS, what each tag means, and for each destination of
reports whether it takes them.

With --resolver or --records no control plane is needed, and it may be anybody's domain: shown is the policy that receivers find by the tree
walk of RFC 9989 §4.10, and where. The exit status is then 1 if there is no policy, if receivers would pass over a part of it, or if a
destination does not take the reports.`,
		Example: `  postseal dmarc show example.com
  postseal dmarc show shop.example.com --resolver 192.0.2.53:53`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := domainName(args[0])
			if err != nil {
				return err
			}
			if dns.records != "" || dns.resolver != "" {
				return lookAtDMARC(cmd, dns, name, r.asJSON)
			}
			c, err := r.open()
			if err != nil {
				return withLookHint(err)
			}
			d, err := c.DMARC(cmd.Context(), name)
			if err != nil {
				return withLookHint(err)
			}
			shown := dmarcShown{DMARC: d, Tags: []audit.TagMeaning{}}
			if policy, _ := dmarc.Parse(d.Want); policy != nil {
				shown.Tags = audit.ExplainDMARC(d.Want, policy)
			}
			if r.asJSON {
				return r.json(cmd.OutOrStdout(), shown)
			}
			return printDMARC(cmd.OutOrStdout(), shown)
		},
	}
	dns.add(cmd)
	return r.add(cmd, true)
}

// withLookHint adds the way that needs no control plane to an error of reaching it.
func withLookHint(err error) error {
	code := fault.CodeOf(err)
	if code != fault.Unavailable && code != fault.NotFound {
		return err
	}
	message, hint := fault.Show(err)
	more := "--resolver ADDR:PORT shows what DNS has, without a control plane"
	if hint != "" {
		more = hint + "; " + more
	}
	return fault.Wrap(code, err, "%s", message).WithHint("%s", more)
}

func printDMARC(out io.Writer, d dmarcShown) error {
	stands, since := d.State, ""
	if !d.Since.IsZero() {
		since = d.Since.UTC().Format(time.DateTime) + " UTC"
	}
	seen := ""
	if d.Record != nil && d.Record.Stands != nil && *d.Record.Stands != d.Want {
		seen = firstOf(*d.Record.Stands, "nothing")
	}
	facts(out, "domain", d.Domain+" ("+d.Mode+")", "wanted", firstOf(d.Want, "nothing: the policy is not ours"), "state", stands, "since", since, "DNS shows", seen)
	if d.Want == "" {
		_, err := fmt.Fprintf(out, "\nTo look at what stands there: postseal dmarc show %s --resolver ADDR:PORT\n", d.Domain)
		return err
	}
	fmt.Fprintln(out)
	if err := printTags(out, d.Tags); err != nil {
		return err
	}
	fmt.Fprintln(out)
	if err := printDestinations(out, d.Destinations); err != nil {
		return err
	}
	if len(d.Findings) > 0 {
		fmt.Fprintln(out)
	}
	for _, f := range d.Findings {
		fmt.Fprintf(out, "%s %s: %s: %s. Fix: %s\n", f.Severity, f.ID, clean(f.Subject), clean(f.Message), clean(f.Fix))
	}
	return nil
}

// lookAtDMARC shows what receivers find.
func lookAtDMARC(cmd *cobra.Command, dns dnsFlags, name string, asJSON bool) error {
	r, err := dns.open()
	if err != nil {
		return err
	}
	look, err := seeDMARC(cmd.Context(), r, name)
	if err != nil {
		return err
	}
	if asJSON {
		err = printJSON(cmd.OutOrStdout(), look)
	} else {
		err = look.print(cmd.OutOrStdout())
	}
	bad := look.Found == "" || slices.ContainsFunc(look.Findings, func(f audit.Finding) bool { return f.Severity == audit.Error }) ||
		slices.ContainsFunc(look.Destinations, func(d client.DMARCDestination) bool { return d.State == "missing" })
	if err == nil && bad {
		return errBad
	}
	return err
}

// seeDMARC finds the policy for mail of a domain, by the tree walk, and asks each destination. A DNS server that does not answer is an error: nothing
// is said of what could not be asked.
func seeDMARC(ctx context.Context, r dmarc.Resolver, name string) (dmarcLook, error) {
	look := dmarcLook{Domain: name, Tags: []audit.TagMeaning{}, Destinations: []client.DMARCDestination{}, Findings: []audit.Finding{}}
	tree, err := dmarc.Walk(ctx, r, name)
	if err != nil {
		return look, fault.Wrap(fault.Unavailable, err, "the DMARC policy of %s cannot be looked up: %v", name, err).WithHint("try again, or another resolver: --resolver ADDR:PORT")
	}
	look.Organization = tree.Organization()
	found := tree.Policy()
	own := "_dmarc." + name
	if texts, err := r.LookupTXT(ctx, own); err == nil {
		texts = slices.DeleteFunc(slices.Clone(texts), func(s string) bool { return !dmarc.IsRecord(s) })
		if len(texts) > 1 {
			look.Findings = append(look.Findings, audit.Finding{ID: "DMARC-02", Severity: audit.Error, Subject: own,
				Message: fmt.Sprintf("%d DMARC records stand here; receivers take none (RFC 9989 §4.10)", len(texts)), Fix: "keep one"})
		}
	}
	if found.Record == nil {
		return look, nil
	}
	at := "_dmarc." + found.Domain
	texts, err := r.LookupTXT(ctx, at)
	if err != nil {
		return look, fault.Wrap(fault.Unavailable, err, "%s cannot be looked up: %v", at, err)
	}
	if i := slices.IndexFunc(texts, dmarc.IsRecord); i >= 0 {
		look.Record = texts[i]
	}
	record, err := dmarc.Parse(look.Record)
	lint := audit.LintDMARC(audit.Value{Text: look.Record})
	for _, f := range lint.Findings {
		f.Subject = at
		look.Findings = append(look.Findings, f)
	}
	if record != nil {
		look.Tags = audit.ExplainDMARC(look.Record, record)
	}
	if record == nil || errors.Is(err, dmarc.ErrNoPolicy) {
		return look, nil
	}
	look.Found = found.Domain
	policy := record.For(found.Domain == name, true)
	look.Policy, look.Requested = string(policy), string(policy)
	if record.Testing {
		look.Requested = string(policy.Lowered())
	}
	for _, list := range []struct {
		tag  string
		uris []dmarc.URI
		kind dmarc.ReportKind
	}{{"rua", record.Aggregate, dmarc.AggregateReport}, {"ruf", record.Failure, dmarc.FailureReport}} {
		for _, u := range list.uris {
			d, err := seeDestination(ctx, r, found.Domain, u, list.tag, list.kind)
			if err != nil {
				return look, err
			}
			look.Destinations = append(look.Destinations, d)
		}
	}
	return look, nil
}

// seeDestination asks whether reports about a domain may be sent to an address.
func seeDestination(ctx context.Context, r dmarc.Resolver, domain string, u dmarc.URI, tag string, kind dmarc.ReportKind) (client.DMARCDestination, error) {
	out := client.DMARCDestination{Tag: tag, Address: firstOf(u.Address, u.Text)}
	if u.Host() == "" {
		out.State, out.Text = "missing", "it is no mailto: address: nothing is sent there"
		return out, nil
	}
	to, ok, err := dmarc.Destination(ctx, r, domain, u, kind)
	if err != nil {
		return out, fault.Wrap(fault.Unavailable, err, "whether %s takes reports about %s cannot be looked up: %v", u.Host(), domain, err)
	}
	there, err := dmarc.Walk(ctx, r, u.Host())
	if err != nil {
		return out, fault.Wrap(fault.Unavailable, err, "the organisation of %s cannot be looked up: %v", u.Host(), err)
	}
	here, err := dmarc.Walk(ctx, r, domain)
	if err != nil {
		return out, fault.Wrap(fault.Unavailable, err, "the organisation of %s cannot be looked up: %v", domain, err)
	}
	switch {
	case ok && there.Organization() == here.Organization():
		out.State, out.Text = "own", "the same organisation: nothing is needed"
	case ok:
		out.State, out.Record, out.Text = "stands", inventory.ReportName(domain, u.Host()), "the destination takes reports about "+domain
		if to.Address != u.Address {
			out.Text += ", and has them sent to " + to.Address
		}
	default:
		out.State, out.Record, out.Value = "missing", inventory.ReportName(domain, u.Host()), inventory.ReportValue
		out.Text = "the destination has not said that it takes reports about " + domain + ": nobody sends them there"
	}
	return out, nil
}

func (l dmarcLook) print(out io.Writer) error {
	if l.Found == "" {
		facts(out, "domain", l.Domain, "organisation", l.Organization, "policy", "none: no record that receivers can use, here or above", "record", l.Record)
	} else {
		where := "_dmarc." + l.Found
		if l.Found != l.Domain {
			where += " (there is none at the domain itself)"
		}
		asked := l.Policy
		if l.Requested != l.Policy {
			asked += ", being tested: receivers act as for " + l.Requested
		}
		facts(out, "domain", l.Domain, "organisation", l.Organization, "found at", where, "record", l.Record, "asks for", asked)
	}
	if len(l.Tags) > 0 {
		fmt.Fprintln(out)
		if err := printTags(out, l.Tags); err != nil {
			return err
		}
	}
	if l.Found != "" {
		fmt.Fprintln(out)
		if err := printDestinations(out, l.Destinations); err != nil {
			return err
		}
	}
	if len(l.Findings) > 0 {
		fmt.Fprintln(out)
	}
	for _, f := range l.Findings {
		fmt.Fprintf(out, "%s %s: %s. Fix: %s\n", f.Severity, f.ID, clean(f.Message), clean(f.Fix))
	}
	return nil
}
