package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/audit"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/services"
)

// serviceSetup is the JSON document of service add.
type serviceSetup struct {
	Service  string                 `json:"service"`
	Title    string                 `json:"title,omitempty"`
	Domain   string                 `json:"domain"`
	Stream   string                 `json:"stream,omitempty"`
	Records  []services.SetupRecord `json:"records"`
	Findings []audit.Finding        `json:"findings"`           // of the values, and of what DNS shows behind them
	Notes    []string               `json:"notes,omitempty"`    // what was mended in what was given
	Warnings []string               `json:"warnings,omitempty"` // what is not usual for the service
	Expected []string               `json:"expected,omitempty"` // the same, where the usual is known from memory only
	Standing []standing             `json:"standing,omitempty"` // what stands at the records' names today
	Needs    serviceNeeds           `json:"needs"`
	API      *toldReport            `json:"api,omitempty"`   // what the service's own API said, with --api
	Check    string                 `json:"check,omitempty"` // the command that has the service look at its records
	Fleet    string                 `json:"fleet"`           // the lines for fleet.yaml
	Changes  []client.Change        `json:"changes"`
	Applied  bool                   `json:"applied"`
	// Generation is the inventory's that the changes are against, or that they led to; 0 without a control plane.
	Generation int64 `json:"generation,omitempty"`
}

// serviceAdd is one call of service add.
type serviceAdd struct {
	remote
	dns                             dnsFlags
	domain, stream, txt             string
	selectors, cnames, answers      []string
	custom, dry, print, yes, anyway bool
	offline                         bool
	api                             serviceAddAPI
	cmd                             *cobra.Command
	catalogue                       *services.Catalogue
	service                         services.Service // the zero one when custom
	interactive                     bool
	out                             serviceSetup
}

func newServiceAdd() *cobra.Command {
	a := &serviceAdd{}
	cmd := &cobra.Command{
		Use:   "add SERVICE --domain DOMAIN",
		Short: "Let an outside service sign for a domain: ask for its records, check, publish and watch them",
		Long: `Ask for exactly what the service needs, say where in its console to find it, check it, and add it to the inventory: the control plane
publishes the records and watches them from then on. On a terminal what is missing is asked for; in scripts it comes from flags.

Checked are the values themselves (key size, syntax, the service's usual targets, a value in the wrong field, whole zone lines, domains
that stand twice) and, unless --offline is given, what DNS shows: the key behind each target, and what stands at the names already. What
the catalogue knows of a service is a hint and never a reason to refuse; a TXT value that no receiver can use is refused without --anyway.

With --api the records are read from the service's own API instead of being asked for. They are checked like typed ones; a flag that says something
else is an error. The credential stays on this machine. Only reading is done there: postseal service check has the service look afterwards.

The printed lines belong into fleet.yaml as well: an apply of a file without them says that it would take the service away, and stops.
With --print nothing is changed and no control plane is needed.`,
		Example: `  postseal service add google-workspace --domain example.com
  postseal service add google-workspace --domain example.com --selector google --txt 'v=DKIM1; k=rsa; p=MIIB…' --yes
  postseal service add sendgrid --domain example.com --cname s1=s1.domainkey.u1.wl1.sendgrid.net --cname s2=s2.domainkey.u1.wl1.sendgrid.net
  postseal service add sendgrid --domain example.com --api --credential env:SENDGRID_API_KEY
  postseal service add mailchimp --domain example.com --print`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return a.run(cmd, args[0]) },
	}
	f := cmd.Flags()
	f.StringVar(&a.domain, "domain", "", "the `DOMAIN` that the service may sign for")
	f.StringVar(&a.stream, "stream", "", "the `STREAM` of the domain's mail that it signs (default \"default\")")
	f.StringArrayVar(&a.selectors, "selector", nil, "a `SELECTOR` that the service shows; may be repeated")
	f.StringVar(&a.txt, "txt", "", "the `VALUE` of the TXT record that the service shows (- = standard input)")
	f.StringArrayVar(&a.cnames, "cname", nil, "a CNAME that the service shows, `SELECTOR=TARGET`; may be repeated")
	f.StringArrayVar(&a.answers, "answer", nil, "the answer to a question, `NAME=VALUE`; may be repeated")
	f.BoolVar(&a.custom, "custom", false, "the service is not in the catalogue")
	f.BoolVar(&a.offline, "offline", false, "do not ask DNS")
	f.BoolVar(&a.anyway, "anyway", false, "also with a TXT value that receivers cannot use")
	f.BoolVar(&a.dry, "dry-run", false, "show what would change in the inventory and change nothing")
	f.BoolVar(&a.print, "print", false, "print the records and the lines of fleet.yaml; needs no control plane")
	f.BoolVarP(&a.yes, "yes", "y", false, "ask nothing")
	cmd.MarkFlagsMutuallyExclusive("print", "dry-run")
	a.api.add(cmd)
	a.dns.add(cmd)
	return a.add(cmd, true)
}

