package audit

import "time"

// Report is what an audit of one domain found.
type Report struct {
	Domain     string     `json:"domain"`
	At         time.Time  `json:"at"`
	Selectors  []Selector `json:"selectors"`
	Findings   []Finding  `json:"findings"`              // the worst first
	NotChecked []string   `json:"not_checked,omitempty"` // what could not be looked at, and why; such a thing is neither good nor bad

	keys []foundKey // for Compare
}

// Selector is one selector that was looked at.
type Selector struct {
	Selector string `json:"selector"`
	Signer   string `json:"signer"` // the inventory's signer or the recognised service; "" = not known
	State    string `json:"state"`  // a word: published, revoked, missing, invalid, unknown
	Source   string `json:"source"` // where its name came from: asked, catalogue, message, report, inventory
}
