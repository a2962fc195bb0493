package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/resolver"
	"github.com/postseal/postseal/internal/services"
)

// detection is the JSON document of service detect.
type detection struct {
	Domain     string                 `json:"domain"`
	Services   []detected             `json:"services"`
	Unknown    []services.SetupRecord `json:"unknown"` // selectors of nobody that the catalogue knows
	Wildcard   bool                   `json:"wildcard,omitempty"`
	NotChecked []string               `json:"not_checked,omitempty"`
	Queries    int                    `json:"queries"`
	Fleet      string                 `json:"fleet"` // lines for fleet.yaml: services with records
}

// detected is one service.
type detected struct {
	Service    string                 `json:"service"`
	Title      string                 `json:"title"`
	Confidence services.Confidence    `json:"confidence"`
	Clues      []services.Clue        `json:"clues"`
	Records    []services.SetupRecord `json:"records"`
	Others     []string               `json:"others,omitempty"`    // ids that cannot be told apart from it here
	Inventory  *bool                  `json:"inventory,omitempty"` // the control plane's inventory has it; absent when it was not asked
}

// serviceDetect is one call of service detect.
type serviceDetect struct {
	remote
	dns          dnsFlags
	selectors    []string
	compare, add bool
	yes          bool
	cmd          *cobra.Command
}

func newServiceDetect() *cobra.Command {
	d := &serviceDetect{}
	cmd := &cobra.Command{
		Use:   "detect DOMAIN",
		Short: "Recognise the outside services that a domain uses; needs no server",
		Long: `Ask DNS for the selectors that services are known to use, for those given with --selector, for SPF with its includes, MX, verification
records and a few further names, and say which services they tell of, each with what was seen and how sure it is:

  certain   a name leads into the service's own zone
  likely    a sign that this service alone has
  possible  a sign that others can have too, or that is known from memory only

Selectors that differ from account to account (Amazon SES, HubSpot, Mailgun, Postmark and others) cannot be guessed: take them from a message
or a DMARC report and pass them with --selector. Printed are lines for fleet.yaml.

With --compare the inventory of the control plane is asked which of them it has; with --add the others are offered one by one.`,
		Example: `  postseal service detect example.com
  postseal service detect example.com --selector 20260102030405pm --compare`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return d.run(cmd, args[0]) },
	}
	f := cmd.Flags()
	f.StringArrayVar(&d.selectors, "selector", nil, "look at this `SELECTOR` too; may be repeated")
	f.BoolVar(&d.compare, "compare", false, "ask the control plane which of them the inventory has")
	f.BoolVar(&d.add, "add", false, "offer what the inventory does not have, and add it")
	f.BoolVarP(&d.yes, "yes", "y", false, "with --add: ask nothing and add what is certain")
	d.dns.add(cmd)
	return d.remote.add(cmd, true)
}

func (d *serviceDetect) run(cmd *cobra.Command, name string) error {
	d.cmd = cmd
	domain, err := domainName(name)
	if err != nil {
		return err
	}
	selectors, err := d.given(domain)
	if err != nil {
		return err
	}
	catalogue, err := services.Load()
	if err != nil {
		return err
	}
	dns, err := d.dns.asker()
	if err != nil {
		return err
	}
	look := lookAtDomain(cmd.Context(), dns, catalogue, domain, selectors, cmd.ErrOrStderr())
	if err := cmd.Context().Err(); err != nil {
		return err
	}
	if len(look.NotChecked) >= look.Queries-1 {
		return fault.New(fault.Unavailable, "DNS gave no usable answer for %s", domain).WithHint("--resolver ADDR:PORT asks another resolver; the first trouble was: %s", firstOf(look.NotChecked...))
	}
	out := detectionOf(catalogue.Detect(look.Sighted), look)
	var c *client.Client
	if d.compare || d.add {
		if c, err = d.open(); err != nil {
			return err
		}
		if err := mark(cmd.Context(), c, &out); err != nil {
			return err
		}
	}
	if !d.asJSON {
		if err := out.show(cmd.OutOrStdout()); err != nil {
			return err
		}
	}
	if d.add {
		if err := d.offer(c, &out); err != nil {
			return err
		}
	}
	if d.asJSON {
		return d.json(cmd.OutOrStdout(), out)
	}
	return nil
}

