package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/postseal/postseal/dmarc"
	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/audit"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/inventory"
)

// noAddress empties a list of addresses.
const noAddress = "none"

// dmarcSet is one call of dmarc set.
type dmarcSet struct {
	remote
	policy, subdomains, nonexistent string
	rua, ruf                        []string
	strictDKIM, strictSPF, test     bool
	psd, fo                         string
	dry, yes, print, weaken         bool
	cmd                             *cobra.Command
	out                             dmarcSetReport
}

// dmarcSetReport is the JSON document of dmarc set.
type dmarcSetReport struct {
	Domain string `json:"domain"`
	client.DMARCChange
	Findings []audit.Finding `json:"findings"`
	Zone     []string        `json:"zone"`  // the records as lines of a zone file
	Fleet    string          `json:"fleet"` // the line for fleet.yaml
	Applied  bool            `json:"applied"`
}

func newDMARCSet() *cobra.Command {
	s := &dmarcSet{}
	cmd := &cobra.Command{
		Use:   "set DOMAIN",
		Short: "Change the DMARC policy of a domain, and publish it",
		Long: `Change what is said of a domain's DMARC policy in the inventory; what no flag names stays. The control plane publishes the record at _dmarc and,
where reports go to another domain of the inventory, the record by which that domain takes them. Old and new value, and all records, are shown
before anything is changed.

A policy that asks for less than the present one (reject, quarantine, none; no reports any more) needs --weaken, also while the present one is only
tested (--test). With --print nothing is changed and
no control plane is needed: the record is made from the flags alone.`,
		Example: `  postseal dmarc set example.com --policy none --rua dmarc@example.com
  postseal dmarc set example.com --policy quarantine --test
  postseal dmarc set example.com --policy reject --subdomains quarantine --nonexistent reject --yes
  postseal dmarc set example.com --policy none --rua dmarc@example.net --print`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return s.run(cmd, args[0]) },
	}
	f := cmd.Flags()
	f.StringVar(&s.policy, "policy", "", "what is asked for mail that fails: none, quarantine or reject")
	f.StringVar(&s.subdomains, "subdomains", "", "the same for subdomains (sp=); \"same\" = as the domain")
	f.StringVar(&s.nonexistent, "nonexistent", "", "the same for names that do not exist (np=); \"same\" = as subdomains")
	f.StringArrayVar(&s.rua, "rua", nil, "an `ADDRESS` for aggregate reports, in place of those before; may be repeated; \"none\" = nobody")
	f.StringArrayVar(&s.ruf, "ruf", nil, "an `ADDRESS` for reports on single messages; the same")
	f.BoolVar(&s.strictDKIM, "strict-dkim", false, "d= of a signature must be exactly the domain of From (adkim=s)")
	f.BoolVar(&s.strictSPF, "strict-spf", false, "the same for the domain that passes SPF (aspf=s)")
	f.BoolVar(&s.test, "test", false, "receivers act one step weaker and report what they would have done (t=y); --test=false ends it")
	f.StringVar(&s.psd, "psd", "", "y, n or u: whether the domain is a public suffix")
	f.StringVar(&s.fo, "fo", "", "which failures are reported one by one: 0, 1, d, s with colons between")
	f.BoolVar(&s.weaken, "weaken", false, "also when the policy asks for less than before")
	f.BoolVar(&s.dry, "dry-run", false, "show what would change in the inventory and change nothing")
	f.BoolVar(&s.print, "print", false, "print the record for a zone file and as plain value; needs no control plane")
	f.BoolVarP(&s.yes, "yes", "y", false, "ask nothing")
	cmd.MarkFlagsMutuallyExclusive("print", "dry-run")
	for _, name := range []string{"policy", "subdomains", "nonexistent"} {
		_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions([]cobra.Completion{"none", "quarantine", "reject"}, cobra.ShellCompDirectiveNoFileComp))
	}
	return s.add(cmd, true)
}

