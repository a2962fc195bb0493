package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/postseal/postseal/internal/audit"
	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/resolver"
	"github.com/postseal/postseal/internal/services"
)

const (
	// auditsAtOnce is how many domains are audited side by side. Most of an audit is waiting for servers; the rates of the survey keep it polite.
	auditsAtOnce = 16
	// maxDomains is how many domains one call audits.
	maxDomains = 100_000
	// maxDomainList is the size of a list of domains, in octets.
	maxDomainList = 16 << 20
)

// auditReport is the JSON document of audit (CLI.md).
type auditReport struct {
	Domains []scoredReport `json:"domains"`
}

type scoredReport struct {
	audit.Report
	Score int `json:"score"`
}

// auditFlags are what the command is told.
type auditFlags struct {
	dns        dnsFlags
	selectors  []string
	messages   []string
	list       string
	views      []string
	servers    []string
	blockLists []string
	weak       string
	port       string
	fetch      bool
	noGuess    bool
	compare    compareFlags
	asJSON     bool
	sarif      string
	html       string
}

func newAudit() *cobra.Command {
	var f auditFlags
	cmd := &cobra.Command{
		Use:   "audit DOMAIN …",
		Short: "Look at everything of a domain's mail that stands in DNS, and say what is wrong and how to mend it",
		Long: `Look at everything of a domain's mail that stands in DNS, and say what is wrong and how to mend it. No control plane is needed.

Every authoritative server of the domain is asked for itself, so that one that lags or is silent is named. Looked at are DKIM keys and their
selectors, the servers and zones that they are in, DMARC and SPF with all that they refer to, MTA-STS, TLS reporting and BIMI records.

DNS cannot list selectors. They come from --selector, from the signatures of a message (--message), and from the names that known services use,
which are tried one by one (not with --no-guess). What could not be looked at is said, and is neither good nor bad.

With --baseline what is new, repeated and resolved since an earlier report is told apart. Findings in a file given with --mutes are marked; they count in the score
and not in the exit status, which is 0 if nothing worse than a warning was found, 1 if an error was, 2 if a domain could not be audited. docs/audit.md
explains the ids.`,
		Example: `  postseal audit example.org
  postseal audit --selector mx1-2611abcd --selector mx2-2611efgh --json example.org
  postseal audit --message newsletter.eml
  postseal audit --json --baseline yesterday.json --mutes known.yaml example.org
  postseal audit -f domains.txt`,
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	f.dns.add(cmd)
	flags := cmd.Flags()
	flags.StringArrayVar(&f.selectors, "selector", nil, "look at this `SELECTOR` (repeatable)")
	flags.StringArrayVar(&f.messages, "message", nil, "take domains and selectors from the signatures of this message `FILE` (repeatable)")
	flags.StringVarP(&f.list, "file", "f", "", "audit the domains in this `FILE`, one a line; - is standard input")
	flags.StringArrayVar(&f.views, "view", nil, "also ask the public resolver at this `ADDR`, and compare (repeatable)")
	flags.StringArrayVar(&f.servers, "server", nil, "check the address of a mail server: `NAME=ADDRESS` (repeatable); NAME is what it says in HELO")
	flags.StringArrayVar(&f.blockLists, "dnsbl", nil, "ask the DNS block list `ZONE` about the servers' addresses (repeatable); mind its terms of use")
	flags.StringVar(&f.weak, "weak-keys", "", "a `FILE` with hashes of known weak keys (docs/audit.md)")
	flags.StringVar(&f.port, "authority-port", "", "ask authoritative servers at this `PORT`, loopback ones too (for laboratories)")
	flags.BoolVar(&f.fetch, "fetch", false, "also fetch the MTA-STS policy over HTTPS")
	flags.BoolVar(&f.noGuess, "no-guess", false, "do not try the selectors that known services use")
	f.compare.add(cmd)
	flags.StringVar(&f.sarif, "sarif", "", "write SARIF for a CI system to this `FILE` (- is standard output, in place of the table)")
	flags.StringVar(&f.html, "html", "", "write one self-contained page to this `FILE` (- is standard output, in place of the table)")
	flags.BoolVar(&f.asJSON, "json", false, "print one JSON document")
	return cmd
}

func (f *auditFlags) run(cmd *cobra.Command, args []string) error {
	queries, loose, err := f.queries(cmd, args)
	if err != nil {
		return err
	}
	auditor, questions, err := f.auditor()
	if err != nil {
		return err
	}
	if n := len(slices.DeleteFunc([]string{f.sarif, f.html}, func(s string) bool { return s != "-" })); n > 1 || n == 1 && f.asJSON {
		return fault.New(fault.Invalid, "only one form can go to standard output").WithHint("give the others a file")
	}
	begun := time.Now()
	reports := auditAll(cmd.Context(), cmd.ErrOrStderr(), auditor, queries)
	if cmd.Context().Err() != nil {
		return fault.New(fault.Unavailable, "interrupted")
	}
	for i := range reports {
		reports[i].Findings = append(reports[i].Findings, loose[reports[i].Domain]...)
	}
	audit.Compare(reports)
	if err := f.compare.apply(cmd, reports, begun); err != nil {
		return err
	}
	if err := f.write(cmd, reports); err != nil {
		return err
	}
	if len(reports) > 1 {
		fmt.Fprintf(cmd.ErrOrStderr(), "%d domains in %s, %d questions to DNS\n", len(reports), time.Since(begun).Round(100*time.Millisecond), questions())
	}
	return auditStatus(reports)
}

// write writes the reports in every form that was asked for; only one can be standard output.
func (f *auditFlags) write(cmd *cobra.Command, reports []audit.Report) error {
	forms := []struct {
		path  string
		write func(io.Writer) error
	}{
		{f.sarif, func(w io.Writer) error { return audit.WriteSARIF(w, reports, version()) }},
		{f.html, func(w io.Writer) error { return audit.WriteHTML(w, reports, version(), time.Now()) }},
	}
	table := true
	for _, form := range forms {
		switch form.path {
		case "":
		case "-":
			table = false
			if err := form.write(cmd.OutOrStdout()); err != nil {
				return err
			}
		default:
			if err := writeWhole(form.path, form.write); err != nil {
				return err
			}
		}
	}
	switch {
	case f.asJSON:
		return printJSON(cmd.OutOrStdout(), auditReport{Domains: scored(reports)})
	case table:
		return printAudit(cmd.OutOrStdout(), reports)
	}
	return nil
}

// scored adds the score to each report.
func scored(reports []audit.Report) []scoredReport {
	out := make([]scoredReport, 0, len(reports))
	for _, r := range reports {
		out = append(out, scoredReport{r, r.Score()})
	}
	return out
}

// writeWhole writes a file in one go, so that a reader never meets half of it.
func writeWhole(path string, write func(io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		return fault.Wrap(fault.Invalid, err, "%s cannot be written", path)
	}
	return nil
}

// auditStatus is the exit status.
func auditStatus(reports []audit.Report) error {
	for _, r := range reports {
		if slices.ContainsFunc(r.Findings, func(f audit.Finding) bool { return f.Severity == audit.Error && f.Muted == nil }) {
			return errBad
		}
	}
	for _, r := range reports {
		if len(r.Selectors) == 0 && len(r.Findings) == 0 && len(r.NotChecked) > 0 {
			return fault.New(fault.Unavailable, "%s could not be audited: %s", r.Domain, r.NotChecked[0])
		}
	}
	return nil
}

// auditor makes the auditor, and a count of the questions that it asked.
func (f *auditFlags) auditor() (*audit.Auditor, func() uint64, error) {
	catalogue, err := services.Load()
	if err != nil {
		return nil, nil, err
	}
	deps := audit.Deps{Catalogue: catalogue}
	none := func() uint64 { return 0 }
	if f.weak != "" {
		if deps.Weak, err = readWeakKeys(f.weak); err != nil {
			return nil, nil, err
		}
	}
	if f.fetch {
		deps.Policies = newPolicyFetcher()
	}
	if f.dns.records != "" {
		file, err := f.dns.openRecords()
		if err != nil {
			return nil, nil, err
		}
		deps.DNS = audit.FileDNS{File: file}
		return audit.New(deps), none, nil
	}
	survey, err := f.openSurvey("resolver", f.dns.resolver)
	if err != nil {
		return nil, nil, err
	}
	deps.DNS = survey
	questions := survey.Questions
	if len(f.views) > 0 {
		views, err := f.openSurvey("view", f.views...)
		if err != nil {
			return nil, nil, err
		}
		deps.Views = views
		questions = func() uint64 { return survey.Questions() + views.Questions() }
	}
	return audit.New(deps), questions, nil
}

func readWeakKeys(path string) (audit.WeakKeys, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fault.Wrap(fault.Invalid, err, "the list of weak keys cannot be read: %v", err)
	}
	defer file.Close()
	return audit.ReadWeakList(path, file)
}