// given reads the selectors of the flags.
func (d *serviceDetect) given(domain string) ([]string, error) {
	if len(d.selectors) > maxGivenSelectors {
		return nil, fault.New(fault.Invalid, "%d selectors are more than are looked at in one call (%d)", len(d.selectors), maxGivenSelectors)
	}
	var out []string
	for _, text := range d.selectors {
		s, _ := services.ReadSelector(text, domain)
		if _, err := resolver.ToASCII(s + ".example.org"); err != nil || s == "" {
			return nil, fault.New(fault.Invalid, "--selector %q is not a selector", clean(text))
		}
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out, nil
}

func detectionOf(found services.Detection, look domainLook) detection {
	out := detection{Domain: look.Domain, Services: []detected{}, Unknown: append([]services.SetupRecord{}, found.Unknown...), Wildcard: look.Wildcard, NotChecked: look.NotChecked, Queries: look.Queries}
	for _, x := range found.Services {
		one := detected{Service: x.Service.ID, Title: x.Service.Title, Confidence: x.Confidence, Clues: x.Clues, Records: append([]services.SetupRecord{}, x.Records...)}
		for _, o := range x.Others {
			one.Others = append(one.Others, o.ID)
		}
		for _, entry := range byType(one.Records) {
			out.Fleet += fleetLines(one.Service, entry.stream, false, entry.records)
		}
		out.Services = append(out.Services, one)
	}
	return out
}

// entry is what fits into one entry of fleet.yaml.
type entry struct {
	stream  string
	records []services.SetupRecord
}

// byType divides records into entries: one has either CNAME or TXT records, and a second one needs a stream of its own.
func byType(records []services.SetupRecord) (entries []entry) {
	for _, r := range records {
		i := slices.IndexFunc(entries, func(e entry) bool { return e.records[0].Type == r.Type })
		if i < 0 {
			e := entry{}
			if len(entries) > 0 {
				e.stream = strings.ToLower(r.Type)
			}
			entries = append(entries, e)
			i = len(entries) - 1
		}
		entries[i].records = append(entries[i].records, r)
	}
	return entries
}

// mark asks which services the inventory has for the domain.
func mark(ctx context.Context, c *client.Client, out *detection) error {
	d, err := c.Domain(ctx, out.Domain)
	if fault.CodeOf(err) == fault.NotFound {
		return fault.New(fault.NotFound, "%s is not in the inventory", out.Domain).WithHint("name it in fleet.yaml with the lines that this command prints without --compare")
	}
	if err != nil {
		return err
	}
	for i := range out.Services {
		x := &out.Services[i]
		has := slices.ContainsFunc(d.Assignments, func(a client.Assignment) bool {
			if a.Ended || a.SignerKind != "service" {
				return false
			}
			return a.Signer == x.Service || slices.Contains(x.Others, a.Signer) ||
				slices.ContainsFunc(a.Records, func(r client.ServiceRecord) bool {
					return slices.ContainsFunc(x.Records, func(y services.SetupRecord) bool {
						return y.Selector == r.Selector && y.Type == r.Type && y.Value == r.Value
					})
				})
		})
		x.Inventory = &has
	}
	return nil
}

func (out detection) show(w io.Writer) error {
	t := table{head: []string{"SERVICE", "CONFIDENCE", "SEEN AT", "SEEN"}, group: true}
	compared := false
	for _, x := range out.Services {
		name, m := x.Service, calm
		if x.Inventory != nil {
			compared = true
			if m = waiting; *x.Inventory {
				m = good
			} else {
				name += " (not in the inventory)"
			}
		}
		for _, clue := range x.Clues {
			t.add(m, name, string(clue.Confidence), clue.Name, clue.Kind+": "+clue.Seen)
		}
	}
	if err := t.print(w, "No service was recognised."); err != nil {
		return err
	}
	for _, x := range out.Services {
		if len(x.Others) > 0 {
			fmt.Fprintf(w, "%s may also be: %s (they look the same here)\n", x.Service, strings.Join(x.Others, ", "))
		}
	}
	for _, r := range out.Unknown {
		fmt.Fprintf(w, "unknown: %s has a %s record that no service of the catalogue is known for: %.60s\n", clean(r.Name), r.Type, clean(r.Value))
	}
	if out.Wildcard {
		fmt.Fprintf(w, "note: names under _domainkey.%s that nobody made are answered too (a wildcard); what looks like it was left out\n", out.Domain)
	}
	for i, n := range out.NotChecked {
		if i == maxNotChecked {
			fmt.Fprintf(w, "not checked: %d more\n", len(out.NotChecked)-i)
			break
		}
		fmt.Fprintf(w, "not checked: %s\n", clean(n))
	}
	if out.Fleet != "" {
		fmt.Fprintf(w, "\nLines for fleet.yaml, under signers: of %s:\n%s", out.Domain, clean2(out.Fleet))
	}
	if compared && slices.ContainsFunc(out.Services, func(x detected) bool { return !*x.Inventory && len(x.Records) == 0 }) {
		fmt.Fprintf(w, "\nWithout known records, so to be added by hand: postseal service add SERVICE --domain %s\n", out.Domain)
	}
	return nil
}

// maxNotChecked is how many names without an answer are listed.
const maxNotChecked = 5

// offer adds what the inventory does not have: on a terminal each after a question, with --yes what is certain.
func (d *serviceDetect) offer(c *client.Client, out *detection) error {
	interactive := !d.yes && !d.asJSON && term.IsTerminal(int(os.Stdin.Fd()))
	if !interactive && !d.yes {
		return fault.New(fault.Invalid, "--add asks about each service, and nobody can answer here").WithHint("pass --yes to add what is certain")
	}
	for i := range out.Services {
		x := &out.Services[i]
		if *x.Inventory || len(x.Records) == 0 || !interactive && x.Confidence != services.Certain {
			continue
		}
		if interactive {
			if err := ask(d.cmd.InOrStdin(), d.cmd.ErrOrStderr(), fmt.Sprintf("Add %s with %d records?", x.Service, len(x.Records))); err != nil {
				continue
			}
		}
		for _, e := range byType(x.Records) {
			r := client.ServiceRequest{Service: x.Service, Stream: e.stream}
			for _, y := range e.records {
				r.Records = append(r.Records, client.ServiceRecord{Selector: y.Selector, Type: y.Type, Value: y.Value})
			}
			plan, err := c.PlanService(d.cmd.Context(), out.Domain, r)
			if err != nil {
				return err
			}
			r.Generation = plan.Generation
			done, err := c.ChangeService(d.cmd.Context(), out.Domain, r)
			if err != nil {
				return err
			}
			if !d.asJSON {
				fmt.Fprintf(d.cmd.OutOrStdout(), "Added %s: generation %d.\n", x.Service, done.Generation)
			}
		}
		*x.Inventory = true
	}
	return nil
}
