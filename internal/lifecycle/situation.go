package lifecycle

import (
	"time"

	"github.com/postseal/postseal/internal/inventory"
)

// Situation is everything known about one domain at one moment, read in one transaction.
type Situation struct {
	Now         time.Time // database time, never running backwards
	Domain      inventory.Domain
	Signers     map[string]inventory.Signer // by id; also servers that are members of pools
	Assignments []inventory.Assignment      // also ended ones that still have keys
	Keys        []Key                       // every key of the domain but those removed long ago
	Records     []Record                    // records that are not of managed keys
	Controls    inventory.Controls
	// Through are the zones that slots lead to, by publisher.
	Through map[string]string
	// ReportsTo are the domains of ours that take DMARC reports about this one, by the host of the address.
	ReportsTo map[string]inventory.Destination
	// Repair is the zone's policy for records that others changed: write them again, or only report.
	Repair bool
	// Passed says when receivers last reported a selector of a retired key to pass in mail from an address of ours.
	Passed map[string]time.Time
	// Probed has, by server, the selectors that probes through it arrived with; read only where the policy's gate is a probe.
	Probed map[string][]string
	// Unprobed says, by server, why no probe comes through it, where that is known; read like Probed, and for people only.
	Unprobed map[string]string
}

// StepKind names a step. The words appear in the journal, in approvals and in the API.
type StepKind string

const (
	StepGenerate StepKind = "generate" // bind a free selector and tell the holders to make a key
	StepPublish  StepKind = "publish"  // write the record
	StepWaited   StepKind = "waited"   // all authorities show it and the wait is over
	StepAsk      StepKind = "ask"      // ask the holders for canaries
	StepProve    StepKind = "prove"    // every canary verified
	StepActivate StepKind = "activate" // tell the holders to sign
	StepSigning  StepKind = "signing"  // every holder acknowledged
	StepRetire   StepKind = "retire"   // tell the holders to stop
	StepStopped  StepKind = "stopped"  // every holder acknowledged, or was declared gone
	StepRevoke   StepKind = "revoke"   // empty p=
	StepRemove   StepKind = "remove"   // delete the record and tell the holders to erase the private key
	StepDemote   StepKind = "demote"   // an active record is wrong: fall back to another proven key
	StepRestore  StepKind = "restore"  // the record is right again: back to the newest key
	StepRepair   StepKind = "repair"   // write our record again where others changed it
	StepHolders  StepKind = "holders"  // bring a key's holders in line with the members of its pool
	StepEnd      StepKind = "end"      // a service's record is gone
)

// Step is one due step. It is idempotent.
type Step struct {
	Kind         StepKind
	AssignmentID string
	KeyID        string // for steps on a key
	RecordID     string // for steps on a record that is not of a managed key
	Algorithm    string // generate
	Why          string // one sentence, for the journal
}

// Reason says, for people, what comes next for a key, record or assignment and why not now.
type Reason struct {
	AssignmentID string    `json:"assignment_id"`
	KeyID        string    `json:"key_id,omitempty"`
	RecordID     string    `json:"record_id,omitempty"`
	Text         string    `json:"text"`
	Blocked      bool      `json:"blocked"`              // something is wrong or somebody must act
	Next         time.Time `json:"next,omitzero"`        // when time alone brings the next step
	StepAfter    StepKind  `json:"step_after,omitempty"` // which step that is
}

// Plan is what Next returns.
type Plan struct {
	Steps    []Step
	Reasons  []Reason
	Due      time.Time // when to look again, even if nothing happens before; always after Situation.Now
	Findings []Finding
}