func (a *serviceAdd) run(cmd *cobra.Command, name string) error {
	a.cmd = cmd
	a.interactive = !a.yes && !a.asJSON && a.txt != "-" && term.IsTerminal(int(os.Stdin.Fd()))
	if err := a.start(name); err != nil {
		return err
	}
	if err := a.api.check(); err != nil {
		return err
	}
	answers, err := a.given()
	if err != nil {
		return err
	}
	sets := []services.Answers{answers}
	switch {
	case a.api.on:
		if sets, err = a.fromAPI(answers); err != nil {
			return err
		}
	case a.interactive && !a.custom && a.service.Signs != services.None:
		if answers, a.out.Notes, err = a.service.Clean(a.out.Domain, answers); err != nil {
			return err
		}
		if answers, err = askAnswers(cmd.InOrStdin(), cmd.ErrOrStderr(), a.service, a.catalogue.Variants(a.service), a.out.Domain, answers); err != nil {
			return err
		}
		sets[0] = answers
	}
	for _, set := range sets {
		setup, err := a.service.Setup(a.out.Domain, set)
		if err != nil {
			return err
		}
		a.out.Records, a.out.Notes = append(a.out.Records, setup.Records...), append(a.out.Notes, setup.Notes...)
		a.out.Warnings, a.out.Expected = append(a.out.Warnings, setup.Warnings...), append(a.out.Expected, setup.Expected...)
	}
	refused := a.lint()
	if err := a.lookAround(); err != nil {
		return err
	}
	if !a.print {
		a.knowOurs()
	}
	a.out.Fleet = fleetLines(a.out.Service, a.out.Stream, a.custom, a.out.Records)
	if !a.asJSON {
		a.show(cmd.OutOrStdout())
	}
	if refused != nil && !a.anyway {
		if a.asJSON {
			_ = a.json(cmd.OutOrStdout(), a.out)
		}
		return refused
	}
	if !a.print {
		if err := a.change(); err != nil {
			return err
		}
	}
	if a.asJSON {
		return a.json(cmd.OutOrStdout(), a.out)
	}
	if a.out.Check != "" {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "\nOnce the records stand, %s: %s\n", checkDoes(a.out.Service), a.out.Check)
	}
	return err
}

// start finds the service and reads the domain.
func (a *serviceAdd) start(name string) error {
	var err error
	if a.catalogue, err = services.Load(); err != nil {
		return err
	}
	a.out = serviceSetup{Service: strings.ToLower(name), Stream: a.stream, Records: []services.SetupRecord{}, Findings: []audit.Finding{}, Changes: []client.Change{}}
	if a.out.Domain, err = domainName(a.domain); err != nil {
		return err
	}
	if !a.custom {
		if a.service, err = a.catalogue.Find(name); err != nil {
			return err
		}
		a.out.Service, a.out.Title = a.service.ID, a.service.Title
		return nil
	}
	if s, known := a.catalogue.Lookup(name); known {
		return fault.New(fault.Invalid, "%s is in the catalogue (%s)", s.ID, s.Title).WithHint("leave --custom out, or give your own service another name")
	}
	return nil
}

