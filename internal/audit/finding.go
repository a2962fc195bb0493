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

// rank puts the worst first.
func (s Severity) rank() int { return slices.Index([]Severity{Error, Warning, Info}, s) }

// Finding is one result. Its id is stable: one that was given out is never used for anything else.
type Finding struct {
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	Message  string   `json:"message"` // what was seen
	Fix      string   `json:"fix"`     // what to do, with the record to publish where there is one
}

// sorted puts the worst first and keeps the order of the flow among equals.
func sorted(findings []Finding) []Finding {
	slices.SortStableFunc(findings, func(a, b Finding) int { return cmp.Compare(a.Severity.rank(), b.Severity.rank()) })
	return findings
}