// openSurvey asks the recursive servers that a flag names, or the system's.
func (f *auditFlags) openSurvey(flag string, servers ...string) (*resolver.Survey, error) {
	servers = slices.DeleteFunc(slices.Clone(servers), func(s string) bool { return s == "" })
	for _, s := range servers {
		if err := checkResolverAddr(flag, s); err != nil {
			return nil, err
		}
	}
	r, err := resolver.New(resolver.Config{Recursive: servers, AuthorityPort: f.port})
	if err != nil {
		return nil, err
	}
	return resolver.NewSurvey(r, resolver.SurveyConfig{}), nil
}

// queries makes the list of domains with what is known of each. loose are findings about the messages that were given, by domain.
func (f *auditFlags) queries(cmd *cobra.Command, args []string) ([]audit.Query, map[string][]audit.Finding, error) {
	var names []string
	byMessage := make(map[string][]audit.Asked)
	loose := make(map[string][]audit.Finding)
	for _, path := range f.messages {
		signed, err := f.readMessage(cmd, path)
		if err != nil {
			return nil, nil, err
		}
		for _, s := range signed {
			byMessage[s.Domain] = append(byMessage[s.Domain], audit.Asked{Selector: s.Selector, Source: audit.FromMessage, Below: s.Below})
			loose[s.Domain] = append(loose[s.Domain], s.Findings...)
			if len(args) == 0 && f.list == "" && !slices.Contains(names, s.Domain) {
				names = append(names, s.Domain)
			}
		}
	}
	listed, err := f.readList(cmd)
	if err != nil {
		return nil, nil, err
	}
	for _, text := range slices.Concat(args, listed) {
		name, err := domainName(text)
		if err != nil {
			return nil, nil, err
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	switch {
	case len(names) == 0 && len(f.messages) > 0:
		return nil, nil, fault.New(fault.Invalid, "the message has no DKIM signature").WithHint("name the domain, and its selectors with --selector")
	case len(names) == 0:
		return nil, nil, fault.New(fault.Invalid, "there is no domain to audit").WithHint("postseal audit example.org, or -f FILE, or --message FILE")
	case len(names) > maxDomains:
		return nil, nil, fault.New(fault.Invalid, "more than %d domains were named", maxDomains)
	}
	servers, err := f.mailServers()
	if err != nil {
		return nil, nil, err
	}
	var queries []audit.Query
	for _, name := range names {
		q := audit.Query{Domain: name, Guess: !f.noGuess, Selectors: byMessage[name], Servers: servers, BlockLists: f.blockLists}
		for _, s := range f.selectors {
			if _, err := resolver.ToASCII(s + "._domainkey." + name); err != nil {
				return nil, nil, fault.New(fault.Invalid, "--selector %q is no selector", s)
			}
			q.Selectors = append(q.Selectors, audit.Asked{Selector: strings.ToLower(s), Source: audit.FromAsked})
		}
		queries = append(queries, q)
	}
	return queries, loose, nil
}

func (f *auditFlags) readMessage(cmd *cobra.Command, path string) ([]audit.Signed, error) {
	in := cmd.InOrStdin()
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, err, "%s cannot be read", path)
		}
		defer file.Close()
		in = file
	}
	signed, unread, err := audit.ReadMessage(in, time.Now())
	if err != nil {
		return nil, err
	}
	for _, what := range unread {
		fmt.Fprintf(cmd.ErrOrStderr(), "postseal: %s: %s\n", path, clean(what))
	}
	return signed, nil
}

