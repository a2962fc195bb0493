package client

import (
	"context"
	"time"
)

// DMARCRequest sets the DMARC policy of a domain.
type DMARCRequest struct {
	Value  string `json:"value" maxLength:"4096" doc:"the complete record; empty = the inventory wants none any more"`
	Weaken bool   `json:"weaken,omitempty" doc:"also when it asks for less than the present one"`
	// Generation is the inventory's generation that the change was shown for; another one is refused. A plan ignores it.
	Generation int64 `json:"generation,omitempty"`
}

// DMARCChange is what a request would change, or changed.
type DMARCChange struct {
	Changes
	Old    string   `json:"old,omitempty"`
	New    string   `json:"new,omitempty"`
	Weaker []string `json:"weaker,omitempty" doc:"in which ways the new policy asks for less; such a change needs weaken"`
	// Warnings are about tags that receivers pass over.
	Warnings []string `json:"warnings,omitempty"`
	// Records are those that will stand, or are missing at a destination.
	Records []DMARCRecord `json:"records"`
}

// DMARCRecord is a record that a policy asks for.
type DMARCRecord struct {
	Name      string `json:"name"`
	Value     string `json:"value"`
	Publisher string `json:"publisher,omitempty" doc:"who writes it; empty = somebody else has to"`
}

// DMARC is the policy of a domain, how it stands, and where its reports go.
type DMARC struct {
	Domain string `json:"domain"`
	Mode   string `json:"mode"`
	Want   string `json:"want,omitempty" doc:"the policy of the inventory; empty = not ours"`
	// Record is what is known of the record at _dmarc.
	Record *Record `json:"record,omitempty"`
	// Since is since when every authoritative server has shown the policy; missing while they do not.
	Since        time.Time          `json:"since,omitzero"`
	State        string             `json:"state,omitempty" doc:"how the record stands, in a sentence"`
	Destinations []DMARCDestination `json:"destinations"`
	Findings     []Finding          `json:"findings"`
}

// DMARCDestination is an address that reports go to.
type DMARCDestination struct {
	Tag     string `json:"tag" doc:"rua or ruf"`
	Address string `json:"address"`
	// State is own (the same organisation: nothing is needed), stands, waiting (ours to publish), missing (others have to publish it) or unseen.
	State  string `json:"state" enum:"own,stands,waiting,missing,unseen"`
	Record string `json:"record,omitempty" doc:"the name by which the destination takes the reports"`
	Value  string `json:"value,omitempty"`
	Text   string `json:"text"`
}

// DMARCStep is the next step of a policy, with the evidence.
type DMARCStep struct {
	Domain  string   `json:"domain"`
	Present string   `json:"present,omitempty"`
	Step    string   `json:"step,omitempty" doc:"in words; empty = there is none"`
	Policy  string   `json:"policy,omitempty" doc:"the record after the step"`
	Command string   `json:"command,omitempty"`
	Ready   bool     `json:"ready" doc:"nothing is missing"`
	Reasons []string `json:"reasons" doc:"what speaks for it"`
	Missing []string `json:"missing" doc:"what should be settled first"`
	Notes   []string `json:"notes" doc:"what is worth knowing and keeps nobody from it"`
}

// DMARC returns the policy of a domain.
func (c *Client) DMARC(ctx context.Context, domain string) (DMARC, error) {
	var out DMARC
	return out, c.get(ctx, place("domains", domain, "dmarc"), nil, &out)
}

// NextDMARC returns the next step of a domain's policy.
func (c *Client) NextDMARC(ctx context.Context, domain string) (DMARCStep, error) {
	var out DMARCStep
	return out, c.get(ctx, place("domains", domain, "dmarc", "next"), nil, &out)
}

// PlanDMARC says what a request would change; nothing is changed.
func (c *Client) PlanDMARC(ctx context.Context, domain string, r DMARCRequest) (DMARCChange, error) {
	var out DMARCChange
	return out, c.post(ctx, place("domains", domain, "dmarc", "plan"), r, &out)
}

// SetDMARC carries a request out. fault.Conflict when the generation is another one meanwhile.
func (c *Client) SetDMARC(ctx context.Context, domain string, r DMARCRequest) (DMARCChange, error) {
	var out DMARCChange
	return out, c.post(ctx, place("domains", domain, "dmarc"), r, &out)
}
