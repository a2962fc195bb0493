package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/audit"
	"github.com/postseal/postseal/internal/fault"
)

// maxLintOctets is the longest input that is read: the largest answer that DNS can carry, written out with escapes.
const maxLintOctets = 256 << 10

// lintReport is the JSON document of record lint (CLI.md).
type lintReport struct {
	Type     string          `json:"type"`
	Valid    bool            `json:"valid"`
	Findings []audit.Finding `json:"findings"`
}

func newRecordLint() *cobra.Command {
	var kind string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "lint --type dkim|dmarc|spf [VALUE | -]",
		Short: "Say what is wrong with a DKIM, DMARC or SPF record, and how to mend it",
		Long: `Say what is wrong with a DKIM key record, a DMARC policy or an SPF record, and how to mend it. Nothing is asked: not DNS, and no server.
What a record refers to (includes, report addresses) is looked at by "postseal audit".

VALUE is the content of the TXT record, plain, in quoted strings as dig prints it, or as the line of a zone file; "-" or nothing
reads it from standard input. Each finding is a line: severity, id, what was seen, what to do. A record without findings is one line
that says so. docs/lint.md explains the ids.

The exit status is 0 if receivers can use the record and nothing worse than a warning was found, else 1.`,
		Example: `  postseal record lint --type dkim 'v=DKIM1; k=rsa; p=MIIBIjANBgkq…'
  dig +short TXT mx1._domainkey.example.org | postseal record lint --type dkim --json -
  postseal record lint --type spf 'v=spf1 include:_spf.example.net ~all'`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := lintable(kind); err != nil {
				return err
			}
			text := "-"
			if len(args) > 0 {
				text = args[0]
			}
			if text == "-" {
				var err error
				if text, err = readLint(cmd.InOrStdin()); err != nil {
					return err
				}
			}
			return lint(cmd.OutOrStdout(), kind, text, asJSON)
		},
	}
	cmd.Flags().StringVar(&kind, "type", "", "`KIND` of record: dkim, dmarc or spf")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	_ = cmd.RegisterFlagCompletionFunc("type", cobra.FixedCompletions([]cobra.Completion{"dkim", "dmarc", "spf"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// linters are the kinds of records that can be looked at.
func linters() map[string]func(audit.Value) audit.RecordLint {
	return map[string]func(audit.Value) audit.RecordLint{"dkim": audit.LintDKIM, "dmarc": audit.LintDMARC, "spf": audit.LintSPF}
}

// lintable checks the kind of record that is to be looked at.
func lintable(kind string) error {
	switch {
	case linters()[kind] != nil:
		return nil
	case kind == "":
		return fault.New(fault.Invalid, "record lint needs to know the kind of record").WithHint("say --type dkim, --type dmarc or --type spf")
	}
	return fault.New(fault.Invalid, "--type %q is not known", kind).WithHint("it is dkim, dmarc or spf")
}

func readLint(in io.Reader) (string, error) {
	b, err := io.ReadAll(io.LimitReader(in, maxLintOctets+1))
	switch {
	case err != nil:
		return "", fault.Wrap(fault.Unavailable, err, "standard input cannot be read")
	case len(b) > maxLintOctets:
		return "", fault.New(fault.Invalid, "standard input is longer than any DNS record (%d octets)", maxLintOctets)
	}
	return string(b), nil
}

// lint prints what was found and turns it into the exit status.
func lint(out io.Writer, kind, text string, asJSON bool) error {
	found := linters()[kind](audit.ReadValue(text))
	if err := printLint(out, kind, found, asJSON); err != nil {
		return err
	}
	if !found.Valid || slices.ContainsFunc(found.Findings, func(f audit.Finding) bool { return f.Severity == audit.Error }) {
		return errBad
	}
	return nil
}

func printLint(out io.Writer, kind string, found audit.RecordLint, asJSON bool) error {
	if asJSON {
		return printJSON(out, lintReport{Type: kind, Valid: found.Valid, Findings: append([]audit.Finding{}, found.Findings...)})
	}
	for _, f := range found.Findings {
		if _, err := fmt.Fprintf(out, "%s %s: %s. Fix: %s\n", f.Severity, f.ID, clean(f.Message), clean(f.Fix)); err != nil {
			return err
		}
	}
	if len(found.Findings) > 0 {
		return nil
	}
	if kind != "dkim" {
		_, err := fmt.Fprintf(out, "good: %s record that receivers can use\n", map[string]string{"dmarc": "a DMARC", "spf": "an SPF"}[kind])
		return err
	}
	names := map[string]string{"rsa": "RSA", "ed25519": "Ed25519"}
	what := fmt.Sprintf("good: %s key of %d bits", names[found.KeyType], found.Bits)
	if found.Revoked {
		what = fmt.Sprintf("good: a revoked %s key; receivers accept nothing that it signed", names[found.KeyType])
	}
	_, err := fmt.Fprintln(out, what)
	return err
}
