package journal

import (
	"encoding/json"
	"time"
)

// Kind tells what an entry is.
type Kind string

const (
	Intent  Kind = "intent"  // an effect is about to be tried; Detail has the expected old value
	Outcome Kind = "outcome" // what became of the intent named in Intent
	Event   Kind = "event"   // an act of a person or a fact worth keeping, without an effect of ours
)

// Entry is one line of the journal.
type Entry struct {
	Seq    int64           `json:"seq"` // given by the store; grows by one
	At     time.Time       `json:"at"`  // database time
	Kind   Kind            `json:"kind"`
	Actor  string          `json:"actor"` // "planner", "agent:mx1", or a person's name
	Domain string          `json:"domain,omitempty"`
	KeyID  string          `json:"key_id,omitempty"`
	Step   string          `json:"step"`             // "publish", "activate", "hold", …
	Why    string          `json:"why"`              // one sentence
	Intent int64           `json:"intent,omitempty"` // Seq of the intent that an outcome ends
	OK     bool            `json:"ok"`               // outcome: the effect was reached
	Detail json.RawMessage `json:"detail,omitempty"`
	Prev   string          `json:"prev"` // Hash of the entry before
	Hash   string          `json:"hash"`
}
