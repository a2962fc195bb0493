package audit

import (
	"cmp"
	"slices"
)

// Severity says how much a finding matters.
type Severity string

// The severities. Error is for mail that fails, a record that receivers ignore, and for keys that others can use.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Info    Severity = "info"
)

// String is the change as a line of a zone file, with + or - before it.
func (m Mend) String() string {
	sign, value := "+", m.Value
	if m.Remove {
		sign = "-"
	}
	switch m.Type {
	case "TXT":
		value = quoted(m.Value)
	case "CNAME":
		value += "."
	}
	return sign + " " + m.Name + ". " + m.Type + " " + value
}

// rank puts the worst first.
func (s Severity) rank() int { return slices.Index([]Severity{Error, Warning, Info}, s) }

// Finding is one result. Its id is stable: one that was given out is never used for anything else. Within one domain, id and subject
// name it: the same fault found again has the same ones, whatever its message says.
type Finding struct {
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	Subject  string   `json:"subject,omitempty"` // what it is about: the absolute name of a record, a server, an address; "" = the one record that was given
	Message  string   `json:"message"`           // what was seen
	Fix      string   `json:"fix"`               // what to do, with the record to publish where there is one
	Seen     []Seen   `json:"seen,omitempty"`    // who answered what, where it was asked of servers
	Mend     []Mend   `json:"mend,omitempty"`    // the records that mend it, in order; none where people must decide
	// State says what an earlier audit said of it: Opened, Repeated; "" = nothing was compared.
	State Change `json:"state,omitempty"`
	Muted *Muted `json:"muted,omitempty"` // who muted it; nil = nobody
}

// Seen is what one server answered.
type Seen struct {
	Server string `json:"server"` // as the resolver names it: "ns1.example.org (192.0.2.1:53)"
	Answer string `json:"answer"` // in one line, for people
}

// Mend is a change of one record set that mends a finding.
type Mend struct {
	Remove bool   `json:"remove,omitempty"` // take this value away instead of publishing it
	Name   string `json:"name"`             // absolute, lower case, no trailing dot
	Type   string `json:"type"`             // TXT, CNAME, …
	Value  string `json:"value"`            // complete; a TXT record's joined strings, a target without trailing dot
}

// sorted puts the worst first and keeps the order of the flow among equals.
func sorted(findings []Finding) []Finding {
	slices.SortStableFunc(findings, func(a, b Finding) int { return cmp.Compare(a.Severity.rank(), b.Severity.rank()) })
	return findings
}