// given are the answers that the flags hold.
func (a *serviceAdd) given() (services.Answers, error) {
	got := services.Answers{Selectors: slices.Clone(a.selectors), TXT: a.txt, Targets: map[string]string{}}
	if a.txt == "-" {
		text, err := readLint(a.cmd.InOrStdin())
		if err != nil {
			return got, err
		}
		got.TXT = text
	}
	set := func(selector, target string) error {
		if other, twice := got.Targets[selector]; twice && other != target {
			return fault.New(fault.Invalid, "two targets were given for the selector %s", clean(selector))
		}
		got.Targets[selector] = target
		return nil
	}
	for _, text := range a.cnames {
		selector, target, ok := strings.Cut(text, "=")
		if !ok {
			return got, fault.New(fault.Invalid, "--cname %q is not SELECTOR=TARGET", clean(text))
		}
		if err := set(strings.TrimSpace(selector), target); err != nil {
			return got, err
		}
	}
	for _, text := range a.answers {
		name, value, ok := strings.Cut(text, "=")
		switch name = strings.TrimSpace(name); {
		case !ok || name == "":
			return got, fault.New(fault.Invalid, "--answer %q is not NAME=VALUE", clean(text))
		case name == string(services.KindSelector):
			got.Selectors = append(got.Selectors, value)
		case name == string(services.KindTXT):
			if got.TXT != "" {
				return got, fault.New(fault.Invalid, "the TXT value was given twice")
			}
			got.TXT = value
		default:
			if err := a.asks(name, value); err != nil {
				return got, err
			}
			if err := set(name, value); err != nil {
				return got, err
			}
		}
	}
	return got, nil
}

// asks refuses an answer to a question that the service does not have. Where CNAMEs are wanted, any name before a host name may be a selector.
func (a *serviceAdd) asks(name, value string) error {
	if a.custom {
		return nil
	}
	var questions []string
	for _, q := range a.service.Ask(services.Answers{}) {
		questions = append(questions, q.Name)
	}
	if slices.Contains(questions, name) || a.service.Signs != services.TXT && strings.Contains(strings.Trim(value, ". "), ".") {
		return nil
	}
	err := fault.New(fault.Invalid, "%s has no question %q", a.service.Title, clean(shortened(name)))
	if len(questions) == 0 {
		return err.WithHint("it asks for nothing")
	}
	return err.WithHint("it asks for: %s", strings.Join(questions, ", "))
}

// change adds the service to the inventory: seen first, then compared and swapped.
func (a *serviceAdd) change() error {
	c, err := a.open()
	if err != nil {
		return withPrintHint(err)
	}
	r := client.ServiceRequest{Service: a.out.Service, Stream: a.stream}
	for _, x := range a.out.Records {
		r.Records = append(r.Records, client.ServiceRecord{Selector: x.Selector, Type: x.Type, Value: x.Value})
	}
	plan, err := c.PlanService(a.cmd.Context(), a.out.Domain, r)
	if err != nil {
		return withPrintHint(err)
	}
	a.out.Generation, a.out.Changes = plan.Generation, plan.Changes
	out := a.cmd.OutOrStdout()
	if !a.asJSON {
		fmt.Fprintln(out)
		if len(plan.Changes) > 0 {
			if err := printChanges(out, plan.Changes); err != nil {
				return err
			}
		}
	}
	switch {
	case len(plan.Changes) == 0:
		return a.say("The inventory has it already: nothing was changed.")
	case a.dry:
		return a.say("Nothing was changed (--dry-run).")
	case a.interactive:
		if err := ask(a.cmd.InOrStdin(), a.cmd.ErrOrStderr(), "Add this to the inventory?"); err != nil {
			return err
		}
	}
	r.Generation = plan.Generation
	done, err := c.ChangeService(a.cmd.Context(), a.out.Domain, r)
	if err != nil {
		return err
	}
	a.out.Applied, a.out.Generation = true, done.Generation
	if d, err := c.Domain(a.cmd.Context(), a.out.Domain); err == nil && d.Mode == "observed" {
		return a.say("Added: generation %d. %s is only observed: the records are watched, and published once it says mode: managed.", done.Generation, a.out.Domain)
	}
	return a.say("Added: generation %d. The records are published and watched from now on: postseal status %s", done.Generation, a.out.Domain)
}