func (s *dmarcSet) run(cmd *cobra.Command, name string) error {
	s.cmd = cmd
	domain, err := domainName(name)
	if err != nil {
		return err
	}
	s.out = dmarcSetReport{Domain: domain, Findings: []audit.Finding{}, Zone: []string{}}
	s.out.Changes.Changes = []client.Change{}
	if s.print {
		return s.printed(domain)
	}
	c, err := s.open()
	if err != nil {
		return withPrintHint(err)
	}
	d, err := c.Domain(cmd.Context(), domain)
	if err != nil {
		return withPrintHint(err)
	}
	value, err := s.value(d.DMARC)
	if err != nil {
		return err
	}
	request := client.DMARCRequest{Value: value, Weaken: s.weaken}
	plan, err := c.PlanDMARC(cmd.Context(), domain, request)
	if err != nil {
		return err
	}
	s.out.DMARCChange = plan
	s.look(domain, value)
	out := cmd.OutOrStdout()
	if !s.asJSON {
		s.show(out, d.Mode)
	}
	switch {
	case len(plan.Changes.Changes) == 0:
		return s.done("The inventory has it already: nothing was changed.")
	case len(plan.Weaker) > 0 && !s.weaken:
		if s.asJSON {
			_ = s.json(out, s.out)
		}
		return fault.New(fault.Invalid, "that makes the policy of %s weaker: %s", domain, strings.Join(plan.Weaker, "; ")).WithHint("if it is meant, say so: --weaken")
	case s.dry:
		return s.done("Nothing was changed (--dry-run).")
	case !s.yes && !s.asJSON && term.IsTerminal(int(os.Stdin.Fd())):
		if err := ask(cmd.InOrStdin(), cmd.ErrOrStderr(), "Change the policy?"); err != nil {
			return err
		}
	}
	request.Generation = plan.Generation
	changed, err := c.SetDMARC(cmd.Context(), domain, request)
	if err != nil {
		return err
	}
	s.out.Applied, s.out.Changes = true, changed.Changes
	if d.Mode == "observed" {
		return s.done("Changed: generation %d. %s is only observed: nothing is published until it says mode: managed.", changed.Generation, domain)
	}
	return s.done("Changed: generation %d. The records are published from now on: postseal dmarc show %s", changed.Generation, domain)
}

func (s *dmarcSet) done(format string, args ...any) error {
	if s.asJSON {
		return s.json(s.cmd.OutOrStdout(), s.out)
	}
	_, err := fmt.Fprintf(s.cmd.OutOrStdout(), "\n"+format+"\n", args...)
	return err
}

// value is the policy after the flags were laid over the present one.
func (s *dmarcSet) value(present string) (string, error) {
	r, _ := dmarc.Parse(present)
	if r == nil {
		if present != "" {
			return "", fault.New(fault.Invalid, "the present policy is none that receivers can read: %s", clean(present)).WithHint("set it in fleet.yaml")
		}
		r = &dmarc.Record{}
	}
	flags := s.cmd.Flags()
	for _, p := range []struct {
		flag, word string
		into       *dmarc.Policy
	}{{"policy", s.policy, &r.Policy}, {"subdomains", s.subdomains, &r.Subdomains}, {"nonexistent", s.nonexistent, &r.Nonexistent}} {
		switch word := strings.ToLower(p.word); {
		case !flags.Changed(p.flag):
		case word == "same" && p.flag != "policy":
			*p.into = ""
		case slices.Contains([]string{"none", "quarantine", "reject"}, word):
			*p.into = dmarc.Policy(word)
		default:
			return "", fault.New(fault.Invalid, "--%s %q is not known", p.flag, clean(p.word)).WithHint("it is none, quarantine or reject")
		}
	}
	if r.Policy == "" {
		return "", fault.New(fault.Invalid, "it is not said what is asked for mail that fails").WithHint("begin with --policy none --rua ADDRESS")
	}
	mode := func(flag string, strict bool, into *dmarc.Mode) {
		if flags.Changed(flag) {
			*into = map[bool]dmarc.Mode{true: dmarc.Strict, false: dmarc.Relaxed}[strict]
		}
	}
	mode("strict-dkim", s.strictDKIM, &r.DKIM)
	mode("strict-spf", s.strictSPF, &r.SPF)
	if flags.Changed("test") {
		r.Testing = s.test
	}
	if r.Testing && inventory.IdleTest(r) {
		if flags.Changed("test") {
			return "", fault.New(fault.Invalid, "--test means nothing with a policy of none: there is nothing to test").WithHint("leave --test out, or begin with --policy quarantine --test")
		}
		r.Testing = false
		fmt.Fprintln(s.cmd.ErrOrStderr(), "t=y is left out: with a policy of none there is nothing to test")
	}
	if err := addresses("rua", s.rua, &r.Aggregate); err != nil {
		return "", err
	}
	if err := addresses("ruf", s.ruf, &r.Failure); err != nil {
		return "", err
	}
	text := r.String()
	for _, extra := range []struct{ tag, value string }{{"psd", s.psd}, {"fo", s.fo}} {
		if extra.value == "" {
			continue
		}
		with, err := dmarc.Parse("v=DMARC1; p=none; " + extra.tag + "=" + extra.value)
		if err != nil || len(with.Ignored) > 0 || len(with.Unknown) > 0 || strings.Contains(extra.value, ";") {
			return "", fault.New(fault.Invalid, "--%s %q is not understood by receivers", extra.tag, clean(extra.value)).
				WithHint("%s", map[string]string{"psd": "it is y, n or u", "fo": "it is 0, 1, d or s, with colons between"}[extra.tag])
		}
		if extra.tag == "psd" {
			r.PSD = with.PSD
		} else {
			r.FailureWhen = with.FailureWhen
		}
		text = r.String()
	}
	return text, nil
}

