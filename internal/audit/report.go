package audit

import (
	"strings"
	"time"
)

// Report is what an audit of one domain found.
type Report struct {
	Domain     string     `json:"domain"`
	At         time.Time  `json:"at"`
	Selectors  []Selector `json:"selectors"`
	Findings   []Finding  `json:"findings"`              // the worst first
	NotChecked []string   `json:"not_checked,omitempty"` // what could not be looked at, and why; such a thing is neither good nor bad

	Resolved []Finding `json:"resolved,omitempty"` // what an earlier report had and this one has not, where one was compared

	Keys []FoundKey `json:"-"` // the public keys that stand in DNS, for Compare
	gaps []gap      // what NotChecked leaves open
}

// gap is what could not be looked at: findings whose id begins with ids, about subject. Empty = any.
type gap struct{ ids, subject string }

// everything is the gap of an audit that saw nothing.
func everything() gap { return gap{} }

// Covers reports whether the audit could have made a finding: one that was not made then does not hold (any more).
func (r Report) Covers(id, subject string) bool {
	for _, g := range r.gaps {
		if strings.HasPrefix(id, g.ids) && (g.subject == "" || g.subject == subject) {
			return false
		}
	}
	return true
}

// Selector is one selector that was looked at.
type Selector struct {
	Selector string `json:"selector"`
	Signer   string `json:"signer"` // the inventory's signer or the recognised service; "" = not known
	State    string `json:"state"`  // a word: published, revoked, missing, invalid, unknown
	Source   string `json:"source"` // where its name came from: asked, catalogue, message, report, inventory
}
