package main

import (
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/intake"
	"github.com/postseal/postseal/internal/inventory"
	"github.com/postseal/postseal/internal/oauth"
	"github.com/postseal/postseal/internal/server"
	"github.com/postseal/postseal/internal/webapi"
)

// minReportAge is how long anything of reports is kept at least: what they mean is found out from two weeks of them.
const minReportAge = 15 * 24 * time.Hour

// reportFlags are the flags of serve that are about reports.
type reportFlags struct {
	intake            intake.Settings
	octets, rows, all string
}

func (r *reportFlags) add(cmd *cobra.Command, c *server.Config) {
	f := cmd.Flags()
	f.StringVar(&r.intake.Listen, "report-listen", "", "address of the SMTP listener for reports and probes; it does not run without")
	f.StringVar(&r.intake.Name, "report-name", "", "name that the listener greets with: that of the MX record of the report addresses (default: the first --host)")
	f.StringVar(&r.intake.Certificate, "report-cert", "", "PEM file with the listener's certificate, for STARTTLS; read again when it changes")
	f.StringVar(&r.intake.Key, "report-key", "", "PEM file with the key of that certificate")
	f.StringArrayVar(&r.intake.Mailboxes, "report-mailbox", nil, "a mailbox with reports: imaps://USER@HOST/MAILBOX?password=file:/path, or oauth=file:/path for Microsoft 365 and Google; may be repeated (docs/reports.md)")
	f.StringArrayVar(&r.intake.Folders, "report-folder", nil, "a folder with reports: maildir:/path or folder:/path; may be repeated")
	f.StringSliceVar(&c.ReportAddresses, "report-address", nil, "take reports for these addresses too, besides those that policies of the inventory name")
	f.StringVar(&c.Postmaster.Credential, "postmaster-credential", "", "service account that asks Google Postmaster Tools, its JSON key: file:/path, systemd:NAME or env:NAME; they are not asked without (docs/reports.md)")
	f.StringVar(&c.Postmaster.Subject, "postmaster-subject", "", "person in whose name the service account asks (domain-wide delegation of Google Workspace)")
	f.IntVar(&c.Postmaster.Version, "postmaster-version", 1, "version of Google's API: 1 or 2")
	f.StringVar(&c.Postmaster.Endpoint, "postmaster-endpoint", "", "another place of that API, for tests")
	_ = f.MarkHidden("postmaster-endpoint") // it is defined in the line above
	keep := server.DefaultRetention()
	f.StringVar(&r.octets, "report-keep-mail", inventory.FormatDuration(keep.Octets), "how long mails and files with reports are kept as they came")
	f.StringVar(&r.rows, "report-keep-rows", inventory.FormatDuration(keep.Rows), "how long every record of every report is kept")
	f.StringVar(&r.all, "report-keep", inventory.FormatDuration(keep.All), "how long sums by day are kept")
}

// complete reads what the flags say.
func (r *reportFlags) complete(c *server.Config) error {
	secrets := intake.Secrets{
		Password: func(spec string) (intake.Secret, error) { return webapi.NewCredential(spec, slog.Default()) },
		OAuth: func(user, spec string) (intake.Tokens, error) {
			return oauth.ForMailbox(user, webapi.Options{Credential: spec, Log: slog.Default()})
		},
	}
	in := r.intake
	if in.Listen != "" && in.Name == "" && len(c.Hosts) > 0 {
		in.Name = c.Hosts[0]
	}
	var err error
	if c.Intake, err = in.Config(secrets); err != nil {
		return err
	}
	for _, k := range []struct {
		flag, text string
		into       *time.Duration
	}{{"report-keep-mail", r.octets, &c.Retention.Octets}, {"report-keep-rows", r.rows, &c.Retention.Rows}, {"report-keep", r.all, &c.Retention.All}} {
		d, err := inventory.ParseDuration(k.text)
		if err != nil || d < minReportAge {
			return fault.New(fault.Invalid, "--%s: %q is no time of at least %s", k.flag, clean(k.text), inventory.FormatDuration(minReportAge)).WithHint("for instance 90d")
		}
		*k.into = d
	}
	if c.Retention.Rows > c.Retention.All {
		return fault.New(fault.Invalid, "records cannot be kept longer than the sums that are made of them").WithHint("--report-keep must be at least --report-keep-rows")
	}
	return nil
}
