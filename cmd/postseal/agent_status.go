package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/agent"
)

func newAgentStatus(config *string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show what the agent on this server does",
		Long: `Show what the agent that runs on this server does: who it is, how it stands with its control plane, for which
domains it signs with which keys, and why mail was not signed.

Exit status 1 when something needs a person: a condition, or a domain that nothing signs for.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := agentConfig(cmd, *config)
			if err != nil {
				return err
			}
			s, err := agent.ReadStatus(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(cmd.OutOrStdout(), s)
			} else {
				err = printAgentStatus(cmd.OutOrStdout(), s)
			}
			if err == nil && needsPerson(s) {
				err = errBad
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return cmd
}

func needsPerson(s agent.Status) bool {
	return len(s.Conditions) > 0 || slices.ContainsFunc(s.Assignments, func(a agent.StatusAssignment) bool { return !a.Signs })
}

func printAgentStatus(out io.Writer, s agent.Status) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(cells ...string) { fmt.Fprintln(w, strings.TrimRight(strings.Join(cells, "\t"), "\t")) }
	name := s.Server.Name
	if name == "" {
		name = "not joined"
	}
	row("server", name, s.Server.ID)
	contact := "no answer yet"
	if c := s.ControlPlane; c.ContactAgeSeconds >= 0 {
		contact = "last answer " + ago(c.ContactAgeSeconds)
	}
	if s.ControlPlane.Trouble != "" {
		contact += "; " + s.ControlPlane.Trouble
	}
	row("control plane", s.ControlPlane.URL, contact)
	for _, l := range s.Listeners {
		note := ""
		if l.EightBit {
			note = "8-bit mail signed: see disable_mime_output_conversion"
		}
		row("listener", l.Address, "sign: "+l.Sign, note)
	}
	row()
	row("DOMAIN", "SELECTOR", "ALGORITHM", "STATE", "SIGNED", "LAST", "")
	for _, a := range s.Assignments {
		domain := a.Domain
		if a.Stream != "" && a.Stream != "default" {
			domain += " (" + a.Stream + ")"
		}
		if len(a.Keys) == 0 {
			row(domain, "-", "-", "no key", "", "", a.Problem)
		}
		for _, k := range a.Keys {
			row(domain, k.Selector, k.Algorithm, keyState(k), fmt.Sprint(k.Signed), ago(k.SignedAgeSeconds), k.Problem)
		}
	}
	for _, k := range s.Stored {
		row("-", "-", "-", "kept, not named", fmt.Sprint(k.Signed), ago(k.SignedAgeSeconds), k.ID)
	}
	if len(s.Unsigned) > 0 {
		row()
		row("NOT SIGNED", "MESSAGES")
		for _, reason := range slices.Sorted(maps.Keys(s.Unsigned)) {
			row(reason, fmt.Sprint(s.Unsigned[reason]))
		}
	}
	if len(s.Notes) > 0 {
		row()
		row("SIGNED, BUT", "MESSAGES")
		for _, note := range slices.Sorted(maps.Keys(s.Notes)) {
			row(note, fmt.Sprint(s.Notes[note]))
		}
	}
	if len(s.Verified) > 0 {
		row()
		row("MAIL OF OTHERS", "", "MESSAGES")
		for _, what := range slices.Sorted(maps.Keys(s.Verified)) {
			method, result, _ := strings.Cut(what, "/")
			row(method, strings.ReplaceAll(result, "/", ", "), fmt.Sprint(s.Verified[what]))
		}
	}
	if len(s.Refusals) > 0 {
		row()
		row("REFUSED BY", "DOMAIN", "CODE", "MESSAGES", "LAST", "")
		for _, r := range s.Refusals {
			row(clean(r.Receiver), dash(clean(r.Domain)), clean(r.Code), fmt.Sprint(r.Messages), r.Last.Local().Format("2006-01-02 15:04"), clean(r.Text))
		}
	}
	if len(s.Times) > 0 {
		row()
		row("STEP", "MESSAGES", "EACH")
		for _, t := range s.Times {
			row(t.Step, fmt.Sprint(t.Messages), fmt.Sprintf("%d µs", t.MicrosecondsEach))
		}
	}
	if len(s.Conditions) > 0 {
		row()
		for _, c := range s.Conditions {
			row("! "+c.Word, c.Message)
		}
	}
	return w.Flush()
}

func keyState(k agent.StatusKey) string {
	switch {
	case !k.Has:
		return "missing"
	case k.Signing && k.Want != "sign":
		return "stopping"
	case k.Signing:
		return "signing"
	case k.Want == "sign":
		return "standing by"
	case k.Want == "stop":
		return "stopped"
	}
	return "held"
}

// ago says an age in the largest fitting unit; negative is never.
func ago(seconds int64) string {
	d := time.Duration(seconds) * time.Second
	switch {
	case seconds < 0:
		return "never"
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s ago", seconds)
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", int(d.Hours()))
	}
	return fmt.Sprintf("%d days ago", int(d.Hours()/24))
}