func (a *serviceAdd) say(format string, args ...any) error {
	if a.asJSON {
		return nil
	}
	_, err := fmt.Fprintf(a.cmd.OutOrStdout(), format+"\n", args...)
	return err
}

// withPrintHint adds the way that needs no control plane to an error of reaching it.
func withPrintHint(err error) error {
	code := fault.CodeOf(err)
	if code != fault.Unavailable && code != fault.NotFound {
		return err
	}
	message, hint := fault.Show(err)
	more := "--print shows the records and the lines of fleet.yaml without a control plane"
	if hint != "" {
		more = hint + "; " + more
	}
	return fault.Wrap(code, err, "%s", message).WithHint("%s", more)
}

// lint looks at TXT values as receivers do, and reads them as people paste them. The error is for a value that no receiver can use.
func (a *serviceAdd) lint() error {
	var refused error
	for i := range a.out.Records {
		r := &a.out.Records[i]
		if r.Type != "TXT" {
			continue
		}
		v := audit.ReadValue(r.Value)
		found := audit.LintDKIM(v)
		r.Value = strings.TrimSpace(v.Text)
		for _, f := range found.Findings {
			f.Subject = r.Name
			a.out.Findings = append(a.out.Findings, f)
		}
		switch {
		case slices.ContainsFunc(found.Findings, func(f audit.Finding) bool { return f.ID == "DKIM-S22" }):
			a.anyway = false // a private key is published by nobody who knows
			r.Value = ""
			refused = fault.New(fault.Invalid, "this is a private key: it must never stand in DNS").WithHint("keep it secret, make another one, and give the value of the public key")
		case !found.Valid:
			refused = fault.New(fault.Invalid, "no receiver can use this value").WithHint("copy it again from %s; --anyway publishes it as it is", a.service.Where())
		case found.Revoked:
			refused = fault.New(fault.Invalid, "the value has an empty p=: it revokes the key").WithHint("copy it again from %s; --anyway publishes it as it is", a.service.Where())
		}
	}
	return refused
}

// show prints everything but the changes.
func (a *serviceAdd) show(out io.Writer) {
	a.showAPI(out)
	for _, n := range a.out.Notes {
		fmt.Fprintf(out, "note: %s\n", clean(n))
	}
	for _, w := range a.out.Warnings {
		fmt.Fprintf(out, "warning: %s\n", clean(w))
	}
	for _, x := range a.out.Expected {
		fmt.Fprintf(out, "expected (from memory, its own page tells for certain): %s\n", clean(x))
	}
	for _, f := range a.out.Findings {
		fmt.Fprintf(out, "%s %s: %s: %s. Fix: %s\n", f.Severity, f.ID, clean(f.Subject), clean(f.Message), clean(f.Fix))
	}
	for _, s := range a.out.Standing {
		if s.Text != "" {
			fmt.Fprintf(out, "%s: %s\n", clean(s.Name), clean(s.Text))
		}
	}
	if len(a.out.Notes)+len(a.out.Warnings)+len(a.out.Expected)+len(a.out.Findings)+len(a.out.Standing) > 0 {
		fmt.Fprintln(out)
	}
	fmt.Fprintln(out, "Records to publish:")
	for _, r := range a.out.Records {
		value := clean(r.Value)
		if r.Form != "" {
			value += "   (" + r.Form + ")"
		}
		fmt.Fprintf(out, "  %s  %s  %s\n", clean(r.Name), r.Type, value)
	}
	for _, v := range a.catalogue.Variants(a.service) {
		fmt.Fprintf(out, "Another way to set it up: %s (%s)\n", v.ID, v.Title)
	}
	a.out.Needs.show(out)
	fmt.Fprintf(out, "\nLines for fleet.yaml, under signers: of %s:\n%s", a.out.Domain, clean2(a.out.Fleet))
}

// clean2 is clean for a text of several lines.
func clean2(text string) string {
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		lines[i] = clean(l)
	}
	return strings.Join(lines, "\n")
}