// readList reads a list of domains; empty lines and what follows # are passed over.
func (f *auditFlags) readList(cmd *cobra.Command) ([]string, error) {
	if f.list == "" {
		return nil, nil
	}
	text, err := readAtMost(f.list, cmd.InOrStdin(), maxDomainList)
	if err != nil {
		return nil, err
	}
	const hint = "one domain a line; what follows # is passed over"
	if !utf8.Valid(text) || bytes.IndexByte(text, 0) >= 0 {
		return nil, fault.New(fault.Invalid, "%s is no list of domains: it is no text", f.list).WithHint(hint)
	}
	var out []string
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if _, err := domainName(line); err != nil {
			message, _ := fault.Show(err)
			return nil, fault.New(fault.Invalid, "%s, line %d: %s", f.list, number, message).WithHint(hint)
		}
		out = append(out, line)
	}
	return out, nil
}

func (f *auditFlags) mailServers() ([]audit.Server, error) {
	var out []audit.Server
	for _, text := range f.servers {
		name, addr, ok := strings.Cut(text, "=")
		host, err := resolver.ToASCII(name)
		if !ok || err != nil {
			return nil, fault.New(fault.Invalid, "--server %q is not NAME=ADDRESS", text).WithHint("for example mx1.example.org=192.0.2.1")
		}
		out = append(out, audit.Server{Name: host, HELO: host, Addresses: []string{addr}})
	}
	return out, nil
}

// auditAll audits the domains side by side, in their order, with a bar on a terminal.
func auditAll(ctx context.Context, status io.Writer, a *audit.Auditor, queries []audit.Query) []audit.Report {
	reports := make([]audit.Report, len(queries))
	progress, done := progressBar(status, "auditing", len(queries))
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(auditsAtOnce, len(queries)) {
		wg.Go(func() {
			for i := range next {
				reports[i] = a.Audit(ctx, queries[i])
				progress()
			}
		})
	}
	for i := range queries {
		if ctx.Err() != nil {
			break
		}
		next <- i
	}
	close(next)
	wg.Wait()
	done()
	return reports
}

// progressBar shows on a terminal how far a long work is, when there is more than one piece of it.
func progressBar(status io.Writer, doing string, n int) (progress, done func()) {
	if _, terminal := terminalWidth(status); !terminal || n < 2 {
		return func() {}, func() {}
	}
	p := mpb.New(mpb.WithOutput(status), mpb.WithWidth(40))
	bar := p.AddBar(int64(n), mpb.PrependDecorators(decor.Name(doing+" "), decor.CountersNoUnit("%d of %d")), mpb.AppendDecorators(decor.AverageETA(decor.ET_STYLE_GO)))
	return bar.Increment, func() { bar.Abort(false); p.Wait() }
}
