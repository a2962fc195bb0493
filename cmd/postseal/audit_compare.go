package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"github.com/postseal/postseal/internal/audit"
	"github.com/postseal/postseal/internal/fault"
)

const (
	// maxBaseline is the size of an earlier report: 100,000 domains with a dozen findings each.
	maxBaseline = 256 << 20
	// maxMuteFile is the size of a list of mutes. People write it.
	maxMuteFile = 1 << 20
)

// compareFlags say what a report is compared with.
type compareFlags struct{ baseline, mutes string }

func (f *compareFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.baseline, "baseline", "", "compare with this `FILE`, what --json printed before: what is new, repeated, resolved")
	cmd.Flags().StringVar(&f.mutes, "mutes", "", "a `FILE` with findings that are known: id, subject, reason, until (docs/audit.md)")
}

// apply reads what the flags name and marks the reports.
func (f *compareFlags) apply(cmd *cobra.Command, reports []audit.Report, now time.Time) error {
	if f.baseline != "" {
		before, err := readBaseline(f.baseline, cmd.InOrStdin())
		if err != nil {
			return err
		}
		for i := range reports {
			if earlier, known := before[reports[i].Domain]; known {
				reports[i].Against(earlier)
			}
		}
	}
	if f.mutes != "" {
		mutes, ended, err := readMutes(f.mutes, cmd.InOrStdin(), now)
		if err != nil {
			return err
		}
		for _, line := range ended {
			fmt.Fprintf(cmd.ErrOrStderr(), "postseal: %s: %s\n", f.mutes, clean(line))
		}
		for i := range reports {
			reports[i].Mute(mutes, now)
		}
	}
	return nil
}

// readBaseline reads a document of audit --json.
func readBaseline(path string, in io.Reader) (map[string]audit.Report, error) {
	raw, err := readAtMost(path, in, maxBaseline)
	if err != nil {
		return nil, err
	}
	var doc auditReport
	if err := json.Unmarshal(raw, &doc); err != nil || doc.Domains == nil {
		return nil, fault.New(fault.Invalid, "%s is no report of postseal audit --json", path)
	}
	out := make(map[string]audit.Report)
	for _, r := range doc.Domains {
		out[r.Domain] = r.Report
	}
	return out, nil
}

// muteExample is one entry of a file of mutes.
const muteExample = `- {id: DKIM-K02, subject: s1._domainkey.example.org, reason: "why", until: 2027-01-31}`

// muteLine is one entry of a file of mutes.
type muteLine struct {
	Domain  string `yaml:"domain"`
	ID      string `yaml:"id"`
	Subject string `yaml:"subject"`
	By      string `yaml:"by"`
	Reason  string `yaml:"reason"`
	Until   string `yaml:"until"`
}

// readMutes reads a file of mutes. ended names those that are over.
func readMutes(path string, in io.Reader, now time.Time) (mutes []audit.Mute, ended []string, err error) {
	raw, err := readAtMost(path, in, maxMuteFile)
	if err != nil {
		return nil, nil, err
	}
	var lines []muteLine
	if err := yaml.UnmarshalWithOptions(raw, &lines, yaml.Strict()); err != nil {
		return nil, nil, fault.New(fault.Invalid, "%s is no list of mutes: %s", path, clean(strings.TrimSpace(yaml.FormatError(err, false, false)))).WithHint(muteExample)
	}
	for i, l := range lines {
		bad := func(format string, args ...any) error {
			return fault.New(fault.Invalid, "%s: entry %d: %s", path, i+1, fmt.Sprintf(format, args...)).WithHint(muteExample)
		}
		m := audit.Mute{ID: strings.ToUpper(l.ID), Subject: l.Subject, By: l.By, Reason: l.Reason}
		if l.Domain != "" {
			if m.Domain, err = domainName(l.Domain); err != nil {
				message, _ := fault.Show(err)
				return nil, nil, bad("%s", message)
			}
		}
		if m.ID == "" || strings.TrimSpace(m.Reason) == "" {
			return nil, nil, bad("an id and a reason are needed")
		}
		if m.Until, err = time.Parse(time.DateOnly, l.Until); err != nil {
			return nil, nil, bad("until %q is no day", l.Until)
		}
		if m.Until.Sub(now) > audit.MaxMute {
			return nil, nil, bad("until %s is more than %d days away", l.Until, audit.MaxMute/(24*time.Hour))
		}
		if !m.Until.After(now) {
			ended = append(ended, fmt.Sprintf("entry %d (%s %s) ended on %s and mutes nothing", i+1, m.ID, m.Subject, l.Until))
			continue
		}
		mutes = append(mutes, m)
	}
	return mutes, ended, nil
}