// addresses replaces a list of report addresses.
func addresses(flag string, given []string, into *[]dmarc.URI) error {
	if len(given) == 0 {
		return nil
	}
	*into = nil
	for _, text := range given {
		if text == noAddress && len(given) == 1 {
			return nil
		}
		u, err := inventory.ReportAddress(text)
		if err != nil {
			return fault.New(fault.Invalid, "--%s: %q %v", flag, clean(text), err).WithHint("write an address such as dmarc@example.com")
		}
		*into = append(*into, u)
	}
	return nil
}

// look lints the value and writes the records down.
func (s *dmarcSet) look(domain, value string) {
	s.out.Findings = append(s.out.Findings, audit.LintDMARC(audit.Value{Text: value}).Findings...)
	for i := range s.out.Findings {
		s.out.Findings[i].Subject = "_dmarc." + domain
	}
	for _, r := range s.out.Records {
		s.out.Zone = append(s.out.Zone, txtLine(r.Name, r.Value))
	}
	s.out.Fleet = fmt.Sprintf("dmarc: %q", value)
}

// printed is --print: the record from the flags alone.
func (s *dmarcSet) printed(domain string) error {
	value, err := s.value("")
	if err != nil {
		return err
	}
	d := inventory.Domain{Name: domain, DMARC: value}
	s.out.New = value
	s.out.Records = []client.DMARCRecord{{Name: "_dmarc." + domain, Value: value}}
	for _, r := range inventory.ReportRecords(d, nil) {
		s.out.Records = append(s.out.Records, client.DMARCRecord{Name: r.Name, Value: r.Value})
	}
	s.look(domain, value)
	if s.asJSON {
		return s.json(s.cmd.OutOrStdout(), s.out)
	}
	out := s.cmd.OutOrStdout()
	fmt.Fprintf(out, "For a zone file:\n  %s\n\nThe value alone, for a form (name: _dmarc):\n  %s\n", s.out.Zone[0], value)
	if len(s.out.Zone) > 1 {
		fmt.Fprintln(out, "\nReports go to another domain, which has to say that it takes them; to be published in its zone:")
		for _, l := range s.out.Zone[1:] {
			fmt.Fprintf(out, "  %s\n", l)
		}
	}
	fmt.Fprintf(out, "\nFor fleet.yaml, at the domain:\n  %s\n", s.out.Fleet)
	s.remarks(out)
	return nil
}

// show prints what would change.
func (s *dmarcSet) show(out io.Writer, mode string) {
	facts(out, "domain", s.out.Domain, "old", firstOf(s.out.Old, "none"), "new", s.out.New)
	fmt.Fprintln(out, "\nRecords:")
	t := table{head: []string{"NAME", "VALUE", "PUBLISHED BY"}}
	for _, r := range s.out.Records {
		m, who := calm, firstOf(r.Publisher, "the destination has to (postseal dmarc show tells whether it does)")
		switch {
		case mode == "observed":
			who = "nobody: the domain is only observed"
		case r.Publisher == "":
			m = waiting
		}
		t.add(m, r.Name, r.Value, who)
	}
	_ = t.print(out, "")
	for _, w := range s.out.Weaker {
		fmt.Fprintf(out, "\nweaker: %s", clean(w))
	}
	if len(s.out.Weaker) > 0 {
		fmt.Fprintln(out)
	}
	s.remarks(out)
	if len(s.out.Changes.Changes) > 0 {
		fmt.Fprintf(out, "\nFor fleet.yaml, so that the next apply does not change it back:\n  %s\n", clean(s.out.Fleet))
	}
}

// remarks are what the linter says of the new value.
func (s *dmarcSet) remarks(out io.Writer) {
	if len(s.out.Findings) > 0 {
		fmt.Fprintln(out)
	}
	for _, f := range s.out.Findings {
		fmt.Fprintf(out, "%s %s: %s. Fix: %s\n", f.Severity, f.ID, clean(f.Message), clean(f.Fix))
	}
}
