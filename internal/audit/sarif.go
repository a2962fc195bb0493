package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"slices"
	"strings"
	"time"
)

// The shape of a SARIF log (OASIS, Static Analysis Results Interchange Format 2.1.0), as far as it is used.
type (
	sarifLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool    sarifTool     `json:"tool"`
		Results []sarifResult `json:"results"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name           string      `json:"name"`
		Version        string      `json:"version,omitempty"`
		InformationURI string      `json:"informationUri"`
		Rules          []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID    string    `json:"id"`
		Short sarifText `json:"shortDescription"`
		Help  sarifText `json:"help"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID       string            `json:"ruleId"`
		RuleIndex    int               `json:"ruleIndex"`
		Level        string            `json:"level"`
		Message      sarifText         `json:"message"`
		Locations    []sarifLocation   `json:"locations"`
		Fingerprints map[string]string `json:"partialFingerprints"`
		Baseline     string            `json:"baselineState,omitempty"`
		Suppressions []sarifSuppressed `json:"suppressions,omitempty"`
	}
	sarifSuppressed struct {
		Kind          string `json:"kind"`
		Status        string `json:"status"`
		Justification string `json:"justification"`
	}
	sarifLocation struct {
		Logical []sarifLogical `json:"logicalLocations"`
	}
	sarifLogical struct {
		Name      string `json:"name"`
		Qualified string `json:"fullyQualifiedName"`
		Kind      string `json:"kind"`
	}
)

const (
	sarifSchema = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
	projectURI  = "https://github.com/postseal/postseal"
)

// WriteSARIF writes reports in the form that CI systems read (SARIF 2.1.0). A result's fingerprint is made of domain, id and subject, so that the same
// fault found again is the same result.
func WriteSARIF(w io.Writer, reports []Report, version string) error {
	run := sarifRun{Tool: sarifTool{sarifDriver{Name: "postseal audit", Version: version, InformationURI: projectURI, Rules: []sarifRule{}}}, Results: []sarifResult{}}
	index := make(map[string]int)
	for _, r := range reports {
		for _, f := range slices.Concat(r.Findings, r.Resolved) {
			i, known := index[f.ID]
			if !known {
				i = len(run.Tool.Driver.Rules)
				index[f.ID] = i
				run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{ID: f.ID, Short: sarifText{f.ID + " of docs/audit.md"}, Help: sarifText{f.Fix}})
			}
			result := sarifResult{
				RuleID: f.ID, RuleIndex: i, Level: sarifLevel(f.Severity), Message: sarifText{sarifMessage(f)},
				Locations:    []sarifLocation{{[]sarifLogical{{Name: f.Subject, Qualified: r.Domain + "/" + f.Subject, Kind: "resource"}}}},
				Fingerprints: map[string]string{"finding/v1": fingerprint(r.Domain, f)},
				Baseline:     map[Change]string{Opened: "new", Repeated: "unchanged", Resolved: "absent"}[f.State],
			}
			if m := f.Muted; m != nil {
				result.Suppressions = []sarifSuppressed{{"external", "accepted", m.Reason + " (" + m.By + ", until " + m.Until.UTC().Format(time.DateOnly) + ")"}}
			}
			run.Results = append(run.Results, result)
		}
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(sarifLog{Schema: sarifSchema, Version: "2.1.0", Runs: []sarifRun{run}})
}

func sarifLevel(s Severity) string {
	return map[Severity]string{Error: "error", Warning: "warning", Info: "note"}[s]
}

// sarifMessage says it all in one text: what was seen, by whom, and the mend.
func sarifMessage(f Finding) string {
	lines := []string{f.Subject + ": " + f.Message + "."}
	for _, s := range f.Seen {
		lines = append(lines, s.Server+": "+s.Answer)
	}
	lines = append(lines, "Fix: "+f.Fix)
	for _, m := range f.Mend {
		lines = append(lines, m.String())
	}
	return strings.Join(lines, "\n")
}

// fingerprint names a finding over time.
func fingerprint(domain string, f Finding) string {
	sum := sha256.Sum256([]byte(strings.Join([]string{domain, f.ID, f.Subject}, "\x00")))
	return hex.EncodeToString(sum[:16])
}
