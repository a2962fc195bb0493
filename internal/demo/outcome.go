package demo

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

// Outcome is what the demo saw.
type Outcome struct {
	OK       bool             `json:"ok"` // every message verified at arrival and again at the end, through the rotation
	Servers  []ServerOutcome  `json:"servers"`
	Services []ServiceOutcome `json:"services"`
	// Report is what the receivers' DMARC reports said, by selector.
	Report []ReportRow `json:"report,omitempty"`
	// Findings are what the reports mean: in the end one server's bodies are broken on purpose.
	Findings []ReportFinding `json:"findings,omitempty"`
	// Problems say, in sentences, what kept the demo from being all right.
	Problems []string `json:"problems,omitempty"`
}

// ServerOutcome is what happened to one mail server.
type ServerOutcome struct {
	Server            string   `json:"server"`
	SelectorsBefore   []string `json:"selectors_before"`
	SelectorsAfter    []string `json:"selectors_after"`
	Sent              int      `json:"sent"`
	VerifiedAtArrival int      `json:"verified_at_arrival"`
	VerifiedAtEnd     int      `json:"verified_at_end"`
	Unsigned          int      `json:"unsigned"`
}

// ServiceOutcome is what happened to one outside service.
type ServiceOutcome struct {
	Service  string `json:"service"`
	State    string `json:"state"`
	Sent     int    `json:"sent"`
	Verified int    `json:"verified"`
}

// ReportFinding is what the control plane makes of reports.
type ReportFinding struct {
	ID       string `json:"id"`
	Severity string `json:"severity"`
	Subject  string `json:"subject"`
	Message  string `json:"message"`
}

// ReportRow is how one selector fared at all receivers.
type ReportRow struct {
	Selector string `json:"selector"`
	Signer   string `json:"signer"`
	Pass     int    `json:"pass"`
	Fail     int    `json:"fail"`
}

// WriteJSON prints the outcome as one document.
func (o Outcome) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(o)
}

// WriteText prints the outcome for people.
func (o Outcome) WriteText(w io.Writer) {
	fmt.Fprintf(w, "\n%-10s %-22s %-22s %6s %9s %7s %9s\n", "server", "selector before", "selector after", "sent", "verified", "again", "unsigned")
	for _, s := range o.Servers {
		fmt.Fprintf(w, "%-10s %-22s %-22s %6d %9d %7d %9d\n", s.Server, strings.Join(s.SelectorsBefore, ","), strings.Join(s.SelectorsAfter, ","),
			s.Sent, s.VerifiedAtArrival, s.VerifiedAtEnd, s.Unsigned)
	}
	for _, s := range o.Services {
		fmt.Fprintf(w, "%-10s %-45s %6d %9d\n", s.Service, "its own key behind our CNAME: "+s.State, s.Sent, s.Verified)
	}
	if len(o.Report) > 0 {
		fmt.Fprintf(w, "\nThe receivers' DMARC reports name the server by its selector (postseal report summary):\n")
		for _, r := range o.Report {
			fmt.Fprintf(w, "  %-22s %-10s %5d pass %3d fail\n", r.Selector, r.Signer, r.Pass, r.Fail)
		}
	}
	for _, f := range o.Findings {
		fmt.Fprintf(w, "  %s %s: %s\n", f.Severity, f.ID, f.Message)
	}
	for _, p := range o.Problems {
		fmt.Fprintf(w, "PROBLEM: %s\n", p)
	}
	if o.OK {
		fmt.Fprintln(w, "\nEvery message verified at arrival and again at the end, through the rotation.")
	}
}
