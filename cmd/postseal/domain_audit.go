package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/api/client"
	"github.com/postseal/postseal/internal/audit"
	"github.com/postseal/postseal/internal/fault"
)

const (
	// auditWait is how long --now waits for the audit's end: the longest that one may take, and the time until it is begun.
	auditWait = 10 * time.Minute
	// auditLook is how often it looks.
	auditLook = time.Second
)

// domainAudit is the document of domain audit for one domain.
type domainAudit struct {
	client.Audit
	Findings []client.Finding `json:"findings"`
}

func newDomainAudit() *cobra.Command {
	var r remote
	var now bool
	var f auditFlags
	cmd := &cobra.Command{
		Use:   "audit [DOMAIN]",
		Short: "Show what the control plane's audits say: every domain's score, or one domain's report",
		Long: `Show what the control plane's audits say. Without DOMAIN: the score of every domain, with how much was found. With it: the whole report, muted
findings included. The control plane audits each domain every audit_every (fleet.yaml); --now has it done at once and waits.

The exit status is 1 if there is a finding of severity error that is not muted.`,
		Example: `  postseal domain audit
  postseal domain audit example.org --now
  postseal domain audit example.org --html report.html`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := r.open()
			if err != nil {
				return err
			}
			f.asJSON = r.asJSON
			if len(args) == 0 {
				if now || f.html != "" || f.sarif != "" {
					return fault.New(fault.Invalid, "that needs a domain").WithHint("postseal domain audit DOMAIN")
				}
				return listAudits(cmd, c, r)
			}
			if now {
				if err := auditNow(cmd, c, args[0]); err != nil {
					return err
				}
			}
			return showAudit(cmd, c, &f, args[0])
		},
	}
	cmd.Flags().BoolVar(&now, "now", false, "audit it at once, and wait for the end")
	cmd.Flags().StringVar(&f.sarif, "sarif", "", "write SARIF for a CI system to this `FILE` (- is standard output, in place of the table)")
	cmd.Flags().StringVar(&f.html, "html", "", "write one self-contained page to this `FILE` (- is standard output, in place of the table)")
	return r.add(cmd, true)
}

func listAudits(cmd *cobra.Command, c *client.Client, r remote) error {
	all := client.Audits{Audits: []client.Audit{}}
	for page, err := range c.Audits(cmd.Context(), "") {
		if err != nil {
			return err
		}
		all.Audits = append(all.Audits, page.Audits...)
	}
	var err error
	if r.asJSON {
		err = r.json(cmd.OutOrStdout(), all)
	} else {
		err = printAudits(cmd.OutOrStdout(), all.Audits)
	}
	if err == nil && slices.ContainsFunc(all.Audits, func(a client.Audit) bool { return a.Errors > a.MutedErrors }) {
		return errBad
	}
	return err
}

func printAudits(out io.Writer, audits []client.Audit) error {
	t := table{head: []string{"DOMAIN", "SCORE", "ERRORS", "WARNINGS", "INFOS", "MUTED", "AUDITED", "NEXT"}}
	for _, a := range audits {
		m, score := good, strconv.Itoa(a.Score)
		switch {
		case a.At.IsZero():
			m, score = waiting, "-"
		case a.Errors > 0:
			m = bad
		case a.Warnings > 0:
			m = waiting
		}
		t.add(m, a.Domain, score, strconv.Itoa(a.Errors), strconv.Itoa(a.Warnings), strconv.Itoa(a.Infos), strconv.Itoa(a.Muted), stamp(a.At), stamp(a.Next))
	}
	return t.print(out, "There are no domains. They come from fleet.yaml: postseal apply -f fleet.yaml")
}

func oneAudit(ctx context.Context, c *client.Client, domain string) (client.Audit, error) {
	for page, err := range c.Audits(ctx, domain) {
		if err != nil {
			return client.Audit{}, err
		}
		if len(page.Audits) == 1 {
			return page.Audits[0], nil
		}
	}
	return client.Audit{}, fault.New(fault.NotFound, "nothing is known of audits of %s", domain)
}

// auditNow has a domain audited and waits until that is done.
func auditNow(cmd *cobra.Command, c *client.Client, domain string) error {
	ctx, cancel := context.WithTimeout(cmd.Context(), auditWait)
	defer cancel()
	before, err := oneAudit(ctx, c, domain)
	if err == nil {
		err = c.AuditNow(ctx, domain)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "auditing %s …\n", clean(domain))
	look := time.NewTicker(auditLook)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return fault.New(fault.Unavailable, "the audit of %s has not ended", domain).WithHint("it goes on: postseal domain audit %s", domain)
		case <-look.C:
		}
		after, err := oneAudit(ctx, c, domain)
		if err != nil {
			return err
		}
		if after.At.After(before.At) {
			return nil
		}
	}
}

func showAudit(cmd *cobra.Command, c *client.Client, f *auditFlags, domain string) error {
	ctx := cmd.Context()
	a, err := oneAudit(ctx, c, domain)
	if err != nil {
		return err
	}
	open, err := allFindings(ctx, c, client.FindingQuery{Domain: domain})
	if err != nil {
		return err
	}
	muted, err := allFindings(ctx, c, client.FindingQuery{Domain: domain, Muted: true})
	if err != nil {
		return err
	}
	whole := domainAudit{Audit: a, Findings: append(open.Findings, muted.Findings...)}
	report := reportOf(whole)
	if f.asJSON {
		if err := printJSON(cmd.OutOrStdout(), whole); err != nil {
			return err
		}
		return auditStatus([]audit.Report{report})
	}
	if a.At.IsZero() {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s has not been audited yet; --now does so\n", clean(domain))
	}
	if err := f.write(cmd, []audit.Report{report}); err != nil {
		return err
	}
	return auditStatus([]audit.Report{report})
}

// reportOf is the report that the stand-alone command would have made.
func reportOf(a domainAudit) audit.Report {
	r := audit.Report{Domain: a.Domain, At: a.At, NotChecked: a.NotChecked}
	for _, s := range a.Selectors {
		r.Selectors = append(r.Selectors, audit.Selector(s))
	}
	for _, f := range a.Findings {
		out := audit.Finding{ID: f.ID, Severity: audit.Severity(f.Severity), Subject: f.Subject, Message: f.Message, Fix: f.Fix, State: audit.Repeated}
		if f.Times <= 1 {
			out.State = audit.Opened
		}
		for _, s := range f.Seen {
			out.Seen = append(out.Seen, audit.Seen(s))
		}
		for _, m := range f.Mend {
			out.Mend = append(out.Mend, audit.Mend(m))
		}
		if m := f.Muted; m != nil {
			out.Muted = &audit.Muted{By: m.By, Reason: m.Reason, Until: m.Until}
		}
		r.Findings = append(r.Findings, out)
	}
	return r
}
