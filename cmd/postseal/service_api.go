package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/fault"
	"github.com/postseal/postseal/internal/serviceclient/mailchimp"
	"github.com/postseal/postseal/internal/serviceclient/mailgun"
	"github.com/postseal/postseal/internal/serviceclient/mandrill"
	"github.com/postseal/postseal/internal/serviceclient/postmark"
	"github.com/postseal/postseal/internal/serviceclient/sendgrid"
	"github.com/postseal/postseal/internal/serviceclient/ses"
	"github.com/postseal/postseal/internal/services"
	"github.com/postseal/postseal/internal/webapi"
)

// serviceAPI is a client of one service's own API.
type serviceAPI interface {
	// Wanted returns the records that the service wants for a domain, and what it has seen of them.
	Wanted(ctx context.Context, domain string) (services.Told, error)
	// Check has the service look at them now first, where its API can do that.
	Check(ctx context.Context, domain string) (services.Told, error)
}

// openService makes the client of a service of the catalogue.
func openService(id string, o webapi.Options, region string) (serviceAPI, error) {
	switch id {
	case "sendgrid", "sendgrid-manual":
		return sendgrid.New(o)
	case "mailgun", "mailgun-automatic":
		return mailgun.New(o)
	case "postmark":
		return postmark.New(o)
	case "mailchimp":
		return mailchimp.New(o)
	case "mandrill":
		return mandrill.New(o)
	case "amazon-ses", "amazon-ses-byodkim":
		return ses.New(o, region)
	}
	return nil, fault.New(fault.Invalid, "Postseal has no client of the API of %s", id).WithHint("there are some for sendgrid, mailgun, postmark, mailchimp, mandrill and amazon-ses")
}

// toldReport is the JSON document of service check.
type toldReport struct {
	Service string       `json:"service"`
	Domain  string       `json:"domain"`
	Ready   bool         `json:"ready"`
	Records []toldRecord `json:"records"`
	Notes   []string     `json:"notes"`
}

type toldRecord struct {
	Purpose string `json:"purpose"`
	Name    string `json:"name"`
	Type    string `json:"type"`
	Value   string `json:"value"`
	State   string `json:"state"`
	Problem string `json:"problem"`
}

func reportTold(told services.Told) toldReport {
	report := toldReport{Service: told.Service, Domain: told.Domain, Ready: told.Ready, Records: []toldRecord{}, Notes: append([]string{}, told.Notes...)}
	for _, r := range told.Records {
		report.Records = append(report.Records, toldRecord{string(r.Purpose), r.Name, r.Type, r.Value, string(r.State), r.Problem})
	}
	return report
}

func newServiceCheck() *cobra.Command {
	var domain, credential, endpoint, region string
	var readOnly, asJSON bool
	cmd := &cobra.Command{
		Use:   "check SERVICE --domain DOMAIN --credential file:/PATH|env:NAME",
		Short: "Ask a service's own API which records it wants, and have it look at them",
		Long: `Ask a service's own API which records it wants for a domain, and have it look at them now. Nothing is created, changed or deleted
there, except that Postmark takes a new key into use once it sees its record.

The credential stays on this machine: it is read from a file or an environment variable, sent to the service and kept nowhere.
There are clients for sendgrid, mailgun, postmark, mandrill, and for mailchimp and amazon-ses, which look by themselves and only say what they saw.

The exit status is 0 if the service takes the domain for set up, else 1.`,
		Example: `  postseal service check sendgrid --domain example.com --credential env:SENDGRID_API_KEY
  postseal service check mailgun --domain mg.example.com --credential file:/etc/postseal/mailgun.key --endpoint https://api.eu.mailgun.net`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			catalogue, err := services.Load()
			if err != nil {
				return err
			}
			s, err := catalogue.Find(args[0])
			if err != nil {
				return err
			}
			name, err := domainName(domain)
			if err != nil {
				return err
			}
			log := slog.New(slog.NewTextHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: slog.LevelWarn}))
			api, err := openService(s.ID, webapi.Options{Credential: credential, Endpoint: endpoint, Log: log, Once: true}, region)
			if err != nil {
				return err
			}
			ask := api.Check
			if readOnly {
				ask = api.Wanted
			}
			told, err := ask(cmd.Context(), name)
			if err != nil {
				return err
			}
			return printTold(cmd.OutOrStdout(), told, asJSON)
		},
	}
	f := cmd.Flags()
	f.StringVar(&domain, "domain", "", "the `DOMAIN` that the service sends for")
	f.StringVar(&credential, "credential", "", "where the API's key is: `PLACE` is file:/path or env:NAME")
	f.StringVar(&endpoint, "endpoint", "", "the API's base `URL`, for accounts in another region")
	f.StringVar(&region, "region", "", "the `REGION` of an account of Amazon SES")
	f.BoolVar(&readOnly, "read-only", false, "only read what the service says; do not have it look")
	f.BoolVar(&asJSON, "json", false, "print one JSON document")
	_ = cmd.MarkFlagRequired("domain")
	_ = cmd.MarkFlagRequired("credential")
	return cmd
}

func printTold(out io.Writer, told services.Told, asJSON bool) error {
	if err := printToldAs(out, told, asJSON); err != nil {
		return err
	}
	if !told.Ready {
		return errBad
	}
	return nil
}

func printToldAs(out io.Writer, told services.Told, asJSON bool) error {
	if asJSON {
		return printJSON(out, reportTold(told))
	}
	t := table{head: []string{"RECORD", "TYPE", "FOR", "SEEN BY THE SERVICE", "VALUE"}}
	for _, r := range told.Records {
		m := map[services.ToldState]mood{services.ToldSeen: good, services.ToldMissing: bad, services.ToldUnknown: waiting}[r.State]
		state := string(r.State)
		if r.Problem != "" {
			state += ": " + r.Problem
		}
		t.add(m, r.Name, r.Type, string(r.Purpose), state, r.Value)
	}
	if err := t.print(out, "The service names no records."); err != nil {
		return err
	}
	verdict := told.Domain + " is set up there."
	if !told.Ready {
		verdict = told.Domain + " is not set up there yet."
	}
	if _, err := fmt.Fprintf(out, "\n%s\n", clean(verdict)); err != nil {
		return err
	}
	for _, note := range told.Notes {
		if _, err := fmt.Fprintf(out, "Note: %s.\n", clean(note)); err != nil {
			return err
		}
	}
	return nil
}
